-- name: lock
-- One change of a whole configuration at a time.
SELECT pg_advisory_xact_lock(hashtext('configuration'), hashtext($1))

-- name: list_devices
SELECT id, uuid, organization_id, key, name, type, time_zone, status, status_at, last_seen_at,
       metadata, created_at
FROM device WHERE organization_id = $1 AND ($2::text[] IS NULL OR key = ANY($2))
ORDER BY key COLLATE "C" LIMIT $3

-- name: list_streams
-- Of all devices those that somebody changed, of named devices all.
SELECT d.key, s.id, s.path, s.stamp, s.interval_seconds, s.detect_resets
FROM stream s JOIN device d ON d.id = s.device_id
WHERE d.organization_id = $1
  AND CASE WHEN $2::text[] IS NULL
           THEN s.stamp <> 'start' OR s.interval_seconds IS NOT NULL OR s.detect_resets IS NOT NULL
           ELSE d.key = ANY($2) END
ORDER BY d.key COLLATE "C", s.path COLLATE "C" LIMIT $3

-- name: make_stream
-- Before it reports for the first time; its channels come with the readings.
INSERT INTO stream (device_id, path) VALUES ($1, $2)
ON CONFLICT (device_id, path) DO UPDATE SET path = excluded.path RETURNING id

-- name: list_device_keys
SELECT id, key FROM device WHERE organization_id = $1 AND id = ANY($2::bigint[])

-- name: list_device_ids
SELECT id, key FROM device WHERE organization_id = $1 AND key = ANY($2::text[])

-- name: lock_integrations
SELECT id FROM integration WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY id FOR UPDATE

-- name: lock_sources
SELECT id FROM source WHERE organization_id = $1 ORDER BY id FOR UPDATE

-- name: lock_credentials
SELECT id FROM mqtt_credential WHERE organization_id = $1 ORDER BY id FOR UPDATE

-- name: list_password_hashes
SELECT username, password_hash FROM mqtt_credential
WHERE organization_id = $1 AND username = ANY($2::text[])

-- name: list_taken_usernames
-- User names are unique on the hub.
SELECT username FROM mqtt_credential WHERE organization_id <> $1 AND username = ANY($2::text[])

-- name: drop_password
UPDATE mqtt_credential SET password_hash = NULL WHERE organization_id = $1 AND id = $2
