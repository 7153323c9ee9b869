-- name: create
INSERT INTO source (organization_id, name, type, settings, secrets, enabled)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, organization_id, name, type, settings, secrets, enabled, created_at

-- name: find
SELECT id, organization_id, name, type, settings, secrets, enabled, created_at
FROM source WHERE organization_id = $1 AND id = $2

-- name: list_page
SELECT id, organization_id, name, type, settings, secrets, enabled, created_at
FROM source WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: list_enabled
SELECT id, organization_id, name, type, settings, secrets, enabled, created_at
FROM source WHERE enabled ORDER BY id

-- name: replace
UPDATE source SET name = $2, settings = $3, secrets = $4, enabled = $5 WHERE id = $1
RETURNING id, organization_id, name, type, settings, secrets, enabled, created_at

-- name: delete
DELETE FROM source WHERE organization_id = $1 AND id = $2 RETURNING id
