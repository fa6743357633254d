ALTER TABLE meetings
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN deleted_mark bytea,
    ADD COLUMN idempotency_key text,
    ADD COLUMN idempotency_hash bytea;
COMMENT ON COLUMN meetings.deleted_mark IS 'keyed hash of the ids that the meeting had: recognises them, reveals nothing';
COMMENT ON COLUMN meetings.idempotency_hash IS 'of the request that made the meeting under this key';
CREATE UNIQUE INDEX meetings_idempotency ON meetings (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX meetings_deleted ON meetings (user_id, deleted_mark) WHERE deleted_mark IS NOT NULL;

ALTER TABLE sessions ADD COLUMN automatic_leave jsonb;

ALTER TABLE segments ADD COLUMN searchable tsvector GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED;
CREATE INDEX segments_searchable ON segments USING gin (searchable);

CREATE INDEX dead_letters_of_meeting ON dead_letters ((event -> 'data' ->> 'meeting_id'));
CREATE INDEX outbox_of_meeting ON outbox ((event -> 'data' ->> 'meeting_id'));
