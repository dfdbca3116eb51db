//! Reading the recipe, table by table.

use std::path::Path;

use candor_model::Activations;
use candor_train::{BasePrecision, Reader, SessionRecipe};

use super::{
    AverageOver, BatchRecipe, DataRecipe, GuardRecipe, Length, Normalise, PpoRecipe, QuirksRecipe,
    RlRecipe, SamplingRecipe, ScoreRecipe,
};
use crate::RlError;
use crate::advantages::Advantages;
use crate::critic::CriticRecipe;
use crate::kl::KlEstimator;
use crate::shaping::{ScorePosition, TerminalCoefs};
use crate::symbolic::YesReward;

impl RlRecipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, RlError> {
        Self::read(Reader::open(path, sets)?)
    }

    /// Reads a recipe that is already in memory.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn read(mut recipe: Reader) -> Result<Self, RlError> {
        let r = &mut recipe;
        let session = SessionRecipe::read(r);
        let length = length(r);
        let snapshot_every = r.u64("run.snapshot_every").positive().required();
        let samples_per_step = r.usize("run.samples_per_step").required();
        let base = r.path("model.base").required();
        let base_precision = BasePrecision::read(r);
        let policy_init = r.path("model.policy_init").required();
        let reward = r.path("model.reward").required();
        let kept = [
            ("keep", Activations::Keep),
            ("recompute", Activations::Recompute),
        ];
        let activations = r.one_of("model.activations", &kept).required();
        let data = data(r);
        let batch = batch(r);
        let sampling = sampling(r, &batch);
        let score = score(r);
        let ppo = ppo(r, &sampling);
        let guard = GuardRecipe {
            max_kl: r.f64("guard.max_kl").positive().required(),
            min_response_tokens: r.f64("guard.min_response_tokens").within(0.0..).required(),
        };
        let quirks = QuirksRecipe {
            misalign_dropped_queries: r.bool("quirks.misalign_dropped_queries").required(),
            cut_at_question_mark: r.bool("quirks.cut_at_question_mark").required(),
            shuffle_captions: r.bool("quirks.shuffle_captions").required(),
            drop_partial_mini_batch: r.bool("quirks.drop_partial_mini_batch").required(),
        };
        if ppo.whiten_rewards && (score.reward_scale - 1.0).abs() > 0.0 {
            r.mistake(
                "score.reward_scale",
                format!("{} with whitened rewards", score.reward_scale),
                "use 1: whitening decides the scale",
            );
        }
        if ppo.whiten_rewards && ppo.advantages.critic().is_none() {
            r.mistake(
                "whiten.rewards",
                "the rewards of tokens are whitened, but those of responses compared",
                "use false without a critic",
            );
        }
        if score.position == ScorePosition::LastPad && ppo.average_over != AverageOver::Padded {
            r.mistake(
                "score.position",
                "the last pad is no position that counts",
                "use \"last_token\", or loss.average_over = \"padded\"",
            );
        }
        Ok(Self {
            session,
            length,
            snapshot_every,
            samples_per_step,
            base,
            base_precision,
            policy_init,
            reward,
            activations,
            data,
            batch,
            sampling,
            score,
            ppo,
            guard,
            quirks,
            resolved: recipe.finish()?,
        })
    }
}

fn length(r: &mut Reader) -> Length {
    let given = [r.has("run.steps"), r.has("run.epochs")];
    let steps = r.u64("run.steps").positive().optional();
    let epochs = r.u64("run.epochs").positive().optional();
    if given[0] == given[1] {
        let found = if given[0] { "both" } else { "neither" };
        let problem = format!("{found} of `steps` and `epochs` given");
        r.mistake("run", problem, "give one of them");
    }
    epochs.map_or(Length::Steps(steps.unwrap_or(1)), Length::Epochs)
}

fn data(r: &mut Reader) -> DataRecipe {
    let root = r.path("data.root").required();
    DataRecipe {
        images: root.join(r.path("data.images").required()),
        prompts: root.join(r.path("data.prompts").required()),
        facts: r.path("data.facts").optional().map(|path| root.join(path)),
        max_query_tokens: r.usize("data.max_query_tokens").positive().required(),
    }
}

fn batch(r: &mut Reader) -> BatchRecipe {
    let batch = BatchRecipe {
        rollout_batch: r.usize("batch.rollout_batch").positive().required(),
        mini_batch: r.usize("batch.mini_batch").positive().required(),
        micro_batch: r.usize("batch.micro_batch").positive().required(),
        inner_epochs: r.u64("batch.inner_epochs").positive().required(),
    };
    for (key, part, whole, name) in [
        (
            "batch.mini_batch",
            batch.mini_batch,
            batch.rollout_batch,
            "rollout_batch",
        ),
        (
            "batch.micro_batch",
            batch.micro_batch,
            batch.mini_batch,
            "mini_batch",
        ),
    ] {
        if part > whole {
            let problem = format!("{part} is more than {name} = {whole}");
            r.mistake(key, problem, "a part cannot be larger than the whole");
        }
    }
    batch
}

