-- Schema 3. A project may be paused: `number` is that of the event, and a pause without an end lasts.
CREATE TABLE pauses (
    number   BIGINT PRIMARY KEY,
    began_at BIGINT NOT NULL,
    ended_at BIGINT
);
