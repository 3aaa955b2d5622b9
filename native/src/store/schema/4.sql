-- What requests are looked up by: a key, a team, a model …
CREATE TABLE marks (
    mark INTEGER PRIMARY KEY,
    dimension TEXT NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (dimension, value)
);
-- Which requests bear a mark: of a span of ten seconds those that were written together. Each entry is
-- (seq - base) * 10000 + at % 10000.
CREATE TABLE runs (
    mark INTEGER NOT NULL,
    span INTEGER NOT NULL,
    base INTEGER NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (mark, span, base)
) WITHOUT ROWID;
CREATE INDEX runs_by_span ON runs (span);

-- Requests up to this one have no runs yet and are found by the indexes of schema 1. Steps that nobody waits for
-- make the runs and then drop the indexes.
INSERT INTO meta SELECT 'runs_until', seq FROM requests ORDER BY seq DESC LIMIT 1;
