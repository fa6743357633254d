CREATE TABLE webhooks (
    user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    url text NOT NULL,
    secret text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN webhooks.secret IS 'signs what is sent; readable because a signature needs it, and never answered';
COMMENT ON COLUMN webhooks.created_at IS 'facts from before are not told';

CREATE TABLE webhook_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    fact_id text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    meeting_id bigint NOT NULL,
    body text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'cancelled')),
    due_at timestamptz DEFAULT now(),
    is_leased boolean NOT NULL DEFAULT false,
    attempts integer NOT NULL DEFAULT 0,
    round_attempts integer NOT NULL DEFAULT 0,
    last_attempt_at timestamptz,
    last_status_code integer,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    UNIQUE (user_id, event_id),
    CHECK ((status = 'pending') = (due_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_of_fact ON webhook_deliveries (user_id, fact_id);
CREATE INDEX webhook_deliveries_of_meeting ON webhook_deliveries (meeting_id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_deliveries_of_user ON webhook_deliveries (user_id, id DESC);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at) WHERE due_at IS NULL;
COMMENT ON COLUMN webhook_deliveries.fact_id IS 'the id of the CloudEvent that this tells of';
COMMENT ON COLUMN webhook_deliveries.body IS 'text, not jsonb: every attempt sends the same bytes';
COMMENT ON COLUMN webhook_deliveries.due_at IS 'when to try next; while somebody tries, when to give up on them';
COMMENT ON COLUMN webhook_deliveries.attempts IS 'never falls, and so tells the latest attempt from one that was given up on';
COMMENT ON COLUMN webhook_deliveries.round_attempts IS 'attempts since the delivery was made or asked for again';

CREATE INDEX outbox_by_age ON outbox (created_at);
