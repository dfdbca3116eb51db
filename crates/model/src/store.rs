//! The tensors of one model, wherever they are stored: several files, under the names of several formats.
//!
//! A tensor is read when it is asked for, straight into the memory that it stays in, so that loading costs the model
//! and one tensor more. What does not fit is collected and reported together, because a wrong file is easier to
//! recognise by ten names than by one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candor_weights::{Checkpoint, Dtype, Entry, NonFinite};
use tch::{Kind, Tensor};

use crate::ModelError;
use crate::TensorSpec;
use crate::mismatch::{Mismatch, Mismatches};
use crate::names::Names;

/// After so many the rest is not looked for: a configuration may ask for a million layers.
const MAX_MISFITS: usize = 1000;

/// Tensors by candor's names, each taken once.
#[derive(Debug)]
pub(crate) struct Store {
    /// What was opened first; errors about the model as a whole name it.
    path: PathBuf,
    sources: Vec<Source>,
    tensors: BTreeMap<String, Place>,
    mismatches: Vec<Mismatch>,
}

#[derive(Debug)]
struct Source {
    checkpoint: Checkpoint,
    names: &'static Names,
}

#[derive(Debug)]
struct Place {
    source: usize,
    in_file: String,
}

impl Store {
    /// The tensors of one checkpoint.
    ///
    /// # Errors
    /// Two of its names are one and the same tensor here.
    pub(crate) fn new(checkpoint: Checkpoint, names: &'static Names) -> Result<Self, ModelError> {
        let mut store = Self {
            path: checkpoint.path().to_owned(),
            sources: Vec::new(),
            tensors: BTreeMap::new(),
            mismatches: Vec::new(),
        };
        store.add(checkpoint, names)?;
        Ok(store)
    }

    /// Adds the tensors of another checkpoint.
    ///
    /// # Errors
    /// A tensor is there already.
    pub(crate) fn add(
        &mut self,
        checkpoint: Checkpoint,
        names: &'static Names,
    ) -> Result<(), ModelError> {
        let source = self.sources.len();
        for (in_file, _) in checkpoint.iter() {
            let Some(here) = names.here(in_file) else {
                continue;
            };
            if let Some(other) = self.tensors.get(&here) {
                return Err(ModelError::TensorFile {
                    path: file_of(&checkpoint, in_file),
                    problem: format!("`{in_file}` is the same tensor as `{}`", other.in_file),
                    remedy: "export the model again, with one name for each tensor",
                });
            }
            let in_file = in_file.to_owned();
            self.tensors.insert(here, Place { source, in_file });
        }
        self.sources.push(Source { checkpoint, names });
        Ok(())
    }

    /// What errors about the model as a whole name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the tensor is there and not taken yet.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether a tensor is there whose name begins so.
    pub(crate) fn has_any(&self, prefix: &str) -> bool {
        let mut from = self.tensors.range(prefix.to_owned()..);
        from.next()
            .is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// All tensors that are not taken yet: name, type and shape. What is no floating-point number is for
    /// [`Store::take_any`] to refuse.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Kind, Vec<i64>)> {
        self.tensors.iter().map(|(name, place)| {
            let entry = self.entry(place);
            let shape = entry.map_or(&[][..], Entry::shape);
            let kind = entry.and_then(|entry| kind(entry.dtype()));
            let shape = shape.iter().map(|&n| n as i64).collect();
            (name.as_str(), kind.unwrap_or(Kind::Float), shape)
        })
    }

    /// The tensor `name`, whatever its shape is.
    ///
    /// # Errors
    /// It is not there or no floating-point number, or its file cannot be read.
    pub(crate) fn take_any(&mut self, name: &str) -> Result<Tensor, ModelError> {
        match self.tensors.remove(name) {
            Some(place) => self.read(&place),
            None => Err(ModelError::TensorFile {
                path: self.path.clone(),
                problem: format!("tensor `{name}` is missing"),
                remedy: "export the model again",
            }),
        }
    }

    /// Forgets a tensor that the model does without.
    pub(crate) fn drop(&mut self, name: &str) {
        self.tensors.remove(name);
    }

