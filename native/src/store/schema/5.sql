-- Responses that conversations go on from, of one owner each. Times in milliseconds; `size` is of both texts.
CREATE TABLE responses (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    response TEXT NOT NULL,
    input TEXT NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX responses_by_at ON responses (at, size);
