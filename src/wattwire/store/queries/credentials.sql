-- name: create
INSERT INTO mqtt_credential (organization_id, username, password_hash, certificate_sha256, format,
                             publish_topics, subscribe_topics, settings, disabled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $9::boolean THEN now() END)
RETURNING id, organization_id, username, password_hash IS NOT NULL AS has_password,
          certificate_sha256, format, publish_topics, subscribe_topics, settings, created_at, disabled_at

-- name: find
SELECT id, organization_id, username, password_hash IS NOT NULL AS has_password,
       certificate_sha256, format, publish_topics, subscribe_topics, settings, created_at, disabled_at
FROM mqtt_credential WHERE organization_id = $1 AND id = $2

-- name: find_by_username
SELECT id, organization_id, username, password_hash IS NOT NULL AS has_password,
       certificate_sha256, format, publish_topics, subscribe_topics, settings, created_at, disabled_at
FROM mqtt_credential WHERE organization_id = $1 AND username = $2

-- name: list_page
SELECT id, organization_id, username, password_hash IS NOT NULL AS has_password,
       certificate_sha256, format, publish_topics, subscribe_topics, settings, created_at, disabled_at
FROM mqtt_credential WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: replace
-- The password is the one thing that stays when it is not given.
UPDATE mqtt_credential SET
    username = $3, password_hash = coalesce($4, password_hash), certificate_sha256 = $5, format = $6,
    publish_topics = $7, subscribe_topics = $8, settings = $9,
    disabled_at = CASE WHEN $10::boolean THEN coalesce(disabled_at, now()) END
WHERE organization_id = $1 AND id = $2
RETURNING id, organization_id, username, password_hash IS NOT NULL AS has_password,
          certificate_sha256, format, publish_topics, subscribe_topics, settings, created_at, disabled_at

-- name: delete
DELETE FROM mqtt_credential WHERE organization_id = $1 AND id = $2 RETURNING id
