CREATE TABLE speaker_hints (
    session_uid text NOT NULL REFERENCES sessions,
    seq integer NOT NULL,
    from_s double precision NOT NULL,
    until_s double precision NOT NULL,
    speaker text NOT NULL,
    evidence text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_uid, seq),
    CHECK (until_s > from_s)
);
CREATE INDEX speaker_hints_by_time ON speaker_hints (session_uid, from_s);
COMMENT ON TABLE speaker_hints IS 'who was shown as speaking; readers join it with the words of mixed streams';
