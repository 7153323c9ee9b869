-- name: create_stage
-- Where a batch lands before it is merged. Gone with its connection, emptied with each transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS stage (
    stream_id integer NOT NULL,
    time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    quality smallint NOT NULL,
    values float8[] NOT NULL,
    texts text[],
    partial boolean NOT NULL
) ON COMMIT DELETE ROWS

-- name: merge_stage
-- Last write wins, by the time of receipt: a batch that had to be sent to the log again may come
-- after a later one. A reading that names only some channels of its stream keeps the others as they
-- were. Returns what is new or different, so that a repeated message moves nothing further on.
INSERT INTO reading AS r (stream_id, time, received_at, quality, values, texts)
SELECT stream_id, time, received_at, quality, values, texts FROM stage WHERE NOT partial
ON CONFLICT (stream_id, time) DO UPDATE
    SET values = excluded.values, texts = excluded.texts, quality = excluded.quality,
        received_at = excluded.received_at
    WHERE r.received_at <= excluded.received_at AND (r.values, r.texts, r.quality)
        IS DISTINCT FROM (excluded.values, excluded.texts, excluded.quality)
RETURNING r.stream_id, r.time

-- name: merge_partial
INSERT INTO reading AS r (stream_id, time, received_at, quality, values, texts)
SELECT stream_id, time, received_at, quality, values, texts FROM stage WHERE partial
ON CONFLICT (stream_id, time) DO UPDATE
    SET values = overlay_values(r.values, excluded.values),
        texts = overlay_texts(r.texts, excluded.texts),
        quality = excluded.quality, received_at = excluded.received_at
    WHERE (r.values, r.texts, r.quality) IS DISTINCT FROM
        (overlay_values(r.values, excluded.values), overlay_texts(r.texts, excluded.texts), excluded.quality)
RETURNING r.stream_id, r.time

-- name: list_readings
SELECT time, received_at, quality, values, texts FROM reading
WHERE stream_id = $1 AND time >= $2 AND time < $3
ORDER BY time LIMIT $4

-- name: list_readings_backwards
SELECT time, received_at, quality, values, texts FROM reading
WHERE stream_id = $1 AND time >= $2 AND time < $3
ORDER BY time DESC LIMIT $4

-- name: delete_readings
DELETE FROM reading WHERE stream_id = $1 AND time >= $2 AND time < $3 RETURNING time

-- name: advance_position
-- Compare and set: whoever does not stand where it thinks it stands gets no row and starts over.
UPDATE partition_position SET sequence = $4
WHERE partition = $1 AND log_id = $2 AND sequence = $3
RETURNING sequence

-- name: open_position
-- Where a partition stands in this log; a log made anew is read from its beginning.
INSERT INTO partition_position AS p (partition, log_id, sequence) VALUES ($1, $2, 0)
ON CONFLICT (partition) DO UPDATE
    SET sequence = CASE WHEN p.log_id = excluded.log_id THEN p.sequence ELSE 0 END,
        log_id = excluded.log_id
RETURNING sequence

-- name: list_positions
SELECT partition, log_id, sequence FROM partition_position

-- name: insert_quarantine
INSERT INTO quarantine
    (organization_id, received_at, source, format, topic, raw, reason, "where", device_key, credential_id)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::bytea[],
                     $7::text[], $8::text[], $9::text[], $10::bigint[])
RETURNING id

-- name: tell_stream_changed
-- The pipeline remembers a stream's last reading; it may be gone.
SELECT pg_notify('wattwire_config', 'stream:' || $1::int)
