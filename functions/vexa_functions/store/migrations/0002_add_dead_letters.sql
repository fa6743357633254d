CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_source text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    event jsonb NOT NULL,
    destination text NOT NULL,
    status_code integer,
    cause text,
    times integer NOT NULL DEFAULT 1,
    first_received_at timestamptz NOT NULL DEFAULT now(),
    last_received_at timestamptz NOT NULL DEFAULT now(),
    redriven_at timestamptz,
    UNIQUE (event_source, event_id, destination)
);
CREATE INDEX dead_letters_waiting ON dead_letters (id DESC) WHERE redriven_at IS NULL;
COMMENT ON COLUMN dead_letters.destination IS 'the subscriber that did not take the event';
