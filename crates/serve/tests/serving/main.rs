//! A server with a tiny model, asked over real connections.

mod answers;
mod attacks;
mod pictures;
mod preferences;
mod refusals;
mod scores;
mod site;
mod traffic;
