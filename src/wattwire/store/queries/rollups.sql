-- name: plan_for_growth
-- Plans are kept while tables grow: one made for an empty month would read all of it for each bucket.
SET LOCAL enable_seqscan = off

-- name: take_stale
-- Buckets that may be computed now, longest waiting first. A day or month need not wait: its hours
-- have. Their streams are locked until the transaction ends, so that two workers never compute the
-- same stream; those that another one holds, and those in $7, are left out. `version` tells a row that was marked again.
WITH due AS MATERIALIZED (
    SELECT stream_id, start, marked_at, xmin::text::bigint AS version FROM stale
    WHERE bucket = $1::text::"char" AND stream_id <> ALL($7::int[])
      AND (bucket <> 'h' OR marked_at <= coalesce($2::timestamptz, least(clock_timestamp(), $8::timestamptz)) - $3::interval
                         OR first_marked_at <= coalesce($2::timestamptz, clock_timestamp()) - $4::interval)
    ORDER BY marked_at, stream_id, start LIMIT $5
), held AS MATERIALIZED (
    SELECT stream_id FROM (SELECT DISTINCT stream_id FROM due OFFSET 0) d
    WHERE pg_try_advisory_xact_lock($6, stream_id)
)
SELECT stream_id, start, version FROM due JOIN held USING (stream_id)
ORDER BY marked_at, stream_id, start

-- name: forget_stale
-- Forget what has been computed, except what was marked again meanwhile. What a writer is just
-- marking is left to it: waiting for it here could end in a deadlock.
WITH taken AS (
    SELECT * FROM unnest($2::int[], $3::timestamptz[], $4::bigint[]) AS t(stream_id, start, version)
), free AS MATERIALIZED (
    SELECT s.stream_id, s.start FROM stale s JOIN taken t USING (stream_id, start)
    WHERE s.bucket = $1::text::"char" AND s.xmin::text::bigint = t.version
    FOR UPDATE OF s SKIP LOCKED
)
DELETE FROM stale s USING free f
WHERE s.stream_id = f.stream_id AND s.bucket = $1::text::"char" AND s.start = f.start

-- name: mark_stale
-- One time for all: buckets are taken by time, then in order, so that neighbours are read together.
INSERT INTO stale AS s (stream_id, bucket, start, first_marked_at, marked_at)
SELECT DISTINCT u.stream_id, $1::text::"char", u.start, statement_timestamp(), statement_timestamp()
FROM unnest($2::int[], $3::timestamptz[]) AS u(stream_id, start)
ORDER BY 1, 3
ON CONFLICT (stream_id, bucket, start) DO UPDATE SET marked_at = excluded.marked_at

-- name: fold_notes
-- Notes become marks: one for each stream and hour, however many slices noted it. Returns the time
-- from which on notes may still be unfolded, and how many were folded. Nobody waits for the disk: a
-- crash loses all of it or nothing, and then the notes are there again.
WITH began AS MATERIALIZED (
    SELECT clock_timestamp() AS at, set_config('synchronous_commit', 'off', true)
), gone AS (
    DELETE FROM stale_note WHERE id IN (
        SELECT id FROM stale_note ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
    ) RETURNING start, streams, noted_at
), marked AS (
    INSERT INTO stale AS s (stream_id, bucket, start, first_marked_at, marked_at)
    SELECT u.stream_id, 'h', g.start, min(g.noted_at), max(g.noted_at)
    FROM gone g, unnest(g.streams) AS u(stream_id)
    GROUP BY u.stream_id, g.start ORDER BY u.stream_id, g.start
    ON CONFLICT (stream_id, bucket, start)
        DO UPDATE SET marked_at = greatest(s.marked_at, excluded.marked_at)
)
SELECT (SELECT at FROM began) AS began, (SELECT count(*) FROM gone) AS folded

-- name: count_stale
SELECT bucket::text AS bucket, count(*) AS waiting, min(first_marked_at) AS oldest
FROM (SELECT bucket, first_marked_at FROM stale
      UNION ALL SELECT 'h', noted_at FROM stale_note, unnest(streams)) AS both_kinds
GROUP BY bucket

-- name: find_series
-- What the arithmetic must know about streams. Channels in order of their places.
SELECT s.id, d.time_zone, s.stamp = 'end' AS end_stamped, s.interval_seconds,
       coalesce(s.detect_resets, o.detect_resets) AS detect_resets, c.positions, c.names, c.kinds
