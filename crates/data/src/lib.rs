//! Conversations, preferences, facts, prompts and images; readers and writers of the public formats.
//!
//! Nothing here knows tensors: this crate never links libtorch.

pub mod random;
