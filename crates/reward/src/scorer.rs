//! A trained reward model as a folder, and scores of responses.
//!
//! The folder holds all that a score depends on but the base: the adapter (PEFT), the head, the prompt, and in
//! `reward_model.json` how facts are put into it. The base is named there with a fingerprint, because an adapter
//! on another base would score without complaint.

mod description;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_data::rows::RowFault;
use candor_data::{FactBook, sha256};
use candor_model::sample::SampleRules;
use candor_model::shared::SharedPrefix;
use candor_model::{Adapter, Bundle, ImageFeatures, ModelFolder, Quantization, ScalarHead, hub};
use candor_run::Ranks;
use candor_train::fingerprint;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use self::description::{DESCRIPTION, Description, book_of};
use crate::RewardError;
use crate::prompt::RewardPrompt;
use crate::room::advised;
use crate::scores::Scorer;
pub use crate::wording::Judged;
use crate::wording::{CaptionOrder, Wording};

pub(crate) const ADAPTER: &str = "adapter";
pub(crate) const HEAD: &str = "reward_head.safetensors";
const PROMPT: &str = "prompt.txt";

/// A reward model without its base.
#[derive(Debug)]
pub struct RewardModel {
    /// On the decoder of the base.
    pub adapter: Adapter,
    /// From a hidden state to the score.
    pub head: ScalarHead,
    /// How a response is put before the model.
    pub wording: Wording,
    /// Mean score of the held-out responses.
    pub score_mean: f64,
    /// Standard deviation of the scores of the held-out responses.
    pub score_std: f64,
    /// Longest sequence it was trained on; a longer one is refused.
    pub max_tokens: usize,
    /// What it was trained on.
    pub base: Base,
    /// Whether it learned from rated answers, each good or bad by itself, and not from comparisons.
    pub rated: bool,
    fingerprint: String,
}

/// The base of a reward model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its folder, as the recipe named it.
    pub folder: PathBuf,
    /// Of its norms and biases. Any training of a base moves them, and they are a small part of it, so that they can
    /// be compared each time a reward model is opened.
    pub fingerprint: String,
    /// What it computes in; `bf16` for packed bases too.
    #[serde(default = "f32_name", skip_serializing_if = "is_f32")]
    pub arithmetic: String,
    /// Pixels that its images have, where it sees them near their own size. Runs from before bounds could be given have none:
    /// theirs were those of the folder.
    #[serde(default, skip_serializing_if = "PixelBounds::is_none")]
    pub pixels: PixelBounds,
}

fn f32_name() -> String {
    "f32".to_owned()
}

fn is_f32(arithmetic: &str) -> bool {
    arithmetic == "f32"
}

/// The name of what a base computes in.
fn arithmetic(kind: Kind) -> String {
    match kind {
        Kind::Float => f32_name(),
        Kind::BFloat16 => "bf16".to_owned(),
        other => format!("{other:?}"),
    }
}

impl Base {
    /// Names a base and takes its fingerprint.
    #[must_use]
    pub fn of(folder: &Path, bundle: &Bundle) -> Self {
        let vectors: BTreeMap<String, Tensor> = bundle
            .model
            .parameters()
            .iter()
            .filter(|(name, tensor)| tensor.dim() <= 1 && !Quantization::is_part(name))
            .map(|(name, tensor)| (name.clone(), tensor.to_kind(Kind::Float)))
            .collect();
        Self {
            folder: folder.to_owned(),
            fingerprint: fingerprint::of_values(vectors.iter()),
            arithmetic: arithmetic(bundle.model.kind()),
            pixels: PixelBounds::of(&bundle.processor),
        }
    }

    /// Whether it computed in the training as it does now; `folder` is the reward model's.
    fn check_arithmetic(&self, folder: &Path, now: &str) -> Result<(), RewardError> {
        if now == self.arithmetic {
            return Ok(());
        }
        Err(RewardError::Unfit {
            path: folder.join(DESCRIPTION),
            problem: format!(
                "it was trained on a base in {}, and here the base is in {now}",
                self.arithmetic
            ),
            remedy: "set the same model.base_precision for both stages (\"bf16\", \"int8\" and \"nf4\" all compute in bf16)",
        })
    }

