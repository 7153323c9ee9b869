-- name: prefer_indexes
-- Plans are kept for the life of a connection, and the queue may have been empty when one was made.
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off

-- name: fetch
-- For each integration asked for: what is new in the queue after a position, and what is due again.
-- `every` takes along what is not due yet. The event is looked up row by row, by its key.
SELECT d.integration_id, d.sequence, d.attempts, d.burnt, d.queued_at, d.due_at, d.message_id,
       d.event_id, d.event_created_at, d.part, e.organization_id, e.topic, e.device_id, e.stream, e.time,
       e.severity, e.data
FROM unnest($1::int[], $2::bigint[], $3::int[], $4::int[], $5::boolean[])
     AS w(integration_id, after, fresh, due, every)
CROSS JOIN LATERAL (
    (SELECT * FROM delivery q
     WHERE q.integration_id = w.integration_id AND q.sequence > w.after
       AND (q.due_at IS NULL OR w.every)
     ORDER BY q.sequence LIMIT w.fresh)
    UNION ALL
    (SELECT * FROM delivery q
     WHERE q.integration_id = w.integration_id AND q.due_at <= $6
     ORDER BY q.due_at, q.sequence LIMIT w.due)
) AS d
LEFT JOIN LATERAL (
    SELECT organization_id, topic, device_id, stream, time, severity, data FROM event
    WHERE id = d.event_id AND created_at = d.event_created_at LIMIT 1
) AS e ON true

-- name: find_work
-- The first rows of each queue after a position, a few per integration, to see whether there are any.
SELECT w.integration_id, d.sequence
FROM unnest($1::int[], $2::bigint[], $3::int[]) AS w(integration_id, after, most)
CROSS JOIN LATERAL (
    SELECT sequence FROM delivery q
    WHERE q.integration_id = w.integration_id AND q.sequence > w.after AND q.due_at IS NULL
    ORDER BY q.sequence LIMIT w.most
) AS d

-- name: next_due
SELECT w.integration_id, d.due_at
FROM unnest($1::int[]) AS w(integration_id)
CROSS JOIN LATERAL (
    SELECT due_at FROM delivery q
    WHERE q.integration_id = w.integration_id AND q.due_at > $2 ORDER BY q.due_at LIMIT 1
) AS d

-- name: find_expired
-- The front of a queue holds its oldest rows.
SELECT w.integration_id, d.sequence
FROM unnest($1::int[], $2::timestamptz[]) AS w(integration_id, cutoff)
CROSS JOIN LATERAL (
    SELECT sequence, queued_at FROM delivery q
    WHERE q.integration_id = w.integration_id ORDER BY q.sequence LIMIT $3
) AS d
WHERE d.queued_at < w.cutoff

-- name: valid_leases
-- Which of these leases still are of this epoch.
SELECT l.name, l.epoch FROM unnest($1::text[], $2::bigint[]) AS w(name, epoch)
JOIN lease l ON l.name = w.name AND l.epoch = w.epoch

-- name: settle_delivered
-- Writes the attempts, and takes what was delivered off the queue. What is gone already was counted
-- by whoever took it.
WITH noted AS (
    INSERT INTO attempt (integration_id, organization_id, message_id, event_id, event_created_at,
                         topic, device_key, number, started_at, duration_ms, outcome, reason,
                         receipt, address, test, probe)
    SELECT * FROM unnest($3::int[], $4::uuid[], $5::text[], $6::uuid[], $7::timestamptz[],
                         $8::text[], $9::text[], $10::int[], $11::timestamptz[], $12::float8[],
                         $13::text[], $14::text[], $15::text[], $16::text[], $17::boolean[],
                         $18::boolean[])
), gone AS (
    DELETE FROM delivery d USING unnest($1::int[], $2::bigint[]) AS g(integration_id, sequence)
    WHERE d.integration_id = g.integration_id AND d.sequence = g.sequence
    RETURNING d.integration_id
)
INSERT INTO ledger (integration_id, delivered)
SELECT integration_id, count(*) FROM gone GROUP BY integration_id

