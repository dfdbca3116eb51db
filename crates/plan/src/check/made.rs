//! What recipes start from, whether it is there already or an earlier recipe is to write it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_eval::training_suite::SuiteRecipe;
use candor_model::{
    LoraConfig, ModelConfig, ModelError, ModelFolder, Reading, TARGETS, hub, peft, published,
};
use candor_reward::RewardModel;
use serde::Deserialize;

use crate::PlanError;

/// The rank that is assumed of an adapter of which nothing is known: the paper's.
const RANK: i64 = 64;

/// What is known of a model before it is opened.
#[derive(Debug)]
pub(crate) enum Known {
    /// It is here.
    Here(Box<Reading>),
    /// Only how large it is.
    Sizes {
        /// Its sizes.
        config: Box<ModelConfig>,
        /// How they are known.
        of: String,
        /// Bounds of its images.
        pixels: PixelBounds,
    },
}

impl Known {
    /// Its sizes.
    pub(crate) fn config(&self) -> &ModelConfig {
        match self {
            Self::Here(reading) => reading.config(),
            Self::Sizes { config, .. } => config,
        }
    }

    /// Bounds of its images, those of its folder where none were given. Where only its sizes are known, none stands for those.
    pub(crate) fn sees(&self) -> PixelBounds {
        match self {
            Self::Here(reading) => PixelBounds::of(&reading.processor),
            Self::Sizes { pixels, .. } => *pixels,
        }
    }
}

/// What earlier recipes would write.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// The model that each model is trained from.
    models: BTreeMap<PathBuf, PathBuf>,
    /// The published parts that a model is joined from.
    joined: BTreeMap<PathBuf, [String; 2]>,
    /// The base and the sizes of each adapter.
    adapters: BTreeMap<PathBuf, (PathBuf, LoraConfig)>,
    /// The reward models.
    rewards: BTreeMap<PathBuf, Judge>,
}

/// What a reward model is made of.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    /// Its base.
    pub base: PathBuf,
    /// Bounds of its images; none are those of its base.
    pub pixels: PixelBounds,
    /// Its adapter.
    pub lora: LoraConfig,
}

impl Made {
    /// A recipe writes a model that it trains from another.
    fn model(&mut self, folder: PathBuf, from: &Path) {
        self.models.insert(folder, from.to_owned());
    }

    /// A recipe says what its base is joined from.
    pub(crate) fn joined(&mut self, folder: &Path, parts: &[String; 2]) {
        self.joined.insert(folder.to_owned(), parts.clone());
    }

    /// A recipe writes an adapter.
    fn adapter(&mut self, folder: PathBuf, base: &Path, lora: &LoraConfig) {
        self.adapters
            .insert(folder, (base.to_owned(), lora.clone()));
    }

    /// A recipe writes what it trains from a model into the folder of its run, an adapter if it trains one, and beside it the weights
    /// of the best step where its suite keeps them.
    pub(crate) fn trained(
        &mut self,
        out: &Path,
        suite: Option<&SuiteRecipe>,
        base: &Path,
        lora: Option<&LoraConfig>,
    ) {
        let keeps_best = suite.is_some_and(|suite| suite.best.is_some());
        let best = keeps_best.then(|| out.join("best"));
        for folder in [Some(out), best.as_deref()].into_iter().flatten() {
            match lora {
                Some(lora) => self.adapter(folder.join("adapter"), base, lora),
                None => self.model(folder.join("model"), base),
            }
        }
    }

    /// A recipe writes a reward model.
    pub(crate) fn reward(&mut self, folder: PathBuf, judge: Judge) {
        self.rewards.insert(folder, judge);
    }

    /// The base of an adapter that is not here yet, if a recipe is to write one into this folder.
    fn base_of(&self, folder: &Path) -> Option<&Path> {
        let (base, _) = self.adapters.get(folder)?;
        hub::find(folder).is_err().then_some(base)
    }

    /// The model and the adapter that a stage opens that takes an adapter in the place of a model ([`peft::with_base`]).
    ///
    /// # Errors
    /// Two adapters are named, or the one that is here does not say where its base is.
    pub(crate) fn with_base(
        &self,
        model: &Path,
        adapter: Option<&Path>,
    ) -> Result<(PathBuf, Option<PathBuf>), PlanError> {
        match (self.base_of(model), adapter) {
            (Some(base), None) => Ok((base.to_owned(), Some(model.to_owned()))),
            (Some(base), Some(_)) => Err(alone(model, base).into()),
            (None, adapter) => Ok(peft::with_base(model, adapter)?),
        }
    }

