-- Schema 1. Every time is in milliseconds: `_at` since 1970 UTC, `lease_` and `shown_from` in lease time (clock.rs).
CREATE TABLE people (
    person        TEXT PRIMARY KEY,
    number        BIGINT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    name_key      TEXT NOT NULL UNIQUE,
    role          TEXT NOT NULL,
    password      TEXT NOT NULL,
    attempt       BIGINT NOT NULL DEFAULT 1,
    attempts_from BIGINT NOT NULL DEFAULT 0,
    n_claims      BIGINT NOT NULL DEFAULT 0,
    guidelines_at BIGINT,
    trained_at    BIGINT,
    disabled      BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL
);
CREATE TABLE invites (
    token_hash TEXT PRIMARY KEY,
    role       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_by    TEXT REFERENCES people (person)
);
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    person     TEXT NOT NULL REFERENCES people (person),
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE INDEX sessions_by_person ON sessions (person);
CREATE TABLE items (
    item            BIGINT PRIMARY KEY,
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    fingerprint     TEXT NOT NULL,
    rank            BIGINT NOT NULL,
    overlap         BIGINT NOT NULL,
    state           TEXT NOT NULL,
    n_answers       BIGINT NOT NULL DEFAULT 0,
    image           TEXT,
    image_folder    TEXT,
    turns           TEXT NOT NULL,
    outputs         TEXT NOT NULL,
    original_answer TEXT,
    expected        TEXT,
    explanation     TEXT,
    question_type   TEXT,
    models          TEXT,
    UNIQUE (kind, name)
);
CREATE INDEX items_by_state ON items (state, item);
CREATE INDEX items_by_kind ON items (kind, state, rank, item);
CREATE TABLE slots (
    item        BIGINT NOT NULL REFERENCES items (item),
    slot        BIGINT NOT NULL,
    attempt     BIGINT NOT NULL DEFAULT 0,
    rank        BIGINT NOT NULL,
    state       TEXT NOT NULL,
    person      TEXT REFERENCES people (person),
    assignment  TEXT UNIQUE,
    lease_from  BIGINT,
    lease_until BIGINT,
    claimed_at  BIGINT,
    shown_from  BIGINT,
    shown_left  BIGINT,
    draft       TEXT,
    again       TEXT,
    note        TEXT,
    PRIMARY KEY (item, slot),
    UNIQUE (item, person, attempt)
);
CREATE INDEX slots_open ON slots (rank, item, slot) WHERE state = 'open';
CREATE INDEX slots_leased ON slots (lease_until) WHERE state = 'leased';
CREATE INDEX slots_by_person ON slots (person, state);
CREATE TABLE skips (
    item   BIGINT NOT NULL REFERENCES items (item),
    person TEXT NOT NULL REFERENCES people (person),
    reason TEXT,
    note   TEXT,
    at     BIGINT NOT NULL,
    solved BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (item, person)
);
CREATE TABLE answers (
    submission  TEXT PRIMARY KEY,
    number      BIGINT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    item        BIGINT NOT NULL REFERENCES items (item),
    slot        BIGINT NOT NULL,
    attempt     BIGINT NOT NULL,
    person      TEXT NOT NULL REFERENCES people (person),
    state       TEXT NOT NULL,
    answer      TEXT NOT NULL,
    shown_left  BIGINT NOT NULL,
    active_ms   BIGINT NOT NULL,
    answered_at BIGINT NOT NULL
);
CREATE INDEX answers_by_item ON answers (item, state);
CREATE INDEX answers_by_person ON answers (person, number);
CREATE TABLE decisions (
    item       BIGINT PRIMARY KEY REFERENCES items (item),
    person     TEXT NOT NULL REFERENCES people (person),
    answer     TEXT NOT NULL,
    decided_at BIGINT NOT NULL
);
CREATE TABLE events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     BIGINT NOT NULL,
    person TEXT,
    kind   TEXT NOT NULL,
    item   BIGINT,
    data   TEXT NOT NULL
);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END;
