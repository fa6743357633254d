ALTER TABLE dead_letters
    ADD COLUMN is_escaped boolean NOT NULL DEFAULT false,
    ADD COLUMN unreadable text;
COMMENT ON COLUMN dead_letters.is_escaped IS 'strings in the event are spelled with JSON escapes, for jsonb cannot hold them';
COMMENT ON COLUMN dead_letters.unreadable IS 'why the event cannot be sent again; null where it can';
