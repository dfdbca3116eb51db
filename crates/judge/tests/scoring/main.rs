//! Answers of other tools scored from end to end, with a judge that is written down.

mod ahead;
mod benchmarks;
mod llava_bench;
mod own;
mod scripted;
