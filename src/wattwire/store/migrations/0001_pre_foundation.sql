-- The foundation: organizations and who may act in them, devices and their streams, readings and
-- rollups, events and their deliveries, quarantine, leases.

CREATE TABLE organization (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    auto_register boolean NOT NULL DEFAULT true,      -- false: unknown devices go to quarantine
    detect_resets boolean NOT NULL DEFAULT false,     -- a falling register starts again from zero
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- SolarNetwork's userId
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE account (                                -- a person; "user" is a reserved word
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    email text NOT NULL UNIQUE CHECK (length(email) BETWEEN 3 AND 320),
    name text NOT NULL DEFAULT '',
    role text NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);

CREATE TABLE token (                                  -- bearer token: shown once, kept as SHA-256
    id text PRIMARY KEY CHECK (length(id) = 20),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    account_id bigint REFERENCES account ON DELETE CASCADE,
    name text NOT NULL DEFAULT '',
    role text NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX token_organization ON token (organization_id);

CREATE TABLE solarnetwork_token (                     -- signs requests of SolarNetwork's API
    id text PRIMARY KEY CHECK (length(id) = 20),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL DEFAULT '',
    kind text NOT NULL CHECK (kind IN ('User', 'ReadNodeData')),
    secret bytea NOT NULL,                            -- sealed: the hub signs with it, too
    policy jsonb NOT NULL DEFAULT '{}',               -- node_ids, source_ids
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX solarnetwork_token_organization ON solarnetwork_token (organization_id);

-- Signatures of writes that were carried out, until they are too old to be sent again.
CREATE TABLE solarnetwork_signature (
    signature bytea PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE INDEX solarnetwork_signature_until ON solarnetwork_signature (until);

CREATE TABLE mqtt_credential (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    username text NOT NULL UNIQUE CHECK (length(username) BETWEEN 1 AND 255),
    password_hash text,                               -- null: only by client certificate
    certificate_sha256 bytea,                         -- of the DER certificate, when bound to one
    format text NOT NULL,                             -- how what is published is read
    publish_topics text[] NOT NULL DEFAULT '{}',      -- exact topics, or filters with + and #
    subscribe_topics text[] NOT NULL DEFAULT '{}',
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE INDEX mqtt_credential_organization ON mqtt_credential (organization_id);

CREATE TABLE source (                                 -- a configured place readings come from
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL,
    type text NOT NULL,
    settings jsonb NOT NULL,
    secrets bytea,                                    -- sealed
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, name)
);

CREATE TABLE device (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    name text NOT NULL,
    type text NOT NULL DEFAULT '',
    time_zone text NOT NULL DEFAULT 'UTC',
    status text NOT NULL DEFAULT 'offline' CHECK (status IN ('online', 'silent', 'offline')),
    status_at timestamptz,
    last_seen_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, key)
);
CREATE INDEX device_organization ON device (organization_id, id);

-- Client certificates by which SolarNetwork's nodes upload; their keys are nowhere in the hub.
CREATE TABLE solarnetwork_certificate (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    device_id bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),  -- of the DER certificate
    subject text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz
);
-- One that stands for a node stands for no other.
CREATE UNIQUE INDEX solarnetwork_certificate_sha256 ON solarnetwork_certificate (sha256)
    WHERE revoked_at IS NULL;
CREATE INDEX solarnetwork_certificate_organization
    ON solarnetwork_certificate (organization_id, id);
CREATE INDEX solarnetwork_certificate_device ON solarnetwork_certificate (device_id);

CREATE TABLE stream (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    device_id bigint NOT NULL REFERENCES device ON DELETE CASCADE,
    path text NOT NULL CHECK (length(path) BETWEEN 1 AND 255),
    stamp text NOT NULL DEFAULT 'start' CHECK (stamp IN ('start', 'end')),
    interval_seconds integer CHECK (interval_seconds BETWEEN 1 AND 86400),
    detect_resets boolean,                            -- null: as the organization says
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (device_id, path)
);

CREATE TABLE channel (
    stream_id integer NOT NULL REFERENCES stream ON DELETE CASCADE,
    position smallint NOT NULL CHECK (position BETWEEN 1 AND 1000),   -- index in reading.values
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind text NOT NULL CHECK (kind IN ('instantaneous', 'accumulating', 'interval', 'status')),
    unit text NOT NULL DEFAULT '',
    PRIMARY KEY (stream_id, position),
    UNIQUE (stream_id, name)
);

-- Months are made as they are needed, named reading_YYYYMM; retention drops them.
CREATE TABLE reading (
    stream_id integer NOT NULL,
    time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    quality smallint NOT NULL DEFAULT 192,
    values float8[] NOT NULL,
    texts text[],
    PRIMARY KEY (stream_id, time)
) PARTITION BY RANGE (time);

-- A register was replaced or set: the old one ended at `final`, the new one began at `start`.
CREATE TABLE register_reset (
    stream_id integer NOT NULL REFERENCES stream ON DELETE CASCADE,
    channel text NOT NULL,
    time timestamptz NOT NULL,
    final float8 NOT NULL,
    start float8 NOT NULL,
    notes text NOT NULL DEFAULT '',
    PRIMARY KEY (stream_id, channel, time)
);

CREATE TABLE rollup (
    stream_id integer NOT NULL REFERENCES stream ON DELETE CASCADE,
    bucket "char" NOT NULL CHECK (bucket IN ('h', 'd', 'M')),
    start timestamptz NOT NULL,
    "end" timestamptz NOT NULL,
    -- One array per statistic, in channel order. What a kind does not have is null.
    count integer[] NOT NULL,                         -- readings that had a value
    mean float8[] NOT NULL,                           -- instantaneous
    minimum float8[] NOT NULL,                        -- instantaneous
    maximum float8[] NOT NULL,                        -- instantaneous
    total float8[] NOT NULL,                          -- accumulating: clock difference; interval: sum
    difference float8[] NOT NULL,                     -- accumulating: last_value - first_value over resets
    first_value float8[] NOT NULL,                    -- accumulating
    last_value float8[] NOT NULL,                     -- accumulating
    texts text[] NOT NULL,                            -- status: most frequent value
    readings integer NOT NULL,                        -- rows in the bucket
    completeness float8,                              -- share of the expected readings; null: not known
    computed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, bucket, start)
);

-- Rollup buckets whose readings or children changed since they were computed.
CREATE TABLE stale (
    stream_id integer NOT NULL,
    bucket "char" NOT NULL CHECK (bucket IN ('h', 'd', 'M')),
    start timestamptz NOT NULL,
    first_marked_at timestamptz NOT NULL,
    marked_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, bucket, start)
) WITH (fillfactor = 50);  -- marked again and again: without an index on the time, in place

