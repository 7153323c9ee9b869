-- name: create
INSERT INTO account (organization_id, email, name, role, password_hash)
VALUES ($1, lower($2), $3, $4, $5)
RETURNING id, organization_id, email, name, role, created_at, disabled_at

-- name: find
SELECT id, organization_id, email, name, role, created_at, disabled_at
FROM account WHERE organization_id = $1 AND id = $2

-- name: find_by_email
SELECT id, organization_id, email, name, role, created_at, disabled_at, password_hash
FROM account WHERE email = lower($1) AND disabled_at IS NULL

-- name: list_page
SELECT id, organization_id, email, name, role, created_at, disabled_at
FROM account WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: update
UPDATE account SET
    name = coalesce($3, name),
    role = coalesce($4, role),
    password_hash = coalesce($5, password_hash),
    disabled_at = CASE WHEN $6::boolean IS NULL THEN disabled_at
                       WHEN $6 THEN coalesce(disabled_at, now()) END
WHERE organization_id = $1 AND id = $2
RETURNING id, organization_id, email, name, role, created_at, disabled_at

-- name: revoke_sessions
-- Whoever knew the old password is out.
UPDATE token SET revoked_at = now()
WHERE organization_id = $1 AND account_id = $2 AND revoked_at IS NULL

-- name: delete
DELETE FROM account WHERE organization_id = $1 AND id = $2 RETURNING id

-- name: lock_owners
-- Two owners who remove each other at the same time wait for one another.
SELECT id FROM account
WHERE organization_id = $1 AND role = 'owner' AND disabled_at IS NULL
ORDER BY id FOR UPDATE
