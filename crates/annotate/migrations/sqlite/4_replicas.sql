-- Schema 4. Several servers share one lease time and the failed logins that they count. `clock` is always 1; `rules` is a hash
-- of what all servers of a moment must have in common; `since` is in lease time.
CREATE TABLE lease_clock (
    clock  BIGINT PRIMARY KEY,
    now_ms BIGINT NOT NULL,
    rules  TEXT NOT NULL
);
CREATE TABLE login_failures (
    key_hash TEXT PRIMARY KEY,
    n        BIGINT NOT NULL,
    since    BIGINT NOT NULL
);
CREATE INDEX login_failures_by_since ON login_failures (since);
