-- name: create
INSERT INTO device (organization_id, key, name, type, time_zone, metadata)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, uuid, organization_id, key, name, type, time_zone, status, status_at, last_seen_at,
          metadata, created_at

-- name: tell_created
-- Devices that register themselves are not told of; one that a person made, intake must know at once.
SELECT pg_notify('wattwire_config', 'device:' || $1::text)

-- name: find
SELECT id, uuid, organization_id, key, name, type, time_zone, status, status_at, last_seen_at,
       metadata, created_at
FROM device WHERE organization_id = $1 AND id = $2

-- name: find_by_key
SELECT id, uuid, organization_id, key, name, type, time_zone, status, status_at, last_seen_at,
       metadata, created_at
FROM device WHERE organization_id = $1 AND key = $2

-- name: list_page
SELECT id, uuid, organization_id, key, name, type, time_zone, status, status_at, last_seen_at,
       metadata, created_at
FROM device
WHERE organization_id = $1 AND id > $2
  AND ($4::text IS NULL OR strpos(lower(name), lower($4)) > 0 OR strpos(lower(key), lower($4)) > 0)
  AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR type = $6)
  AND ($7::text IS NULL OR status = $7)
ORDER BY id LIMIT $3

-- name: update
UPDATE device SET
    key = coalesce($3, key),
    name = coalesce($4, name),
    type = coalesce($5, type),
    time_zone = coalesce($6, time_zone),
    metadata = coalesce($7, metadata)
WHERE organization_id = $1 AND id = $2
RETURNING id, uuid, organization_id, key, name, type, time_zone, status, status_at, last_seen_at,
          metadata, created_at

-- name: lock
SELECT id FROM device WHERE organization_id = $1 AND id = $2 FOR UPDATE

-- name: list_stream_ids
SELECT id FROM stream WHERE device_id = $1

-- name: delete_readings
-- Readings have no foreign key: it would cost every insert.
DELETE FROM reading WHERE stream_id = ANY($1::int[])

-- name: delete_stale
DELETE FROM stale WHERE stream_id = ANY($1::int[])

-- name: delete
DELETE FROM device WHERE id = $1

-- name: count_foreign
SELECT count(*) FROM unnest($2::bigint[]) AS u(id)
WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.id = u.id AND d.organization_id = $1)

-- name: list_streams
SELECT s.id, s.uuid, s.path, s.stamp, s.interval_seconds, s.detect_resets, s.created_at,
       coalesce(array_agg(c.name ORDER BY c.position) FILTER (WHERE c.name IS NOT NULL), '{}') AS names,
       coalesce(array_agg(c.kind ORDER BY c.position) FILTER (WHERE c.name IS NOT NULL), '{}') AS kinds,
       coalesce(array_agg(c.unit ORDER BY c.position) FILTER (WHERE c.name IS NOT NULL), '{}') AS units
FROM stream s
JOIN device d ON d.id = s.device_id
LEFT JOIN channel c ON c.stream_id = s.id
WHERE d.organization_id = $1 AND d.id = $2
GROUP BY s.id ORDER BY s.path

-- name: update_stream
UPDATE stream SET stamp = $2, interval_seconds = $3, detect_resets = $4 WHERE id = $1
