-- name: create
INSERT INTO solarnetwork_token (id, organization_id, name, kind, secret, policy, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id, organization_id, name, kind, policy, created_at, expires_at, last_used_at, revoked_at

-- name: find
SELECT id, organization_id, name, kind, policy, created_at, expires_at, last_used_at, revoked_at
FROM solarnetwork_token WHERE organization_id = $1 AND id = $2

-- name: find_signer
SELECT t.id, t.organization_id, o.number AS user_id, t.kind, t.policy, t.expires_at, t.secret
FROM solarnetwork_token t JOIN organization o ON o.id = t.organization_id
WHERE t.id = $1 AND t.revoked_at IS NULL

-- name: list_page
SELECT id, organization_id, name, kind, policy, created_at, expires_at, last_used_at, revoked_at
FROM solarnetwork_token
WHERE organization_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::text))
ORDER BY created_at DESC, id DESC LIMIT $4

-- name: revoke
UPDATE solarnetwork_token SET revoked_at = coalesce(revoked_at, now())
WHERE organization_id = $1 AND id = $2
RETURNING id, organization_id, name, kind, policy, created_at, expires_at, last_used_at, revoked_at

-- name: touch
UPDATE solarnetwork_token SET last_used_at = now()
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')

-- name: spend
-- A row comes back only for a signature that was not there. Each call clears away a few old ones,
-- more than it adds.
WITH old AS (
    SELECT ctid FROM solarnetwork_signature WHERE until < now() - interval '1 minute'
    LIMIT 10 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM solarnetwork_signature s USING old WHERE s.ctid = old.ctid
)
INSERT INTO solarnetwork_signature (signature, until) VALUES ($1, $2)
ON CONFLICT DO NOTHING RETURNING 1
