-- Who there is, as the admin API left it.
CREATE TABLE entities (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

-- Who did what. Each line's hash covers the one before; nothing is ever changed or taken out.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    hash BLOB NOT NULL
);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE INDEX audit_by_subject ON audit (subject, seq);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- One line for each request that is over. Times in milliseconds, money in nano-dollars.
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    organisation TEXT,
    team TEXT,
    user TEXT,
    key TEXT NOT NULL,
    end_user TEXT,
    tags TEXT,
    provider TEXT,
    model TEXT,
    asked TEXT NOT NULL,
    surface TEXT NOT NULL,
    status INTEGER NOT NULL,
    fault TEXT,
    ending TEXT NOT NULL,
    failed INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    input INTEGER,
    cached INTEGER,
    cache_write INTEGER,
    output INTEGER,
    reasoning INTEGER,
    basis TEXT NOT NULL,
    cost INTEGER,
    cost_basis TEXT NOT NULL,
    first_byte INTEGER,
    total INTEGER NOT NULL
);
CREATE INDEX requests_by_id ON requests (id);
CREATE INDEX requests_by_at ON requests (at);
CREATE INDEX requests_by_organisation ON requests (organisation, at) WHERE organisation IS NOT NULL;
CREATE INDEX requests_by_team ON requests (team, at) WHERE team IS NOT NULL;
CREATE INDEX requests_by_user ON requests (user, at) WHERE user IS NOT NULL;
CREATE INDEX requests_by_key ON requests (key, at);
CREATE INDEX requests_by_end_user ON requests (end_user, at) WHERE end_user IS NOT NULL;
CREATE INDEX requests_by_provider ON requests (provider, at) WHERE provider IS NOT NULL;
CREATE INDEX requests_by_model ON requests (model, at) WHERE model IS NOT NULL;
CREATE INDEX requests_by_failed ON requests (failed, at) WHERE failed = 1;
CREATE TABLE request_tags (
    tag TEXT NOT NULL,
    at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tag, at, seq)
) WITHOUT ROWID;

-- What was spent, by day. `facet` tells lines apart that show the same requests from another side;
-- absent values are empty, so that they can stand in the primary key.
CREATE TABLE spend (
    facet INTEGER NOT NULL,
    day INTEGER NOT NULL,
    organisation TEXT NOT NULL,
    team TEXT NOT NULL,
    user TEXT NOT NULL,
    key TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    end_user TEXT NOT NULL,
    tag TEXT NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (facet, day, organisation, team, user, key, provider, model, end_user, tag)
) WITHOUT ROWID;
CREATE INDEX spend_by_organisation ON spend (organisation, facet, day) WHERE organisation <> '';
CREATE INDEX spend_by_team ON spend (team, facet, day) WHERE team <> '';
CREATE INDEX spend_by_user ON spend (user, facet, day) WHERE user <> '';
CREATE INDEX spend_by_key ON spend (key, facet, day) WHERE key <> '';
CREATE INDEX spend_by_provider ON spend (provider, facet, day) WHERE provider <> '';
CREATE INDEX spend_by_model ON spend (model, facet, day) WHERE model <> '';
CREATE INDEX spend_by_end_user ON spend (end_user, facet, day) WHERE end_user <> '';
CREATE INDEX spend_by_tag ON spend (tag, facet, day) WHERE tag <> '';

-- The ledger's books.
CREATE TABLE accounts (
    scope TEXT PRIMARY KEY NOT NULL,
    state BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE open_entries (
    id BLOB PRIMARY KEY NOT NULL,
    state BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE meta (
    name TEXT PRIMARY KEY NOT NULL,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- What could not be understood, and why. Nothing reads it but people.
CREATE TABLE set_aside (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    origin TEXT NOT NULL,
    name TEXT NOT NULL,
    content BLOB,
    why TEXT NOT NULL
);
