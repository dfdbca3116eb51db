//! Conversations that nothing is trained on: what the model makes of them along the way, source by source.
//!
//! Nothing random is drawn and no weight is changed, so that a run has the same updates whether and however often it looks.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use candor_data::DataError;
use candor_data::rows::{Look, OnBadRow, ShownImages, Sieve};
use candor_model::sample::{Batch, Sample, SampleRules};
use candor_model::{Adapter, Bundle, ImageFeatures, ModelError};
use candor_run::Ranks;
use candor_train::{TrainError, inference};
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::SftError;
use crate::loss::cross_entropy_of;
use crate::recipe::{EvaluationRecipe, SftRecipe};
use crate::tokenised::{Keeping, Tokenised};

/// What the model makes of held-out conversations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeldOutFigures {
    /// Cross-entropy per token that would be trained on, in nats.
    pub loss: f64,
    /// Share of these tokens that the model holds for the likeliest.
    pub accuracy: f64,
}

impl HeldOutFigures {
    fn of([loss, right, n]: [f64; 3]) -> Self {
        Self {
            loss: loss / n.max(1.0),
            accuracy: right / n.max(1.0),
        }
    }
}

/// What was found at a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// Of all tokens of all sources.
    pub all: HeldOutFigures,
    /// By source.
    pub by_source: BTreeMap<String, HeldOutFigures>,
}

/// The held-out conversations, tokenised.
#[derive(Debug)]
pub(crate) struct HeldOut {
    names: Vec<String>,
    rows: Tokenised,
    /// The rows of each source, the longest first: conversations of a pass have nearly one length.
    order: Vec<Vec<usize>>,
    /// Conversations of a pass.
    pass_rows: usize,
    /// Steps between two looks.
    every: u64,
}

impl HeldOut {
    /// Reads and tokenises the conversations; `pass_rows` of them are read together, and `keeping` is as in [`Tokenised::read`].
    ///
    /// # Errors
    /// A file is missing or damaged, or a row cannot be used: the figure of a part would not be the figure.
    pub(crate) fn read(
        recipe: &SftRecipe,
        evaluation: &EvaluationRecipe,
        rules: SampleRules<'_>,
        look: Look,
        pass_rows: usize,
        keeping: Option<Keeping<'_>>,
    ) -> Result<Self, SftError> {
        let sieve = Sieve {
            on_bad_row: OnBadRow::Stop,
            look,
            images: &recipe.images,
            // They are never skipped.
            remedy: None,
        };
        let seed = recipe.session.seed;
        let rows = Tokenised::read(&evaluation.sources, seed, rules, &sieve, keeping)?;
        let longest_first = |of_source: &Range<usize>| {
            let mut of_source: Vec<usize> = of_source.clone().collect();
            of_source.sort_by_key(|&row| Reverse(rows.n_tokens(row)));
            of_source
        };
        let order = rows.sources.iter().map(longest_first).collect();
        let names = evaluation.sources.iter();
        Ok(Self {
            names: names.map(|source| source.name.clone()).collect(),
            rows,
            order,
            pass_rows,
            every: evaluation.every,
        })
    }

    /// Whether they are looked at after so many of all steps.
    #[must_use]
    pub(crate) fn is_due(&self, done: u64, n_steps: u64) -> bool {
        done.is_multiple_of(self.every) || done == n_steps
    }

    /// A fingerprint of the tokenised conversations.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn fingerprint(&self) -> Result<String, DataError> {
        let names = self.names.join("\n");
        let rows = self.order.iter().flatten().copied();
        self.rows.fingerprint(names.as_bytes(), rows)
    }

    /// Images of all conversations.
    #[must_use]
    pub(crate) fn images(&self) -> &ShownImages {
        &self.rows.images
    }

    /// Tokens of the longest conversation.
    #[must_use]
    pub(crate) fn longest(&self) -> usize {
        // Each source begins with its longest.
        let firsts = self.order.iter().filter_map(|rows| rows.first());
        firsts
            .map(|&row| self.rows.n_tokens(row))
            .max()
            .unwrap_or(0)
    }

    /// Conversations.
    #[must_use]
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// What the model as it is makes of the conversations. The passes are shared out to `ranks`.
    ///
    /// # Errors
    /// Another rank has ended or hangs, or the disk fails.
    pub(crate) fn measure(
        &self,
        bundle: &Bundle,
        adapter: Option<&Adapter>,
        features: &ImageFeatures,
        ranks: &Ranks,
    ) -> Result<Measured, SftError> {
        let passes: Vec<(usize, &[usize])> = self
            .order
            .iter()
            .enumerate()
            .flat_map(|(source, rows)| {
                let passes = rows.chunks(self.pass_rows.max(1));
                passes.map(move |pass| (source, pass))
            })
            .collect();
        let found = ranks.share_numbers(passes.len(), |number| {
            let rows = passes[number].1.iter();
            let samples: Result<Vec<Sample>, DataError> =
                rows.map(|&row| self.rows.sample(row)).collect();
            let samples = samples.map_err(ModelError::from)?;
            let samples: Vec<&Sample> = samples.iter().collect();
            let sums = pass(bundle, adapter, features, &samples);
            Ok::<_, TrainError>(sums.to_vec())
        })?;
        let mut sums = vec![[0.0; 3]; self.names.len()];
        for ((source, _), found) in passes.iter().zip(found) {
            for (sum, found) in sums[*source].iter_mut().zip(found) {
                *sum += found;
            }
        }
        let mut all = [0.0; 3];
        for source in &sums {
            for (all, of_source) in all.iter_mut().zip(source) {
                *all += of_source;
            }
        }
        let named = self
            .names
            .iter()
            .cloned()
            .zip(sums.into_iter().map(HeldOutFigures::of));
        Ok(Measured {
            all: HeldOutFigures::of(all),
            by_source: named.collect(),
        })
    }
}

/// Summed cross-entropy of the targets, how many of them are the likeliest token, and how many there are.
fn pass(
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    features: &ImageFeatures,
    samples: &[&Sample],
) -> [f64; 3] {
    inference(|| {
        let model = &bundle.model;
        let batch = Batch::new(samples, bundle.tokenizer.pad, model.device());
        let images = features.of(samples.iter().filter_map(|sample| sample.image.as_deref()));
        let embedded = model.embed(&batch.ids, images.as_ref(), adapter);
        let hidden = model.hidden(&embedded, adapter);
        let logits = model.decoder().logits(&batch.at_positions(&hidden));
        let logits = logits.to_kind(Kind::Float);
        let likeliest = logits.argmax(-1, false);
        let right = likeliest.eq_tensor(&batch.targets).sum(Kind::Double);
        let loss = cross_entropy_of(&logits, &batch.targets).to_kind(Kind::Double);
        let both = Tensor::stack(&[loss, right], 0).to_device(tch::Device::Cpu);
        let n = batch.targets.numel() as f64;
        [both.double_value(&[0]), both.double_value(&[1]), n]
    })
}