    /// Its folder, as a reward model in `folder` finds it.
    fn path(&self, folder: &Path) -> Result<PathBuf, RewardError> {
        let remedy = format!(
            "{} names it as the base it was trained on; put it beside the reward model, or correct the path there",
            folder.join(DESCRIPTION).display()
        );
        Ok(hub::find_near(&self.folder, folder, remedy)?)
    }

    /// The model there, which sees images within the bounds of the training.
    fn find(&self, folder: &Path) -> Result<ModelFolder, RewardError> {
        Ok(ModelFolder::find(&self.path(folder)?)?.with_pixels(self.pixels))
    }
}

impl RewardModel {
    /// Opens a folder that [`crate::run()`] wrote, for the base that `bundle` holds.
    ///
    /// # Errors
    /// A file is missing or damaged, or the model was trained on another base.
    pub fn open(folder: &Path, bundle: &Bundle) -> Result<Self, RewardError> {
        let description = Description::read(folder)?;
        let base = description.base;
        let mut now = Base::of(&base.folder, bundle);
        let then = if base.pixels.is_none() && !now.pixels.is_none() {
            PixelBounds::of(&base.find(folder)?.processor()?)
        } else {
            base.pixels
        };
        if now.pixels != then {
            return Err(RewardError::Unfit {
                path: folder.join(DESCRIPTION),
                problem: format!(
                    "it was trained on images of {then}, and here they have {}",
                    now.pixels
                ),
                remedy: "set model.min_pixels and model.max_pixels as they were then",
            });
        }
        now.pixels = base.pixels;
        base.check_arithmetic(folder, &now.arithmetic)?;
        if now != base {
            return Err(RewardError::Unfit {
                path: folder.join(DESCRIPTION),
                problem: format!(
                    "it was trained on another base than it is used with (on {}, as that was then)",
                    base.folder.display()
                ),
                remedy: "use it with the base it was trained on, or train it again",
            });
        }
        let wording = Wording {
            prompt: RewardPrompt::open(&folder.join(PROMPT))?,
            bullet: description.bullet,
            caption_order: match description.caption_shuffle_seed {
                None => CaptionOrder::File,
                Some(seed) => CaptionOrder::Shuffled { seed },
            },
            pooling: description.pooling,
        };
        Ok(Self::new(
            Adapter::open(&folder.join(ADAPTER), &bundle.model)?,
            ScalarHead::open(&folder.join(HEAD), &bundle.model)?,
            wording,
            base,
            description.max_tokens,
            [description.score_mean, description.score_std],
            description.rated,
        ))
    }

    /// A reward model of its parts; `scale` is the mean and the standard deviation of the held-out scores.
    pub(crate) fn new(
        adapter: Adapter,
        head: ScalarHead,
        wording: Wording,
        base: Base,
        max_tokens: usize,
        scale: [f64; 2],
        rated: bool,
    ) -> Self {
        let of_head: BTreeMap<&String, &Tensor> =
            head.parameters().iter().map(|(n, t)| (n, t)).collect();
        let tensors = fingerprint::of_tensors(adapter.parameters().iter().chain(of_head));
        let config = adapter.config();
        let (alpha, root) = (config.lora_alpha, config.use_rslora);
        let patterns = match &config.alpha_pattern {
            none if none.is_empty() => String::new(),
            patterns => format!(" {patterns:?}"),
        };
        let settings = format!("{alpha} {root} {wording:?} {max_tokens} {scale:?}{patterns}");
        let [score_mean, score_std] = scale;
        Self {
            fingerprint: sha256::of_bytes([tensors.into_bytes(), settings.into_bytes()]),
            adapter,
            head,
            wording,
            score_mean,
            score_std,
            max_tokens,
            base,
            rated,
        }
    }