FROM stream s JOIN device d ON d.id = s.device_id JOIN organization o ON o.id = d.organization_id,
LATERAL (SELECT array_agg(position ORDER BY position) AS positions,
                array_agg(name ORDER BY position) AS names,
                array_agg(kind ORDER BY position) AS kinds
         FROM channel WHERE stream_id = s.id) c
WHERE s.id = ANY($1::int[])

-- name: weigh_spans
-- How many readings each span holds, counted up to a limit.
SELECT (SELECT count(*) FROM (SELECT FROM reading r WHERE r.stream_id = w.stream_id
                                AND r.time >= w.start AND r.time < w."end" LIMIT $4) few) AS readings
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number)
ORDER BY w.number

-- name: read_spans
-- The readings of each span as one block of bytes: each its time and its values in PostgreSQL's own
-- binary form, a missing value as NaN, so that all readings with as many values are equally long.
SELECT (w.number - 1)::int AS number, b.width, b.block
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number),
LATERAL (SELECT cardinality(r.values) AS width,
                string_agg(timestamptz_send(r.time) || array_send(array_replace(r.values, NULL, 'NaN')),
                           ''::bytea) AS block
         FROM reading r
         WHERE r.stream_id = w.stream_id AND r.time >= w.start AND r.time < w."end"
         GROUP BY cardinality(r.values)) b

-- name: read_edges
-- The nearest reading before each span, and the nearest one after it.
SELECT (w.number - 1)::int AS number, e.time, e.values
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number),
LATERAL ((SELECT r.time, r.values FROM reading r
          WHERE r.stream_id = w.stream_id
            AND r.time < w.start AND r.time >= w.start - interval '365 days'
          ORDER BY r.time DESC LIMIT 1)
         UNION ALL
         (SELECT r.time, r.values FROM reading r
          WHERE r.stream_id = w.stream_id
            AND r.time >= w."end" AND r.time <= w."end" + interval '365 days'
          ORDER BY r.time LIMIT 1)) e

-- name: read_texts
SELECT (w.number - 1)::int AS number, r.time, r.texts
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number)
JOIN reading r ON r.stream_id = w.stream_id AND r.time >= w.start AND r.time <= w."end"
WHERE r.texts IS NOT NULL
ORDER BY r.time

-- name: read_resets
SELECT (w.number - 1)::int AS number, x.time, c.position, x.final, x.start
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number)
JOIN register_reset x ON x.stream_id = w.stream_id
     AND x.time >= w.start - interval '365 days' AND x.time <= w."end" + interval '365 days'
JOIN channel c ON c.stream_id = x.stream_id AND c.name = x.channel AND c.kind = 'accumulating'

