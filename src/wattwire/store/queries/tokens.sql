-- name: create
INSERT INTO token (id, organization_id, account_id, name, role, secret_hash, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id, organization_id, account_id, name, role, created_at, expires_at, last_used_at, revoked_at

-- name: find
SELECT id, organization_id, account_id, name, role, created_at, expires_at, last_used_at, revoked_at
FROM token WHERE organization_id = $1 AND id = $2

-- name: find_grant
-- A token that belongs to an account never allows more than the account does today.
SELECT t.id, t.organization_id, t.account_id, t.secret_hash, t.expires_at,
       CASE WHEN 'viewer' IN (t.role, a.role) THEN 'viewer'
            WHEN 'editor' IN (t.role, a.role) THEN 'editor'
            ELSE 'owner' END AS role,
       coalesce('account:' || a.email, 'token:' || t.id) AS actor
FROM token t LEFT JOIN account a ON a.id = t.account_id
WHERE t.id = $1 AND t.revoked_at IS NULL AND a.disabled_at IS NULL

-- name: list_page
SELECT id, organization_id, account_id, name, role, created_at, expires_at, last_used_at, revoked_at
FROM token
WHERE organization_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::text))
ORDER BY created_at DESC, id DESC LIMIT $4

-- name: revoke
UPDATE token SET revoked_at = coalesce(revoked_at, now())
WHERE organization_id = $1 AND id = $2
RETURNING id, organization_id, account_id, name, role, created_at, expires_at, last_used_at, revoked_at

-- name: touch
UPDATE token SET last_used_at = now()
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')

-- name: drop
DELETE FROM token WHERE id = $1
