-- name: find_login
-- Whom a user name or a certificate stands for at the MQTT door.
SELECT id, organization_id, username, password_hash, certificate_sha256, format,
       publish_topics, subscribe_topics, settings
FROM mqtt_credential
WHERE disabled_at IS NULL AND (username = $1 OR ($1 IS NULL AND certificate_sha256 = $2))

-- name: list_sessions
SELECT s.client_id, s.subscriptions, c.id, c.organization_id, c.username, c.format,
       c.publish_topics, c.subscribe_topics, c.settings
FROM mqtt_session s JOIN mqtt_credential c ON c.id = s.credential_id
WHERE c.disabled_at IS NULL
ORDER BY s.changed_at DESC LIMIT 50000

-- name: find_session
SELECT subscriptions FROM mqtt_session WHERE credential_id = $1 AND client_id = $2

-- name: save_session
INSERT INTO mqtt_session (credential_id, client_id, subscriptions) VALUES ($1, $2, $3)
ON CONFLICT (credential_id, client_id)
    DO UPDATE SET subscriptions = excluded.subscriptions, changed_at = now()

-- name: drop_session
DELETE FROM mqtt_session WHERE credential_id = $1 AND client_id = $2 RETURNING client_id

-- name: list_retained
SELECT organization_id, topic, payload, qos FROM mqtt_retained

-- name: save_retained
INSERT INTO mqtt_retained (organization_id, topic, payload, qos) VALUES ($1, $2, $3, $4)
ON CONFLICT (organization_id, topic)
    DO UPDATE SET payload = excluded.payload, qos = excluded.qos, stored_at = now()

-- name: drop_retained
DELETE FROM mqtt_retained WHERE organization_id = $1 AND topic = $2

-- name: is_standing
SELECT EXISTS (SELECT 1 FROM mqtt_credential WHERE id = $1 AND disabled_at IS NULL)

-- name: list_sparkplug_organizations
SELECT DISTINCT organization_id FROM mqtt_credential
WHERE disabled_at IS NULL AND format IN ('sparkplug_b', 'auto')
