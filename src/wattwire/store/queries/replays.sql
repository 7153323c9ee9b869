-- name: replay_dead
-- Dead letters whose event is still kept go back into the queue: dead - 1, waiting + 1.
WITH chosen AS (
    SELECT l.id FROM dead_letter l
    WHERE l.integration_id = $1 AND ($2::bigint[] IS NULL OR l.id = ANY($2))
      AND ($3::timestamptz IS NULL OR l.died_at >= $3)
      AND EXISTS (SELECT FROM event e
                  WHERE e.id = l.event_id AND e.created_at = l.event_created_at)
    ORDER BY l.died_at, l.id LIMIT $4
    FOR UPDATE OF l SKIP LOCKED
), gone AS (
    DELETE FROM dead_letter l USING chosen c WHERE l.id = c.id RETURNING l.*
), queued AS (
    INSERT INTO delivery (integration_id, event_id, event_created_at, part, message_id)
    SELECT integration_id, event_id, event_created_at, part,
           CASE WHEN $5::text IS NULL THEN message_id
                ELSE concat_ws('-', replace(event_id::text, '-', ''), integration_id, part, $5) END
    FROM gone ORDER BY died_at, id
), counted AS (
    INSERT INTO ledger (integration_id, dead)
    SELECT integration_id, -count(*) FROM gone GROUP BY integration_id
)
SELECT count(*) FROM gone

-- name: purge_dead
WITH gone AS (
    DELETE FROM dead_letter WHERE id IN (
        SELECT id FROM dead_letter
        WHERE integration_id = $1 AND ($2::bigint[] IS NULL OR id = ANY($2))
        ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED
    ) RETURNING integration_id
), counted AS (
    INSERT INTO ledger (integration_id, dead, discarded, reason)
    SELECT integration_id, -count(*), count(*), $3 FROM gone GROUP BY integration_id
)
SELECT count(*) FROM gone

-- name: purge_queue
WITH gone AS (
    DELETE FROM delivery d USING (
        SELECT integration_id, sequence FROM delivery
        WHERE integration_id = $1 ORDER BY sequence LIMIT $3 FOR UPDATE SKIP LOCKED
    ) AS c
    WHERE d.integration_id = c.integration_id AND d.sequence = c.sequence
    RETURNING d.integration_id
), counted AS (
    INSERT INTO ledger (integration_id, discarded, reason)
    SELECT integration_id, count(*), $2 FROM gone GROUP BY integration_id
)
SELECT count(*) FROM gone

-- name: list_range
-- Events of an organization recorded in [start, end), after a position.
-- Those of the topic $7 come with their data.
SELECT id, created_at, topic, device_id, stream, CASE WHEN topic = $7::text THEN data END AS data
FROM event
WHERE organization_id = $1 AND created_at >= $2 AND created_at < $3
  AND (created_at, id) > ($4, $5::uuid)
ORDER BY created_at, id LIMIT $6

-- name: queue_events
-- Counts them as matched once more: each row of the queue has its place in the sum.
WITH given AS (
    SELECT * FROM unnest($2::uuid[], $3::timestamptz[], $4::smallint[]) WITH ORDINALITY
                  AS g(id, created_at, part, place)
), queued AS (
    INSERT INTO delivery (integration_id, event_id, event_created_at, part, message_id)
    SELECT $1, id, created_at, part,
           CASE WHEN $5::text IS NULL THEN NULL
                ELSE concat_ws('-', replace(id::text, '-', ''), $1::int, part, $5) END
    FROM given ORDER BY place
    RETURNING 1
)
INSERT INTO ledger (integration_id, matched) SELECT $1, count(*) FROM queued HAVING count(*) > 0
