//! PPO updates of a tiny model against PyTorch, transformers and PEFT fed the same rollouts.
//!
//! What runs here is what a run runs: `PolicyReader` and `ValueReader`, `Experience`, `update::update` with a
//! `Session`. `parity/fixtures/ppo.py` read every rollout by itself and without padding; here they are padded,
//! sorted by length and cut into passes. Two recipes: `modern`, ten updates, and what the `paper` recipe does
//! differently (pads count, the score on the last of them, ten times the rewards), three.
//!
//! Tolerances, and why these. The golden file's metadata has how far PyTorch's own f32 numbers are from its f64
//! ones (`float32_noise`): 1e-5 for log-probabilities of size 9 and values of size 5, 3e-6 for gradients of size
//! 1, 3e-7 for parameters. Two orders of summation differ by about as much; 1e-5 of the largest entry leaves room
//! for another CPU's kernels. Adam divides a gradient by its own size, so where one is near zero, rounding decides
//! the direction of a whole learning rate, 1e-3; the script makes sure that no first gradient is that near, and
//! 5e-6 for parameters is a two-hundredth of one update, after ten of them.

mod given;

use std::path::Path;

use candor_model::Activations;
use candor_rl::advantages::Advantages;
use candor_rl::critic::{CriticBase, CriticLearner, CriticRecipe};
use candor_rl::experience::{Experience, width_of};
use candor_rl::kl::KlEstimator;
use candor_rl::loss::Clip;
use candor_rl::recipe::{AverageOver, KlPlace, Normalise, PpoRecipe, ScoreRecipe};
use candor_rl::rollout::Rollout;
use candor_rl::shaping::{ScorePosition, TerminalCoefs};
use candor_rl::symbolic::YesReward;
use candor_rl::update::{Learner, MiniBatchStats, update};
use candor_run::{Inputs, LaunchOptions, Ranks, StopSignal};
use candor_testing::golden::{Golden, Updates};
use candor_train::{
    AdamWConfig, DeviceChoice, FeaturePlace, Session, SessionRecipe, Shape, Shard, States,
    TrainError, TrainState, Warmup, on_this_rank,
};
use given::{Models, golden_folder, prompts, rollouts, scores};
use tch::Tensor;

const FORWARD: f64 = 1e-5;
const GRADIENTS: f64 = 1e-5;
const PARAMETERS: f64 = 5e-6;

const LR: f64 = 1e-3;
const MAX_NORM: f64 = 1.0;
const MAX_RESPONSE: usize = 9;
const CRITIC: CriticRecipe = CriticRecipe {
    base: CriticBase::Reward,
    value_clip_range: 0.2,
    value_coef: 0.1,
};

/// One of the two golden files.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    n_updates: usize,
    kl_estimator: KlEstimator,
    position: ScorePosition,
    reward_scale: f64,
    average_over: AverageOver,
}

const MODERN: Case = Case {
    name: "modern",
    n_updates: 10,
    kl_estimator: KlEstimator::K1,
    position: ScorePosition::LastToken,
    reward_scale: 1.0,
    average_over: AverageOver::RealTokensOfMiniBatch,
};

const PAPER: Case = Case {
    name: "paper",
    n_updates: 3,
    kl_estimator: KlEstimator::K1Clamped,
    position: ScorePosition::LastPad,
    reward_scale: 10.0,
    average_over: AverageOver::Padded,
};

impl Case {
    fn padded_to(self) -> Option<usize> {
        (self.average_over == AverageOver::Padded).then_some(MAX_RESPONSE)
    }

    fn ppo(self) -> PpoRecipe {
        PpoRecipe {
            kl_coef: 0.1,
            kl_estimator: self.kl_estimator,
            kl_place: KlPlace::Reward,
            advantages: Advantages::Gae {
                gamma: 0.99,
                lambda: 0.95,
                critic: CRITIC,
            },
            whiten_advantages: true,
            whiten_rewards: false,
            clip: Clip {
                low: 0.2,
                high: 0.2,
            },
            entropy_coef: 0.02,
            average_over: self.average_over,
        }
    }

