//! Reading the recipe, table by table.

use std::path::Path;

use candor_eval::training_suite::SuiteRecipe;
use candor_judge::reward::{Source, Term};
use candor_recipe::Reader;
use candor_train::stage_fields::{IMAGES, ROOT, read_activations, read_pixels};
use candor_train::{BasePrecision, DeviceChoice, Length, SessionRecipe, on_bad_row};

use super::algorithm::{Algorithm, read_algorithm};
use super::{
    AverageOver, BatchRecipe, DataRecipe, GuardRecipe, KlPlace, Normalise, PpoRecipe, QuirksRecipe,
    RlRecipe, SamplingRecipe, ScoreRecipe,
};
use crate::RlError;
use crate::critic::CriticBase;
use crate::kl::KlEstimator;
use crate::loss::Clip;
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
        let algorithm = read_algorithm(r);
        let session = SessionRecipe::read(r);
        let length = Length::read(r);
        let snapshot_every = r.u64("run.snapshot_every", "Steps between copies of the policy's adapter in `adapters/`, the first one included.").positive().required();
        let samples_per_step = r
            .usize(
                "run.samples_per_step",
                "Rollouts that are written down each step, in `samples/`.",
            )
            .required();
        let base = r
            .path(
                "model.base",
                "Folder of the policy's base, or `org/name` in the cache of downloads.",
            )
            .required();
        let base_precision = BasePrecision::read(r);
        let pixels = read_pixels(r);
        let policy_init = r.path("model.policy_init", "Folder of the adapter that the policy starts from and stays close to: also the frozen reference.").required();
        let reward = r.path("model.reward", "Run folder of `candor reward`; it names its own base, which is opened in the same `model.base_precision`. May be left out where `[[rewards]]` are all that is earned and no critic begins as the reward model.").optional();
        let reward_device = DeviceChoice::read_other(
            r,
            "model.reward_device",
            "What the reward model runs on, and the critic that begins as it, if not on run.device; their base is then in memory twice.",
        );
        let rewards = Term::read_all(r);
        let activations = read_activations(r);
        let data = data(r);
        let batch = batch(r);
        let sampling = sampling(r, &batch);
        let score = score(r);
        let ppo = ppo(r, algorithm, &sampling);
        let guard = GuardRecipe {
            max_kl: r
                .f64(
                    "guard.max_kl",
                    "The run stops when the mean KL of a response, in nats, is above this.",
                )
                .positive()
                .required(),
            min_response_tokens: r
                .f64(
                    "guard.min_response_tokens",
                    "The run stops when the mean length of a response is below this.",
                )
                .within(0.0..)
                .required(),
        };
        let quirks = QuirksRecipe {
            misalign_dropped_queries: r.bool("quirks.misalign_dropped_queries", "Of the paper's code: after a dropped prompt every later one is judged by what belongs to another.").required(),
            cut_at_question_mark: r.bool("quirks.cut_at_question_mark", "Of the paper's code: a response ends at its first question mark and has no end token.").required(),
            shuffle_captions: r.bool("quirks.shuffle_captions", "Of the paper's code: facts are shown in another order each time.").required(),
            drop_partial_mini_batch: r.bool("quirks.drop_partial_mini_batch", "Of the paper's code: rollouts that do not fill a mini-batch are not trained on.").required(),
        };
        let suite = SuiteRecipe::read(r);
        if reward.is_none() {
            without_reward_model(r, &rewards, reward_device, &score, &ppo);
        }
        check_segments(r, reward.is_some(), &rewards, &score);
        check_earnings(r, reward.is_some(), &rewards, &score);
        check_parts(r, &score, &ppo);
        check_judges(r, suite.as_ref(), &rewards);
        Ok(Self {
            session,
            length,
            snapshot_every,
            samples_per_step,
            base,
            base_precision,
            pixels,
            policy_init,
            reward,
            reward_device,
            rewards,
            activations,
            data,
            batch,
            sampling,
            score,
            ppo,
            guard,
            quirks,
            suite,
            resolved: recipe.finish()?,
        })
    }
}

/// Refuses a reward that is made of penalties alone, or of nothing: of which no part that a response could earn has a weight.
fn check_earnings(r: &mut Reader, has_model: bool, rewards: &[Term], score: &ScoreRecipe) {
    let is_missing = !has_model && rewards.is_empty();
    let mut weights = rewards.iter().map(|term| term.weight);
    let pays = has_model && score.weight > 0.0
        || score.terminal.symbolic_coef > 0.0
        || weights.any(|weight| weight.abs() > 0.0);
    // What is missing is told already.
    if !pays && !is_missing {
        let key = if has_model { "score.weight" } else { "rewards" };
        r.mistake(
            key,
            "nothing that a response earns has a weight other than 0",
            "give the score, a term of [[rewards]] or score.symbolic_coef a weight",
        );
    }
}

