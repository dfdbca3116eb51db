//! Up to four adapters on one frozen base, or on two.
//!
//! Policy and reference share the policy's base; reward and value share the reward model's, which is the policy's
//! unless the reward model was trained on another folder (the paper's 13B/336 reward model judges a 7B/224
//! policy). The two bases must have the same tokenizer then, because the value model reads the policy's tokens; where they
//! are of different families, it stands on the policy's base ([`CriticBase`]), and the reward model reads texts.
//!
//! Terms of the reward that are paid by the sentence have a reward adapter each, beside the other two (FGAIF, arXiv 2404.05046).
//!
//! Without a critic ([`Advantages::critic`](crate::advantages::Advantages::critic)) there is no value adapter, and without
//! `model.reward` there is no reward adapter, nor a second base.
//!
//! # Reference
//! The reference keeps its bases in 4 bits (NF4) here; ours are as the recipe says (`model.base_precision`).

use std::path::{Path, PathBuf};

use candor_data::formats::folder;
use candor_data::image::PixelBounds;
use candor_data::rows::Look;
use candor_data::sha256;
use candor_judge::reward::Rewards;
use candor_model::{Adapter, Bundle, ImageFeatures, ModelFolder};
use candor_reward::RewardModel;
use candor_run::{Inputs, Ranks};
use candor_train::{FeaturePlace, Opening, TrainError, TrainState, encode_images, fingerprint};
use tch::{Device, Tensor};

use crate::RlError;
use crate::critic::{Critic, CriticBase};
use crate::prompts::{Asking, Judge};
use crate::recipe::{Normalise, RlRecipe};
use crate::shaping::ScorePosition;

// Where a run keeps what it trained.
const POLICY: &str = "adapter";
const CRITIC: &str = "value";

/// All models of a run.
#[derive(Debug)]
pub struct Models {
    policy_base: Bundle,
    /// The reward model's own base, where it has one: of another folder, or on another device.
    judge_base: Option<Bundle>,
    /// Whether that is of another folder.
    has_two_folders: bool,
    /// Trained.
    pub policy: Adapter,
    /// The policy as it was before the first update, frozen.
    pub reference: Adapter,
    /// Trained, where the recipe's estimator of advantages has one.
    pub critic: Option<Critic>,
    /// Frozen; absent where the recipe names none.
    pub reward: Option<RewardModel>,
    /// Frozen, on the reward model's base: those of the terms that are paid by the sentence, each with the place of its term among
    /// the recipe's.
    pub segments: Vec<(usize, RewardModel)>,
}

impl Models {
    /// Opens what the recipe names: on `device`, but for the reward model, and a critic on its base, where the recipe has another
    /// device for them.
    ///
    /// # Errors
    /// A folder is missing or damaged, two of them do not fit together, or there is no such device.
    pub fn open(recipe: &RlRecipe, device: Device) -> Result<Self, RlError> {
        let folder = ModelFolder::find(&recipe.base)?.with_pixels(recipe.pixels);
        let policy_base = Bundle::load(folder, device, recipe.base_precision)?;
        let (judge_base, has_two_folders) = match &recipe.reward {
            Some(folder) => judge_base(recipe, folder, &policy_base, device)?,
            None => (None, false),
        };
        policy_base.model.set_trainable(|_| false);
        let judge = judge_base.as_ref().unwrap_or(&policy_base);
        judge.model.set_trainable(|_| false);
        let reward = match &recipe.reward {
            Some(folder) => Some(reward_model(recipe, folder, judge)?),
            None => None,
        };
        let segments = segment_models(recipe, judge)?;
        let policy = Adapter::open(&recipe.policy_init, &policy_base.model)?;
        let reference = policy.copy();
        policy.set_trainable(true);
        let critic = recipe.ppo.advantages.critic();
        let begins_as = critic.and_then(|critic| match critic.base {
            CriticBase::Policy => Some((&policy, &policy_base)),
            // A recipe with such a critic names a reward model.
            CriticBase::Reward => Some((&reward.as_ref()?.adapter, judge)),
        });
        let critic = match begins_as {
            Some((adapter, bundle)) => Some(Critic::new(adapter, bundle)?),
            None => None,
        };
        Ok(Self {
            policy_base,
            judge_base,
            has_two_folders,
            policy,
            reference,
            critic,
            reward,
            segments,
        })
    }

    /// The base of policy and reference.
    #[must_use]
    pub fn policy_base(&self) -> &Bundle {
        &self.policy_base
    }

    /// All bases, each once.
    pub(crate) fn bases(&self) -> impl Iterator<Item = &Bundle> {
        [&self.policy_base].into_iter().chain(&self.judge_base)
    }

    /// The base of the reward model; the policy's where there is none.
    #[must_use]
    pub fn judge_base(&self) -> &Bundle {
        self.judge_base.as_ref().unwrap_or(&self.policy_base)
    }

