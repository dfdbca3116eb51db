//! What a file is, by its first bytes and not by its name.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::CheckpointError;

/// What to do about a file that is something else.
pub(crate) const GIVE: &str = "give a safetensors file or one of torch.save";
/// The length of a safetensors header, and the brace with which it begins.
const N_FIRST: u64 = 9;

/// The formats that can be read.
pub(crate) enum Format {
    Safetensors,
    Torch,
}

impl Format {
    /// The format of the file at `path`, which has `n_file` bytes.
    pub(crate) fn of(path: &Path, file: &File, n_file: u64) -> Result<Self, CheckpointError> {
        let mut first = vec![0; n_file.min(N_FIRST) as usize];
        file.read_exact_at(&mut first, 0)
            .map_err(CheckpointError::io("read", path))?;
        let (problem, remedy) = match first.as_slice() {
            [_, _, _, _, _, _, _, _, b'{'] => return Ok(Self::Safetensors),
            [b'P', b'K', 3, 4, ..] => return Ok(Self::Torch),
            [] => (
                "the file has no bytes at all",
                "download or export it again",
            ),
            [0x80, 1..=5, ..] => (
                "a bare pickle, which torch wrote before 1.6 and still writes on request; \
                 nothing was executed",
                "only if you trust where the file comes from, load it in Python and save it again with torch.save",
            ),
            b"version h" => (
                "a Git LFS pointer and not the file that it stands for",
                "run `git lfs pull` in its folder",
            ),
            _ => ("neither safetensors nor a file of torch.save", GIVE),
        };
        Err(CheckpointError::file(path, problem, remedy))
    }
}
