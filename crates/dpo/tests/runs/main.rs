//! Whole runs on a tiny model.

mod refusals;
mod tiny;
mod training;