    /// The base that a critic stands on.
    #[must_use]
    pub fn critic_base(&self, base: CriticBase) -> &Bundle {
        match base {
            CriticBase::Policy => self.policy_base(),
            CriticBase::Reward => self.judge_base(),
        }
    }

    /// Who is asked and who judges, for answers of at most `max_new_tokens`; `images` is where the
    /// prompts' images are.
    #[must_use]
    pub fn asking<'a>(&'a self, max_new_tokens: usize, look: Look, images: &'a Path) -> Asking<'a> {
        let (policy, judge) = (self.policy_base(), self.judge_base());
        let of_segments = self.segments.iter().map(|(_, model)| model);
        let with_facts = self
            .reward
            .iter()
            .chain(of_segments)
            .any(RewardModel::with_facts);
        Asking {
            policy: policy.rules(policy.model.n_positions(), images),
            judge: Judge {
                rules: judge.rules(judge.model.n_positions(), images),
                with_facts,
                reward: self.reward.as_ref(),
                segments: &self.segments,
            },
            max_new_tokens,
            tells_facts: false,
            look,
        }
    }

    /// What is trained: one optimizer over the policy and, where there is one, the critic.
    #[must_use]
    pub fn parts(&self) -> TrainState {
        TrainState {
            trained: trained(&self.policy, self.critic.as_ref()),
            kept: Vec::new(),
        }
    }

    /// What is trained of the policy alone.
    pub(crate) fn trained_policy(&self) -> Vec<(String, Tensor)> {
        trained(&self.policy, None)
    }

    /// Writes what was trained into the folder of the run.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, run: &Path) -> Result<(), RlError> {
        self.policy.save(&run.join(POLICY))?;
        match &self.critic {
            Some(critic) => critic.save(&run.join(CRITIC)),
            None => Ok(()),
        }
    }

    /// What a finished run trained, read from its folder, for a run of `recipe` that starts from its weights; none if that run
    /// did not get there.
    ///
    /// # Errors
    /// A file is damaged or does not fit these models.
    pub fn result(
        &self,
        recipe: &RlRecipe,
        run: &Path,
    ) -> Result<Option<Vec<(String, Tensor)>>, RlError> {
        // Written last.
        if !run.join("result.json").exists() {
            return Ok(None);
        }
        let policy = Adapter::open(&run.join(POLICY), &self.policy_base.model)?;
        let critic = match recipe.ppo.advantages.critic() {
            Some(critic) => {
                let bundle = self.critic_base(critic.base);
                Some(Critic::open(&run.join(CRITIC), bundle)?)
            }
            None => None,
        };
        Ok(Some(trained(&policy, critic.as_ref())))
    }

    /// Fingerprints of what a run reads; to be taken before the first update.
    ///
    /// # Errors
    /// A data file cannot be read.
    pub fn inputs(
        &self,
        recipe: &RlRecipe,
        rewards: &Rewards,
        opening: &mut Opening,
    ) -> Result<Inputs, RlError> {
        let base = opening.fingerprint("base model", self.policy_base.model.parameters());
        let policy = fingerprint::of_tensors(self.reference.parameters().iter());
        let mut inputs = vec![
            ("prompts", folder::fingerprint(&recipe.data.prompts)?),
            ("base model", base),
            ("policy init", policy),
        ];
        inputs.extend((self.reward.iter()).map(|reward| ("reward model", reward.fingerprint())));
        if let Some(facts) = &recipe.data.facts {
            inputs.push(("facts", sha256::of_file(facts)?));
        }
        if let Some(judge) = self.judge_base.as_ref().filter(|_| self.has_two_folders) {
            let what = "reward model's base";
            inputs.push((what, opening.fingerprint(what, judge.model.parameters())));
        }
        let named = inputs
            .into_iter()
            .map(|(name, print)| (name.to_owned(), print));
        let of_segments = self.segments.iter().map(|(term, model)| {
            let name = &recipe.rewards[*term].name;
            (format!("reward model {name}"), model.fingerprint())
        });
        let all = named.chain(of_segments).chain(rewards.fingerprints()?);
        Ok(Inputs::new(all))
    }

    /// Encodes the named images, once for each base, shared out to `ranks` and kept at `place`. `progress` hears how many are done,
    /// and of how many.
    ///
    /// # Errors
    /// Images are missing, damaged or over the limits.
    pub fn encode(
        &self,
        folder: &Path,
        names: &[String],
        place: &FeaturePlace,
        ranks: &Ranks,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Images, TrainError> {
        let n_bases = 1 + usize::from(self.judge_base.is_some());
        let mut of = |bundle: &Bundle, before: usize| {
            let progress = |done, n| progress(before * n + done, n_bases * n);
            encode_images(
                bundle,
                folder,
                names.iter().cloned(),
                place,
                ranks,
                progress,
            )
        };
        Ok(Images {
            policy: of(&self.policy_base, 0)?,
            judge: self
                .judge_base
                .as_ref()
                .map(|base| of(base, 1))
                .transpose()?,
        })
    }
}