-- Hours that stored slices made stale: a row for each hour of a slice. A slice of ten thousand
-- streams writes one row here instead of touching as many; they are folded into `stale` by the
-- owner of the rollups, each stream once for all the slices of some seconds.
CREATE TABLE stale_note (
    start timestamptz NOT NULL,
    streams integer[] NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 500);
ALTER TABLE stale_note ALTER COLUMN streams SET STORAGE EXTERNAL;  -- gone before compressing pays

-- Up to which message of the intake log a partition has been stored, in the same transaction.
CREATE TABLE partition_position (
    partition integer PRIMARY KEY,
    log_id text NOT NULL,                             -- which log: a new one counts from 1 again
    sequence bigint NOT NULL
);

CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY,
    organization_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    source text NOT NULL,                             -- mqtt, http, a configured source's name
    format text NOT NULL,
    topic text NOT NULL DEFAULT '',
    raw bytea NOT NULL,
    reason text NOT NULL,
    "where" text NOT NULL DEFAULT '',
    device_key text NOT NULL DEFAULT '',
    credential_id bigint,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'purged')),
    changed_at timestamptz,
    PRIMARY KEY (id)
);
CREATE INDEX quarantine_organization ON quarantine (organization_id, id);
CREATE INDEX quarantine_received ON quarantine (received_at);