fn sampling(r: &mut Reader, batch: &BatchRecipe) -> SamplingRecipe {
    let key = "sampling.samples_per_prompt";
    let samples_per_prompt = r.usize(key).positive().optional().unwrap_or(1);
    if !batch.rollout_batch.is_multiple_of(samples_per_prompt) {
        let whole = batch.rollout_batch;
        let problem = format!("{samples_per_prompt} does not divide batch.rollout_batch = {whole}");
        r.mistake(
            key,
            problem,
            "choose a divisor: a step has all samples of its prompts",
        );
    }
    SamplingRecipe {
        samples_per_prompt,
        temperature: r.f64("sampling.temperature").positive().required(),
        max_new_tokens: r.usize("sampling.max_new_tokens").positive().required(),
        batch_rows: r.usize("sampling.batch_rows").positive().required(),
        pass_rows: r.usize("sampling.pass_rows").positive().required(),
    }
}

fn score(r: &mut Reader) -> ScoreRecipe {
    let scales = [("none", Normalise::None), ("held_out", Normalise::HeldOut)];
    let yes = [
        ("symmetric", YesReward::Symmetric),
        ("paper", YesReward::Paper),
    ];
    let positions = [
        ("last_token", ScorePosition::LastToken),
        ("last_pad", ScorePosition::LastPad),
    ];
    ScoreRecipe {
        normalise: r.one_of("score.normalise", &scales).required(),
        terminal: TerminalCoefs {
            no_eos_penalty: r.f64("score.no_eos_penalty").within(0.0..).required(),
            length_penalty: r.f64("score.length_penalty").within(0.0..).required(),
            length_scale_tokens: r.f64("score.length_scale_tokens").positive().required(),
            symbolic_coef: r.f64("score.symbolic_coef").within(0.0..).required(),
        },
        yes_reward: r.one_of("score.yes_reward", &yes).required(),
        position: r.one_of("score.position", &positions).required(),
        reward_scale: r.f64("score.reward_scale").positive().required(),
    }
}

fn ppo(r: &mut Reader, sampling: &SamplingRecipe) -> PpoRecipe {
    let estimators: [(&str, Estimator); 2] = [("gae", gae), ("rloo", rloo)];
    let estimator = r.one_of("advantages.estimator", &estimators).optional();
    let averages = [
        (
            "real_tokens_of_mini_batch",
            AverageOver::RealTokensOfMiniBatch,
        ),
        ("padded", AverageOver::Padded),
    ];
    PpoRecipe {
        kl_coef: r.f64("kl.coef").within(0.0..).required(),
        kl_estimator: r.one_of("kl.estimator", &KlEstimator::NAMES).required(),
        advantages: estimator.unwrap_or(gae)(r, sampling),
        whiten_advantages: r.bool("whiten.advantages").required(),
        whiten_rewards: r.bool("whiten.rewards").required(),
        clip_range: r.f64("loss.clip_range").positive().required(),
        entropy_coef: r.f64("loss.entropy_coef").within(0.0..).required(),
        average_over: r.one_of("loss.average_over", &averages).required(),
    }
}

/// Reads what an estimator of advantages needs to know.
type Estimator = fn(&mut Reader, &SamplingRecipe) -> Advantages;

fn gae(r: &mut Reader, _: &SamplingRecipe) -> Advantages {
    Advantages::Gae {
        gamma: r.f64("advantages.gamma").within(0.0..=1.0).required(),
        lambda: r.f64("advantages.gae_lambda").within(0.0..=1.0).required(),
        critic: CriticRecipe {
            value_clip_range: r.f64("loss.value_clip_range").positive().required(),
            value_coef: r.f64("loss.value_coef").within(0.0..).required(),
        },
    }
}

fn rloo(r: &mut Reader, sampling: &SamplingRecipe) -> Advantages {
    for key in [
        "advantages.gamma",
        "advantages.gae_lambda",
        "loss.value_clip_range",
        "loss.value_coef",
    ] {
        if r.f64(key).optional().is_some() {
            let problem = "has no meaning with advantages.estimator = \"rloo\"";
            r.mistake(
                key,
                problem,
                "remove it, or use \"gae\", which has a critic",
            );
        }
    }
    if sampling.samples_per_prompt < 2 {
        let problem = "a response is compared with the others to its prompt, and there are none";
        let remedy = "use 2 or more with advantages.estimator = \"rloo\"";
        r.mistake("sampling.samples_per_prompt", problem, remedy);
    }
    Advantages::Rloo {
        samples_per_prompt: sampling.samples_per_prompt,
    }
}
