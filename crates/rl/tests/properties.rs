//! What must hold of the arithmetic whatever the numbers are.

use candor_rl::gather::refilled;
use candor_rl::kl::{self, KlEstimator};
use candor_rl::loss::{Clip, Weights, policy_loss, value_loss};
use candor_rl::shaping::{self, ScorePosition};
use candor_rl::whiten::{whiten_centered, whiten_keep_mean};
use candor_rl::{advantages, advantages::Gae};
use proptest::prelude::*;
use tch::{Kind, Tensor};

/// As far upwards as downwards.
fn both(range: f64) -> Clip {
    Clip {
        low: range,
        high: range,
    }
}

/// Every position of `n` weighs the same, `w`.
fn even(w: &Tensor, n: f64) -> Weights<'_> {
    Weights {
        of_row: w,
        n_tokens: n,
    }
}

/// Responses of several lengths with a number of each kind for every position, pads included.
#[derive(Debug, Clone)]
struct Batch {
    lengths: Vec<i64>,
    width: i64,
    /// Six numbers a position.
    numbers: Vec<f64>,
}

impl Batch {
    fn rows(&self) -> i64 {
        self.lengths.len() as i64
    }

    /// The `k`-th number of every position, `[batch, response]` f64.
    fn tensor(&self, k: usize) -> Tensor {
        let chosen: Vec<f64> = self.numbers.iter().skip(k).step_by(6).copied().collect();
        Tensor::from_slice(&chosen).reshape([self.rows(), self.width])
    }

    fn mask(&self) -> Tensor {
        let columns = Tensor::arange(self.width, (Kind::Int64, tch::Device::Cpu)).unsqueeze(0);
        columns.lt_tensor(&Tensor::from_slice(&self.lengths).unsqueeze(1))
    }

    fn n_tokens(&self) -> f64 {
        self.lengths.iter().sum::<i64>() as f64
    }
}

fn batches() -> impl Strategy<Value = Batch> {
    (1_usize..6, 1_i64..8).prop_flat_map(|(rows, width)| {
        let lengths = prop::collection::vec(1..=width, rows);
        let numbers = prop::collection::vec(-3.0..3.0_f64, rows * width as usize * 6);
        (lengths, numbers).prop_map(move |(lengths, numbers)| Batch {
            lengths,
            width,
            numbers,
        })
    })
}

