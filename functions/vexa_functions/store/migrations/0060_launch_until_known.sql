ALTER TABLE sessions
    ADD COLUMN launch_due_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN end_noted_at timestamptz;
COMMENT ON COLUMN sessions.launch_due_at IS 'while launcher_ref is null: from when on anybody may launch the bot';
COMMENT ON COLUMN sessions.ended_at IS 'the last evidence of life where a bot ended without a word';
COMMENT ON COLUMN sessions.end_noted_at IS 'when the end was written down';
