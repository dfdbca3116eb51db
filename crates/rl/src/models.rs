//! Up to four adapters on one frozen base, or on two.
//!
//! Policy and reference share the policy's base; reward and value share the reward model's, which is the policy's
//! unless the reward model was trained on another folder (the paper's 13B/336 reward model judges a 7B/224
//! policy). The two bases must have the same tokenizer: the value model reads the policy's tokens.
//!
//! Without a critic ([`Advantages::critic`](crate::advantages::Advantages::critic)) there is no value adapter.
//!
//! # Reference
//! The reference keeps its bases in 4 bits (NF4) here; ours are as the recipe says (`model.base_precision`).

use std::path::{Path, PathBuf};

use candor_model::{Adapter, Bundle, ImageFeatures};
use candor_reward::RewardModel;
use candor_train::{Inputs, Parts, fingerprint};
use tch::Device;

use crate::RlError;
use crate::critic::Critic;
use crate::prompts::Judge;
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
    /// Trained, where the recipe's estimator of advantages has one.
    pub critic: Option<Critic>,
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
        let critic = recipe.ppo.advantages.critic();
        let judge_base = if same_folder(&judge_path, &recipe.base) {
            None
        } else {
            let judge = Bundle::open(&judge_path, device, recipe.base_precision)?;
            if critic.is_some() {
                check_tokenizers(&policy_base, &judge, &judge_path)?;
            }
            Some(judge)
        };
        policy_base.model.set_trainable(|_| false);
        let judge = judge_base.as_ref().unwrap_or(&policy_base);
        judge.model.set_trainable(|_| false);
        let reward = RewardModel::open(&recipe.reward, judge)?;
        let text = &policy_base.model.config().text_config;
        let policy = Adapter::open(&recipe.policy_init, text, device)?;
        let reference = policy.copy();
        policy.set_trainable(true);
        let critic = match critic {
            Some(_) => Some(Critic::new(&reward, judge)?),
            None => None,
        };
        Ok(Self {
            policy_base,
            judge_base,
            policy,
            reference,
            critic,
            reward,
        })
    }

    /// The base of policy and reference.
    #[must_use]
    pub fn policy_base(&self) -> &Bundle {
        &self.policy_base
    }

    /// The base of reward model and critic.
    #[must_use]
    pub fn judge_base(&self) -> &Bundle {
        self.judge_base.as_ref().unwrap_or(&self.policy_base)
    }

    /// What prompts need to know of the judge.
    #[must_use]
    pub fn judge(&self) -> Judge<'_> {
        Judge {
            rules: self.judge_base().rules(usize::MAX),
            with_facts: self.reward.with_facts(),
        }
    }

    /// What is trained: one optimizer over the policy and, where there is one, the critic.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let policy = self.policy.parameters().iter();
        let policy = policy.map(|named| ("policy", named));
        let critic = self.critic.iter().flat_map(Critic::parameters);
        let both = policy.chain(critic.map(|named| ("value", named)));
        Parts {
            trained: both
                .map(|(part, (name, tensor))| (format!("{part}.{name}"), tensor.shallow_clone()))
                .collect(),
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
    /// An image is missing, damaged or over the limits.
    pub fn encode(&self, folder: &Path, names: &[String]) -> Result<Pictures, RlError> {
        let of = |bundle| ImageFeatures::encode(bundle, folder, names.iter().cloned(), |_| ());
        Ok(Pictures {
            policy: of(&self.policy_base)?,
            judge: self.judge_base.as_ref().map(of).transpose()?,
        })
    }

    /// Whether the bases of policy and critic have a position for every token of the longest sequence there can be.
    ///
    /// # Errors
    /// One has not.
    pub fn check_room(
        &self,
        recipe: &RlRecipe,
        n_query: usize,
        n_value_query: usize,
    ) -> Result<(), RlError> {
        let critic = self.critic.as_ref();
        let critic = critic.map(|_| (self.judge_base(), n_value_query));
        for (bundle, n_query) in [(&self.policy_base, n_query)].into_iter().chain(critic) {
            let needed = n_query + recipe.sampling.max_new_tokens;
            let positions = bundle.model.config().text_config.max_position_embeddings as usize;
            if needed > positions {
                return Err(RlError::Unfit {
                    path: recipe.base.clone(),
                    problem: format!(
                        "the longest query and sampling.max_new_tokens make {needed} tokens, but a base has \
                         {positions} positions"
                    ),
                    remedy: "lower sampling.max_new_tokens or data.max_query_tokens",
                });
            }
        }
        Ok(())
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