/// Terms that are paid by the sentence need the reward model's base, and a last token that what they pay is taken off from.
fn check_segments(r: &mut Reader, has_model: bool, rewards: &[Term], score: &ScoreRecipe) {
    let Some(term) = rewards.iter().find(|term| term.segments().is_some()) else {
        return;
    };
    if !has_model {
        r.mistake(
            "model.reward",
            format!(
                "missing, and the term {:?} is scored on its base",
                term.name
            ),
            "name one of the reward models of sentences, or another on their base",
        );
    }
    if score.position == ScorePosition::LastPad {
        r.mistake(
            "score.position",
            format!("the term {:?} is paid at the last token of each sentence, and the rest at the last pad", term.name),
            "use \"last_token\", \"sentences\" or \"segments\"",
        );
    }
}

/// The file of a judge's replies is one opener's, and both are open as long as the run lasts.
fn check_judges(r: &mut Reader, suite: Option<&SuiteRecipe>, rewards: &[Term]) {
    let Some(judge) = suite.and_then(|suite| suite.judge.as_ref()) else {
        return;
    };
    let is_same = |term: &&Term| matches!(&term.source, Source::Judge(of) if of.settings == *judge);
    if let Some(term) = rewards.iter().find(is_same) {
        r.mistake(
            "suite.judge",
            format!(
                "the term {:?} keeps its replies in the same file",
                term.name
            ),
            "name a judge.toml of its own, with another cache",
        );
    }
}

/// What contradicts another part of the recipe.
fn check_parts(r: &mut Reader, score: &ScoreRecipe, ppo: &PpoRecipe) {
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
    if ppo.advantages.refill_rounds() > 0 && ppo.kl_place == KlPlace::Reward && ppo.kl_coef > 0.0 {
        r.mistake(
            "advantages.refill_rounds",
            "with the KL in the reward hardly any two responses earn the same, so hardly a prompt would be replaced",
            "use kl.place = \"loss\" or kl.coef = 0.0, or remove it",
        );
    }
    if score.position == ScorePosition::LastPad && ppo.average_over != AverageOver::Padded {
        r.mistake(
            "score.position",
            "the last pad is no position that counts",
            "use \"last_token\", or loss.average_over = \"padded\"",
        );
    }
    if score.position == ScorePosition::Segments && score.normalise != Normalise::None {
        r.mistake(
            "score.normalise",
            "a sentence earns 2 σ(score) − 1, and its score has a zero of its own",
            "use \"none\"",
        );
    }
    if score.position.by_sentence() && ppo.advantages.critic().is_none() {
        r.mistake(
            "score.position",
            "without a critic the rewards of a response are added up, wherever they are",
            "use \"last_token\", or algorithm = \"ppo\"",
        );
    }
}

/// Refuses what needs a reward model.
fn without_reward_model(
    r: &mut Reader,
    rewards: &[Term],
    device: Option<DeviceChoice>,
    score: &ScoreRecipe,
    ppo: &PpoRecipe,
) {
    if device.is_some() {
        let remedy = "leave it out, or name model.reward";
        r.mistake("model.reward_device", "there is no reward model", remedy);
    }
    if rewards.is_empty() {
        let remedy =
            "name the folder of a reward model, or write what a response earns as [[rewards]]";
        r.mistake(
            "model.reward",
            "missing, and there are no [[rewards]]",
            remedy,
        );
    }
    let critic = ppo.advantages.critic();
    if critic.is_some_and(|critic| critic.base == CriticBase::Reward) {
        let problem = "missing, and the critic of algorithm = \"ppo\" begins as the reward model";
        let remedy = "name the folder of a reward model, or use model.critic = \"policy\", or \"grpo\", \"rloo\" or \"reinforce\"";
        r.mistake("model.reward", problem, remedy);
    }
    if score.normalise == Normalise::HeldOut {
        let problem = "there is no reward model whose scores could be brought to a scale";
        r.mistake(
            "score.normalise",
            problem,
            "use \"none\", or name model.reward",
        );
    }
}

fn data(r: &mut Reader) -> DataRecipe {
    let root = r.path("data.root", ROOT).required();
    DataRecipe {
        images: root.join(r.path("data.images", IMAGES).required()),
        prompts: root.join(r.path("data.prompts", "Prompts, a LLaVA row each with an optional `caption_type` and `length_bonus`, in a file or in a folder with the files of a set (docs/formats.md).").required()),
        facts: r.path("data.facts", "Facts by image, as image_to_caption.json, for the reward model and `[[rewards]]`, never for the policy; needed if the prompt of one has `{facts}`.").optional().map(|path| root.join(path)),
        on_bad_row: on_bad_row(r),
        max_query_tokens: r.usize("data.max_query_tokens", "Prompts of more tokens are dropped and counted; an image counts as one.").positive().required(),
    }
}

