//! What the database must hold to, on SQLite and on a real PostgreSQL that the tests start.

mod access;
mod adjudication;
mod answers;
mod claims;
mod exports;
mod imports;
mod logins;
mod office;
mod pauses;
mod people;
mod postgres;
mod protocol;
mod quality;
mod rankings;
mod ratings;
mod replicas;
mod transfers;
