-- Mixed streams are left out: their words are shown under the speakers that hints name, which takes a look.
CREATE FUNCTION store_next_batches(wanted jsonb)
RETURNS TABLE (next_stream_uid text, next_start_s double precision, best_speaker text, best_revision integer)
LANGUAGE plpgsql
AS $$
DECLARE
    locked text[];
BEGIN
    -- Streams that others hold are left out: one that is slow must not keep the others waiting.
    SELECT array_agg(l.stream_uid) INTO locked
      FROM (SELECT st.stream_uid FROM streams st
             WHERE st.stream_uid IN (SELECT w ->> 'stream_uid' FROM jsonb_array_elements(wanted) AS w)
               FOR UPDATE SKIP LOCKED) AS l;
    -- A statement of its own: it sees everything that was committed before the streams were locked.
    RETURN QUERY
    WITH next AS (
        SELECT w.*, st.start_s
          FROM jsonb_to_recordset(wanted) AS w (
                   meeting_id bigint, user_id bigint, session_uid text, stream_uid text, epoch integer,
                   batch_seq integer, from_s double precision, until_s double precision, spans jsonb, segments jsonb)
          JOIN streams st ON st.stream_uid = w.stream_uid AND st.session_uid = w.session_uid
                         AND st.kind = 'participant' AND st.epoch = w.epoch AND st.next_batch_seq = w.batch_seq
                         AND abs(st.stored_until_s - w.from_s) <= 0.0005
          JOIN sessions s ON s.session_uid = st.session_uid AND s.meeting_id = w.meeting_id
          JOIN meetings m ON m.id = s.meeting_id AND m.user_id = w.user_id AND m.deleted_at IS NULL
         WHERE w.stream_uid = ANY (locked)
           AND NOT EXISTS (SELECT FROM pending_batches p WHERE p.stream_uid = w.stream_uid)
    ), kept AS (
        INSERT INTO batches (stream_uid, epoch, batch_seq, from_s, until_s)
        SELECT n.stream_uid, n.epoch, n.batch_seq, n.from_s, n.until_s FROM next n
    ), lasting AS (
        INSERT INTO spans (stream_uid, from_s, until_s, kind, reason)
        SELECT n.stream_uid, s.from_s, s.until_s, s.kind, s.reason
          FROM next n
         CROSS JOIN LATERAL jsonb_to_recordset(n.spans)
                 AS s (from_s double precision, until_s double precision, kind text, reason text)
    ), spoken AS (
        INSERT INTO segments
               (stream_uid, epoch, batch_seq, seq, start_s, end_s, text, language, speaker, words, doubts)
        SELECT n.stream_uid, n.epoch, n.batch_seq, g.seq, g.start_s, g.end_s, g.text, g.language, g.speaker, g.words,
               ARRAY(SELECT jsonb_array_elements_text(g.doubts))
          FROM next n
         CROSS JOIN LATERAL jsonb_to_recordset(n.segments)
                 AS g (seq integer, start_s double precision, end_s double precision, text text, language text,
                       speaker text, words jsonb, doubts jsonb)
    ), advanced AS (
        UPDATE streams st SET stored_until_s = n.until_s, next_batch_seq = n.batch_seq + 1
          FROM next n WHERE st.stream_uid = n.stream_uid
    )
    SELECT n.stream_uid, n.start_s, best.speaker, coalesce(best.revision, 0)
      FROM next n
      LEFT JOIN LATERAL (
           SELECT a.speaker, a.revision FROM attributions a
            WHERE a.stream_uid = n.stream_uid AND a.session_uid = n.session_uid
            ORDER BY a.revision DESC LIMIT 1) best ON true;
END
$$;
COMMENT ON FUNCTION store_next_batches IS
    'stores those batches, one of each stream at most, that are the next of a live epoch of a participant''s stream with nothing waiting behind';
