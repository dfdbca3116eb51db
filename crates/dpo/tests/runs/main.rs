//! Whole runs on a tiny model.

mod rated;
mod refusals;
mod severity;
mod suite;
mod tiny;
mod training;
