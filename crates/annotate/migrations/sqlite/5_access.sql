-- Schema 5. Other ways in and out than the pages: tokens of programs, people whom a provider of sign-in vouches for, and what webhooks are still to be told.
CREATE TABLE tokens (
    token      TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    made_by    TEXT NOT NULL REFERENCES people (person),
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    used_at    BIGINT
);
CREATE TABLE sign_ins (
    state_hash TEXT PRIMARY KEY,
    nonce      TEXT NOT NULL,
    verifier   TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_end ON sign_ins (expires_at);
CREATE TABLE identities (
    issuer    TEXT NOT NULL,
    subject   TEXT NOT NULL,
    person    TEXT NOT NULL REFERENCES people (person),
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE TABLE deliveries (
    delivery TEXT PRIMARY KEY,
    hook     TEXT NOT NULL,
    body     TEXT NOT NULL,
    tries    BIGINT NOT NULL DEFAULT 0,
    made_at  BIGINT NOT NULL,
    next_at  BIGINT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (hook, next_at);
