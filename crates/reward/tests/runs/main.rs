//! Whole runs of a tiny reward model: what is learned, kept, written, scored and refused.

mod formats;
mod pair_benchmark;
mod rated;
mod refusals;
mod tiny;
mod training;