CREATE TABLE integration (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    type text NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    topics text[] NOT NULL DEFAULT '{}',
    device_ids bigint[],                              -- null: every device
    stream_patterns text[],                           -- null: every stream; Ant patterns
    objects text[],                                   -- a message for each matching channel; null: one for all
    format text,                                      -- null: the type's own
    format_settings jsonb NOT NULL DEFAULT '{}',
    settings jsonb NOT NULL DEFAULT '{}',
    secrets bytea,                                    -- sealed
    rate_per_minute integer CHECK (rate_per_minute > 0),            -- null: no limit
    max_concurrent integer CHECK (max_concurrent > 0),
    max_payload_bytes integer CHECK (max_payload_bytes > 0),
    outcomes jsonb NOT NULL DEFAULT '{}',             -- the user's changes to the status table
    schedule_seconds float8[],                        -- null: the type's own attempt schedule
    max_age_seconds integer NOT NULL DEFAULT 604800 CHECK (max_age_seconds > 0),
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX integration_organization ON integration (organization_id);

-- Which of its names a SolarNetwork client called an integration's type by.
CREATE TABLE solarnetwork_hook (
    integration_id integer PRIMARY KEY REFERENCES integration ON DELETE CASCADE,
    service_identifier text NOT NULL
);

-- What delivery knows of an integration; written by its owner only.
CREATE TABLE integration_state (
    integration_id integer PRIMARY KEY REFERENCES integration ON DELETE CASCADE,
    status text NOT NULL DEFAULT 'active'
        CHECK (status IN ('not_configured', 'inactive', 'active', 'error')),
    reason text NOT NULL DEFAULT '',
    parked boolean NOT NULL DEFAULT false,            -- until its settings change or a test succeeds
    failures integer NOT NULL DEFAULT 0,              -- consecutive
    probe_at timestamptz,
    in_flight integer NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(),
    last_success_at timestamptz,
    last_failure_at timestamptz
);

-- Days are made as they are needed; retention drops them.
CREATE TABLE event (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    organization_id uuid NOT NULL,
    topic text NOT NULL,
    device_id bigint,
    stream text NOT NULL DEFAULT '',
    time timestamptz NOT NULL,
    severity text NOT NULL DEFAULT 'info',
    data bytea NOT NULL,                              -- JSON; bytes, because nothing here looks inside
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX event_organization ON event (organization_id, created_at, id);
CREATE TABLE event_default PARTITION OF event DEFAULT;  -- a safety net: empty unless days are missing

-- The queue: what waits or is in flight. A row leaves when its message is delivered, given up or discarded.
CREATE TABLE delivery (
    integration_id integer NOT NULL,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid NOT NULL,
    event_created_at timestamptz NOT NULL,            -- names the event's partition
    attempts integer NOT NULL DEFAULT 0,              -- how often it was sent
    burnt integer NOT NULL DEFAULT 0,                 -- how many of those the schedule counts
    queued_at timestamptz NOT NULL DEFAULT now(),     -- its age decides when it expires
    due_at timestamptz,                               -- null: at once; else after a failed attempt
    message_id text,                                  -- null: made of the event, the integration and the part
    part smallint,                                    -- which of the event's values alone; null: all
    PRIMARY KEY (integration_id, sequence)
) WITH (                                              -- rows come and go: clean up early
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX delivery_due ON delivery (integration_id, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE attempt (
    integration_id integer NOT NULL,
    organization_id uuid NOT NULL,
    message_id text NOT NULL,
    event_id uuid,
    event_created_at timestamptz,
    topic text NOT NULL DEFAULT '',
    device_key text NOT NULL DEFAULT '',
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    duration_ms float8 NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('delivered', 'retry', 'rejected', 'discarded')),
    reason text NOT NULL DEFAULT '',
    receipt text NOT NULL DEFAULT '',
    address text NOT NULL DEFAULT '',                 -- URL, topic ARN, queue: where it went
    test boolean NOT NULL DEFAULT false,
    probe boolean NOT NULL DEFAULT false,             -- sent to see whether the receiver is back
    id bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (started_at, id)
) PARTITION BY RANGE (started_at);
CREATE INDEX attempt_integration ON attempt (integration_id, started_at, id);
CREATE INDEX attempt_message ON attempt (message_id);
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT;  -- a safety net, too

CREATE TABLE dead_letter (
    integration_id integer NOT NULL,
    event_id uuid NOT NULL,
    event_created_at timestamptz NOT NULL,
    message_id text NOT NULL,
    part smallint,                                    -- as in the queue
    attempts integer NOT NULL,
    reason text NOT NULL,
    died_at timestamptz NOT NULL DEFAULT now(),
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE INDEX dead_letter_integration ON dead_letter (integration_id, died_at);

-- Changes of the counters, inserted so that writers never wait for each other; folded from time to
-- time into one row per integration. The sum over an integration's rows is the counter.
CREATE TABLE ledger (
    integration_id integer NOT NULL,
    matched bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    discarded bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT ''                   -- of what was discarded
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);
CREATE INDEX ledger_integration ON ledger (integration_id);

CREATE TABLE lease (
    name text PRIMARY KEY,
    owner text NOT NULL,
    epoch bigint NOT NULL DEFAULT 1,                  -- rises with each change of owner
    expires_at timestamptz NOT NULL
);

CREATE TABLE idempotency (
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL,
    status integer NOT NULL,
    response bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

-- Retained MQTT messages and lasting MQTT sessions of the door.
CREATE TABLE mqtt_retained (
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    topic text NOT NULL,
    payload bytea NOT NULL,
    qos smallint NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, topic)
);

CREATE TABLE mqtt_session (
    credential_id bigint NOT NULL REFERENCES mqtt_credential ON DELETE CASCADE,
    client_id text NOT NULL,
    subscriptions jsonb NOT NULL DEFAULT '{}',        -- filter -> granted QoS
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (credential_id, client_id)
);

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_organization ON audit (organization_id, id);

-- Whoever remembers configuration listens on wattwire_config and forgets what changed.
-- The payload is TABLE:KEY.
CREATE FUNCTION tell_config_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wattwire_config', TG_TABLE_NAME || ':' ||
        CASE WHEN TG_OP = 'DELETE' THEN OLD.id::text ELSE NEW.id::text END);
    RETURN NULL;
END $$;

CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON organization
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell AFTER UPDATE OF role, disabled_at ON account
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell_delete AFTER DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell AFTER INSERT OR DELETE ON mqtt_credential
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell_update AFTER UPDATE ON mqtt_credential
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON source
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON integration
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell AFTER UPDATE OF role, revoked_at, expires_at ON token
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell_delete AFTER DELETE ON token
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell AFTER INSERT OR DELETE OR UPDATE OF policy, revoked_at, expires_at
    ON solarnetwork_token
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell AFTER INSERT OR DELETE OR UPDATE OF device_id, expires_at, revoked_at
    ON solarnetwork_certificate
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
-- Registration and sightings are frequent and change nothing that is remembered.
CREATE TRIGGER tell AFTER UPDATE OF key, name, type, time_zone, metadata, organization_id ON device
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell_delete AFTER DELETE ON device
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();
CREATE TRIGGER tell AFTER UPDATE OR DELETE ON stream
    FOR EACH ROW EXECUTE FUNCTION tell_config_change();

-- New values over old ones, position by position; what the new ones leave out stays.
CREATE FUNCTION overlay_values(old float8[], new float8[]) RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT array_agg(COALESCE(n, o) ORDER BY i) FROM unnest(new, old) WITH ORDINALITY AS u(n, o, i) $$;

CREATE FUNCTION overlay_texts(old text[], new text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT array_agg(COALESCE(n, o) ORDER BY i) FROM unnest(new, old) WITH ORDINALITY AS u(n, o, i) $$;

-- Rises with every change of what integrations ask for, so that a batch can see in its own
-- transaction whether what it remembers still holds.
CREATE TABLE interest_version (version bigint NOT NULL);
INSERT INTO interest_version VALUES (1);

CREATE FUNCTION raise_interest_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE interest_version SET version = version + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER raise_version AFTER INSERT OR DELETE OR
    UPDATE OF topics, device_ids, stream_patterns, objects, format, format_settings, deleted_at
    ON integration
    FOR EACH STATEMENT EXECUTE FUNCTION raise_interest_version();
