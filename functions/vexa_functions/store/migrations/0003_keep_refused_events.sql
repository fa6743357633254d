ALTER TABLE outbox ADD COLUMN refused text;
COMMENT ON COLUMN outbox.refused IS 'why the sink will never take this event; null while it may';
DROP INDEX outbox_unpublished;
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL AND refused IS NULL;
