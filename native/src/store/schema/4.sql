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

INSERT INTO marks (dimension, value) SELECT DISTINCT 'organisation', organisation FROM requests WHERE organisation IS NOT NULL;
INSERT INTO marks (dimension, value) SELECT DISTINCT 'team', team FROM requests WHERE team IS NOT NULL;
INSERT INTO marks (dimension, value) SELECT DISTINCT 'user', user FROM requests WHERE user IS NOT NULL;
INSERT INTO marks (dimension, value) SELECT DISTINCT 'key', key FROM requests;
INSERT INTO marks (dimension, value) SELECT DISTINCT 'end_user', end_user FROM requests WHERE end_user IS NOT NULL;
INSERT INTO marks (dimension, value) SELECT DISTINCT 'provider', provider FROM requests WHERE provider IS NOT NULL;
INSERT INTO marks (dimension, value) SELECT DISTINCT 'model', model FROM requests WHERE model IS NOT NULL;

INSERT INTO runs SELECT mark, at / 10000, 0, '[' || group_concat(seq * 10000 + at % 10000) || ']'
    FROM requests JOIN marks ON dimension = 'organisation' AND value = organisation GROUP BY mark, at / 10000;
INSERT INTO runs SELECT mark, at / 10000, 0, '[' || group_concat(seq * 10000 + at % 10000) || ']'
    FROM requests JOIN marks ON dimension = 'team' AND value = team GROUP BY mark, at / 10000;
INSERT INTO runs SELECT mark, at / 10000, 0, '[' || group_concat(seq * 10000 + at % 10000) || ']'
    FROM requests JOIN marks ON dimension = 'user' AND value = user GROUP BY mark, at / 10000;
INSERT INTO runs SELECT mark, at / 10000, 0, '[' || group_concat(seq * 10000 + at % 10000) || ']'
    FROM requests JOIN marks ON dimension = 'key' AND value = key GROUP BY mark, at / 10000;
INSERT INTO runs SELECT mark, at / 10000, 0, '[' || group_concat(seq * 10000 + at % 10000) || ']'
    FROM requests JOIN marks ON dimension = 'end_user' AND value = end_user GROUP BY mark, at / 10000;
INSERT INTO runs SELECT mark, at / 10000, 0, '[' || group_concat(seq * 10000 + at % 10000) || ']'
    FROM requests JOIN marks ON dimension = 'provider' AND value = provider GROUP BY mark, at / 10000;
INSERT INTO runs SELECT mark, at / 10000, 0, '[' || group_concat(seq * 10000 + at % 10000) || ']'
    FROM requests JOIN marks ON dimension = 'model' AND value = model GROUP BY mark, at / 10000;

DROP INDEX requests_by_organisation;
DROP INDEX requests_by_team;
DROP INDEX requests_by_user;
DROP INDEX requests_by_key;
DROP INDEX requests_by_end_user;
DROP INDEX requests_by_provider;
DROP INDEX requests_by_model;
