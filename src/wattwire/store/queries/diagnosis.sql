-- name: has_migrations
SELECT to_regclass('migration') IS NOT NULL

-- name: list_migrations
SELECT name FROM migration

-- name: look
SELECT clock_timestamp() AS now,
       (SELECT count(*) FROM organization) AS organizations,
       (SELECT count(*) FROM quarantine WHERE state = 'open') AS quarantine

-- name: list_sick_integrations
SELECT i.name, s.reason FROM integration i JOIN integration_state s ON s.integration_id = i.id
WHERE s.status = 'error' AND i.enabled AND i.deleted_at IS NULL
ORDER BY i.id LIMIT 20