-- name: settle_dead
WITH gone AS (
    DELETE FROM delivery d
    USING unnest($1::int[], $2::bigint[], $3::int[], $4::text[])
          AS g(integration_id, sequence, attempts, reason)
    WHERE d.integration_id = g.integration_id AND d.sequence = g.sequence
    RETURNING d.integration_id, d.event_id, d.event_created_at, d.message_id, d.part,
              greatest(g.attempts, d.attempts) AS attempts, g.reason
), kept AS (
    INSERT INTO dead_letter (integration_id, event_id, event_created_at, message_id, part, attempts,
                             reason, died_at)
    SELECT integration_id, event_id, event_created_at,
           coalesce(message_id, concat_ws('-', replace(event_id::text, '-', ''), integration_id,
                                          part)),
           part, attempts, reason, $5
    FROM gone
)
INSERT INTO ledger (integration_id, dead)
SELECT integration_id, count(*) FROM gone GROUP BY integration_id

-- name: settle_again
UPDATE delivery d SET attempts = g.attempts, burnt = g.burnt, due_at = g.due_at
FROM unnest($1::int[], $2::bigint[], $3::int[], $4::int[], $5::timestamptz[])
     AS g(integration_id, sequence, attempts, burnt, due_at)
WHERE d.integration_id = g.integration_id AND d.sequence = g.sequence

-- name: refund
-- Attempts that failed because the receiver was down are taken off the schedule again.
UPDATE delivery d SET burnt = g.burnt, due_at = NULL
FROM unnest($1::int[], $2::bigint[], $3::int[]) AS g(integration_id, sequence, burnt)
WHERE d.integration_id = g.integration_id AND d.sequence = g.sequence

-- name: set_state
-- Returns the status before; nothing when the integration is gone. `old` is joined so that it is
-- read before the row changes.
WITH old AS (SELECT status FROM integration_state WHERE integration_id = $1 FOR UPDATE)
INSERT INTO integration_state AS s (integration_id, status, reason, parked, failures, probe_at,
                                    changed_at)
SELECT i.id, $2, $3, $4, $5, $6, now() FROM integration i LEFT JOIN old ON true WHERE i.id = $1
ON CONFLICT (integration_id) DO UPDATE SET
    status = excluded.status, reason = excluded.reason, parked = excluded.parked,
    failures = excluded.failures, probe_at = excluded.probe_at, changed_at = excluded.changed_at
RETURNING coalesce((SELECT status FROM old), 'active') AS was

-- name: disable
UPDATE integration SET enabled = false WHERE id = $1

-- name: set_figures
INSERT INTO integration_state AS s (integration_id, in_flight, last_success_at, last_failure_at)
SELECT f.* FROM unnest($1::int[], $2::int[], $3::timestamptz[], $4::timestamptz[])
     AS f(integration_id, in_flight, last_success_at, last_failure_at)
JOIN integration i ON i.id = f.integration_id
ON CONFLICT (integration_id) DO UPDATE SET
    in_flight = excluded.in_flight,
    last_success_at = coalesce(excluded.last_success_at, s.last_success_at),
    last_failure_at = coalesce(excluded.last_failure_at, s.last_failure_at)

-- name: list_lanes
-- What delivery needs to know of integrations; all of them, or those named.
SELECT i.id, i.organization_id, i.type, i.name, i.format, i.format_settings, i.settings, i.secrets,
       i.rate_per_minute, i.max_concurrent, i.max_payload_bytes, i.outcomes, i.schedule_seconds, i.max_age_seconds,
       i.enabled, i.updated_at, coalesce(s.status, 'active') AS status,
       coalesce(s.reason, '') AS reason, coalesce(s.parked, false) AS parked,
       coalesce(s.failures, 0) AS failures, s.probe_at, s.changed_at
FROM integration i LEFT JOIN integration_state s ON s.integration_id = i.id
WHERE i.deleted_at IS NULL AND ($1::int[] IS NULL OR i.id = ANY($1))

-- name: list_lane_ids
SELECT id FROM integration WHERE deleted_at IS NULL

-- name: unpark
-- After a successful test: what was parked is tried again, and its owner is told to look.
WITH changed AS (
    UPDATE integration_state SET parked = false, probe_at = now(), changed_at = now()
    WHERE integration_id = $1 AND (parked OR probe_at IS NOT NULL) RETURNING integration_id
)
SELECT pg_notify('wattwire_config', 'integration:' || integration_id) FROM changed