/// Whatever may stand at a pad.
fn spoiled(x: &Tensor, mask: &Tensor, with: f64) -> Tensor {
    x.masked_fill(&mask.logical_not(), with)
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// With λ = 1 an advantage is the discounted sum of what is still to come, less the value.
    #[test]
    fn gae_with_lambda_one_is_return_minus_value(batch in batches(), gamma in 0.5..1.0_f64) {
        let (rewards, values, mask) = (batch.tensor(0), batch.tensor(1), batch.mask());
        let Gae { advantages, returns } = advantages::gae(&rewards, &values, &mask, gamma, 1.0);
        for (row, &length) in batch.lengths.iter().enumerate() {
            let row = row as i64;
            for t in 0..length {
                let to_come: f64 = (t..length)
                    .map(|u| gamma.powi((u - t) as i32) * rewards.double_value(&[row, u]))
                    .sum();
                let expected = to_come - values.double_value(&[row, t]);
                prop_assert!((advantages.double_value(&[row, t]) - expected).abs() < 1e-9);
                prop_assert!((returns.double_value(&[row, t]) - to_come).abs() < 1e-9);
            }
        }
    }

    /// With λ = 0 an advantage is the one-step error.
    #[test]
    fn gae_with_lambda_zero_is_the_one_step_error(batch in batches(), gamma in 0.5..1.0_f64) {
        let (rewards, values, mask) = (batch.tensor(0), batch.tensor(1), batch.mask());
        let gae = advantages::gae(&rewards, &values, &mask, gamma, 0.0);
        for (row, &length) in batch.lengths.iter().enumerate() {
            let row = row as i64;
            for t in 0..length {
                let next = if t + 1 < length { values.double_value(&[row, t + 1]) } else { 0.0 };
                let delta = rewards.double_value(&[row, t]) + gamma * next
                    - values.double_value(&[row, t]);
                prop_assert!((gae.advantages.double_value(&[row, t]) - delta).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn k2_and_k3_are_never_negative_and_equals_have_no_kl(batch in batches()) {
        let (left, right) = (batch.tensor(0), batch.tensor(1));
        for estimator in [KlEstimator::K1Clamped, KlEstimator::K2, KlEstimator::K3] {
            prop_assert!(kl::per_token(estimator, &left, &right).min().double_value(&[]) >= 0.0);
        }
        for (_, estimator) in KlEstimator::NAMES {
            let none = kl::per_token(estimator, &left, &left);
            prop_assert!(none.abs().max().double_value(&[]) == 0.0);
        }
    }

    /// What stands at a pad, even if it is not a number, changes nothing: not shaping, not advantages, not
    /// whitening, not a loss, not a gradient.
    #[test]
    fn pads_never_change_a_result(batch in batches(), pad in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), -9.0..9.0_f64]) {
        let mask = batch.mask();
        let terminal = batch.tensor(5).select(1, 0);
        let n = batch.n_tokens();
        let w = Tensor::from(1.0 / n);
        let all = |spoil: bool| {
            let at = |k: usize| {
                let x = batch.tensor(k);
                if spoil { spoiled(&x, &mask, pad) } else { x }
            };
            let rewards = shaping::rewards(&at(0), &mask, &terminal, 0.1, ScorePosition::LastToken, 1.0);
            let Gae { advantages, returns } = advantages::gae(&rewards, &at(1), &mask, 0.9, 0.8);
            let white = whiten_centered(&advantages, &mask);
            let kept = whiten_keep_mean(&at(0), &mask);
            let logprobs = at(2).set_requires_grad(true);
            let values = at(4).set_requires_grad(true);
            let policy = policy_loss(&logprobs, &at(3), &white, &mask, both(0.2), even(&w, n));
            let value = value_loss(&values, &at(1), &returns, &mask, 0.2, even(&w, n));
            (&policy.loss + &value.loss).backward();
            [
                rewards, white, kept, policy.loss.detach(), value.loss.detach(), policy.clip_fraction,
                policy.approx_kl, policy.ratio_max, value.clip_fraction, logprobs.grad(), values.grad(),
            ]
        };
        for (clean, dirty) in all(false).iter().zip(&all(true)) {
            prop_assert!(clean.equal(dirty), "{clean:?} against {dirty:?}");
        }
    }

    /// A mini-batch may be cut into passes at will: losses, gradients and shares add up.
    #[test]
    fn one_pass_of_all_equals_all_passes_of_one(batch in batches()) {
        let mask = batch.mask();
        let n = batch.n_tokens();
        let w = Tensor::from(1.0 / n);
        let leaf = |k| batch.tensor(k).set_requires_grad(true);
        let cut = |size: i64| {
            let (logprobs, values) = (leaf(0), leaf(3));
            let mut sums = Tensor::zeros([4], (Kind::Double, tch::Device::Cpu));
            let mut ratio_max: f64 = 1.0;
            let mut start = 0;
            while start < batch.rows() {
                let rows = size.min(batch.rows() - start);
                let at = |x: &Tensor| x.narrow(0, start, rows);
                let policy = policy_loss(
                    &at(&logprobs), &at(&batch.tensor(1)), &at(&batch.tensor(2)), &at(&mask), both(0.2), even(&w, n),
                );
                let value = value_loss(
                    &at(&values), &at(&batch.tensor(4)), &at(&batch.tensor(5)), &at(&mask), 0.2, even(&w, n),
                );
                (&policy.loss + &value.loss).backward();
                let parts = [policy.loss.detach(), policy.clip_fraction, value.loss.detach(), value.clip_fraction]
                    .map(|x| x.to_kind(Kind::Double));
                sums += Tensor::stack(&parts, 0);
                ratio_max = ratio_max.max(policy.ratio_max.double_value(&[]));
                start += rows;
            }
            (sums, logprobs.grad(), values.grad(), ratio_max)
        };
        let (whole, single) = (cut(batch.rows()), cut(1));
        prop_assert!(largest_difference(&whole.0, &single.0) < 1e-6);
        prop_assert!(largest_difference(&whole.1, &single.1) < 1e-12);
        prop_assert!(largest_difference(&whole.2, &single.2) < 1e-12);
        prop_assert!((whole.3 - single.3).abs() < 1e-12);
    }

    /// A policy that has not moved is not clipped, and its loss is minus the mean advantage.
    #[test]
    fn a_ratio_of_one_is_never_clipped(batch in batches()) {
        let (logprobs, advantages, mask) = (batch.tensor(0), batch.tensor(1), batch.mask());
        let n = batch.n_tokens();
        let w = Tensor::from(1.0 / n);
        let policy = policy_loss(&logprobs, &logprobs, &advantages, &mask, both(0.2), even(&w, n));
        let expected = -spoiled(&advantages, &mask, 0.0).sum(Kind::Double).double_value(&[]) / n;
        prop_assert!((policy.loss.double_value(&[]) - expected).abs() < 1e-12);
        prop_assert!(policy.clip_fraction.double_value(&[]) == 0.0);
        prop_assert!(policy.approx_kl.double_value(&[]) == 0.0);
        prop_assert!((policy.ratio_max.double_value(&[]) - 1.0).abs() < 1e-12);
    }

    /// The clipped surrogate never promises more than the plain one.
    #[test]
    fn clipping_only_ever_raises_a_loss(batch in batches(), range in 0.01..0.5_f64) {
        let mask = batch.mask();
        let n = batch.n_tokens();
        let w = Tensor::from(1.0 / n);
        let loss = |range: f64| {
            policy_loss(&batch.tensor(0), &batch.tensor(1), &batch.tensor(2), &mask, both(range), even(&w, n))
                .loss.double_value(&[])
        };
        prop_assert!(loss(range) >= loss(1e9) - 1e-9);
        let loss = |range: f64| {
            value_loss(&batch.tensor(0), &batch.tensor(1), &batch.tensor(2), &mask, range, even(&w, n))
                .loss.double_value(&[])
        };
        prop_assert!(loss(range) >= loss(1e9) - 1e-9);
    }

    #[test]
    fn whitened_numbers_have_mean_zero_and_deviation_one(batch in batches()) {
        let (x, mask) = (batch.tensor(0), batch.mask());
        let at = mask.flatten(0, 1).nonzero().squeeze_dim(1);
        let counted = x.flatten(0, 1).index_select(0, &at);
        let white = whiten_centered(&x, &mask).flatten(0, 1).index_select(0, &at);
        let kept = whiten_keep_mean(&x, &mask).flatten(0, 1).index_select(0, &at);
        let mean = counted.mean(Kind::Double).double_value(&[]);
        prop_assert!(white.mean(Kind::Double).double_value(&[]).abs() < 1e-6);
        prop_assert!((kept.mean(Kind::Double).double_value(&[]) - mean).abs() < 1e-6);
        if counted.std(false).double_value(&[]) > 1e-3 {
            prop_assert!((white.std(false).double_value(&[]) - 1.0).abs() < 1e-4);
        }
    }

    /// Shaping hands out exactly the terminal reward less the KL, wherever the score lands.
    #[test]
    fn rewards_sum_to_the_terminal_reward_less_the_kl(batch in batches(), kl_coef in 0.0..1.0_f64, scale in 0.5..10.0_f64) {
        let (kl, mask, terminal) = (batch.tensor(0), batch.mask(), batch.tensor(1).select(1, 0));
        let paid = spoiled(&kl, &mask, 0.0).sum_dim_intlist([1].as_slice(), false, Kind::Double);
        let expected = (&terminal - paid * kl_coef) * scale;
        for position in [ScorePosition::LastToken, ScorePosition::LastPad] {
            let rewards = shaping::rewards(&kl, &mask, &terminal, kl_coef, position, scale);
            let sums = rewards.sum_dim_intlist([1].as_slice(), false, Kind::Double);
            prop_assert!(largest_difference(&sums, &expected) < 1e-9);
        }
    }

    /// Which prompts a step asks: consecutive ones, as many a round as groups are missing, until none is or the rounds are over;
    /// and what it keeps of them: every group with spread, and none twice.
    #[test]
    fn refilling_asks_the_next_prompts_and_throws_no_spread_away(
        flat in prop::collection::vec(any::<bool>(), 200),
        n in 1_usize..12,
        n_rounds in 0_usize..8,
    ) {
        let mut asked: Vec<std::ops::Range<usize>> = Vec::new();
        let draw = |places: std::ops::Range<usize>| {
            asked.push(places.clone());
            Ok::<_, std::convert::Infallible>(places.collect())
        };
        let Ok((groups, drawn)) = refilled(n, n_rounds, draw, |&place: &usize| flat[place]);
        // By hand, a place at a time: the end of a round is where it has asked as many as were missing.
        let (mut end, mut with_spread, mut rounds) = (0, Vec::new(), 0);
        loop {
            let missing = n - with_spread.len();
            if missing == 0 || rounds > n_rounds {
                break;
            }
            prop_assert_eq!(&asked[rounds], &(end..end + missing));
            with_spread.extend((end..end + missing).filter(|&place| !flat[place]));
            (end, rounds) = (end + missing, rounds + 1);
        }
        prop_assert_eq!(asked.len(), rounds);
        prop_assert_eq!((drawn.n_prompts, drawn.n_thrown, drawn.n_rounds), (end, end - n, rounds - 1));
        prop_assert_eq!(groups.len(), n);
        let mut kept: Vec<usize> = groups.iter().copied().filter(|&place| !flat[place]).collect();
        kept.sort_unstable();
        prop_assert_eq!(kept, with_spread);
        // What is left without spread is of the first round, where it stood.
        for (place, group) in groups.iter().enumerate() {
            prop_assert!(!flat[*group] || *group == place);
        }
    }
}
