CREATE TABLE coverage_totals (
    kind text NOT NULL,
    reason text NOT NULL,
    seconds double precision NOT NULL,
    PRIMARY KEY (kind, reason)
);
COMMENT ON TABLE coverage_totals IS 'the ledgers of all sessions, each added as its session is finalized: numbers that never fall, whoever is deleted';