-- name: find_last_values
-- The last value of a channel before an instant, at most 365 days, when the nearest reading has none.
-- A channel that is silent for long must not be looked for reading by reading: hours that have been
-- computed say whether they hold a value, and all other hours with readings are marked stale. A mark
-- need not be aligned with the hours that it touches; these lie within an hour around it. Marks no
-- further than an hour apart, of whatever alignment, are looked through as one: so the last of these
-- groups that holds a value holds the last value.
SELECT (w.number - 1)::int AS number, f.time, f.value
FROM unnest($1::int[], $2::smallint[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, position, instant, number),
LATERAL (
    (SELECT r.time, r.value
     FROM (SELECT h.start, h."end" FROM rollup h
           WHERE h.stream_id = w.stream_id AND h.bucket = 'h' AND h.count[w.position] > 0
             AND h.start < w.instant AND h.start >= w.instant - interval '366 days'
             AND NOT EXISTS (SELECT FROM stale s WHERE s.stream_id = h.stream_id AND s.bucket = 'h'
                               AND s.start > h.start - interval '1 hour' AND s.start < h."end")
           ORDER BY h.start DESC LIMIT 1) AS span,
          LATERAL (SELECT e.time, e.values[w.position] AS value FROM reading e
                  WHERE e.stream_id = w.stream_id AND e.time >= span.start AND e.time <= span."end"
                    AND e.time < w.instant AND e.time >= w.instant - interval '365 days'
                    AND e.values[w.position] IS NOT NULL
                  ORDER BY e.time DESC LIMIT 1) r
     ORDER BY r.time DESC LIMIT 1)
    UNION ALL
    (SELECT r.time, r.value
     FROM (SELECT min(i.start) - interval '1 hour' AS start, max(i.start) + interval '2 hours' AS "end"
           FROM (SELECT m.start, sum(m.apart) OVER (ORDER BY m.start) AS island
                 FROM (SELECT s.start, coalesce((s.start - lag(s.start) OVER (ORDER BY s.start)
                                                 > interval '1 hour')::int, 1) AS apart
                 FROM stale s
                 WHERE s.stream_id = w.stream_id AND s.bucket = 'h'
                   AND s.start < w.instant AND s.start >= w.instant - interval '366 days') m) i
           GROUP BY i.island ORDER BY 1 DESC) AS span,
          LATERAL (SELECT e.time, e.values[w.position] AS value FROM reading e
                  WHERE e.stream_id = w.stream_id AND e.time >= span.start AND e.time <= span."end"
                    AND e.time < w.instant AND e.time >= w.instant - interval '365 days'
                    AND e.values[w.position] IS NOT NULL
                  ORDER BY e.time DESC LIMIT 1) r
     ORDER BY span.start DESC LIMIT 1)
    ORDER BY 1 DESC LIMIT 1) f

-- name: find_next_values
-- The same in the other direction: the first value at or after an instant.
SELECT (w.number - 1)::int AS number, f.time, f.value
FROM unnest($1::int[], $2::smallint[], $3::timestamptz[])
     WITH ORDINALITY AS w(stream_id, position, instant, number),
LATERAL (
    (SELECT r.time, r.value
     FROM (SELECT h.start, h."end" FROM rollup h
           WHERE h.stream_id = w.stream_id AND h.bucket = 'h' AND h.count[w.position] > 0
             AND h.start >= w.instant - interval '1 hour' AND h.start <= w.instant + interval '365 days'
               AND h."end" > w.instant
             AND NOT EXISTS (SELECT FROM stale s WHERE s.stream_id = h.stream_id AND s.bucket = 'h'
                               AND s.start > h.start - interval '1 hour' AND s.start < h."end")
           ORDER BY h.start LIMIT 2) AS span,
          LATERAL (SELECT e.time, e.values[w.position] AS value FROM reading e
                  WHERE e.stream_id = w.stream_id AND e.time >= span.start AND e.time <= span."end"
                    AND e.time >= w.instant AND e.time <= w.instant + interval '365 days'
                    AND e.values[w.position] IS NOT NULL
                  ORDER BY e.time LIMIT 1) r
     ORDER BY r.time LIMIT 1)
    UNION ALL
    (SELECT r.time, r.value
     FROM (SELECT min(i.start) - interval '1 hour' AS start, max(i.start) + interval '2 hours' AS "end"
           FROM (SELECT m.start, sum(m.apart) OVER (ORDER BY m.start) AS island
                 FROM (SELECT s.start, coalesce((s.start - lag(s.start) OVER (ORDER BY s.start)
                                                 > interval '1 hour')::int, 1) AS apart
                 FROM stale s
                 WHERE s.stream_id = w.stream_id AND s.bucket = 'h'
                   AND s.start >= w.instant - interval '1 hour' AND s.start <= w.instant + interval '365 days') m) i
           GROUP BY i.island ORDER BY 1) AS span,
          LATERAL (SELECT e.time, e.values[w.position] AS value FROM reading e
                  WHERE e.stream_id = w.stream_id AND e.time >= span.start AND e.time <= span."end"
                    AND e.time >= w.instant AND e.time <= w.instant + interval '365 days'
                    AND e.values[w.position] IS NOT NULL
                  ORDER BY e.time LIMIT 1) r
     ORDER BY span.start LIMIT 1)
    ORDER BY 1 LIMIT 1) f

-- name: read_stored
-- The rollups of a kind that share an instant with any of the spans; none is longer than $5.
SELECT r.stream_id, r.bucket::text AS bucket, r.start, r."end", r.count, r.mean, r.minimum, r.maximum,
       r.total, r.difference, r.first_value, r.last_value, r.texts, r.readings, r.completeness
FROM unnest($2::int[], $3::timestamptz[], $4::timestamptz[]) AS w(stream_id, start, "end")
JOIN rollup r ON r.stream_id = w.stream_id AND r.bucket = $1::text::"char"
     AND r.start > w.start - $5::interval AND r.start < w."end" AND r."end" > w.start

-- name: read_children
-- The rollups of a kind that begin in each of the spans, oldest first.
SELECT (w.number - 1)::int AS number,
       r.stream_id, r.bucket::text AS bucket, r.start, r."end", r.count, r.mean, r.minimum, r.maximum,
       r.total, r.difference, r.first_value, r.last_value, r.texts, r.readings, r.completeness
FROM unnest($2::int[], $3::timestamptz[], $4::timestamptz[])
     WITH ORDINALITY AS w(stream_id, start, "end", number)
JOIN rollup r ON r.stream_id = w.stream_id AND r.bucket = $1::text::"char"
     AND r.start >= w.start AND r.start < w."end"
ORDER BY 1, r.start

-- name: write_rollup
INSERT INTO rollup AS r (stream_id, bucket, start, "end", count, mean, minimum, maximum, total,
                         difference, first_value, last_value, texts, readings, completeness)
SELECT $1::int, $2::text::"char", $3::timestamptz, $4::timestamptz, $5::int[], $6::float8[], $7::float8[],
       $8::float8[], $9::float8[], $10::float8[], $11::float8[], $12::float8[], $13::text[], $14::int,
       $15::float8
WHERE EXISTS (SELECT FROM stream WHERE id = $1::int)
ON CONFLICT (stream_id, bucket, start) DO UPDATE
    SET "end" = excluded."end", count = excluded.count, mean = excluded.mean,
        minimum = excluded.minimum, maximum = excluded.maximum, total = excluded.total,
        difference = excluded.difference, first_value = excluded.first_value,
        last_value = excluded.last_value, texts = excluded.texts, readings = excluded.readings,
        completeness = excluded.completeness, computed_at = clock_timestamp()

-- name: delete_rollups
DELETE FROM rollup r USING unnest($2::int[], $3::timestamptz[]) AS w(stream_id, start)
WHERE r.stream_id = w.stream_id AND r.bucket = $1::text::"char" AND r.start = w.start

-- name: list_rollups
-- One page, by stream and time, from after a row of the page before it.
SELECT stream_id, bucket::text AS bucket, start, "end", count, mean, minimum, maximum,
       total, difference, first_value, last_value, texts, readings, completeness
FROM rollup
WHERE stream_id = ANY($1::int[]) AND bucket = $2::text::"char" AND start >= $3 AND start < $4
  AND ($5::int IS NULL OR (stream_id, start) > ($5, $6::timestamptz))
ORDER BY stream_id, start LIMIT $7

-- name: mark_range
-- Mark the hours, in UTC, that hold readings in [$2, $3) and those around the range, jumping from hour
-- to hour. The worker finds the local hours that they touch.
WITH RECURSIVE hour AS (
    SELECT s.id AS stream_id, f.time FROM unnest($1::int[]) AS s(id),
    LATERAL (SELECT r.time FROM reading r WHERE r.stream_id = s.id AND r.time >= $2 AND r.time < $3
             ORDER BY r.time LIMIT 1) f
    UNION ALL
    SELECT h.stream_id, f.time FROM hour h,
    LATERAL (SELECT r.time FROM reading r WHERE r.stream_id = h.stream_id
               AND r.time >= date_trunc('hour', h.time, 'UTC') + interval '1 hour' AND r.time < $3
             ORDER BY r.time LIMIT 1) f
), touched AS (
    SELECT stream_id, date_trunc('hour', time, 'UTC') AS start FROM hour
    UNION
    SELECT stream_id, date_trunc('hour', time, 'UTC') - interval '1 hour' FROM hour
)
INSERT INTO stale AS s (stream_id, bucket, start, first_marked_at, marked_at)
SELECT stream_id, 'h', start, statement_timestamp(), statement_timestamp() FROM touched ORDER BY 1, 3
ON CONFLICT (stream_id, bucket, start) DO UPDATE SET marked_at = excluded.marked_at

-- name: find_streams
SELECT id FROM stream WHERE device_id = $1 ORDER BY id

-- name: drop_rollups
-- Drop what can be computed anew. Rollups from before the first reading that is kept stay as they are.
DELETE FROM rollup r
USING (SELECT s.id AS stream_id, (SELECT min(e.time) FROM reading e WHERE e.stream_id = s.id) AS first
       FROM unnest($1::int[]) AS s(id)) k
WHERE r.stream_id = k.stream_id AND r."end" > k.first
