-- name: list_partitions
-- The partitions of a table, without the one that takes what fits nowhere else.
SELECT c.relname AS name FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE p.relname = $1 AND p.relnamespace = current_schema()::regnamespace
ORDER BY c.relname

-- name: purge_quarantine
DELETE FROM quarantine WHERE id IN
    (SELECT id FROM quarantine WHERE received_at < $1 ORDER BY received_at LIMIT 10000)

-- name: purge_dead_letters
-- A dead letter whose event is gone cannot be sent again.
DELETE FROM dead_letter WHERE event_created_at < $1

-- name: purge_audit
-- Ids rise with time, so that the oldest are found by the key.
DELETE FROM audit WHERE id IN (SELECT id FROM (SELECT id, at FROM audit ORDER BY id LIMIT 10000) old
                               WHERE at < $1)
