CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    name text,
    image_url text,
    max_concurrent_bots integer NOT NULL DEFAULT 1 CHECK (max_concurrent_bots >= 0),
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (lower(email));
COMMENT ON COLUMN users.max_concurrent_bots IS '0 means unlimited';

CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    name text,
    key_hash bytea NOT NULL UNIQUE,
    key_prefix text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_tokens_of_user ON api_tokens (user_id, id);

CREATE TABLE meetings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users,
    platform text NOT NULL,
    native_meeting_id text NOT NULL,
    meeting_url text,
    status text NOT NULL,
    reason text,
    start_time timestamptz,
    end_time timestamptz,
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX meetings_one_active ON meetings (user_id, platform, native_meeting_id)
    WHERE status NOT IN ('completed', 'failed');
CREATE INDEX meetings_of_user ON meetings (user_id, id DESC);

CREATE TABLE sessions (
    session_uid text PRIMARY KEY,
    meeting_id bigint NOT NULL REFERENCES meetings,
    status text NOT NULL,
    sequence integer NOT NULL DEFAULT 0,
    bot_name text NOT NULL,
    language text,
    task text NOT NULL,
    passcode text,
    launcher_ref text,
    requested_at timestamptz NOT NULL DEFAULT now(),
    clock_zero_at timestamptz,
    heartbeat_at timestamptz,
    reconfigured_at timestamptz,
    stop_requested_at timestamptz,
    ended_at timestamptz,
    finalized_at timestamptz
);
CREATE INDEX sessions_of_meeting ON sessions (meeting_id);
CREATE INDEX sessions_running ON sessions (requested_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_to_finalize ON sessions (ended_at) WHERE ended_at IS NOT NULL AND finalized_at IS NULL;
COMMENT ON COLUMN sessions.clock_zero_at IS 'wall time of position 0 s of the session clock';

CREATE TABLE transitions (
    session_uid text NOT NULL REFERENCES sessions,
    sequence integer NOT NULL,
    status text NOT NULL,
    reason text,
    evidence text,
    at timestamptz NOT NULL,
    PRIMARY KEY (session_uid, sequence)
);

CREATE TABLE streams (
    stream_uid text PRIMARY KEY,
    session_uid text NOT NULL REFERENCES sessions,
    kind text NOT NULL,
    start_s double precision NOT NULL,
    epoch integer NOT NULL DEFAULT 0,
    next_batch_seq integer NOT NULL DEFAULT 0,
    stored_until_s double precision NOT NULL,
    captured_until_s double precision NOT NULL
);
CREATE INDEX streams_of_session ON streams (session_uid);
COMMENT ON TABLE streams IS 'the row lock on a stream orders its epochs and batches';

CREATE TABLE attributions (
    stream_uid text NOT NULL,
    revision integer NOT NULL,
    session_uid text NOT NULL REFERENCES sessions,
    speaker text NOT NULL,
    evidence text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_uid, revision)
);

CREATE TABLE batches (
    stream_uid text NOT NULL REFERENCES streams,
    epoch integer NOT NULL,
    batch_seq integer NOT NULL,
    from_s double precision NOT NULL,
    until_s double precision NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_uid, epoch, batch_seq)
);

CREATE TABLE pending_batches (
    stream_uid text NOT NULL REFERENCES streams,
    epoch integer NOT NULL,
    batch_seq integer NOT NULL,
    batch jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_uid, epoch, batch_seq)
);

CREATE TABLE spans (
    stream_uid text NOT NULL REFERENCES streams,
    from_s double precision NOT NULL,
    until_s double precision NOT NULL,
    kind text NOT NULL,
    reason text,
    PRIMARY KEY (stream_uid, from_s),
    CHECK (until_s > from_s),
    CHECK ((kind = 'missing') = (reason IS NOT NULL))
);

CREATE TABLE segments (
    stream_uid text NOT NULL REFERENCES streams,
    epoch integer NOT NULL,
    seq integer NOT NULL,
    batch_seq integer NOT NULL,
    start_s double precision NOT NULL,
    end_s double precision NOT NULL,
    text text NOT NULL,
    language text,
    speaker text,
    words jsonb NOT NULL,
    doubts text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_uid, epoch, seq)
);
CREATE INDEX segments_by_time ON segments (stream_uid, end_s);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
