//! Which tensors are written, and how each is made when its turn comes.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor};

use super::reading::Reading;
use super::{Export, Exported, TOWER, shards};
use crate::llama::decoder::{EMBEDDING, HEAD};
use crate::names::{CLIP, ORIGINAL};
use crate::peft::{PeftFolder, Term};
use crate::store::Store;
use crate::tensor_file::Promise;
use crate::{CheckpointFormat, ModelConfig, ModelError};

/// Type and shape by candor's names.
type Stored = BTreeMap<String, (Kind, Vec<i64>)>;

/// All tensors of the model that is written, by candor's names.
pub(super) struct Tensors<'a> {
    store: Store,
    peft: Option<&'a PeftFolder>,
    config: ModelConfig,
    /// Whether embedding and output layer are one matrix in the base.
    tied: bool,
    /// Where that matrix is read a second time, if the adapter parts them.
    again: Option<Store>,
    /// What each will be.
    promises: BTreeMap<String, Promise>,
    /// Rows that embedding and output layer get at their ends.
    n_new_rows: i64,
}

impl<'a> Tensors<'a> {
    /// Reads headers only.
    pub(super) fn new(
        export: &Export,
        reading: &Reading,
        peft: Option<&'a PeftFolder>,
    ) -> Result<Self, ModelError> {
        let mut config = reading.config().clone();
        let mut store = export.model.store()?;
        crate::vlm::settle_head(&mut config, &mut store)?;
        let tied = config.tied();
        let stored = store.iter();
        let mut stored: Stored = stored
            .map(|(name, kind, size)| (name.to_owned(), (kind, size)))
            .collect();
        if let Some(peft) = peft {
            check_adapter(peft, &mut config, &mut stored)?;
        }
        let again = (tied && !config.tied()).then(|| export.model.store());
        // Hugging Face's code looks the placeholder's embedding up before it puts features in its place.
        let n_new_rows = match export.checkpoint_format {
            CheckpointFormat::HuggingFace => {
                (config.image_token() + 1 - config.text().vocab_size).max(0)
            }
            CheckpointFormat::Original => 0,
        };
        config.add_rows(n_new_rows);
        let promise = |(name, (kind, mut size)): (String, (Kind, Vec<i64>))| {
            if name == EMBEDDING || name == HEAD {
                size[0] += n_new_rows;
            }
            let kind = export.kind.unwrap_or(kind);
            (name.clone(), Promise { name, kind, size })
        };
        Ok(Self {
            store,
            peft,
            config,
            tied,
            again: again.transpose()?,
            promises: stored.into_iter().map(promise).collect(),
            n_new_rows,
        })
    }

    /// What the written model is.
    pub(super) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Rows that embedding and output layer get at their ends.
    pub(super) fn n_new_rows(&self) -> i64 {
        self.n_new_rows
    }

    /// The type of the decoder's weights.
    pub(super) fn kind(&self) -> Kind {
        let of_decoder = self.promises.get(EMBEDDING);
        of_decoder.map_or(Kind::Float, |promise| promise.kind)
    }

    /// The type of all tensors, if they have one.
    pub(super) fn only_kind(&self) -> Option<Kind> {
        let kind = self.kind();
        let same = self.promises.values().all(|promise| promise.kind == kind);
        same.then_some(kind)
    }

    /// Writes them in the files of a format.
    pub(super) fn write(
        &mut self,
        checkpoint_format: CheckpointFormat,
        folder: &Path,
    ) -> Result<Exported, ModelError> {
        let promises: Vec<Promise> = self.promises.values().cloned().collect();
        match checkpoint_format {
            CheckpointFormat::HuggingFace => {
                let names = self.config.names();
                let renamed = promises.into_iter().map(|promise| {
                    let here = promise.name;
                    let name = names.written(&here);
                    (here, Promise { name, ..promise })
                });
                self.write_shards(folder, renamed.collect())
            }
            CheckpointFormat::Original => {
                let is_tower = |promise: &Promise| promise.name.starts_with("vision_tower.");
                let (tower, rest) = promises.into_iter().partition::<Vec<_>, _>(is_tower);
                let renamed = |names: &crate::names::Names, promises: Vec<Promise>| {
                    let renamed = promises.into_iter().map(|promise| {
                        let here = promise.name;
                        let name = names.in_file(&here, &[]);
                        (here, Promise { name, ..promise })
                    });
                    renamed.collect()
                };
                let tower = self.write_shards(&folder.join(TOWER), renamed(&CLIP, tower))?;
                let rest = self.write_shards(folder, renamed(&ORIGINAL, rest))?;
                Ok(Exported {
                    n_tensors: tower.n_tensors + rest.n_tensors,
                    n_files: tower.n_files + rest.n_files,
                    n_bytes: tower.n_bytes + rest.n_bytes,
                    difference: None,
                })
            }
        }
    }