    /// The terminal rewards are given, so the coefficients are not asked for.
    fn score(self) -> ScoreRecipe {
        ScoreRecipe {
            normalise: Normalise::None,
            weight: 1.0,
            terminal: TerminalCoefs {
                no_eos_penalty: 0.0,
                length_penalty: 0.0,
                length_scale_tokens: 1.0,
                symbolic_coef: 0.0,
            },
            yes_reward: YesReward::Symmetric,
            position: self.position,
            reward_scale: self.reward_scale,
        }
    }
}

/// A session in `folder` with the optimizer of the golden updates.
fn session(folder: &Path, models: &Models) -> Session {
    let recipe = SessionRecipe {
        seed: 0,
        out: folder.join("run"),
        device: DeviceChoice::Cpu,
        deterministic: false,
        tf32: false,
        learning_rate: LR,
        adamw: AdamWConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        },
        max_grad_norm: MAX_NORM,
        states: States::OnDevice,
        shape: Shape::Constant,
        warmup: Warmup::Steps(0),
        lanes: 1,
        shard: Shard::Nothing,
        features: FeaturePlace::memory(),
        checkpoint_every: 1,
        n_keep_checkpoints: 1,
    };
    let launch = LaunchOptions {
        resume: false,
        init_from: None,
        resume_command: String::new(),
        stop: StopSignal::detached(),
        ranks: Ranks::alone(),
    };
    let trained = models.trained().into_iter().flat_map(|(part, tensors)| {
        tensors
            .into_iter()
            .map(move |(name, tensor)| (format!("{part}.{name}"), tensor))
    });
    let parts = TrainState {
        trained: trained.collect(),
        kept: Vec::new(),
    };
    let opening = Session::prepare("rl", &recipe, "", &launch, &[]).expect("a folder");
    let inputs = Inputs::new::<&str>([]);
    opening.open(parts, 1, inputs).expect("a session")
}

/// Everything that one comparison needs.
struct Check<'a> {
    case: Case,
    golden: Golden,
    models: &'a Models,
    rollouts: Vec<Rollout<'a>>,
    learner: Learner<'a>,
    compared: Updates,
}

impl Check<'_> {
    /// What the models say of the responses, and what follows for the rewards.
    fn experience(&mut self, terminal: &Golden) -> Experience {
        let (learner, rollouts) = (&self.learner, &self.rollouts);
        let pass_rows = learner.micro_batch;
        let width = width_of(rollouts, self.case.average_over, MAX_RESPONSE);
        let reference = self.models.policy_reader(&self.models.reference);
        let ref_logprobs = reference
            .logprobs(rollouts, pass_rows, width, &Ranks::alone())
            .expect("one rank");
        let experience = Experience::new(
            rollouts,
            &scores(terminal),
            &ref_logprobs,
            Some(self.golden.get("old_values")),
            &self.case.score(),
            &self.case.ppo(),
        );
        let critic = learner.critic.expect("a critic");
        let returns = &experience.critic.as_ref().expect("a critic").returns;
        for (what, found) in [
            (
                "logprobs",
                &learner
                    .policy
                    .logprobs(rollouts, pass_rows, width, &Ranks::alone())
                    .expect("one rank"),
            ),
            ("ref_logprobs", &ref_logprobs),
            (
                "values",
                &critic
                    .reader
                    .values(rollouts, pass_rows, width, &Ranks::alone())
                    .expect("one rank"),
            ),
            ("rewards", &experience.rewards),
            ("advantages", &experience.advantages),
            ("returns", returns),
        ] {
            let expected = self.golden.get(what);
            self.compared.close(0, what, found, expected, FORWARD);
        }
        experience
    }

    /// The gradients of the first mini-batch, not clipped; the update that follows takes them anew.
    fn gradients(&mut self, experience: &Experience, rows: &[usize]) {
        let _: MiniBatchStats = self
            .learner
            .pass(&self.rollouts, experience, rows, |micros, pass| {
                Ok::<_, TrainError>(on_this_rank(micros, pass))
            })
            .expect("passes");
        for (part, found) in self.models.flat(Tensor::grad) {
            let expected = self.golden.get(&format!("gradients.{part}"));
            let what = format!("gradients of {part}");
            self.compared.close(1, &what, &found, expected, GRADIENTS);
        }
    }

    /// The `n`-th update.
    fn update(
        &mut self,
        n: usize,
        session: &mut Session,
        experience: &Experience,
        rows: Vec<usize>,
    ) {
        let epochs = [vec![rows]];
        let updates = update(session, &self.learner, &self.rollouts, experience, &epochs);
        let updates = updates.expect("finite numbers");
        let [(passed, applied)] = updates.as_slice() else {
            panic!("one mini-batch is one update")
        };
        let critic = passed.critic.expect("a critic");
        for (what, found) in [
            ("policy_loss", passed.policy_loss),
            ("value_loss", critic.loss),
            ("entropy", passed.entropy),
            ("clip_fraction", passed.clip_fraction),
            ("value_clip_fraction", critic.clip_fraction),
            ("norm", applied.grad_norm),
        ] {
            let expected = self.golden.numbers(what)[n - 1];
            self.compared.number(n, what, found, expected, FORWARD);
        }
        for (part, found) in self.models.flat(Tensor::shallow_clone) {
            let expected = self.golden.get(&format!("{part}.{n}"));
            let what = format!("parameters of {part}");
            self.compared.close(n, &what, &found, expected, PARAMETERS);
        }
    }
}

