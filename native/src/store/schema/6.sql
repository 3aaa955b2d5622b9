-- What guardrails have done to a request: a JSON array of texts such as `block input codenames`; absent for
-- nothing.
ALTER TABLE requests ADD COLUMN guardrails TEXT;
