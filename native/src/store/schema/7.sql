-- What other gateways that share a Redis have spent, by day, as they have told it. The same sides and columns as
-- in `spend`; `origin` is what a gateway is called there.
CREATE TABLE elsewhere (
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
    origin TEXT NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (facet, day, organisation, team, user, key, provider, model, end_user, tag, origin)
) WITHOUT ROWID;
CREATE INDEX elsewhere_by_organisation ON elsewhere (organisation, facet, day) WHERE organisation <> '';
CREATE INDEX elsewhere_by_team ON elsewhere (team, facet, day) WHERE team <> '';
CREATE INDEX elsewhere_by_user ON elsewhere (user, facet, day) WHERE user <> '';
CREATE INDEX elsewhere_by_key ON elsewhere (key, facet, day) WHERE key <> '';
CREATE INDEX elsewhere_by_provider ON elsewhere (provider, facet, day) WHERE provider <> '';
CREATE INDEX elsewhere_by_model ON elsewhere (model, facet, day) WHERE model <> '';
CREATE INDEX elsewhere_by_end_user ON elsewhere (end_user, facet, day) WHERE end_user <> '';
CREATE INDEX elsewhere_by_tag ON elsewhere (tag, facet, day) WHERE tag <> '';

-- Lines of `spend` that other gateways have not been told as they are now. `turn` is another with each change.
CREATE TABLE untold (
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
    turn INTEGER NOT NULL,
    PRIMARY KEY (facet, day, organisation, team, user, key, provider, model, end_user, tag)
) WITHOUT ROWID;
CREATE INDEX untold_by_turn ON untold (turn);

-- What this store is called among those that share a Redis (`name`), whether it keeps `untold` (`telling`), which
-- epoch there has been told all of it (`told`), and how far the others were heard (`heard`).
CREATE TABLE hearsay (
    what TEXT PRIMARY KEY NOT NULL,
    word TEXT NOT NULL,
    number INTEGER NOT NULL
) WITHOUT ROWID;
