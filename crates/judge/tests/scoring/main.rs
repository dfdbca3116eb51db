//! Answers of other tools scored from end to end, with a judge that is written down; on files made up by hand, on thousands
//! of made-up replies as plain Python scores them, and on the benchmarks' own files.

mod benchmarks;
mod chair;
mod golden_benchmarks;
mod golden_replies;
mod llava_bench;
mod object_hal_bench;
mod own;
mod pipelined;
mod real_files;
mod scripted;
