-- name: list_integrations
-- Sealed with another key than the current one. Deleted ones, too: what cannot be opened any more
-- would look like damage.
SELECT id AS key, secrets AS blob FROM integration
WHERE secrets IS NOT NULL AND substr(secrets, 1, length($1::bytea)) <> $1 AND id > $2::bigint
ORDER BY id LIMIT $3 FOR UPDATE

-- name: list_sources
SELECT id AS key, secrets AS blob FROM source
WHERE secrets IS NOT NULL AND substr(secrets, 1, length($1::bytea)) <> $1 AND id > $2::bigint
ORDER BY id LIMIT $3 FOR UPDATE

-- name: list_answers
-- Answers under idempotency keys; one that is being made has no body yet.
SELECT organization_id, key, response AS blob FROM idempotency
WHERE response <> '' AND substr(response, 1, length($1::bytea)) <> $1
  AND (organization_id, key) > ($2::uuid, $3::text)
ORDER BY organization_id, key LIMIT $4 FOR UPDATE

-- name: list_solarnetwork_tokens
-- Revoked ones, too.
SELECT id AS key, secret AS blob FROM solarnetwork_token
WHERE substr(secret, 1, length($1::bytea)) <> $1 AND id > $2::text
ORDER BY id LIMIT $3 FOR UPDATE

-- name: write_integration
-- Its time of change stays: to everybody else nothing changed.
UPDATE integration SET secrets = $2 WHERE id = $1

-- name: write_source
UPDATE source SET secrets = $2 WHERE id = $1

-- name: write_answer
UPDATE idempotency SET response = $3 WHERE organization_id = $1 AND key = $2

-- name: write_solarnetwork_token
UPDATE solarnetwork_token SET secret = $2 WHERE id = $1

-- name: stop_writers
-- Waits until whoever writes sealed values has ended, and lets nobody begin; readers go on.
LOCK TABLE integration, source, idempotency, solarnetwork_token IN SHARE ROW EXCLUSIVE MODE

-- name: try_alone
SELECT pg_try_advisory_lock(hashtext('wattwire sealed values'))

-- name: release_alone
SELECT pg_advisory_unlock(hashtext('wattwire sealed values'))
