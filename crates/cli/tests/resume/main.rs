//! Real runs of the binary, killed at random moments, must end in the bytes of an undisturbed run.

#[cfg(target_os = "linux")]
mod blocks;
#[cfg(target_os = "linux")]
mod dead_ranks;
mod fine_tuning;
mod memory;
mod preferences;
#[cfg(target_os = "linux")]
mod ranks;
mod reinforcement;
mod rewards;
mod rounds;
mod runs;
mod starting;
#[cfg(target_os = "linux")]
mod unlike_ranks;
