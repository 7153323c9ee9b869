-- name: list_all
SELECT i.id, i.organization_id, i.type, i.name, i.topics, i.device_ids, i.stream_patterns,
       i.objects, i.format, i.format_settings, i.settings, i.secrets, i.rate_per_minute,
       i.max_concurrent, i.max_payload_bytes, i.outcomes, i.schedule_seconds, i.max_age_seconds,
       i.enabled, i.created_at, i.updated_at,
       CASE WHEN NOT i.enabled THEN 'inactive' ELSE coalesce(s.status, 'active') END AS status,
       coalesce(s.reason, '') AS reason, s.last_success_at, s.last_failure_at,
       h.service_identifier
FROM integration i
LEFT JOIN integration_state s ON s.integration_id = i.id
LEFT JOIN solarnetwork_hook h ON h.integration_id = i.id
WHERE i.organization_id = $1 AND i.deleted_at IS NULL
  AND i.format = 'solarnetwork' AND cardinality(i.topics) = 1
ORDER BY lower(i.name), i.id LIMIT 10000

-- name: find
SELECT i.id, i.organization_id, i.type, i.name, i.topics, i.device_ids, i.stream_patterns,
       i.objects, i.format, i.format_settings, i.settings, i.secrets, i.rate_per_minute,
       i.max_concurrent, i.max_payload_bytes, i.outcomes, i.schedule_seconds, i.max_age_seconds,
       i.enabled, i.created_at, i.updated_at,
       CASE WHEN NOT i.enabled THEN 'inactive' ELSE coalesce(s.status, 'active') END AS status,
       coalesce(s.reason, '') AS reason, s.last_success_at, s.last_failure_at,
       h.service_identifier
FROM integration i
LEFT JOIN integration_state s ON s.integration_id = i.id
LEFT JOIN solarnetwork_hook h ON h.integration_id = i.id
WHERE i.organization_id = $1 AND i.id = $2 AND i.deleted_at IS NULL
  AND i.format = 'solarnetwork' AND cardinality(i.topics) = 1

-- name: change_type
UPDATE integration SET type = $3
WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL AND type <> $3

-- name: call_service
INSERT INTO solarnetwork_hook (integration_id, service_identifier) VALUES ($1, $2)
ON CONFLICT (integration_id) DO UPDATE SET service_identifier = EXCLUDED.service_identifier
