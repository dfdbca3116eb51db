//! Four adapters on one frozen base, or on two.
//!
//! Policy and reference share the policy's base; reward and value share the reward model's, which is the policy's
//! unless the reward model was trained on another folder (the paper's 13B/336 reward model judges a 7B/224
//! policy). The two bases must have the same tokenizer: the value model reads the policy's tokens.
//!
//! # Reference
//! The value adapter starts as a copy of the reward adapter, its head at zero. The reference keeps its bases in
//! 4 bits (NF4) here; ours are as the recipe says (`model.base_precision`).

use std::path::{Path, PathBuf};

use candor_data::rows::{Look, Pictures as Shown};
use candor_model::{Adapter, Bundle, ImageFeatures, ScalarHead};
use candor_reward::RewardModel;
use candor_train::{Inputs, Parts, fingerprint};
use tch::{Device, Tensor};

use crate::RlError;
use crate::prompts::{Asking, Judge};
use crate::recipe::RlRecipe;

/// All models of a run.
#[derive(Debug)]
pub struct Models {
    policy_base: Bundle,
    /// The reward model's own base, where it has one.
    judge_base: Option<Bundle>,
    /// Trained.
    pub policy: Adapter,
    /// The policy as it was before the first update, frozen.
    pub reference: Adapter,
    /// Trained.
    pub value: Adapter,
    /// Trained.
    pub value_head: ScalarHead,
    /// Frozen.
    pub reward: RewardModel,
}

impl Models {
    /// Opens what the recipe names.
    ///
    /// # Errors
    /// A folder is missing or damaged, or two of them do not fit together.
    pub fn open(recipe: &RlRecipe, device: Device) -> Result<Self, RlError> {
        let policy_base = Bundle::open(&recipe.base, device, recipe.base_precision)?;
        let judge_path = RewardModel::base_path(&recipe.reward)?;
        let judge_base = if same_folder(&judge_path, &recipe.base) {
            None
        } else {
            let judge = Bundle::open(&judge_path, device, recipe.base_precision)?;
            check_tokenizers(&policy_base, &judge, &judge_path)?;
            Some(judge)
        };
        policy_base.model.set_trainable(|_| false);
        let judge = judge_base.as_ref().unwrap_or(&policy_base);
        judge.model.set_trainable(|_| false);
        let reward = RewardModel::open(&recipe.reward, judge)?;
        let text = &policy_base.model.config().text_config;
        let policy = Adapter::open(&recipe.policy_init, text, device)?;
        let reference = policy.copy();
        let value = reward.adapter.copy();
        let value_head = ScalarHead::zeros(judge.model.config().text_config.hidden_size, device)?;
        policy.set_trainable(true);
        value.set_trainable(true);
        value_head.set_trainable(true);
        Ok(Self {
            policy_base,
            judge_base,
            policy,
            reference,
            value,
            value_head,
            reward,
        })
    }

    /// The base of policy and reference.
    #[must_use]
    pub fn policy_base(&self) -> &Bundle {
        &self.policy_base
    }

    /// The base of reward and value model.
    #[must_use]
    pub fn judge_base(&self) -> &Bundle {
        self.judge_base.as_ref().unwrap_or(&self.policy_base)
    }

    /// Who is asked and who judges, for answers of at most `max_new_tokens`.
    #[must_use]
    pub fn asking(&self, max_new_tokens: usize, look: Look) -> Asking<'_> {
        let positions = |bundle: &Bundle| {
            let positions = bundle.model.config().text_config.max_position_embeddings;
            positions as usize
        };
        Asking {
            policy: self.policy_base().rules(positions(self.policy_base())),
            judge: Judge {
                rules: self.judge_base().rules(positions(self.judge_base())),
                with_facts: self.reward.with_facts(),
            },
            max_new_tokens,
            look,
        }
    }

    /// What is trained: one optimizer over policy, value adapter and value head.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let named = |prefix: &str, tensors: &mut dyn Iterator<Item = (&String, &Tensor)>| {
            tensors
                .map(|(name, tensor)| (format!("{prefix}.{name}"), tensor.shallow_clone()))
                .collect::<Vec<_>>()
        };
        let mut trained = named("policy", &mut self.policy.parameters().iter());
        trained.extend(named("value", &mut self.value.parameters().iter()));
        let head = self.value_head.parameters();
        trained.extend(named("value", &mut head.iter().map(|(n, t)| (n, t))));
        Parts {
            trained,
            kept: Vec::new(),
        }
    }

    /// Fingerprints of what a run reads; to be taken before the first update.
    ///
    /// # Errors
    /// A data file cannot be read.
    pub fn inputs(&self, recipe: &RlRecipe) -> Result<Inputs, RlError> {
        let base = fingerprint::of_tensors(self.policy_base.model.parameters().iter());
        let policy = fingerprint::of_tensors(self.reference.parameters().iter());
        let mut inputs = vec![
            ("prompts", fingerprint::of_file(&recipe.data.prompts)?),
            ("base model", base),
            ("policy init", policy),
            ("reward model", self.reward.fingerprint()),
        ];
        if let Some(facts) = &recipe.data.facts {
            inputs.push(("facts", fingerprint::of_file(facts)?));
        }
        if let Some(judge) = &self.judge_base {
            let base = fingerprint::of_tensors(judge.model.parameters().iter());
            inputs.push(("reward model's base", base));
        }
        Ok(Inputs::new(inputs))
    }

    /// Encodes the named images, once for each base.
    ///
    /// # Errors
    /// Images are missing, damaged or over the limits, told with the rows that show them.
    pub fn encode(
        &self,
        folder: &Path,
        names: &[String],
        shown: &Shown,
    ) -> Result<Pictures, RlError> {
        let of = |bundle| {
            ImageFeatures::encode(bundle, folder, names.iter().cloned(), |_| ())
                .map_err(|error| error.in_rows(shown))
        };
        Ok(Pictures {
            policy: of(&self.policy_base)?,
            judge: self.judge_base.as_ref().map(of).transpose()?,
        })
    }
}

/// Image features for each base.
#[derive(Debug)]
pub struct Pictures {
    policy: ImageFeatures,
    judge: Option<ImageFeatures>,
}

impl Pictures {
    /// As the policy's tower sees them.
    #[must_use]
    pub fn policy(&self) -> &ImageFeatures {
        &self.policy
    }

    /// As the reward model's tower sees them.
    #[must_use]
    pub fn judge(&self) -> &ImageFeatures {
        self.judge.as_ref().unwrap_or(&self.policy)
    }
}

fn same_folder(left: &Path, right: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(left) == real(right)
}

fn check_tokenizers(policy: &Bundle, judge: &Bundle, path: &Path) -> Result<(), RlError> {
    if policy.tokenizer.same_as(&judge.tokenizer) {
        return Ok(());
    }
    Err(RlError::Unfit {
        path: PathBuf::from(path).join("tokenizer.json"),
        problem: "the reward model's base has another tokenizer than the policy's".to_owned(),
        remedy: "use bases of one family: the value model reads the policy's tokens",
    })
}
