ALTER TABLE meetings ADD COLUMN evidence text;
COMMENT ON COLUMN meetings.evidence IS 'what the reason was concluded from, in words';
