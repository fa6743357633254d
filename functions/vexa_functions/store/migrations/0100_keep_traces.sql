ALTER TABLE sessions ADD COLUMN trace jsonb;
COMMENT ON COLUMN sessions.trace IS 'W3C trace context of the request for the bot; what becomes of the bot belongs to that trace';
ALTER TABLE webhook_deliveries ADD COLUMN trace jsonb;
COMMENT ON COLUMN webhook_deliveries.trace IS 'W3C trace context of the work of which the notice came';
