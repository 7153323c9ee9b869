-- name: list_resets
SELECT s.path AS stream, x.channel, x.time, x.final, x.start, x.notes
FROM register_reset x JOIN stream s ON s.id = x.stream_id
WHERE s.id = ANY($1::int[]) ORDER BY x.time, s.path, x.channel

-- name: put_reset
INSERT INTO register_reset (stream_id, channel, time, final, start, notes)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (stream_id, channel, time)
    DO UPDATE SET final = excluded.final, start = excluded.start, notes = excluded.notes

-- name: delete_reset
DELETE FROM register_reset WHERE stream_id = $1 AND channel = $2 AND time = $3 RETURNING true

-- name: readings_around
-- The readings between which a register was reset: what the rise between them was taken to be changes.
SELECT coalesce((SELECT max(time) FROM reading WHERE stream_id = $1 AND time < $2), $2) AS before,
       coalesce((SELECT min(time) FROM reading WHERE stream_id = $1 AND time >= $2), $2) AS after
