//! The tables. Times are in milliseconds, money in nano-dollars. What was released is never changed, only
//! added to; each statement stands for itself and does nothing where its work is done.

/// Tells whether requests have [`GUARDRAILS`].
pub(super) const HAS_GUARDRAILS: &str =
    "SELECT 1 FROM sqlite_master WHERE name = 'requests' AND instr(sql, 'guardrails') > 0";

/// What guardrails have done to a request: a JSON array of texts; absent for nothing.
pub(super) const GUARDRAILS: &str = "ALTER TABLE requests ADD COLUMN guardrails TEXT";

/// Makes everything.
pub(super) const STATEMENTS: [&str; 29] = [
    "CREATE TABLE IF NOT EXISTS entities (
        kind TEXT NOT NULL, name TEXT NOT NULL, spec TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS audit (
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        subject TEXT NOT NULL, before TEXT, after TEXT, seal TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS audit_by_actor ON audit (actor, seq)",
    "CREATE INDEX IF NOT EXISTS audit_by_action ON audit (action, seq)",
    "CREATE INDEX IF NOT EXISTS audit_by_subject ON audit (subject, seq)",
    "CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS audit_is_not_cut BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    // Nothing is in it: what is put in goes to the log and to the entities, both or neither.
    "CREATE VIEW IF NOT EXISTS commits AS
        SELECT seq, at, actor, action, subject, before, after, seal, '' AS changes FROM audit",
    "CREATE TRIGGER IF NOT EXISTS commits_are_made INSTEAD OF INSERT ON commits BEGIN
        INSERT INTO audit VALUES (
            new.seq, new.at, new.actor, new.action, new.subject, new.before, new.after, new.seal);
        DELETE FROM entities WHERE (kind, name) IN (
            SELECT json_extract(value, '$.kind'), json_extract(value, '$.name') FROM json_each(new.changes));
        INSERT INTO entities
            SELECT json_extract(value, '$.kind'), json_extract(value, '$.name'), json_extract(value, '$.spec')
            FROM json_each(new.changes) WHERE json_extract(value, '$.spec') IS NOT NULL;
    END",
    "CREATE TABLE IF NOT EXISTS requests (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, at INTEGER NOT NULL, organisation TEXT, team TEXT, user TEXT,
        key TEXT NOT NULL, end_user TEXT, tags TEXT, provider TEXT, model TEXT, asked TEXT NOT NULL,
        surface TEXT NOT NULL, status INTEGER NOT NULL, fault TEXT, ending TEXT NOT NULL,
        failed INTEGER NOT NULL, attempts INTEGER NOT NULL, input INTEGER, cached INTEGER,
        cache_write INTEGER, output INTEGER, reasoning INTEGER, basis TEXT NOT NULL, cost INTEGER,
        cost_basis TEXT NOT NULL, first_byte INTEGER, total INTEGER NOT NULL,
        cache TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS requests_by_at ON requests (at)",
    "CREATE INDEX IF NOT EXISTS requests_by_organisation ON requests (organisation, at) WHERE organisation IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS requests_by_team ON requests (team, at) WHERE team IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS requests_by_user ON requests (user, at) WHERE user IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS requests_by_key ON requests (key, at)",
    "CREATE INDEX IF NOT EXISTS requests_by_end_user ON requests (end_user, at) WHERE end_user IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS requests_by_provider ON requests (provider, at) WHERE provider IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS requests_by_model ON requests (model, at) WHERE model IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS requests_by_failed ON requests (failed, at) WHERE failed = 1",
    "CREATE TABLE IF NOT EXISTS request_tags (
        tag TEXT NOT NULL, at INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (tag, at, seq)) WITHOUT ROWID",
    // `facet` tells lines apart that show the same requests from another side; absent values are empty, so
    // that they can stand in the primary key.
    "CREATE TABLE IF NOT EXISTS spend (
        facet INTEGER NOT NULL, day INTEGER NOT NULL, organisation TEXT NOT NULL, team TEXT NOT NULL,
        user TEXT NOT NULL, key TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
        end_user TEXT NOT NULL, tag TEXT NOT NULL, requests INTEGER NOT NULL, failed INTEGER NOT NULL,
        unpriced INTEGER NOT NULL, input INTEGER NOT NULL, cached INTEGER NOT NULL, output INTEGER NOT NULL,
        cost INTEGER NOT NULL,
        PRIMARY KEY (facet, day, organisation, team, user, key, provider, model, end_user, tag)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS spend_by_organisation ON spend (organisation, facet, day) WHERE organisation <> ''",
    "CREATE INDEX IF NOT EXISTS spend_by_team ON spend (team, facet, day) WHERE team <> ''",
    "CREATE INDEX IF NOT EXISTS spend_by_user ON spend (user, facet, day) WHERE user <> ''",
    "CREATE INDEX IF NOT EXISTS spend_by_key ON spend (key, facet, day) WHERE key <> ''",
    "CREATE INDEX IF NOT EXISTS spend_by_end_user ON spend (end_user, facet, day) WHERE end_user <> ''",
    "CREATE INDEX IF NOT EXISTS spend_by_tag ON spend (tag, facet, day) WHERE tag <> ''",
    // A request is told from several sides, each in cells of its own, so that no question adds it twice:
    // 0 to 3 for each request (without tags and end user, with tags, with end user, with both), 4 and 5 for
    // each of its tags (without end user, with), 6 and 7 for its end user (without tags, with), 8 for each
    // tag with the end user.
    "CREATE TRIGGER IF NOT EXISTS requests_are_added_up AFTER INSERT ON requests BEGIN
        INSERT INTO request_tags SELECT DISTINCT value, new.at, new.seq FROM json_each(new.tags);
        INSERT INTO spend
            SELECT facet, new.at / 86400000, ifnull(new.organisation, ''), ifnull(new.team, ''),
                ifnull(new.user, ''), new.key, ifnull(new.provider, ''), ifnull(new.model, ''), end_user, tag,
                1, new.failed, new.cost IS NULL, ifnull(new.input, 0), ifnull(new.cached, 0),
                ifnull(new.output, 0), ifnull(new.cost, 0)
            FROM (
                SELECT (new.tags IS NOT NULL) + 2 * (new.end_user IS NOT NULL) AS facet, '' AS end_user, '' AS tag
                UNION ALL SELECT 4 + (new.end_user IS NOT NULL), '', value FROM json_each(new.tags)
                UNION ALL SELECT 6 + (new.tags IS NOT NULL), new.end_user, '' WHERE new.end_user IS NOT NULL
                UNION ALL SELECT 8, new.end_user, value FROM json_each(new.tags) WHERE new.end_user IS NOT NULL
            ) WHERE true
            ON CONFLICT DO UPDATE SET
                requests = requests + excluded.requests,
                failed = failed + excluded.failed,
                unpriced = unpriced + excluded.unpriced,
                input = min(input + excluded.input, 9007199254740991),
                cached = min(cached + excluded.cached, 9007199254740991),
                output = min(output + excluded.output, 9007199254740991),
                cost = min(cost + excluded.cost, 9007199254740991);
    END",
    "CREATE TRIGGER IF NOT EXISTS requests_take_their_tags AFTER DELETE ON requests WHEN old.tags IS NOT NULL
        BEGIN DELETE FROM request_tags WHERE at = old.at AND seq = old.seq AND tag IN (
            SELECT value FROM json_each(old.tags)); END",
];
