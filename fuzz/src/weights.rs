//! Files of tensors: what is opened has every tensor whole, in no more bytes than the file has.

use std::cell::RefCell;
use std::io::{Seek as _, Write as _};

use candor_weights::Checkpoint;
use tempfile::NamedTempFile;

use crate::forge;

thread_local! {
    /// One file for all runs: making a new one takes longer than reading it.
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("a temporary file"));
}

/// Opens a file of this content and reads all its tensors, if it has any.
///
/// # Panics
/// A tensor of an opened checkpoint cannot be read: its place should have been checked.
pub fn open_and_read(content: &[u8]) -> bool {
    FILE.with_borrow_mut(|file| {
        file.rewind().expect("rewound");
        file.write_all(content).expect("written");
        file.as_file().set_len(content.len() as u64).expect("cut");
        let Ok(checkpoint) = Checkpoint::open(file.path()) else {
            return false;
        };
        let mut bytes = Vec::new();
        for (name, entry) in checkpoint.in_file_order() {
            checkpoint.read(name, &mut bytes).expect("a tensor");
            assert_eq!(bytes.len() as u64, entry.n_bytes());
            assert!(bytes.len() <= content.len(), "more bytes than the file has");
        }
        true
    })
}

/// A file of `torch.save`, beginning as a zip archive does: other formats have targets of their own.
///
/// # Panics
/// As [`open_and_read`].
pub fn torch_bin(content: &[u8]) -> bool {
    content.starts_with(b"PK\x03\x04") && open_and_read(content)
}

/// The pickle inside a file of `torch.save` that is in order otherwise.
///
/// # Panics
/// As [`open_and_read`].
pub fn torch_pickle(pickle: &[u8]) -> bool {
    open_and_read(&forge::torch_file(pickle))
}
