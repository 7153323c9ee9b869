-- name: acquire
-- Take named leases that are free, expired or ours already; skip one that is being changed.
-- A lease keeps its row for ever, so that its epoch never goes back. Where not all are taken, each
-- owner begins elsewhere, so that those who come at once do not ask for the same.
-- $1 names, $2 owner, $3 how long, $4 at most how many
WITH wanted AS (
    SELECT w.name FROM unnest($1::text[]) AS w(name)
    WHERE NOT EXISTS (SELECT FROM lease other WHERE other.name = w.name
                        AND other.owner <> $2 AND other.expires_at > now())
    GROUP BY w.name ORDER BY md5(w.name || $2) LIMIT $4
), open AS (
    SELECT lease.name
    FROM lease JOIN wanted USING (name)
    WHERE lease.owner = $2 OR lease.expires_at <= now()
    ORDER BY lease.name
    FOR UPDATE OF lease SKIP LOCKED
), taken AS (
    UPDATE lease
    SET owner = $2, expires_at = now() + $3::interval,
        epoch = lease.epoch + CASE WHEN lease.owner = $2 THEN 0 ELSE 1 END
    FROM open WHERE lease.name = open.name
    RETURNING lease.name, lease.epoch
), made AS (
    INSERT INTO lease (name, owner, expires_at)
    SELECT name, $2, now() + $3::interval FROM wanted ORDER BY name
    ON CONFLICT (name) DO NOTHING
    RETURNING name, epoch
)
SELECT name, epoch FROM taken UNION ALL SELECT name, epoch FROM made;

-- name: renew
-- Extend our leases; say of each name whether it is still ours and whether it was extended now.
-- One that a transaction has fenced is skipped and extended next time.
-- $1 names, $2 owner, $3 how long
WITH ours AS (
    SELECT name FROM lease WHERE name = ANY ($1::text[]) AND owner = $2
    ORDER BY name
    FOR UPDATE SKIP LOCKED
), renewed AS (
    UPDATE lease SET expires_at = now() + $3::interval
    FROM ours WHERE lease.name = ours.name
    RETURNING lease.name
)
SELECT lease.name, lease.owner = $2 AS ours, renewed.name IS NOT NULL AS renewed
FROM lease LEFT JOIN renewed USING (name)
WHERE lease.name = ANY ($1::text[]);

-- name: release
-- Let others have our leases at once.
-- $1 names, $2 owner
WITH ours AS (
    SELECT name FROM lease WHERE name = ANY ($1::text[]) AND owner = $2 ORDER BY name FOR UPDATE
)
UPDATE lease SET expires_at = '-infinity' FROM ours WHERE lease.name = ours.name;

-- name: count_company
-- How many owners hold a lease whose name begins so; and forget those that ended long ago.
-- $1 beginning
WITH gone AS (
    DELETE FROM lease WHERE starts_with(name, $1) AND expires_at < now() - interval '1 day'
)
SELECT count(DISTINCT owner) FROM lease WHERE starts_with(name, $1) AND expires_at > now();

-- name: fence
-- Hold a lease still until the transaction ends; no row when it has changed hands.
-- $1 name, $2 owner, $3 epoch
SELECT true FROM lease WHERE name = $1 AND owner = $2 AND epoch = $3 FOR SHARE;
