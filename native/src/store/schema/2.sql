-- When each entry was last changed, and by which gateway (empty: this one). Those of deleted entries stay
-- for a while, so that whoever still has the entry can be told.
CREATE TABLE stamps (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    origin TEXT NOT NULL,
    gone INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE INDEX stamps_of_gone ON stamps (at) WHERE gone = 1;
INSERT INTO stamps SELECT kind, name, 0, '', 0 FROM entities;
