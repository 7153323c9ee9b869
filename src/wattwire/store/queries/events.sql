-- name: count_matched
INSERT INTO ledger (integration_id, matched) SELECT * FROM unnest($1::int[], $2::bigint[])

-- name: list_interests
-- Which integrations ask for events. A paused one keeps asking: its messages wait.
SELECT id, organization_id, topics, device_ids, stream_patterns, objects,
       format = 'solarnetwork' AND format_settings @> '{"repeats": true}' AS repeats
FROM integration WHERE deleted_at IS NULL AND topics <> '{}'

-- name: interest_version
SELECT version FROM interest_version
