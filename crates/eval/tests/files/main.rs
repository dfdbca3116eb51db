//! A model that was never trained on the files of benchmarks: what it says is noise, everything else must hold.

mod candidate;
mod own_images;
mod real_files;
mod resuming;
mod suite;
