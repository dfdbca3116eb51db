//! What holds of the losses whatever the numbers.

use candor_dpo::counting::counted;
use candor_dpo::loss::Context;
use candor_dpo::{Logprobs, Loss};
use proptest::prelude::*;
use tch::{Kind, Tensor};

fn column(values: &[f64]) -> Tensor {
    Tensor::from_slice(values)
}

fn answers(pairs: &[(f64, f64)]) -> Logprobs {
    let (chosen, rejected): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    Logprobs {
        chosen: column(&chosen),
        rejected: column(&rejected),
        spoilt: None,
        desirable: None,
        severity: None,
    }
}

fn swapped(answers: &Logprobs) -> Logprobs {
    Logprobs {
        chosen: answers.rejected.shallow_clone(),
        rejected: answers.chosen.shallow_clone(),
        spoilt: None,
        desirable: None,
        severity: None,
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double)).unwrap()
}

fn losses() -> [Loss; 5] {
    [
        Loss::Sigmoid {
            beta: 0.3,
            label_smoothing: 0.0,
        },
        Loss::Ipo { beta: 0.3 },
        Loss::SimPo {
            beta: 2.0,
            gamma: 0.0,
            label_smoothing: 0.0,
        },
        Loss::Orpo { beta: 0.5 },
        Loss::Kto {
            beta: 0.3,
            desirable: 1.0,
            undesirable: 1.0,
        },
    ]
}

fn preference(loss: Loss, policy: &Logprobs, reference: &Logprobs) -> Vec<f64> {
    let reference = Some(reference).filter(|_| loss.has_reference());
    numbers(&loss.terms(policy, reference, Context::default()).preference)
}

fn pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((-40.0..-0.01_f64, -40.0..-0.01_f64), 4)
}

#[test]
fn answers_that_are_the_same_cost_log_two() {
    let same = answers(&[(-3.0, -3.0), (-17.5, -17.5)]);
    let reference = answers(&[(-4.0, -4.0), (-1.0, -1.0)]);
    let expected = [
        2_f64.ln(),
        // (0 − 1 / 0.6)².
        1.0 / 0.36,
        2_f64.ln(),
        0.5 * 2_f64.ln(),
    ];
    for (loss, expected) in losses().into_iter().zip(expected) {
        for found in preference(loss, &same, &reference) {
            assert!((found - expected).abs() < 1e-12, "{loss:?}: {found}");
        }
    }
    // KTO has no pairs: one half is won by what the other loses.
    for found in preference(losses()[4], &same, &reference) {
        assert!((found - 0.5).abs() < 1e-12, "{found}");
    }
}

/// A label that is as likely wrong as right would say nothing; one that is wrong costs what the other pair costs.
#[test]
fn smoothed_labels_are_both_labels() {
    let (policy, reference) = (answers(&[(-3.0, -9.0)]), answers(&[(-4.0, -5.0)]));
    let loss = |label_smoothing| Loss::Sigmoid {
        beta: 0.3,
        label_smoothing,
    };
    let [right] = preference(loss(0.0), &policy, &reference)[..] else {
        panic!()
    };
    let [wrong] = preference(loss(0.0), &swapped(&policy), &swapped(&reference))[..] else {
        panic!()
    };
    let [both] = preference(loss(0.2), &policy, &reference)[..] else {
        panic!()
    };
    assert!((both - 0.8 * right - 0.2 * wrong).abs() < 1e-12);
}

