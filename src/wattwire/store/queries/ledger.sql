-- name: counters
-- One statement is one snapshot: the two sides of the sum are taken at the same instant.
SELECT w.id AS integration_id, l.matched, l.delivered, l.dead, l.discarded, q.queued,
       coalesce(s.in_flight, 0) AS in_flight, l.reasons
FROM unnest($1::int[]) AS w(id)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(matched), 0)::bigint AS matched,
           coalesce(sum(delivered), 0)::bigint AS delivered,
           coalesce(sum(dead), 0)::bigint AS dead,
           coalesce(sum(discarded), 0)::bigint AS discarded,
           coalesce(jsonb_object_agg(reason, discarded) FILTER (WHERE discarded <> 0), '{}')
               AS reasons
    FROM (
        SELECT reason, sum(matched) AS matched, sum(delivered) AS delivered, sum(dead) AS dead,
               sum(discarded) AS discarded
        FROM ledger WHERE integration_id = w.id GROUP BY reason
    ) AS by_reason
) AS l
CROSS JOIN LATERAL (SELECT count(*) AS queued FROM delivery WHERE integration_id = w.id) AS q
LEFT JOIN integration_state s ON s.integration_id = w.id
ORDER BY w.id

-- name: fold
-- One row per integration and reason in place of many, in one statement: no sum ever differs.
WITH busy AS (
    SELECT integration_id FROM ledger GROUP BY integration_id HAVING count(*) > $1
), gone AS (
    DELETE FROM ledger WHERE integration_id IN (SELECT integration_id FROM busy) RETURNING *
), folded AS (
    INSERT INTO ledger (integration_id, matched, delivered, dead, discarded, reason)
    SELECT integration_id, sum(matched), sum(delivered), sum(dead), sum(discarded), reason
    FROM gone GROUP BY integration_id, reason
)
SELECT count(*) FROM gone

-- name: discard_orphans
-- What is queued for an integration that no longer exists, a slice at a time.
WITH orphan AS (
    SELECT q.integration_id, q.sequence FROM integration i
    CROSS JOIN LATERAL (
        SELECT integration_id, sequence FROM delivery WHERE integration_id = i.id LIMIT $1
    ) AS q
    WHERE i.deleted_at IS NOT NULL LIMIT $1
), gone AS (
    DELETE FROM delivery d USING orphan o
    WHERE d.integration_id = o.integration_id AND d.sequence = o.sequence
    RETURNING d.integration_id
), counted AS (
    INSERT INTO ledger (integration_id, discarded, reason)
    SELECT integration_id, count(*), $2 FROM gone GROUP BY integration_id
)
SELECT count(*) FROM gone

-- name: list_partitions
SELECT c.relname AS name FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
WHERE h.inhparent = $1::text::regclass AND c.relname ~ '_[0-9]{8}$' ORDER BY c.relname
