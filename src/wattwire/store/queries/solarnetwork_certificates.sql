-- name: create
INSERT INTO solarnetwork_certificate (organization_id, device_id, sha256, subject, expires_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING id, organization_id, device_id, sha256, subject, created_at, expires_at, last_used_at,
          revoked_at

-- name: find
SELECT id, organization_id, device_id, sha256, subject, created_at, expires_at, last_used_at,
       revoked_at
FROM solarnetwork_certificate WHERE organization_id = $1 AND id = $2

-- name: find_bearer
SELECT c.id, c.organization_id, o.number AS user_id, c.device_id, c.expires_at
FROM solarnetwork_certificate c JOIN organization o ON o.id = c.organization_id
WHERE c.sha256 = $1 AND c.revoked_at IS NULL

-- name: list_page
SELECT id, organization_id, device_id, sha256, subject, created_at, expires_at, last_used_at,
       revoked_at
FROM solarnetwork_certificate
WHERE organization_id = $1 AND ($2::bigint IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3

-- name: revoke
UPDATE solarnetwork_certificate SET revoked_at = coalesce(revoked_at, now())
WHERE organization_id = $1 AND id = $2
RETURNING id, organization_id, device_id, sha256, subject, created_at, expires_at, last_used_at,
          revoked_at

-- name: touch
UPDATE solarnetwork_certificate SET last_used_at = now()
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
