//! The models that are served, by the names that requests call them.

use std::path::{Path, PathBuf};

use candor_data::image::{ImageProcessor, PixelBounds};
use candor_model::{Adapter, Bundle, ModelFolder, Template};
use candor_reward::RewardModel;

use crate::ServeError;

/// A model, its adapters, and reward models.
#[derive(Debug)]
pub struct Models {
    pub(crate) bundle: Bundle,
    /// Names of what writes answers: the model first, then each adapter on it.
    pub(crate) names: Vec<String>,
    pub(crate) adapters: Vec<Adapter>,
    pub(crate) rewards: Vec<Reward>,
}

/// A reward model.
#[derive(Debug)]
pub(crate) struct Reward {
    pub name: String,
    pub model: RewardModel,
    /// Its base, where that is another model than the one that writes.
    pub base: Option<Bundle>,
}

/// What requests are checked against, without the weights.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    /// As [`Models::names`].
    pub names: Vec<String>,
    pub rewards: Vec<Scorer>,
    /// Texts that the model's tokenizer reads as tokens of the template, wherever they stand.
    pub specials: Vec<String>,
    /// Whether images stand before the words of their turn: no chat template of the model's own says where.
    pub images_first: bool,
    /// Of the model's images.
    pub processor: ImageProcessor,
}

/// What a request to a reward model is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Scorer {
    pub name: String,
    /// Whether it is shown facts.
    pub with_facts: bool,
    /// As [`Catalogue::specials`], of its own tokenizer.
    pub specials: Vec<String>,
    /// Of its images, where that is another than the model's.
    pub processor: Option<ImageProcessor>,
}

impl Models {
    /// A model that is called `name`.
    #[must_use]
    pub fn new(name: &str, bundle: Bundle) -> Self {
        bundle.model.set_trainable(|_| false);
        Self {
            bundle,
            names: vec![name.to_owned()],
            adapters: Vec::new(),
            rewards: Vec::new(),
        }
    }

    /// Opens an adapter on the model.
    ///
    /// # Errors
    /// The name is taken, or the folder holds no adapter of this model.
    pub fn with_adapter(mut self, name: &str, folder: &Path) -> Result<Self, ServeError> {
        self.check(name)?;
        let adapter = Adapter::open(folder, &self.bundle.model)?;
        adapter.set_trainable(false);
        self.adapters.push(adapter);
        self.names.push(name.to_owned());
        Ok(self)
    }

    /// Opens a reward model. Its base is the served model, `model`, if that is the folder it was trained on and sees images
    /// as it did then; `open` opens another.
    ///
    /// # Errors
    /// The name is taken, or the folder holds no reward model, or its base is not found or another than it was.
    pub fn with_reward<E: From<ServeError>>(
        mut self,
        name: &str,
        folder: &Path,
        model: &Path,
        open: impl FnOnce(ModelFolder) -> Result<Bundle, E>,
    ) -> Result<Self, E> {
        self.check(name)?;
        let found = RewardModel::base(folder).map_err(ServeError::from)?;
        let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| PathBuf::from(path));
        let then = PixelBounds::of(&found.processor().map_err(ServeError::from)?);
        let sees_alike = then == PixelBounds::of(&self.bundle.processor);
        let base = if sees_alike && whole(found.path()) == whole(model) {
            None
        } else {
            let base = open(found)?;
            base.model.set_trainable(|_| false);
            Some(base)
        };
        let bundle = base.as_ref().unwrap_or(&self.bundle);
        let model = RewardModel::open(folder, bundle).map_err(ServeError::from)?;
        self.rewards.push(Reward {
            name: name.to_owned(),
            model,
            base,
        });
        Ok(self)
    }

    fn check(&self, name: &str) -> Result<(), ServeError> {
        let rewards = self.rewards.iter().map(|reward| &reward.name);
        let problem = if name.is_empty() {
            "a model has no name".to_owned()
        } else if self.names.iter().chain(rewards).any(|taken| taken == name) {
            format!("two models are called `{name}`")
        } else {
            return Ok(());
        };
        Err(ServeError::Settings {
            problem,
            remedy: "give every model a name of its own: --adapter NAME=PATH, --reward NAME=PATH",
        })
    }

    /// What is served under which name.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn catalogue(&self) -> Catalogue {
        let rewards = self.rewards.iter().map(|reward| {
            let bundle = reward.base.as_ref().unwrap_or(&self.bundle);
            Scorer {
                name: reward.name.clone(),
                with_facts: reward.model.with_facts(),
                specials: bundle.tokenizer.specials(),
                processor: reward.base.as_ref().map(|base| base.processor.clone()),
            }
        });
        Catalogue {
            names: self.names.clone(),
            rewards: rewards.collect(),
            specials: self.bundle.tokenizer.specials(),
            images_first: !matches!(self.bundle.template, Template::Jinja(_)),
            processor: self.bundle.processor.clone(),
        }
    }
}
