//! The judge behind an endpoint, against a server that does everything wrong that servers do.

mod functions;
mod kill;
mod misbehaviour;
mod money;
mod preferences;
mod raters;
mod sentences;
mod stub;