fn batch(r: &mut Reader) -> BatchRecipe {
    let batch = BatchRecipe {
        rollout_batch: r
            .usize("batch.rollout_batch", "Rollouts of a step.")
            .positive()
            .required(),
        mini_batch: r
            .usize("batch.mini_batch", "Rollouts of an update.")
            .positive()
            .required(),
        micro_batch: r
            .usize(
                "batch.micro_batch",
                "Rollouts of a training pass: changes memory and speed, never the result.",
            )
            .positive()
            .required(),
        inner_epochs: r
            .u64(
                "batch.inner_epochs",
                "How often a step trains on each of its rollouts.",
            )
            .positive()
            .required(),
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
    let samples_per_prompt = r.usize(key, "Responses to each prompt, 1 if absent; more are needed where a response is compared with the others.").positive().optional().unwrap_or(1);
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
        temperature: r.f64("sampling.temperature", "Logits are divided by it, in sampling and in training alike.").positive().required(),
        max_new_tokens: r.usize("sampling.max_new_tokens", "Tokens of a response at most, its end included.").positive().required(),
        batch_rows: r.usize("sampling.batch_rows", "Responses that are written together: changes memory, speed, and the last bits of logits.").positive().required(),
        pass_rows: r.usize("sampling.pass_rows", "Rollouts that are scored, and read by the reference and the value model, together.").positive().required(),
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
        ("sentences", ScorePosition::Sentences),
        ("segments", ScorePosition::Segments),
    ];
    ScoreRecipe {
        normalise: r.one_of("score.normalise", &scales, "Whether scores are brought to the mean and spread of the reward model's held-out ones.").required(),
        weight: r.f64("score.weight", "What the score of the reward model is multiplied by.").within(0.0..).or(1.0, "1"),
        terminal: TerminalCoefs {
            no_eos_penalty: r.f64("score.no_eos_penalty", "Subtracted from the score of a response without an end.").within(0.0..).required(),
            length_penalty: r.f64("score.length_penalty", "Subtracted from the score of a response of `length_scale_tokens` tokens, and of others in proportion.").within(0.0..).required(),
            length_scale_tokens: r.f64("score.length_scale_tokens", "The length that the whole `length_penalty` is for.").positive().required(),
            symbolic_coef: r.f64("score.symbolic_coef", "Weight of the reward for a correct option or a correct yes or no.").within(0.0..).required(),
        },
        yes_reward: r.one_of("score.yes_reward", &yes, "What a correct yes is worth: as much as a correct no, or nothing as in the paper's code.").required(),
        position: r.one_of("score.position", &positions, "Where the score is put: at the response's last token, at the last pad as in the paper's code, or at the end of each sentence, which costs a scoring of the response up to there: what the sentence changes in the score, or as `segments` what a reward model of rated sentences says of it.").required(),
        reward_scale: r.f64("score.reward_scale", "Multiplies all rewards, the KL included; the paper's code has a hidden 10.").positive().required(),
    }
}

fn ppo(r: &mut Reader, algorithm: Algorithm, sampling: &SamplingRecipe) -> PpoRecipe {
    let averages = [
        (
            "real_tokens_of_mini_batch",
            AverageOver::RealTokensOfMiniBatch,
        ),
        ("responses", AverageOver::Responses),
        ("longest_response", AverageOver::LongestResponse),
        ("padded", AverageOver::Padded),
    ];
    let places = [("reward", KlPlace::Reward), ("loss", KlPlace::Loss)];
    let kl_coef = r
        .f64("kl.coef", "Weight of the KL to the reference.")
        .within(0.0..)
        .required();
    let kl_estimator = r
        .one_of(
            "kl.estimator",
            &KlEstimator::NAMES,
            "How the KL of a token is estimated (docs/algorithms/ppo.md).",
        )
        .required();
    let kl_place = r
        .one_of("kl.place", &places, "Whether the KL is taken off the reward of each token, or added to the loss with a gradient of its own (GRPO).")
        .or(KlPlace::Reward, "\"reward\"");
    if kl_place == KlPlace::Loss && matches!(kl_estimator, KlEstimator::K1 | KlEstimator::K1Clamped)
    {
        r.mistake(
            "kl.estimator",
            "the gradient of k1 in the loss is that of no divergence",
            "use \"k3\" (GRPO's) or \"k2\", or kl.place = \"reward\"",
        );
    }
    let advantages = algorithm(r, sampling);
    let whiten_advantages = r
        .bool(
            "whiten.advantages",
            "Whether advantages are whitened over the rollout batch.",
        )
        .required();
    let whiten_rewards = r
        .bool(
            "whiten.rewards",
            "Whether rewards are whitened over the rollout batch, keeping their mean.",
        )
        .required();
    let low = r
        .f64(
            "loss.clip_range",
            "How far a probability ratio may move from 1 before its gradient stops.",
        )
        .positive()
        .required();
    let high = r
        .f64(
            "loss.clip_range_high",
            "How far it may move upwards, where that is another distance (clip-higher, DAPO).",
        )
        .positive()
        .optional();
    PpoRecipe {
        kl_coef,
        kl_estimator,
        kl_place,
        advantages,
        whiten_advantages,
        whiten_rewards,
        clip: Clip {
            low,
            high: high.unwrap_or(low),
        },
        entropy_coef: r.f64("loss.entropy_coef", "Weight of the entropy, which is subtracted from the loss.").within(0.0..).required(),
        average_over: r.one_of("loss.average_over", &averages, "What the sums of the losses are divided by: the tokens that count; those of each response, and then the responses (GRPO); `max_new_tokens` for each response (Dr. GRPO); or all positions up to that, pads included, as in the paper's code.").required(),
    }
}