    /// The model in a folder, or the one that it is to be trained from, or published sizes; none where nothing is known. Its
    /// images are within bounds.
    ///
    /// # Errors
    /// It is there and cannot be read, is an adapter, or sees all images alike where there are bounds.
    pub(crate) fn known(
        &self,
        folder: &Path,
        pixels: PixelBounds,
    ) -> Result<Option<Known>, PlanError> {
        if let Some(base) = self.base_of(folder) {
            return Err(alone(folder, base).into());
        }
        let mut folder = folder;
        // Each step leads to another folder, and no recipe starts from what it writes.
        for _ in 0..=self.models.len() {
            if hub::find(folder).is_ok() {
                let found = ModelFolder::find(folder)?.with_pixels(pixels);
                return Ok(Some(Known::Here(Box::new(Reading::of(found)?))));
            }
            match self.models.get(folder) {
                Some(from) => folder = from,
                None => break,
            }
        }
        let found = match self.joined.get(folder) {
            Some([decoder, tower]) => published::joined(decoder, tower).map(|config| {
                (
                    config,
                    format!("{decoder} and {tower}, which `candor join` puts together"),
                )
            }),
            None => published::whole(folder).map(|config| (config, folder.display().to_string())),
        };
        let Some((config, of)) = found else {
            return Ok(None);
        };
        if config.llava().is_some() && !pixels.is_none() {
            return Err(PlanError::Model(ModelError::Config {
                path: folder.to_owned(),
                problem: "is a LLaVA, whose images are brought to sizes of its own, so `min_pixels` and `max_pixels` bound nothing"
                    .to_owned(),
                remedy: "leave both out, or give bounds to a model that sees images near their own size, such as Qwen-VL",
            }));
        }
        let config = Box::new(config);
        Ok(Some(Known::Sizes { config, of, pixels }))
    }

    /// The sizes of an adapter, and whether they are an assumption.
    pub(crate) fn lora(&self, folder: &Path) -> (LoraConfig, bool) {
        if let Some(config) = written(folder) {
            return (config, false);
        }
        match self.adapters.get(folder) {
            Some((_, config)) => (config.clone(), false),
            None => (assumed(), true),
        }
    }

    /// What a reward model is made of.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(crate) fn judge(&self, folder: &Path) -> Result<Option<Judge>, PlanError> {
        if folder.exists() {
            let (lora, _) = self.lora(&folder.join("adapter"));
            return Ok(Some(Judge {
                base: RewardModel::base_path(folder)?,
                pixels: RewardModel::pixels(folder)?,
                lora,
            }));
        }
        Ok(self.rewards.get(folder).cloned())
    }
}

/// What a stage that needs a model says of an adapter, before it is there.
fn alone(folder: &Path, base: &Path) -> ModelError {
    ModelError::AdapterAlone {
        path: folder.to_owned(),
        base: base.display().to_string(),
    }
}

/// What of PEFT's `adapter_config.json` decides about memory.
#[derive(Deserialize)]
struct AdapterFile {
    r: i64,
    lora_alpha: f64,
    target_modules: Targets,
}

/// Names, or a pattern over names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Targets {
    Names(Vec<String>),
    Pattern(#[allow(dead_code)] String), // It may match anything, so it is counted as all.
}

/// The adapter in a folder, where there is one that can be read.
fn written(folder: &Path) -> Option<LoraConfig> {
    let text = std::fs::read_to_string(folder.join("adapter_config.json")).ok()?;
    let file: AdapterFile = serde_json::from_str(&text).ok()?;
    let targets = match file.target_modules {
        Targets::Names(names) => names,
        Targets::Pattern(_) => assumed().target_modules,
    };
    let of_projector = |name: &String| name.contains("projector") || name.contains("merger");
    Some(LoraConfig {
        with_projector: targets.iter().any(of_projector),
        // A last name alone means the tower's layers too, unless they are excluded; the tensors say what came of it.
        with_tower: targets.iter().any(|name| peft::names_tower(name)) || peft::has_tower(folder),
        ..LoraConfig::new(file.r, file.lora_alpha, &targets)
    })
}

/// The paper's adapter.
fn assumed() -> LoraConfig {
    let targets: Vec<String> = TARGETS.iter().map(ToString::to_string).collect();
    LoraConfig::new(RANK, 16.0, &targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PEFT wrote them for `fc1`, `linear_1` and `k_proj`, and for layers of the decoder alone.
    #[test]
    fn an_adapter_of_the_tower_is_known_by_its_tensors() {
        let adapters = "../model/tests/golden/adapters";
        let adapters = Path::new(env!("CARGO_MANIFEST_DIR")).join(adapters);
        let with_tower = |case: &str| written(&adapters.join(case)).unwrap().with_tower;
        assert_eq!(
            ["everything", "patterns", "earlier"].map(with_tower),
            [true, false, false]
        );
    }

    #[test]
    fn without_tensors_the_configuration_says_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("adapter_config.json");
        for (target, expected) in [("q_proj", false), ("vision_tower.layers.0.q_proj", true)] {
            let text = format!(r#"{{"r": 2, "lora_alpha": 4, "target_modules": ["{target}"]}}"#);
            std::fs::write(&config, text).unwrap();
            let lora = written(dir.path()).unwrap();
            assert_eq!(lora.with_tower, expected, "{target}");
        }
    }
}
