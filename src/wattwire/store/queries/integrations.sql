-- name: create
INSERT INTO integration (organization_id, type, name, topics, device_ids, stream_patterns, objects,
                         format, format_settings, settings, secrets, rate_per_minute,
                         max_concurrent, max_payload_bytes, outcomes, schedule_seconds,
                         max_age_seconds, enabled)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
RETURNING id

-- name: create_state
INSERT INTO integration_state (integration_id) VALUES ($1) ON CONFLICT DO NOTHING

-- name: find
-- The status a person sees: what is switched off is inactive, whatever delivery last knew.
SELECT i.id, i.organization_id, i.type, i.name, i.topics, i.device_ids, i.stream_patterns,
       i.objects, i.format, i.format_settings, i.settings, i.secrets, i.rate_per_minute, i.max_concurrent, i.max_payload_bytes, i.outcomes,
       i.schedule_seconds, i.max_age_seconds, i.enabled, i.created_at, i.updated_at,
       CASE WHEN NOT i.enabled THEN 'inactive' ELSE coalesce(s.status, 'active') END AS status,
       coalesce(s.reason, '') AS reason, s.last_success_at, s.last_failure_at
FROM integration i LEFT JOIN integration_state s ON s.integration_id = i.id
WHERE i.organization_id = $1 AND i.id = $2 AND i.deleted_at IS NULL

-- name: find_by_name
SELECT i.id, i.organization_id, i.type, i.name, i.topics, i.device_ids, i.stream_patterns,
       i.objects, i.format, i.format_settings, i.settings, i.secrets, i.rate_per_minute, i.max_concurrent, i.max_payload_bytes, i.outcomes,
       i.schedule_seconds, i.max_age_seconds, i.enabled, i.created_at, i.updated_at,
       CASE WHEN NOT i.enabled THEN 'inactive' ELSE coalesce(s.status, 'active') END AS status,
       coalesce(s.reason, '') AS reason, s.last_success_at, s.last_failure_at
FROM integration i LEFT JOIN integration_state s ON s.integration_id = i.id
WHERE i.organization_id = $1 AND i.name = $2 AND i.deleted_at IS NULL
ORDER BY i.id LIMIT 10

-- name: list_page
SELECT * FROM (
    SELECT i.id, i.organization_id, i.type, i.name, i.topics, i.device_ids, i.stream_patterns,
           i.objects, i.format, i.format_settings, i.settings, i.secrets, i.rate_per_minute, i.max_concurrent,
           i.max_payload_bytes, i.outcomes, i.schedule_seconds, i.max_age_seconds, i.enabled,
           i.created_at, i.updated_at,
           CASE WHEN NOT i.enabled THEN 'inactive' ELSE coalesce(s.status, 'active') END AS status,
           coalesce(s.reason, '') AS reason, s.last_success_at, s.last_failure_at
    FROM integration i LEFT JOIN integration_state s ON s.integration_id = i.id
    WHERE i.organization_id = $1 AND i.id > $2 AND i.deleted_at IS NULL
) AS listed
WHERE ($4::text IS NULL OR type = $4)
  AND ($5::text IS NULL OR status = $5)
  AND ($6::text IS NULL OR topics @> ARRAY[$6])
ORDER BY id LIMIT $3

-- name: replace
UPDATE integration SET
    name = $3, topics = $4, device_ids = $5, stream_patterns = $6, objects = $7, format = $8,
    format_settings = $9, settings = $10, secrets = $11, rate_per_minute = $12,
    max_concurrent = $13, max_payload_bytes = $14, outcomes = $15, schedule_seconds = $16,
    max_age_seconds = $17, enabled = $18, updated_at = now()
WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL

-- name: set_enabled
UPDATE integration SET enabled = $3, updated_at = now()
WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL

-- name: delete
UPDATE integration SET deleted_at = now(), enabled = false, updated_at = now()
WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL RETURNING id
