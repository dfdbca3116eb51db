//! `candor watch` as it is asked by programs and looked at by people.

mod browser;
mod http;
