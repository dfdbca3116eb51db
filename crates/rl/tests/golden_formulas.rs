//! KL, rewards, advantages, whitening and losses against plain PyTorch: values and gradients.
//!
//! `parity/fixtures/rl.py` computed everything in f64 from f32 inputs, by the definitions
//! (`parity/fixtures/formulas.py`). Candor computes in f32: with entries up to 10 and sums of up to 72 of them
//! a few units in the last place are 2e-7 of the largest entry (as found here), and 2e-6 leaves room for another
//! CPU's order of summation. A wrong formula is off by a hundredth at least; the last test of this file makes sure of that
//! where it is not evident.
//!
//! Masked entries of the inputs are set to NaN first: they must not matter.

use std::path::Path;

use candor_rl::advantages::gae;
use candor_rl::kl::{self, KlEstimator};
use candor_rl::loss::{Clip, Weights, policy_loss, value_loss};
use candor_rl::shaping::{self, ScorePosition, TerminalCoefs};
use candor_rl::whiten::{whiten_centered, whiten_keep_mean};
use candor_testing::golden::{Golden, assert_close, difference};
use tch::{Kind, Tensor};

const TOLERANCE: f64 = 2e-6;
const KL_COEF: f64 = 0.1;
const HIDDEN_SCALE: f64 = 10.0;
const CLIP_RANGE: f64 = 0.2;
const VALUE_CLIP_RANGE: f64 = 0.25;

fn golden() -> Golden {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    Golden::open(&folder.join("formulas.safetensors"))
}

