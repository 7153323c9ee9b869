-- name: list_page
SELECT id, received_at, source, format, topic, reason, "where", device_key, credential_id, state,
       changed_at, length(raw) AS size_bytes
FROM quarantine
WHERE organization_id = $1
  AND ($2::text IS NULL OR state = $2)
  AND ($3::text IS NULL OR source = $3)
  AND ($4::text IS NULL OR format = $4)
  AND ($5::text IS NULL OR device_key = $5)
  AND ($6::text IS NULL OR strpos(lower(reason), lower($6)) > 0)
  AND ($7::timestamptz IS NULL OR received_at >= $7)
  AND ($8::timestamptz IS NULL OR received_at < $8)
  AND ($9::bigint[] IS NULL OR id = ANY($9))
  AND ($10::bigint IS NULL OR id < $10)
ORDER BY id DESC LIMIT $11

-- name: find
SELECT id, received_at, source, format, topic, reason, "where", device_key, credential_id, state,
       changed_at, length(raw) AS size_bytes, raw
FROM quarantine WHERE organization_id = $1 AND id = $2

-- name: list_ids
SELECT id FROM quarantine
WHERE organization_id = $1
  AND ($2::text IS NULL OR state = $2)
  AND ($3::text IS NULL OR source = $3)
  AND ($4::text IS NULL OR format = $4)
  AND ($5::text IS NULL OR device_key = $5)
  AND ($6::text IS NULL OR strpos(lower(reason), lower($6)) > 0)
  AND ($7::timestamptz IS NULL OR received_at >= $7)
  AND ($8::timestamptz IS NULL OR received_at < $8)
  AND ($9::bigint[] IS NULL OR id = ANY($9))
ORDER BY id LIMIT $10

-- name: mark_replayed
UPDATE quarantine SET state = 'replayed', changed_at = now()
WHERE organization_id = $1 AND id = $2 AND state <> 'purged'

-- name: purge
UPDATE quarantine SET state = 'purged', raw = '', changed_at = now()
WHERE organization_id = $1 AND state <> 'purged'
  AND ($2::text IS NULL OR state = $2)
  AND ($3::text IS NULL OR source = $3)
  AND ($4::text IS NULL OR format = $4)
  AND ($5::text IS NULL OR device_key = $5)
  AND ($6::text IS NULL OR strpos(lower(reason), lower($6)) > 0)
  AND ($7::timestamptz IS NULL OR received_at >= $7)
  AND ($8::timestamptz IS NULL OR received_at < $8)
  AND ($9::bigint[] IS NULL OR id = ANY($9))

-- name: count_open
SELECT count(*) FROM quarantine
WHERE state = 'open' AND ($1::uuid IS NULL OR organization_id = $1)
