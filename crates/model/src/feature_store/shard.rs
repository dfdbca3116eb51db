//! A file of the store: features of images that were kept together, a safetensors file with a note of each image.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candor_data::sha256;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::tensor_file::{kind, read_header, tensor_bytes, unusable, write as write_tensors};
use crate::{Features, ImageSpan, ModelError};

/// Where the file's metadata has the notes, as JSON.
const NOTES: &str = "images";
const REMEDY: &str = "nothing need be done; where it happens again, look after the disk";

/// What is known of an image besides its rows.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    span: ImageSpan,
    /// Of the rows' bytes.
    sha256: String,
}

/// Where the features of an image lie.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    path: Arc<PathBuf>,
    /// The first byte in the file.
    offset: u64,
    n_bytes: usize,
    kind: Kind,
    size: [i64; 2],
    span: ImageSpan,
    sha256: Arc<str>,
}

impl Entry {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How the image stands in a sequence.
    pub(crate) fn span(&self) -> ImageSpan {
        self.span
    }

    /// Whether they are these, by what was noted when they were written.
    pub(super) fn is_of(&self, features: &Features) -> bool {
        features.spans() == [self.span]
            && tensor_bytes(features.rows()).is_ok_and(|bytes| sha256::of(bytes) == *self.sha256)
    }

    /// Reads them, to the host.
    ///
    /// # Errors
    /// They are not what was written, or cannot be read.
    pub(crate) fn read(&self) -> Result<Features, ModelError> {
        let bytes = self.bytes().map_err(ModelError::io("read", self.path()))?;
        if *sha256::of(&bytes) != *self.sha256 {
            let problem = "features of an image are not the bytes that were written".to_owned();
            return Err(unusable(&self.path, problem, REMEDY));
        }
        let rows = Tensor::f_from_data_size(&bytes, &self.size, self.kind)
            .map_err(|error| unusable(&self.path, error.to_string(), REMEDY))?;
        Ok(Features::of_image(rows, self.span))
    }

    /// Reads them for the system to have them in memory when they are asked for.
    pub(crate) fn read_ahead(&self) {
        // Whoever asks for them finds out what is wrong.
        let _ = self.bytes();
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path())?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = vec![0; self.n_bytes];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// What a file holds, by the images' keys; no features are read.
///
/// # Errors
/// It is not one that [`write()`] makes.
pub(super) fn open(path: &Path) -> Result<BTreeMap<String, Entry>, ModelError> {
    let damaged = |problem: String| unusable(path, problem, REMEDY);
    let mut file = File::open(path).map_err(ModelError::io("open", path))?;
    let header = read_header(path, &mut file)?;
    let begin = file
        .stream_position()
        .map_err(ModelError::io("read", path))?;
    let notes = header.metadata().as_ref().and_then(|all| all.get(NOTES));
    let notes = notes.ok_or_else(|| damaged("holds no features of images".to_owned()))?;
    let notes: BTreeMap<String, Note> = serde_json::from_str(notes)
        .map_err(|error| damaged(format!("the notes of its images are unreadable: {error}")))?;
    let shared = Arc::new(path.to_owned());
    let entry = |(key, note): (String, Note)| {
        let info = header
            .info(&key)
            .ok_or_else(|| damaged(format!("has no tensor `{key}`")))?;
        let [n_rows, width] = info.shape[..] else {
            return Err(damaged(format!("`{key}` is no matrix")));
        };
        if n_rows as i64 != note.span.n_rows {
            let n_noted = note.span.n_rows;
            return Err(damaged(format!("`{key}` has {n_rows} rows, not {n_noted}")));
        }
        let entry = Entry {
            path: Arc::clone(&shared),
            offset: begin + info.data_offsets.0 as u64,
            n_bytes: info.data_offsets.1 - info.data_offsets.0,
            kind: kind(path, &key, info.dtype)?,
            size: [n_rows as i64, width as i64],
            span: note.span,
            sha256: note.sha256.into(),
        };
        Ok((key, entry))
    };
    notes.into_iter().map(entry).collect()
}

/// The hashes of features' bytes, by the images' keys; `folder` is what an error names.
///
/// # Errors
/// They cannot be copied to the host.
pub(super) fn hashes<'a>(
    folder: &Path,
    images: &BTreeMap<&'a str, &Features>,
) -> Result<BTreeMap<&'a str, String>, ModelError> {
    let hash = |(key, features): (&&'a str, &&Features)| {
        let bytes = tensor_bytes(features.rows())
            .map_err(|error| unusable(folder, error.to_string(), "report this"));
        bytes.map(|bytes| (*key, sha256::of(bytes)))
    };
    images.iter().map(hash).collect()
}

/// Writes features, each of one image, under the images' keys, with their hashes.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(
    path: &Path,
    images: &BTreeMap<&str, &Features>,
    hashes: &BTreeMap<&str, String>,
) -> Result<(), ModelError> {
    let impossible = |problem: String| unusable(path, problem, "report this");
    let note = |(key, features): (&&str, &&Features)| {
        let note = Note {
            span: features.spans()[0],
            sha256: hashes[*key].clone(),
        };
        ((*key).to_owned(), note)
    };
    let notes: BTreeMap<String, Note> = images.iter().map(note).collect();
    let notes = serde_json::to_string(&notes).map_err(|error| impossible(error.to_string()))?;
    let tensors = images.iter().map(|(key, features)| (*key, features.rows()));
    write_tensors(path, tensors, Some([(NOTES.to_owned(), notes)].into()))
}

/// No less than what a file of these features takes.
pub(super) fn n_bytes(images: &BTreeMap<&str, &Features>) -> u64 {
    /// Of an image's note and its entry in the header: two keys, a hash, and some numbers.
    const NOTE: usize = 1 << 10;
    let rows = images.values().map(|features| features.rows());
    rows.map(|rows| (NOTE + rows.numel() * rows.kind().elt_size_in_bytes()) as u64)
        .sum()
}
