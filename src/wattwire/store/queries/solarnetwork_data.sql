-- name: list_nodes
SELECT id, key, time_zone FROM device
WHERE organization_id = $1 AND ($2::bigint[] IS NULL OR id = ANY($2))
ORDER BY id

-- name: list_sources
-- Streams by device and path; with a range only those that have a reading in it.
SELECT d.id AS node_id, s.path
FROM device d JOIN stream s ON s.device_id = d.id
WHERE d.organization_id = $1 AND ($2::bigint[] IS NULL OR d.id = ANY($2))
  AND ($3::timestamptz IS NULL OR EXISTS (
      SELECT FROM reading r WHERE r.stream_id = s.id AND r.time >= $3 AND r.time < $4))
ORDER BY d.id, s.path COLLATE "C" LIMIT $5

-- name: list_streams
-- Streams of devices, or those of these ids, by device and path; their channels in order.
SELECT s.id, s.uuid, d.id AS node_id, d.key, d.time_zone, s.path,
       ARRAY(SELECT c.name FROM channel c WHERE c.stream_id = s.id ORDER BY c.position) AS names,
       ARRAY(SELECT c.kind FROM channel c WHERE c.stream_id = s.id ORDER BY c.position) AS kinds
FROM device d JOIN stream s ON s.device_id = d.id
WHERE d.organization_id = $1
  AND ($2::bigint[] IS NULL OR d.id = ANY($2)) AND ($3::uuid[] IS NULL OR s.uuid = ANY($3))
ORDER BY d.id, s.path COLLATE "C" LIMIT $4

-- name: find_interval
-- When the first and the last reading of streams were taken; of none null.
SELECT min(e.first) AS first, max(e.last) AS last
FROM unnest($1::int[]) AS w(stream_id), LATERAL (
    SELECT (SELECT time FROM reading r WHERE r.stream_id = w.stream_id
              AND r.time >= $2 AND r.time < $3 ORDER BY time LIMIT 1) AS first,
           (SELECT time FROM reading r WHERE r.stream_id = w.stream_id
              AND r.time >= $2 AND r.time < $3 ORDER BY time DESC LIMIT 1) AS last) e

-- name: count_readings
SELECT (SELECT count(*) FROM reading r WHERE r.stream_id = w.stream_id
          AND r.time >= w.start AND r.time < w."end") AS items
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number)
ORDER BY w.number

-- name: read_readings
-- Of each span the readings from $4 on, $5 of them at most, oldest first.
SELECT (w.number - 1)::int AS number, r.time, r.values, r.texts
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[])
     WITH ORDINALITY AS w(stream_id, start, "end", skip, take, number),
LATERAL (SELECT time, values, texts FROM reading
         WHERE stream_id = w.stream_id AND time >= w.start AND time < w."end"
         ORDER BY time OFFSET w.skip LIMIT w.take) r
ORDER BY w.number, r.time

-- name: read_readings_by_time
-- The readings of all spans, merged by time; $4 is 1 for the oldest first, -1 for the newest.
WITH page AS (
    SELECT w.number, w.stream_id, r.time
    FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
         WITH ORDINALITY AS w(stream_id, start, "end", number)
    JOIN reading r ON r.stream_id = w.stream_id AND r.time >= w.start AND r.time < w."end"
    ORDER BY extract(epoch FROM r.time) * $4::int, w.number OFFSET $5 LIMIT $6
)
SELECT (p.number - 1)::int AS number, r.time, r.values, r.texts
FROM page p JOIN reading r ON r.stream_id = p.stream_id AND r.time = p.time
ORDER BY extract(epoch FROM p.time) * $4::int, p.number

-- name: newest_readings
SELECT (w.number - 1)::int AS number, r.time, r.values, r.texts
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number),
LATERAL (SELECT time, values, texts FROM reading
         WHERE stream_id = w.stream_id AND time >= w.start AND time < w."end"
         ORDER BY time DESC LIMIT 1) r
ORDER BY w.number

-- name: count_rollups
SELECT (SELECT count(*) FROM rollup r WHERE r.stream_id = w.stream_id
          AND r.bucket = $4::text::"char" AND r.start >= w.start AND r.start < w."end") AS items
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number)
ORDER BY w.number

-- name: read_rollups
-- Of each span the rollups of kind $6 from $4 on, $5 of them at most, oldest first.
SELECT (w.number - 1)::int AS number, r.*
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[])
     WITH ORDINALITY AS w(stream_id, start, "end", skip, take, number),
LATERAL (SELECT stream_id, bucket::text AS bucket, start, "end", count, mean, minimum, maximum,
                total, difference, first_value, last_value, texts, readings, completeness
         FROM rollup
         WHERE stream_id = w.stream_id AND bucket = $6::text::"char"
           AND start >= w.start AND start < w."end"
         ORDER BY start OFFSET w.skip LIMIT w.take) r
ORDER BY w.number, r.start

-- name: read_rollups_by_time
-- The rollups of kind $7 of all spans, merged by time, as the readings are.
SELECT (w.number - 1)::int AS number,
       r.stream_id, r.bucket::text AS bucket, r.start, r."end", r.count, r.mean, r.minimum, r.maximum,
       r.total, r.difference, r.first_value, r.last_value, r.texts, r.readings, r.completeness
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number)
JOIN rollup r ON r.stream_id = w.stream_id AND r.bucket = $7::text::"char"
     AND r.start >= w.start AND r.start < w."end"
ORDER BY extract(epoch FROM r.start) * $4::int, w.number OFFSET $5 LIMIT $6

-- name: newest_rollups
SELECT (w.number - 1)::int AS number, r.*
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number),
LATERAL (SELECT stream_id, bucket::text AS bucket, start, "end", count, mean, minimum, maximum,
                total, difference, first_value, last_value, texts, readings, completeness
         FROM rollup
         WHERE stream_id = w.stream_id AND bucket = $4::text::"char"
           AND start >= w.start AND start < w."end"
         ORDER BY start DESC LIMIT 1) r
ORDER BY w.number