    /// The files of a folder that decide its scores, as far as they are its own.
    #[must_use]
    pub fn files(folder: &Path) -> [PathBuf; 5] {
        let adapter = folder.join(ADAPTER);
        [
            folder.join(DESCRIPTION),
            folder.join(HEAD),
            folder.join(PROMPT),
            adapter.join("adapter_model.safetensors"),
            adapter.join("adapter_config.json"),
        ]
    }

    /// Writes the folder's files.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), RewardError> {
        self.adapter.save(&folder.join(ADAPTER))?;
        self.head.save(&folder.join(HEAD))?;
        let prompt = self.wording.prompt.text();
        candor_data::atomic::write(&folder.join(PROMPT), prompt.as_bytes())?;
        let description = Description {
            base: self.base.clone(),
            bullet: self.wording.bullet.clone(),
            caption_shuffle_seed: match self.wording.caption_order {
                CaptionOrder::File => None,
                CaptionOrder::Shuffled { seed } => Some(seed),
            },
            pooling: self.wording.pooling,
            max_tokens: self.max_tokens,
            score_mean: self.score_mean,
            score_std: self.score_std,
            rated: self.rated,
        };
        description.write(folder)
    }

    /// The folder of the base that a reward model was trained on: where its recipe named it, or around the reward model
    /// ([`hub::find_near`]).
    ///
    /// # Errors
    /// The folder holds no reward model, or its base is not found.
    pub fn base_path(folder: &Path) -> Result<PathBuf, RewardError> {
        Description::read(folder)?.base.path(folder)
    }

    /// That base, which sees images within the bounds of the training.
    ///
    /// # Errors
    /// As [`RewardModel::base_path`], or what is there is no model.
    pub fn base(folder: &Path) -> Result<ModelFolder, RewardError> {
        Description::read(folder)?.base.find(folder)
    }

    /// Bounds that were recorded of the images that a reward model was trained on; none where its base sees all alike, or where
    /// it is from before they were recorded and its base sees as its folder says.
    ///
    /// # Errors
    /// The folder holds no reward model.
    pub fn pixels(folder: &Path) -> Result<PixelBounds, RewardError> {
        Ok(Description::read(folder)?.base.pixels)
    }

    /// A fingerprint of all that scores depend on but the base.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// Whether the facts are shown to it.
    #[must_use]
    pub fn with_facts(&self) -> bool {
        self.wording.prompt.with_facts()
    }

    /// The facts that it is shown, of a file that may be named; `folder` is its own, for messages.
    ///
    /// # Errors
    /// It is shown facts and no file is named, or the file is damaged.
    pub(crate) fn book(&self, folder: &Path, file: Option<&Path>) -> Result<FactBook, RewardError> {
        Ok(book_of(&self.wording.prompt, folder, file)?.unwrap_or_default())
    }

    /// Whether it can score every response of at most `max_new_tokens` tokens to a prompt: `item` is the prompt with an empty
    /// response, and `rules` are those of its base, whose own `max_tokens` does not count here.
    ///
    /// # Errors
    /// The longest response would not fit, the prompt shows facts and there are none, or the conversation is none that it reads.
    pub fn check_room(
        &self,
        item: Judged<'_>,
        rules: SampleRules<'_>,
        max_new_tokens: usize,
    ) -> Result<(), RowFault> {
        let max_tokens = self.max_tokens;
        let rules = SampleRules {
            max_tokens,
            ..rules
        };
        self.wording.check_room(item, rules, max_new_tokens)
    }

    /// The raw score of every response, in the order of `items`, read where the wording says. `features` holds the images as the base's tower sees them.
    ///
    /// Equal calls give equal scores; the last bits may depend on which responses share a pass, of at most
    /// `batch_rows`. The passes are shared out to `ranks`.
    ///
    /// # Errors
    /// A response does not fit the model, lacks facts that the prompt shows, or an image was never encoded; or a
    /// score is not a number.
    pub fn score(
        &self,
        bundle: &Bundle,
        features: &ImageFeatures,
        items: &[Judged<'_>],
        batch_rows: usize,
        ranks: &Ranks,
    ) -> Result<Vec<f64>, RewardError> {
        let rules = bundle.rules(self.max_tokens, features);
        // All rows before the first error is looked for, so that it is the same on any number of threads.
        let wording = &self.wording;
        let sequences: Vec<Result<SharedPrefix, RewardError>> = items
            .par_iter()
            .map(|item| {
                let worded = wording.put(*item, item.id, rules).map_err(advised)?;
                let image = item.conversation.image.clone();
                Ok(SharedPrefix::of(item.id, &[worded.read_at()], image)?)
            })
            .collect();
        let sequences = sequences.into_iter().collect::<Result<Vec<_>, _>>()?;
        let judge = Scorer {
            bundle,
            adapter: &self.adapter,
            head: &self.head,
            features,
        };
        let sequences: Vec<&SharedPrefix> = sequences.iter().collect();
        let scores = judge.scores(&sequences, batch_rows, ranks)?.concat();
        let bad = items
            .iter()
            .zip(&scores)
            .find(|(_, score)| !score.is_finite());
        match bad {
            None => Ok(scores),
            Some((item, &score)) => Err(RewardError::NotFinite {
                row: item.id.to_owned(),
                score,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The folder of a Qwen2.5-VL has its own bounds, which are written out here.
    #[test]
    fn a_base_of_which_no_bounds_were_recorded_sees_as_its_folder_says() {
        let dir = tempfile::tempdir().unwrap();
        let qwen = Path::new(env!("CARGO_MANIFEST_DIR"));
        let qwen = qwen.join("../model/tests/golden/qwen/folders/published");
        for name in ["config.json", "preprocessor_config.json"] {
            fs::copy(qwen.join(name), dir.path().join(name)).unwrap();
        }
        let reward = dir.path().join("reward");
        fs::create_dir(&reward).unwrap();
        for (recorded, [min, max]) in [
            (serde_json::json!({}), [3136, 12_845_056]),
            (serde_json::json!({"min": 4000, "max": 6272}), [4000, 6272]),
        ] {
            let description = serde_json::json!({
                "base": {"folder": dir.path(), "fingerprint": "x", "pixels": recorded}, "bullet": "- ",
                "caption_shuffle_seed": null, "pooling": "last_token", "max_tokens": 9, "score_mean": 0.0, "score_std": 1.0,
            });
            fs::write(reward.join(DESCRIPTION), description.to_string()).unwrap();
            let expected = PixelBounds {
                min: Some(min),
                max: Some(max),
            };
            let base = RewardModel::base(&reward).unwrap();
            assert_eq!(PixelBounds::of(&base.processor().unwrap()), expected);
        }
    }

    #[test]
    fn a_base_is_found_from_another_folder_than_that_of_the_training() {
        let dir = tempfile::tempdir().unwrap();
        let reward = dir.path().join("runs/demo/reward");
        let base = dir.path().join("runs/demo/sft/model");
        fs::create_dir_all(&reward).unwrap();
        let description = serde_json::json!({
            "base": {"folder": "runs/demo/sft/model", "fingerprint": "x"}, "bullet": "- ",
            "caption_shuffle_seed": null, "pooling": "last_token", "max_tokens": 9, "score_mean": 0.0, "score_std": 1.0,
        });
        fs::write(reward.join(DESCRIPTION), description.to_string()).unwrap();
        let message = RewardModel::base_path(&reward).unwrap_err().to_string();
        for words in [
            "runs/demo/sft/model: no such model",
            DESCRIPTION,
            "demo/model",
        ] {
            assert!(message.contains(words), "{words}: {message}");
        }
        fs::create_dir_all(&base).unwrap();
        fs::write(base.join("config.json"), "{}").unwrap();
        let found = RewardModel::base_path(&reward).unwrap();
        assert_eq!(found, base.canonicalize().unwrap());
    }
}
