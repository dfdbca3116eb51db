//! The judge behind an endpoint, against a server that does everything wrong that servers do.

mod kill;
mod misbehaviour;
mod money;
mod stub;
