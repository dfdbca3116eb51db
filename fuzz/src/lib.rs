//! What the fuzz targets share.

use std::cell::RefCell;
use std::io::{Seek as _, Write as _};

use candor_weights::Checkpoint;
use tempfile::NamedTempFile;

pub mod folder;
#[path = "../../crates/weights/tests/forge/mod.rs"]
pub mod forge;

thread_local! {
    /// One file for all runs: making a new one takes longer than reading it.
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("a temporary file"));
}

/// Opens a file of this content and reads all its tensors, if it has any.
///
/// # Panics
/// A tensor of an opened checkpoint cannot be read: its place should have been checked.
pub fn open_and_read(content: &[u8]) {
    FILE.with_borrow_mut(|file| {
        file.rewind().expect("rewound");
        file.write_all(content).expect("written");
        file.as_file().set_len(content.len() as u64).expect("cut");
        let Ok(checkpoint) = Checkpoint::open(file.path()) else {
            return;
        };
        let mut bytes = Vec::new();
        for (name, entry) in checkpoint.in_file_order() {
            checkpoint.read(name, &mut bytes).expect("a tensor");
            assert_eq!(bytes.len() as u64, entry.n_bytes());
            assert!(bytes.len() <= content.len(), "more bytes than the file has");
        }
    });
}
