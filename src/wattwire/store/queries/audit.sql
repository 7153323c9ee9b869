-- name: record
INSERT INTO audit (organization_id, actor, action, object, detail) VALUES ($1, $2, $3, $4, $5)

-- name: list_page
SELECT id, at, actor, action, object, detail FROM audit
WHERE organization_id = $1 AND ($2::bigint IS NULL OR id < $2) AND ($3::text IS NULL OR action = $3)
ORDER BY id DESC LIMIT $4
