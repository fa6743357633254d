CREATE TABLE sweeps (
    name text PRIMARY KEY,
    position text NOT NULL
);
COMMENT ON TABLE sweeps IS 'the session behind which a sweep goes on at the next tick; empty where it begins again';

CREATE INDEX sessions_by_end ON sessions (ended_at);

ALTER TABLE streams ADD COLUMN discarded_batches integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN streams.discarded_batches IS 'batches that waited in vain for a predecessor, until their session was finalized';
