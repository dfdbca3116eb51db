//! `candor download` and `candor data get` from a server of the test.

mod hub;
mod models;
mod sets;
