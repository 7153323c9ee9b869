-- name: insert_devices
-- Register devices that report for the first time; what is there stays as it is.
INSERT INTO device (organization_id, key, name, status, status_at)
SELECT DISTINCT u.organization_id, u.key, u.key, 'online', now()
FROM unnest($1::uuid[], $2::text[]) AS u(organization_id, key)
JOIN organization o ON o.id = u.organization_id
ORDER BY u.organization_id, u.key
ON CONFLICT (organization_id, key) DO NOTHING
RETURNING id, organization_id, key, name, type, metadata

-- name: insert_streams
INSERT INTO stream (device_id, path)
SELECT DISTINCT d.id, u.path
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u(organization_id, key, path)
JOIN device d ON d.organization_id = u.organization_id AND d.key = u.key
ORDER BY d.id, u.path
ON CONFLICT (device_id, path) DO NOTHING

-- name: find_streams
-- One row per wanted stream, with its channels in order; `wanted` is the position in the arrays.
SELECT u.wanted, s.id AS stream_id, s.uuid AS stream_uuid,
       d.id AS device_id, d.name AS device_name, d.type AS device_type, d.time_zone,
       d.metadata AS device_metadata,
       (SELECT max(r.time) FROM reading r WHERE r.stream_id = s.id) AS last_time,
       ARRAY(SELECT c.name FROM channel c WHERE c.stream_id = s.id ORDER BY c.position) AS names,
       ARRAY(SELECT c.kind FROM channel c WHERE c.stream_id = s.id ORDER BY c.position) AS kinds
FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS u(organization_id, key, path, wanted)
JOIN device d ON d.organization_id = u.organization_id AND d.key = u.key
JOIN stream s ON s.device_id = d.id AND s.path = u.path
ORDER BY u.wanted

-- name: insert_channels
-- Append channels to their streams; a name that is there already keeps its place.
INSERT INTO channel (stream_id, position, name, kind, unit)
SELECT u.stream_id,
       COALESCE((SELECT max(c.position) FROM channel c WHERE c.stream_id = u.stream_id), 0)
         + row_number() OVER (PARTITION BY u.stream_id ORDER BY u.place),
       u.name, u.kind, u.unit
FROM unnest($1::int[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
     AS u(stream_id, name, kind, unit, place)
WHERE NOT EXISTS (SELECT 1 FROM channel c WHERE c.stream_id = u.stream_id AND c.name = u.name)
ORDER BY u.place
ON CONFLICT DO NOTHING

-- name: find_devices
-- What intake must know of devices before it reads their messages.
SELECT u.wanted, d.id, d.time_zone
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS u(organization_id, key, wanted)
JOIN device d ON d.organization_id = u.organization_id AND d.key = u.key

-- name: find_organization
SELECT auto_register, detect_resets FROM organization WHERE id = $1

-- name: sight_devices
-- Devices that just reported: remember when, and return those that were not online.
WITH before AS (
    SELECT d.id, d.status FROM device d
    WHERE d.id = ANY($1::bigint[]) ORDER BY d.id FOR NO KEY UPDATE
), seen AS (
    UPDATE device d SET last_seen_at = $2, status = 'online',
        status_at = CASE WHEN b.status = 'online' THEN d.status_at ELSE $2 END
    FROM before b WHERE d.id = b.id
    RETURNING d.id, d.organization_id, d.key, d.name, d.type, d.metadata, b.status AS was
)
SELECT * FROM seen WHERE was <> 'online'

-- name: change_statuses
-- Devices whose edge node said that they came or went; returns those for which that is news.
WITH before AS (
    SELECT d.id, d.status AS was, u.status, u.at
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
         AS u(organization_id, key, status, at)
    JOIN device d ON d.organization_id = u.organization_id AND d.key = u.key
    WHERE d.status <> u.status
    ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE device d SET status = b.status, status_at = b.at
FROM before b WHERE d.id = b.id
RETURNING d.id, d.organization_id, d.key, d.name, d.type, d.metadata, d.status, d.status_at, b.was

-- name: describe_streams
SELECT s.id AS stream_id, s.path, d.organization_id, d.id AS device_id, d.key AS device_key,
       d.name AS device_name, d.type AS device_type, d.metadata AS device_metadata,
       ARRAY(SELECT c.name FROM channel c WHERE c.stream_id = s.id ORDER BY c.position) AS names,
       ARRAY(SELECT c.kind FROM channel c WHERE c.stream_id = s.id ORDER BY c.position) AS kinds
FROM stream s JOIN device d ON d.id = s.device_id WHERE s.id = ANY($1::int[])

-- name: register_described
-- Register devices that a source names, if the organization lets devices register themselves. None
-- has reported yet: it is offline until it does.
INSERT INTO device (organization_id, key, name, type, metadata)
SELECT o.id, u.key, coalesce(nullif(u.name, ''), u.key), u.type, u.metadata
FROM organization o,
     unnest($2::text[], $3::text[], $4::text[], $5::jsonb[]) AS u(key, name, type, metadata)
WHERE o.id = $1 AND o.auto_register
  AND NOT EXISTS (SELECT 1 FROM device d WHERE d.organization_id = o.id AND d.key = u.key)
ORDER BY u.key
ON CONFLICT (organization_id, key) DO NOTHING
RETURNING id, organization_id, key, name, type, metadata

-- name: describe_devices
-- Lay what a source says of its devices over what is there. What is not new is not written, so that
-- nobody is told to forget.
WITH said AS (
    SELECT d.id,
           CASE WHEN u.name <> '' AND d.name IN ('', d.key) THEN u.name ELSE d.name END AS name,
           CASE WHEN d.type = '' THEN u.type ELSE d.type END AS type,
           d.metadata || u.metadata AS metadata
    FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[]) AS u(key, name, type, metadata)
    JOIN device d ON d.organization_id = $1 AND d.key = u.key
    ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE device d SET name = s.name, type = s.type, metadata = s.metadata
FROM said s
WHERE d.id = s.id AND (d.name, d.type, d.metadata) IS DISTINCT FROM (s.name, s.type, s.metadata)

-- name: find_keys
SELECT key FROM device WHERE organization_id = $1 AND key = ANY($2::text[])
