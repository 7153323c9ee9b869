-- name: claim
-- No row comes back when the key is taken; a key of yesterday is taken over.
INSERT INTO idempotency AS i (organization_id, key, request_hash, status, response)
VALUES ($1, $2, $3, 0, '')
ON CONFLICT (organization_id, key) DO UPDATE
    SET request_hash = excluded.request_hash, status = 0, response = '', created_at = now()
    WHERE i.created_at < now() - interval '1 day'
RETURNING 1

-- name: find
SELECT request_hash, status, response FROM idempotency WHERE organization_id = $1 AND key = $2

-- name: keep
UPDATE idempotency SET status = $3, response = $4 WHERE organization_id = $1 AND key = $2

-- name: forget_old
DELETE FROM idempotency WHERE created_at < now() - interval '1 day'
