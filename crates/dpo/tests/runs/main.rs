//! Whole runs on a tiny model.

mod rated;
mod refusals;
mod severity;
mod tiny;
mod training;