/// Image features for each base.
#[derive(Debug)]
pub struct Images {
    policy: ImageFeatures,
    judge: Option<ImageFeatures>,
}

impl Images {
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

    /// As the tower of a critic's base sees them.
    #[must_use]
    pub fn critic(&self, base: CriticBase) -> &ImageFeatures {
        match base {
            CriticBase::Policy => self.policy(),
            CriticBase::Reward => self.judge(),
        }
    }
}

/// The trained tensors by name.
fn trained(policy: &Adapter, critic: Option<&Critic>) -> Vec<(String, Tensor)> {
    let policy = policy.parameters().iter().map(|named| ("policy", named));
    let critic = critic.into_iter().flat_map(Critic::parameters);
    policy
        .chain(critic.map(|named| ("value", named)))
        .map(|(part, (name, tensor))| (format!("{part}.{name}"), tensor.shallow_clone()))
        .collect()
}

fn same_folder(left: &Path, right: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(left) == real(right)
}

/// The reward model's own base, where it has one, and whether that is of another folder.
fn judge_base(
    recipe: &RlRecipe,
    reward: &Path,
    policy: &Bundle,
    device: Device,
) -> Result<(Option<Bundle>, bool), RlError> {
    let found = RewardModel::base(reward)?;
    let path = found.path().to_owned();
    let has_own_folder = !same_folder(&path, &recipe.base);
    let sees_alike = PixelBounds::of(&found.processor()?) == PixelBounds::of(&policy.processor);
    let judge_device = match recipe.reward_device {
        Some(choice) => choice.find()?.device,
        None => device,
    };
    if !has_own_folder && sees_alike && judge_device == device {
        return Ok((None, false));
    }
    let judge = Bundle::load(found, judge_device, recipe.base_precision)?;
    let critic = recipe.ppo.advantages.critic();
    if critic.is_some_and(|critic| critic.base == CriticBase::Reward) {
        check_tokenizers(policy, &judge, &path)?;
    }
    Ok((Some(judge), has_own_folder))
}

fn reward_model(recipe: &RlRecipe, folder: &Path, base: &Bundle) -> Result<RewardModel, RlError> {
    let reward = RewardModel::open(folder, base)?;
    if recipe.score.normalise == Normalise::HeldOut {
        check_scale(&reward, folder)?;
    }
    if recipe.score.position == ScorePosition::Segments && !reward.rated {
        return Err(RlError::Unfit {
            path: folder.to_path_buf(),
            problem: "the reward model was trained on comparisons, and score.position = \"segments\" reads its scores as labels \
                      of sentences"
                .to_owned(),
            remedy: "name a reward model that was trained on rated sentences (data.rated), or use score.position = \"sentences\"",
        });
    }
    Ok(reward)
}

/// The reward models of the recipe's terms that are paid by the sentence.
fn segment_models(recipe: &RlRecipe, base: &Bundle) -> Result<Vec<(usize, RewardModel)>, RlError> {
    let mut models = Vec::new();
    for (place, term) in recipe.rewards.iter().enumerate() {
        let Some(folder) = term.segments() else {
            continue;
        };
        let model = RewardModel::open(folder, base)?;
        if !model.rated {
            return Err(RlError::Unfit {
                path: folder.to_owned(),
                problem: format!(
                    "the reward model of the term {:?} was trained on comparisons, and kind = \"segments\" reads its scores as \
                     labels of sentences",
                    term.name
                ),
                remedy: "name a reward model that was trained on rated sentences (data.rated)",
            });
        }
        models.push((place, model));
    }
    Ok(models)
}

/// Scores are divided by their spread on the held-out pairs.
fn check_scale(reward: &RewardModel, folder: &Path) -> Result<(), RlError> {
    let (mean, spread) = (reward.score_mean, reward.score_std);
    if mean.is_finite() && spread.is_finite() && spread > 0.0 {
        return Ok(());
    }
    Err(RlError::Unfit {
        path: folder.to_path_buf(),
        problem: format!(
            "the reward model's held-out scores have mean {mean} and spread {spread}, so score.normalise = \"held_out\" \
             has nothing to divide by"
        ),
        remedy: "train the reward model until it tells answers apart, or use score.normalise = \"none\"",
    })
}

fn check_tokenizers(policy: &Bundle, judge: &Bundle, path: &Path) -> Result<(), RlError> {
    if policy.tokenizer.same_as(&judge.tokenizer) {
        return Ok(());
    }
    Err(RlError::Unfit {
        path: PathBuf::from(path).join("tokenizer.json"),
        problem: "the reward model's base has another tokenizer than the policy's".to_owned(),
        remedy: "the critic reads the policy's tokens: use bases of one family, or model.critic = \"policy\"",
    })
}