fn check(case: Case, micro_batch: usize, activations: Activations) {
    let sampled = Golden::open(&golden_folder().join("rollouts.safetensors"));
    let golden = Golden::open(&golden_folder().join(format!("ppo_{}.safetensors", case.name)));
    let models = Models::open(&sampled);
    let prompts = prompts(&sampled);
    let mini_batches = Vec::<Vec<i64>>::try_from(golden.get("mini_batch")).expect("a matrix");
    assert_eq!(mini_batches.len(), case.n_updates);
    let name = format!("ppo {}, {micro_batch} a pass, {activations:?}", case.name);
    let mut check = Check {
        case,
        rollouts: rollouts(&sampled, &golden, &prompts),
        golden,
        models: &models,
        learner: Learner {
            policy: models.policy_reader(&models.policy),
            critic: Some(CriticLearner {
                reader: models.value_reader(case.padded_to()),
                recipe: CRITIC,
            }),
            ppo: case.ppo(),
            activations,
            micro_batch,
            max_new_tokens: MAX_RESPONSE,
        },
        compared: Updates::new(name),
    };
    let experience = check.experience(&sampled);
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session(folder.path(), &models);
    session.begin_step();
    for (done, rows) in mini_batches.iter().enumerate() {
        let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        if done == 0 {
            check.gradients(&experience, &rows);
        }
        check.update(done + 1, &mut session, &experience, rows);
    }
    check.compared.report();
}

#[test]
fn ten_updates_follow_pytorch() {
    check(MODERN, 4, Activations::Keep);
}

#[test]
fn ten_updates_follow_pytorch_in_small_passes() {
    check(MODERN, 3, Activations::Keep);
    check(MODERN, 1, Activations::Recompute);
}

#[test]
fn updates_that_count_pads_follow_pytorch() {
    check(PAPER, 4, Activations::Keep);
    check(PAPER, 1, Activations::Recompute);
}

/// What the updates move is far more than what the tests allow, and clipping is there on both sides.
#[test]
fn the_golden_updates_are_large_enough_to_mean_something() {
    let golden = Golden::open(&golden_folder().join("ppo_modern.safetensors"));
    for part in ["policy", "value", "value_head"] {
        let [first, last] = ["1", "10"].map(|n| golden.get(&format!("{part}.{n}")).shallow_clone());
        let moved = (last - first).abs().max().double_value(&[]);
        assert!(moved > 5e-3, "{part} moved by {moved}");
    }
    // From the first update on, and never all of it.
    for fraction in ["clip_fraction", "value_clip_fraction"] {
        let shares = golden.numbers(fraction);
        assert!(
            shares.iter().all(|&share| share > 0.0 && share < 0.95),
            "{shares:?}"
        );
    }
    let norms = golden.numbers("norm");
    assert!(norms.iter().any(|&n| n > MAX_NORM) && norms.iter().any(|&n| n < MAX_NORM));
}
