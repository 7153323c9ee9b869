-- name: list_readings
-- Each stream gives at most a page, from its own index; the page is merged of those.
SELECT r.* FROM unnest($1::int[]) AS s(id)
CROSS JOIN LATERAL (
    SELECT stream_id, time, received_at, quality, values, texts FROM reading
    WHERE stream_id = s.id AND time >= greatest($2::timestamptz, $4) AND time < $3
      AND ($4::timestamptz IS NULL OR (time, stream_id) > ($4, $5::int))
    ORDER BY time LIMIT $6
) AS r
ORDER BY r.time, r.stream_id LIMIT $6

-- name: list_readings_backwards
SELECT r.* FROM unnest($1::int[]) AS s(id)
CROSS JOIN LATERAL (
    SELECT stream_id, time, received_at, quality, values, texts FROM reading
    WHERE stream_id = s.id AND time >= $2 AND time < $3 AND ($4::timestamptz IS NULL OR time <= $4)
      AND ($4::timestamptz IS NULL OR (time, stream_id) < ($4, $5::int))
    ORDER BY time DESC LIMIT $6
) AS r
ORDER BY r.time DESC, r.stream_id DESC LIMIT $6

-- name: list_rollups
SELECT stream_id, start, "end", count, mean, minimum, maximum, total, difference, first_value,
       last_value, texts, readings, completeness
FROM rollup
WHERE stream_id = ANY($1::int[]) AND bucket = $2::text::"char" AND start >= $3 AND start < $4
  AND ($5::int IS NULL OR (stream_id, start) > ($5, $6::timestamptz))
ORDER BY stream_id, start LIMIT $7

-- name: list_levels
SELECT stream_id, start, "end", count, mean, minimum, maximum, readings, completeness
FROM rollup
WHERE stream_id = ANY($1::int[]) AND bucket = $2::text::"char" AND start >= $3 AND start < $4
  AND ($5::int IS NULL OR (stream_id, start) > ($5, $6::timestamptz))
ORDER BY stream_id, start LIMIT $7

-- name: list_events
SELECT id, created_at, organization_id, topic, device_id, stream, time, severity, data FROM event
WHERE organization_id = $1
  AND ($2::text IS NULL OR topic = $2)
  AND ($3::bigint IS NULL OR device_id = $3)
  AND ($4::text IS NULL OR stream = $4)
  AND ($5::text IS NULL OR severity = $5)
  AND ($6::timestamptz IS NULL OR created_at >= $6)
  AND ($7::timestamptz IS NULL OR created_at < $7)
  AND ($8::timestamptz IS NULL OR (created_at, id) < ($8, $9::uuid))
ORDER BY created_at DESC, id DESC LIMIT $10

-- name: find_event
SELECT id, created_at, organization_id, topic, device_id, stream, time, severity, data FROM event
WHERE organization_id = $1 AND id = $2 LIMIT 1

-- name: list_recent_events
SELECT id, created_at, organization_id, topic, device_id, stream, time, severity, data FROM event
WHERE organization_id = ANY($1::uuid[]) AND created_at >= $2
ORDER BY created_at DESC, id DESC LIMIT $3

-- name: list_attempts
SELECT id, message_id, event_id, topic, device_key, number, started_at, duration_ms, outcome, reason,
       receipt, address, test
FROM attempt
WHERE integration_id = $1
  AND ($2::text IS NULL OR outcome = $2)
  AND ($3::text IS NULL OR message_id = $3)
  AND ($4::text IS NULL OR topic = $4)
  AND ($5::boolean IS NULL OR test = $5)
  AND ($6::timestamptz IS NULL OR started_at >= $6)
  AND ($7::timestamptz IS NULL OR started_at < $7)
  AND ($8::timestamptz IS NULL OR (started_at, id) < ($8, $9::bigint))
ORDER BY started_at DESC, id DESC LIMIT $10

-- name: list_dead_letters
SELECT d.id, d.event_id, d.message_id, e.topic, d.attempts, d.reason, d.died_at
FROM dead_letter d
LEFT JOIN event e ON e.id = d.event_id AND e.created_at = d.event_created_at
WHERE d.integration_id = $1 AND ($2::timestamptz IS NULL OR (d.died_at, d.id) < ($2, $3::bigint))
ORDER BY d.died_at DESC, d.id DESC LIMIT $4

-- name: list_topics
SELECT topic, count(*) AS events FROM event
WHERE organization_id = $1 AND created_at > now() - interval '1 day' GROUP BY topic
