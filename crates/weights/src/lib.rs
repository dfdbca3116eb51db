//! The tensors of a checkpoint: found, checked and read one at a time, without executing anything.
//!
//! A checkpoint is a safetensors file, a file of `torch.save`, or a folder with either of them, in one piece or in
//! shards with an index. [`Checkpoint::open`] reads headers only, and checks everything they say against the
//! files' real sizes; [`Checkpoint::read`] then costs one tensor's worth of memory.
//!
//! A torch file describes its tensors in a pickle, which is a program. The reader here knows the few
//! instructions and names that tensors need, and refuses every other by its name. It builds descriptions and
//! calls nothing, so that there is nothing a file could make it do.
//!
//! The zip archive around that pickle is read by `archive.rs` and not by a library: torch stores its members
//! as they are, so that a directory of names, offsets and sizes is all there is to read, and each of them
//! must be checked here anyway. Checksums are not verified, because tensors are read in parts.
//!
//! Nothing here knows models or their tensors' names, and nothing here links libtorch.

#![warn(unreachable_pub)]

mod archive;
mod checkpoint;
mod cursor;
mod dtype;
mod entry;
mod error;
mod finite;
mod format;
mod index;
mod pickle;
mod quote;
mod safetensors;
mod state_dict;
mod torch_file;

pub use checkpoint::Checkpoint;
pub use dtype::Dtype;
pub use entry::Entry;
pub use error::CheckpointError;
pub use finite::NonFinite;
