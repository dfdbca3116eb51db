//! Whole runs on a tiny model.

mod rated;
mod refusals;
mod tiny;
mod training;
