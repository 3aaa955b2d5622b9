-- What the cache of answers was to a request: `off`, `miss` or `hit`.
ALTER TABLE requests ADD COLUMN cache TEXT NOT NULL DEFAULT 'off';