/// HSA-DPO: log-ratios are 1 and −4, and the margin 0.3 (1 + 2.5 · 4) or 0.3; rewards are DPO's.
#[test]
fn how_bad_an_answer_is_counts_in_the_loss_alone() {
    let reference = answers(&[(-4.0, -5.0), (-4.0, -5.0)]);
    let policy = Logprobs {
        severity: Some(column(&[2.5, 0.0])),
        ..answers(&[(-3.0, -9.0), (-3.0, -9.0)])
    };
    let loss = losses()[0];
    let found = preference(loss, &policy, &reference);
    for (found, margin) in found.into_iter().zip([3.3_f64, 0.3]) {
        assert!((found - (-margin).exp().ln_1p()).abs() < 1e-12, "{found}");
    }
    let [chosen, rejected] = loss.rewards(&policy, Some(&reference));
    for (found, expected) in [(chosen, 0.3), (rejected, -1.2)] {
        for found in numbers(&found) {
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
    }
}

#[test]
fn margins_that_a_plain_sigmoid_could_not_hold() {
    let (policy, reference) = (answers(&[(-5000.0, -1.0)]), answers(&[(-1.0, -5000.0)]));
    let [found] = preference(
        Loss::Sigmoid {
            beta: 1.0,
            label_smoothing: 0.0,
        },
        &policy,
        &reference,
    )[..] else {
        panic!()
    };
    assert!((found - 9998.0).abs() < 1e-9, "{found}");
    // Odds of probabilities that are 1 or 0 to the last place: x − log(−x) near 1, x near 0.
    let near = answers(&[(-1e-18, -800.0)]);
    let [found] = preference(Loss::Orpo { beta: 1.0 }, &near, &near)[..] else {
        panic!()
    };
    assert!(found.abs() < 1e-12, "{found}");
    let [found] = preference(Loss::Orpo { beta: 1.0 }, &swapped(&near), &near)[..] else {
        panic!()
    };
    assert!((found - (800.0 + 1e18_f64.ln())).abs() < 1e-9, "{found}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn swapped_answers_flip_the_margin(pi in pairs(), re in pairs()) {
        let (policy, reference) = (answers(&pi), answers(&re));
        let loss = losses()[0];
        let margin = |policy: &Logprobs, reference: &Logprobs| {
            let [chosen, rejected] = loss.rewards(policy, Some(reference));
            numbers(&(chosen - rejected))
        };
        let (kept, flipped) = (margin(&policy, &reference), margin(&swapped(&policy), &swapped(&reference)));
        let costs = preference(loss, &policy, &reference);
        let swapped_costs = preference(loss, &swapped(&policy), &swapped(&reference));
        for i in 0..kept.len() {
            prop_assert!((kept[i] + flipped[i]).abs() < 1e-9);
            // −log σ(−m) = −log σ(m) + m.
            prop_assert!((swapped_costs[i] - costs[i] - kept[i]).abs() < 1e-9);
        }
    }

    #[test]
    fn a_likelier_preferred_answer_costs_less(pi in pairs(), re in pairs(), by in 0.01..2.0) {
        for loss in losses() {
            // IPO wants a certain distance and no more.
            if matches!(loss, Loss::Ipo { .. }) {
                continue;
            }
            let reference = answers(&re);
            let before = preference(loss, &answers(&pi), &reference);
            let better: Vec<(f64, f64)> = pi.iter().map(|(c, r)| (c - by, *r)).collect();
            let after = preference(loss, &answers(&better), &reference);
            for (before, after) in before.iter().zip(after) {
                prop_assert!(after >= *before, "{:?}: {} {}", loss, before, after);
            }
        }
    }

    #[test]
    fn tokens_of_no_weight_get_no_gradient(
        logprobs in prop::collection::vec(-9.0..-0.1_f64, 8),
        n_masked in 1_usize..4,
        mean in any::<bool>(),
    ) {
        let weights: Vec<f64> = (0..8).map(|i| f64::from(u8::from(i % 4 >= n_masked))).collect();
        let weights = Tensor::from_slice(&weights).reshape([2, 4]);
        let reference = answers(&[(-3.0, -4.0)]);
        for loss in losses() {
            let tokens = Tensor::from_slice(&logprobs).reshape([2, 4]).set_requires_grad(true);
            let both = counted(&tokens, &weights, mean);
            let policy = Logprobs {
                chosen: both.narrow(0, 0, 1),
                rejected: both.narrow(0, 1, 1),
                spoilt: None,
                desirable: None,
                severity: None,
            };
            let reference = Some(&reference).filter(|_| loss.has_reference());
            let terms = loss.terms(&policy, reference, Context::default());
            terms.preference.sum(Kind::Double).backward();
            let gradient = numbers(&tokens.grad().flatten(0, -1));
            for (i, gradient) in gradient.iter().enumerate() {
                prop_assert!(i % 4 >= n_masked || gradient.abs() == 0.0, "{:?}: {}", loss, i);
            }
            prop_assert!(gradient[3].abs() > 0.0, "{:?}: {:?}", loss, gradient);
        }
    }
}
