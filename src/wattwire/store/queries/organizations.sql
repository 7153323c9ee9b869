-- name: create
INSERT INTO organization (name, auto_register) VALUES ($1, $2)
RETURNING id, name, auto_register, detect_resets, created_at

-- name: find
SELECT id, name, auto_register, detect_resets, created_at FROM organization WHERE id = $1

-- name: find_by_name
-- Without a name: the oldest, which on most hubs is the only one.
SELECT id, name, auto_register, detect_resets, created_at FROM organization
WHERE $1::text IS NULL OR name = $1 ORDER BY created_at, id LIMIT 1

-- name: list_all
SELECT id, name, auto_register, detect_resets, created_at FROM organization
ORDER BY created_at, id LIMIT 10000

-- name: update
UPDATE organization SET
    name = coalesce($2, name),
    auto_register = coalesce($3, auto_register),
    detect_resets = coalesce($4, detect_resets)
WHERE id = $1
RETURNING id, name, auto_register, detect_resets, created_at