    /// Whether two tensors hold the same bytes in the same shape and type.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn same(&self, left: &str, right: &str) -> Result<bool, ModelError> {
        let (Some(left), Some(right)) = (self.tensors.get(left), self.tensors.get(right)) else {
            return Ok(false);
        };
        let like = |place| {
            self.entry(place)
                .map(|entry| (entry.dtype(), entry.shape()))
        };
        if like(left) != like(right) {
            return Ok(false);
        }
        let bytes = |place: &Place| {
            let mut bytes = Vec::new();
            let checkpoint = &self.sources[place.source].checkpoint;
            checkpoint.read(&place.in_file, &mut bytes).map(|()| bytes)
        };
        Ok(bytes(left)? == bytes(right)?)
    }

    /// The tensor `name`, which must have this shape, in the type it is stored in, on the CPU. None where it does not
    /// fit, or where an earlier one did not, since then nothing will be loaded: see [`Store::finish`].
    ///
    /// # Errors
    /// Its file cannot be read, or too much does not fit to go on.
    pub(crate) fn take(&mut self, name: &str, shape: &[i64]) -> Result<Option<Tensor>, ModelError> {
        let taken = self.tensors.remove(name);
        if let Some(mismatch) = self.mismatch(name, taken.as_ref(), shape) {
            self.mismatches.push(mismatch);
            if self.mismatches.len() >= MAX_MISFITS {
                return Err(self.refusal());
            }
        }
        match taken {
            Some(place) if self.mismatches.is_empty() => self.read(&place).map(Some),
            _ => Ok(None),
        }
    }

    /// What would be refused if all of `called` were taken and nothing else; nothing is read. The tensor `spare` may be
    /// there as well.
    pub(crate) fn unfit(&self, called: &[TensorSpec], spare: Option<&str>) -> Vec<Mismatch> {
        let mut others: BTreeSet<&str> = self.tensors.keys().map(String::as_str).collect();
        let mut mismatches = Vec::new();
        for tensor in called {
            others.remove(tensor.name.as_str());
            let place = self.tensors.get(&tensor.name);
            mismatches.extend(self.mismatch(&tensor.name, place, &tensor.shape));
            if mismatches.len() >= MAX_MISFITS {
                return mismatches;
            }
        }
        others.retain(|name| Some(*name) != spare);
        mismatches.extend(
            others
                .into_iter()
                .map(|name| self.extra(&self.tensors[name])),
        );
        mismatches
    }

    /// The header of each tensor, and the file that it is in.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &Entry, PathBuf)> {
        self.tensors.iter().filter_map(|(name, place)| {
            let file = file_of(&self.sources[place.source].checkpoint, &place.in_file);
            Some((name.as_str(), self.entry(place)?, file))
        })
    }

    fn extra(&self, place: &Place) -> Mismatch {
        Mismatch::Extra {
            path: file_of(&self.sources[place.source].checkpoint, &place.in_file),
            name: place.in_file.clone(),
        }
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// Tensors were missing, did not fit or were not taken; all of them are named.
    pub(crate) fn finish(mut self) -> Result<(), ModelError> {
        for place in std::mem::take(&mut self.tensors).into_values() {
            self.mismatches.push(self.extra(&place));
        }
        if self.mismatches.is_empty() {
            Ok(())
        } else {
            Err(self.refusal())
        }
    }

    fn refusal(&mut self) -> ModelError {
        ModelError::Mismatches(Mismatches(std::mem::take(&mut self.mismatches)))
    }

    /// Why a tensor cannot be taken.
    fn mismatch(&self, name: &str, place: Option<&Place>, shape: &[i64]) -> Option<Mismatch> {
        let Some(place) = place else {
            let (path, name) = self.expected(name);
            return Some(Mismatch::Missing { path, name });
        };
        let entry = self.entry(place)?;
        let path = || file_of(&self.sources[place.source].checkpoint, &place.in_file);
        if kind(entry.dtype()).is_none() {
            return Some(Mismatch::Kind {
                path: path(),
                name: place.in_file.clone(),
                found: entry.dtype(),
            });
        }
        let same = entry.shape().len() == shape.len()
            && entry
                .shape()
                .iter()
                .zip(shape)
                .all(|(&found, &expected)| u64::try_from(expected) == Ok(found));
        (!same).then(|| Mismatch::Shape {
            path: path(),
            name: place.in_file.clone(),
            found: entry.shape().to_vec(),
            expected: shape.to_vec(),
        })
    }

    /// Where a tensor that is missing would be looked for, and what it would be called there: in the last source that
    /// has names for it, because a tower of its own was added last.
    fn expected(&self, name: &str) -> (PathBuf, String) {
        let spelled = self.sources.iter().rev().map(|source| {
            let present: Vec<_> = source
                .checkpoint
                .iter()
                .map(|(in_file, _)| in_file)
                .collect();
            let in_file = source.names.in_file(name, &present);
            (source.checkpoint.path().to_owned(), in_file)
        });
        let known = spelled.clone().find(|(_, in_file)| in_file != name);
        known.unwrap_or_else(|| (self.path.clone(), name.to_owned()))
    }

    fn entry(&self, place: &Place) -> Option<&Entry> {
        self.sources[place.source].checkpoint.get(&place.in_file)
    }

    fn read(&self, place: &Place) -> Result<Tensor, ModelError> {
        read(&self.sources[place.source].checkpoint, &place.in_file)
    }
}

/// The tensor that a checkpoint calls `in_file`, in the type it is stored in, on the CPU. All weights of all files are
/// read here, and each is known to be finite afterwards.
///
/// # Errors
/// It is not there, no floating-point number or not finite, its file cannot be read, or there is no memory for it.
pub(crate) fn read(checkpoint: &Checkpoint, in_file: &str) -> Result<Tensor, ModelError> {
    let refuse = |problem: String, remedy| ModelError::TensorFile {
        path: file_of(checkpoint, in_file),
        problem: format!("tensor `{in_file}`: {problem}"),
        remedy,
    };
    let entry = checkpoint.get(in_file);
    let Some((entry, kind)) = entry.and_then(|entry| Some((entry, kind(entry.dtype())?))) else {
        let problem = "is no floating-point tensor of this file".to_owned();
        return Err(refuse(problem, "export the file again"));
    };
    let shape: Vec<i64> = entry.shape().iter().map(|&n| n as i64).collect();
    let fill = |bytes: &mut [u8]| {
        checkpoint.read_into(in_file, bytes)?;
        let found = NonFinite::count(entry.dtype(), bytes);
        if found.is_none() {
            return Ok(());
        }
        Err(ModelError::NotFinite {
            path: file_of(checkpoint, in_file),
            name: in_file.to_owned(),
            found,
            n_values: entry.n_bytes() / entry.dtype().n_bytes(),
        })
    };
    let filled = candor_torch_ext::filled(&shape, kind, fill);
    let remedy = "free memory, or open the model in fewer bits";
    filled.map_err(|error| refuse(error.to_string(), remedy))?
}

fn file_of(checkpoint: &Checkpoint, in_file: &str) -> PathBuf {
    let file = checkpoint.file_of(in_file);
    file.unwrap_or(checkpoint.path()).to_owned()
}

/// The floating types; weights are nothing else.
pub(crate) fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        _ => return None,
    })
}