/// The two masks of the golden file by name: only real tokens, and every position.
fn masks(mask: &Tensor) -> [(&'static str, Tensor); 2] {
    [
        ("real_tokens", mask.shallow_clone()),
        ("every_position", mask.ones_like()),
    ]
}

/// `x` with NaN where the mask is false, as a leaf that gets a gradient.
fn poisoned(x: &Tensor, mask: &Tensor) -> Tensor {
    x.masked_fill(&mask.logical_not(), f64::NAN)
        .set_requires_grad(true)
}

/// Numbers of true positions, as the losses want them.
fn count(mask: &Tensor) -> f64 {
    mask.sum(Kind::Int64).double_value(&[])
}

#[test]
fn kl_estimators() {
    let golden = golden();
    for (name, estimator) in KlEstimator::NAMES {
        let logprobs = golden.get("kl.logprobs").copy().set_requires_grad(true);
        let found = kl::per_token(estimator, &logprobs, golden.get("kl.ref_logprobs"));
        assert_close(
            "kl",
            name,
            &found,
            golden.get(&format!("{name}.kl")),
            TOLERANCE,
        );
        (found * golden.get("kl.weights"))
            .sum(Kind::Float)
            .backward();
        let expected = golden.get(&format!("{name}.grad"));
        let what = format!("{name} gradient");
        assert_close("kl", &what, &logprobs.grad(), expected, TOLERANCE);
    }
}

/// Host arithmetic in f64 on both sides, so this is exact but for the order of the four terms.
#[test]
fn terminal_rewards() {
    let golden = golden();
    let matrix = |name: &str| Vec::<Vec<f64>>::try_from(golden.get(name)).expect("a matrix");
    let responses = matrix("terminal.columns");
    for (row, (coefs, totals)) in matrix("terminal.coefs")
        .iter()
        .zip(matrix("terminal.total"))
        .enumerate()
    {
        let coefs = TerminalCoefs {
            no_eos_penalty: coefs[0],
            length_penalty: coefs[1],
            length_scale_tokens: coefs[2],
            symbolic_coef: coefs[3],
        };
        let total = |response: &Vec<f64>| {
            let &[score, finished, n_tokens, length_bonus, correctness] = response.as_slice()
            else {
                panic!("five columns")
            };
            let (n_tokens, finished) = (n_tokens as usize, finished != 0.0);
            shaping::terminal(&coefs, score, n_tokens, finished, length_bonus, correctness).total
        };
        let found = Tensor::from_slice(&responses.iter().map(total).collect::<Vec<f64>>());
        let what = format!("rewards, coefficients {row}");
        assert_close(
            "terminal",
            &what,
            &found,
            &Tensor::from_slice(&totals),
            1e-14,
        );
    }
}

#[test]
fn shaped_rewards() {
    let golden = golden();
    let mask = golden.get("rewards.mask");
    let kl = golden
        .get("rewards.kl")
        .masked_fill(&mask.logical_not(), f64::NAN);
    for (name, position, scale) in [
        ("last_token", ScorePosition::LastToken, 1.0),
        ("last_pad", ScorePosition::LastPad, HIDDEN_SCALE),
    ] {
        let terminal = golden.get("rewards.terminal");
        let found = shaping::rewards(&kl, mask, terminal, KL_COEF, position, scale);
        let expected = golden.get(&format!("{name}.rewards"));
        assert_close("rewards", name, &found, expected, TOLERANCE);
    }
}

#[test]
fn advantages_and_returns() {
    let golden = golden();
    let ragged = golden.get("gae.mask");
    for (name, mask, gamma, lambda) in [
        ("undiscounted", ragged, 1.0, 1.0),
        ("discounted", ragged, 0.98, 0.95),
        ("every_position", &ragged.ones_like(), 0.98, 0.95),
    ] {
        let [rewards, values] =
            ["gae.rewards", "gae.values"].map(|name| poisoned(golden.get(name), mask));
        let found = gae(&rewards, &values, mask, gamma, lambda);
        for (what, found) in [
            ("advantages", &found.advantages),
            ("returns", &found.returns),
        ] {
            let expected = golden.get(&format!("{name}.{what}"));
            assert_close("gae", &format!("{name} {what}"), found, expected, TOLERANCE);
            assert!(!found.requires_grad(), "{what} are constants to the losses");
        }
    }
}

#[test]
fn whitening() {
    let golden = golden();
    let weights = golden.get("whiten.weights");
    for (name, mask) in masks(golden.get("whiten.mask")) {
        for (kind, whiten) in [
            (
                "centered",
                whiten_centered as fn(&Tensor, &Tensor) -> Tensor,
            ),
            ("keep_mean", whiten_keep_mean),
        ] {
            let found = whiten(&poisoned(golden.get("whiten.x"), &mask), &mask);
            let what = format!("{name} {kind}");
            let expected = golden.get(&format!("whiten.{name}.{kind}"));
            assert_close("whiten", &what, &found, expected, TOLERANCE);
            // Without NaN: training takes no gradient through whitening, and the code does not guard it.
            let x = golden.get("whiten.x").copy().set_requires_grad(true);
            (whiten(&x, &mask) * weights).sum(Kind::Float).backward();
            let expected = golden.get(&format!("whiten.{name}.grad_{kind}"));
            assert_close(
                "whiten",
                &format!("{what} gradient"),
                &x.grad(),
                expected,
                TOLERANCE,
            );
        }
    }
}

#[test]
fn the_policy_loss_clips_on_both_sides() {
    let golden = golden();
    for (name, mask) in masks(golden.get("policy.mask")) {
        let [logprobs, old, advantages] = ["logprobs", "old_logprobs", "advantages"]
            .map(|part| poisoned(golden.get(&format!("policy.{part}")), &mask));
        let n_tokens = count(&mask);
        let found = policy_loss(
            &logprobs,
            &old.detach(),
            &advantages,
            &mask,
            Clip {
                low: CLIP_RANGE,
                high: CLIP_RANGE,
            },
            Weights {
                of_row: &Tensor::from(1.0 / n_tokens),
                n_tokens,
            },
        );
        found.loss.backward();
        for (what, found) in [
            ("loss", &found.loss),
            ("grad", &logprobs.grad()),
            ("clip_fraction", &found.clip_fraction),
            ("approx_kl", &found.approx_kl),
        ] {
            let expected = golden.get(&format!("policy.{name}.{what}"));
            assert_close(
                "policy loss",
                &format!("{name} {what}"),
                found,
                expected,
                TOLERANCE,
            );
        }
        assert!(
            !advantages.grad().defined(),
            "advantages are constants to the loss"
        );
        if name == "real_tokens" {
            let expected = golden.get("policy.ratio_max");
            assert_close(
                "policy loss",
                "largest ratio",
                &found.ratio_max,
                expected,
                TOLERANCE,
            );
        }
    }
}

#[test]
fn the_value_loss_clips_on_both_sides() {
    let golden = golden();
    for (name, mask) in masks(golden.get("value.mask")) {
        let [values, old, returns] = ["values", "old_values", "returns"]
            .map(|part| poisoned(golden.get(&format!("value.{part}")), &mask));
        let found = value_loss(
            &values,
            &old,
            &returns,
            &mask,
            VALUE_CLIP_RANGE,
            Weights {
                of_row: &Tensor::from(1.0 / count(&mask)),
                n_tokens: count(&mask),
            },
        );
        found.loss.backward();
        for (what, found) in [
            ("loss", &found.loss),
            ("grad", &values.grad()),
            ("clip_fraction", &found.clip_fraction),
        ] {
            let expected = golden.get(&format!("value.{name}.{what}"));
            assert_close(
                "value loss",
                &format!("{name} {what}"),
                found,
                expected,
                TOLERANCE,
            );
        }
        assert!(
            !old.grad().defined() && !returns.grad().defined(),
            "constants to the loss"
        );
    }
}

/// The mistakes that are easily made give other numbers on these inputs.
#[test]
fn the_golden_inputs_tell_mistakes_apart() {
    let golden = golden();
    let apart = |what: &str, left: &str, right: &str| {
        let (absolute, _) = difference(golden.get(left), golden.get(right));
        assert!(absolute > 1e-2, "{what}: only {absolute} apart");
    };
    apart("the clamp of k1", "k1.kl", "k1_clamped.kl");
    apart(
        "gamma and lambda",
        "discounted.advantages",
        "undiscounted.advantages",
    );
    apart("pads", "discounted.advantages", "every_position.advantages");
    for (what, part) in [
        ("whitening pads", "centered"),
        ("keeping their mean", "keep_mean"),
    ] {
        let [real, every] =
            ["real_tokens", "every_position"].map(|mask| format!("whiten.{mask}.{part}"));
        apart(what, &real, &every);
    }
    // Without the max, and without the clip, the losses would be these.
    let mask = golden.get("policy.mask");
    let part = |name: &str| golden.get(&format!("policy.{name}")).masked_select(mask);
    let ratio = (part("logprobs") - part("old_logprobs")).exp();
    let expected = golden.number("policy.real_tokens.loss");
    for (what, wrong) in [
        ("no clipping", &ratio * part("advantages")),
        (
            "no max",
            ratio.clamp(1.0 - CLIP_RANGE, 1.0 + CLIP_RANGE) * part("advantages"),
        ),
    ] {
        let wrong = -wrong.mean(Kind::Double).double_value(&[]);
        assert!(
            (wrong - expected).abs() > 1e-2,
            "{what}: {wrong} and {expected}"
        );
    }
}