    /// Writes tensors by candor's names, each with what it is called in the files.
    fn write_shards(
        &mut self,
        folder: &Path,
        named: Vec<(String, Promise)>,
    ) -> Result<Exported, ModelError> {
        let here: BTreeMap<String, String> = named
            .iter()
            .map(|(here, promise)| (promise.name.clone(), here.clone()))
            .collect();
        let promises = named.into_iter().map(|(_, promise)| promise).collect();
        shards::write(folder, promises, |in_file| self.make(&here[in_file]))
    }

    /// The tensor `name`, read, merged and rounded.
    fn make(&mut self, name: &str) -> Result<Tensor, ModelError> {
        let whole = self.peft.map(|peft| peft.whole_tensor(name, self.tied));
        let read = match whole.transpose()?.flatten() {
            Some(whole) => whole,
            None => self.of_base(name)?,
        };
        let mut tensor = read.shallow_clone();
        let layer = name.strip_suffix(".weight");
        if let Some(peft) = self.peft
            && let Some(term) = layer.and_then(|layer| peft.terms().get(layer))
        {
            tensor = merged(&tensor, term, &peft.halves(term)?);
        }
        if name == EMBEDDING || name == HEAD {
            tensor = with_rows(&tensor, self.n_new_rows);
        }
        let promise = &self.promises[name];
        let made = tensor.to_kind(promise.kind);
        // What was only read is known to be finite, sums and narrower types may not be.
        if made.data_ptr() != read.data_ptr() && !super::is_finite(&made) {
            return Err(ModelError::MadeNotFinite {
                path: self.store.path().to_owned(),
                name: name.to_owned(),
                kind: promise.kind,
            });
        }
        Ok(made)
    }

    /// The base's own tensor `name`.
    fn of_base(&mut self, name: &str) -> Result<Tensor, ModelError> {
        let is_one = self.tied && (name == EMBEDDING || name == HEAD);
        match self.again.take() {
            Some(mut again) if is_one => again.take_any(EMBEDDING),
            again => {
                self.again = again;
                let name = if is_one { EMBEDDING } else { name };
                self.store.take_any(name)
            }
        }
    }
}

/// Whether everything that the adapter changes is there to be changed. Embedding and output layer are parted where it
/// changes either.
fn check_adapter(
    peft: &PeftFolder,
    config: &mut ModelConfig,
    stored: &mut Stored,
) -> Result<(), ModelError> {
    let tied = config.tied();
    if tied && let Some(like) = stored.get(EMBEDDING).cloned() {
        stored.insert(HEAD.to_owned(), like);
    }
    let shapes = stored.iter();
    let shapes = shapes.map(|(name, (_, shape))| (name.clone(), shape.clone()));
    peft.check(&shapes.collect(), tied)?;
    if tied {
        if peft.stands_beside(EMBEDDING) || peft.stands_beside(HEAD) {
            config.untie();
        } else {
            stored.remove(HEAD);
        }
    }
    Ok(())
}

/// `W + s · B A`.
///
/// # Shapes
/// `weight`: `[n_out, ..]` of `n_in` numbers a row, A: `[r, n_in]`, B: `[n_out, r]` → as `weight`, f32 or wider.
pub(super) fn merged(weight: &Tensor, term: &Term, [a, b]: &[Tensor; 2]) -> Tensor {
    let kind = if weight.kind() == Kind::Double {
        Kind::Double
    } else {
        Kind::Float
    };
    let change = b.to_kind(kind).matmul(&a.to_kind(kind)) * term.scale;
    weight.to_kind(kind) + change.view_as(weight)
}

/// A table with `n` more rows, each the mean of those that are there: an output layer then never prefers them, because
/// the mean of all logits is not the largest.
///
/// # Shapes
/// `[rows, width]` → `[rows + n, width]`.
fn with_rows(table: &Tensor, n: i64) -> Tensor {
    if n == 0 {
        return table.shallow_clone();
    }
    let mean = table
        .to_kind(Kind::Float)
        .mean_dim([0].as_slice(), true, Kind::Float);
    let rows = mean.to_kind(table.kind()).expand([n, -1], false);
    Tensor::cat(&[table, &rows], 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_rows_are_means() {
        let table = Tensor::from_slice2(&[[1_f32, 2.0], [3.0, 6.0]]);
        let grown = with_rows(&table, 2);
        let expected = Tensor::from_slice2(&[[1_f32, 2.0], [3.0, 6.0], [2.0, 4.0], [2.0, 4.0]]);
        assert_eq!(grown, expected);
        assert_eq!(with_rows(&table, 0), table);
    }
}
