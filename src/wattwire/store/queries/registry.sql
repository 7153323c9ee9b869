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
