//! AdamW and gradient clipping against the published formulas, written out in f64.

use candor_train::{AdamW, AdamWConfig, ParamGroup, TrainError};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

const CONFIG: AdamWConfig = AdamWConfig {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.1,
};

fn leaf(values: &[f64], kind: Kind) -> Tensor {
    Tensor::from_slice(values)
        .to_kind(kind)
        .set_requires_grad(true)
}

/// Gives `tensor` exactly the gradient `grad`, added to what it has.
fn push_grad(tensor: &Tensor, grad: &[f64]) {
    let grad = Tensor::from_slice(grad)
        .to_kind(tensor.kind())
        .view_as(tensor);
    (tensor * grad).sum(None::<Kind>).backward();
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).view(-1)).unwrap()
}

fn single(name: &str, tensor: &Tensor) -> Vec<ParamGroup> {
    ParamGroup::all(vec![(name.to_owned(), tensor.shallow_clone())], 1.0)
}

#[test]
fn two_steps_follow_the_formula() {
    // Algorithm 2 of arXiv 1711.05101 by hand: w = 1, gradients 0.5 then -0.25, lr 0.01 then 0.02, decay 0.1.
    // Step 1: w = 1 * (1 - 0.001); m = 0.05; v = 0.00025; m/(1-0.9) = 0.5; v/(1-0.999) = 0.25.
    let w1 = 1.0 * (1.0 - 0.01 * 0.1) - 0.01 * 0.5 / (0.25_f64.sqrt() + 1e-8);
    // Step 2: m = 0.9*0.05 - 0.1*0.25 = 0.02; v = 0.999*0.00025 + 0.001*0.0625 = 0.00031225.
    let m_hat = 0.02 / (1.0 - 0.81);
    let v_hat: f64 = 0.000_312_25 / (1.0 - 0.998_001);
    let w2 = w1 * (1.0 - 0.02 * 0.1) - 0.02 * m_hat / (v_hat.sqrt() + 1e-8);

    // f32: two roundings of values near 1 per step, 6e-8 each.
    for (kind, tolerance) in [(Kind::Double, 1e-14), (Kind::Float, 4e-7)] {
        let weight = leaf(&[1.0], kind);
        let mut adamw = AdamW::new(CONFIG, single("w", &weight)).unwrap();
        push_grad(&weight, &[0.5]);
        adamw.step(0.01);
        assert!(
            (values(&weight)[0] - w1).abs() < tolerance,
            "{kind:?} {weight}"
        );
        adamw.zero_grad();
        push_grad(&weight, &[-0.25]);
        adamw.step(0.02);
        assert!(
            (values(&weight)[0] - w2).abs() < tolerance,
            "{kind:?} {weight}"
        );
    }
}

#[test]
fn groups_scale_the_rate_and_spare_vectors_from_decay() {
    let matrix = leaf(&[1.0, 2.0], Kind::Double)
        .detach()
        .view([1, 2])
        .set_requires_grad(true);
    let bias = leaf(&[3.0], Kind::Double);
    let tensors = vec![
        ("matrix".to_owned(), matrix.shallow_clone()),
        ("bias".to_owned(), bias.shallow_clone()),
    ];
    let groups = ParamGroup::without_decay_on_vectors(tensors, 0.5);
    let mut adamw = AdamW::new(CONFIG, groups).unwrap();
    // With a gradient of zero only the decay moves weights, by lr * multiplier * decay.
    push_grad(&matrix, &[0.0, 0.0]);
    push_grad(&bias, &[0.0]);
    adamw.step(0.2);
    let kept = 1.0 - 0.2 * 0.5 * 0.1;
    assert_eq!(values(&matrix), [kept, 2.0 * kept]);
    assert_eq!(values(&bias), [3.0]);
}

#[test]
fn a_parameter_without_gradient_stays() {
    let (used, unused) = (leaf(&[1.0], Kind::Float), leaf(&[1.0], Kind::Float));
    let tensors = vec![
        ("used".to_owned(), used.shallow_clone()),
        ("unused".to_owned(), unused.shallow_clone()),
    ];
    let mut adamw = AdamW::new(CONFIG, ParamGroup::all(tensors, 1.0)).unwrap();
    push_grad(&used, &[1.0]);
    adamw.step(0.1);
    assert!(values(&used)[0] < 1.0);
    assert_eq!(values(&unused), [1.0]);
}

#[test]
fn clipping_scales_to_the_global_norm() {
    // Norm of (3, 4, 12) is 13.
    let (a, b) = (leaf(&[0.0, 0.0], Kind::Double), leaf(&[0.0], Kind::Double));
    let tensors = vec![
        ("a".to_owned(), a.shallow_clone()),
        ("b".to_owned(), b.shallow_clone()),
    ];
    let mut adamw = AdamW::new(CONFIG, ParamGroup::all(tensors, 1.0)).unwrap();
    assert!(
        adamw.clip_grad_norm(1.0).abs() < f64::EPSILON,
        "no gradient yet"
    );
    push_grad(&a, &[3.0, 4.0]);
    push_grad(&b, &[-12.0]);
    for (max_norm, factor) in [
        (f64::INFINITY, 1.0),
        (20.0, 1.0),
        (6.5, 6.5 / (13.0 + 1e-6)),
    ] {
        let norm = adamw.clip_grad_norm(max_norm);
        assert!((norm - 13.0).abs() < 1e-12, "{norm}");
        let got: Vec<f64> = [a.grad(), b.grad()].iter().flat_map(values).collect();
        for (got, grad) in got.iter().zip([3.0, 4.0, -12.0]) {
            assert!((got - grad * factor).abs() < 1e-12, "{max_norm}: {got}");
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_shows_in_the_norm() {
    let weight = leaf(&[0.0, 0.0], Kind::Float);
    let mut adamw = AdamW::new(CONFIG, single("w", &weight)).unwrap();
    push_grad(&weight, &[1.0, f64::NAN]);
    assert!(adamw.clip_grad_norm(1.0).is_nan());
}

#[test]
fn unsuitable_parameters_are_refused_by_name() {
    let frozen = Tensor::zeros([2], (Kind::Float, Device::Cpu));
    let derived = leaf(&[1.0], Kind::Float) * 2.0;
    let integers = Tensor::zeros([2], (Kind::Int64, Device::Cpu));
    for (name, tensor) in [
        ("frozen", frozen),
        ("derived", derived),
        ("integers", integers),
    ] {
        let error = AdamW::new(CONFIG, single(name, &tensor)).unwrap_err();
        assert!(matches!(&error, TrainError::Optimizer { parameter, .. } if parameter == name));
    }
    let weight = leaf(&[1.0], Kind::Float);
    let mut groups = single("w", &weight);
    groups.extend(single("w", &weight));
    assert!(
        AdamW::new(CONFIG, groups)
            .unwrap_err()
            .to_string()
            .contains("twice")
    );
    assert!(AdamW::new(CONFIG, Vec::new()).is_err());
}

#[test]
fn a_state_of_another_model_is_refused_and_changes_nothing() {
    let weight = leaf(&[1.0, 2.0], Kind::Float);
    let mut adamw = AdamW::new(CONFIG, single("w", &weight)).unwrap();
    push_grad(&weight, &[1.0, 1.0]);
    adamw.step(0.1);
    let other = leaf(&[1.0, 2.0, 3.0], Kind::Float);
    let wrong_shape = AdamW::new(CONFIG, single("w", &other)).unwrap().state();
    let wrong_name = AdamW::new(CONFIG, single("v", &weight)).unwrap().state();
    let mut surplus = adamw.state();
    surplus.push(("x.exp_avg".to_owned(), Tensor::from(0.0)));
    for (state, said) in [
        (wrong_shape, "[3]"),
        (wrong_name, "lacks"),
        (surplus, "the model does not"),
    ] {
        let error = adamw.load_state(state).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let steps: Vec<i64> = adamw
        .state()
        .iter()
        .filter(|(name, _)| name == "w.step")
        .map(|(_, step)| step.int64_value(&[]))
        .collect();
    assert_eq!(steps, [1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Two parameters, each of which takes part in some steps only, as a vision tower does where a batch
    /// has no image.
    #[test]
    fn resumed_equals_uninterrupted(
        start in prop::collection::vec(-2.0_f64..2.0, 3),
        steps in prop::collection::vec(
            (prop::collection::vec(-3.0_f64..3.0, 3), any::<[bool; 2]>()),
            2..8,
        ),
        cut in 0.0_f64..1.0,
    ) {
        let cut = 1 + (cut * (steps.len() - 1) as f64) as usize;
        let pair = |from: &[Tensor; 2]| from.each_ref().map(|t| t.copy().set_requires_grad(true));
        let adamw_of = |weights: &[Tensor; 2]| {
            let named = ["a", "b"].into_iter().zip(weights);
            let tensors = named.map(|(name, t)| (name.to_owned(), t.shallow_clone())).collect();
            AdamW::new(CONFIG, ParamGroup::all(tensors, 1.0)).unwrap()
        };
        let train = |weights: &[Tensor; 2], adamw: &mut AdamW, steps: &[(Vec<f64>, [bool; 2])]| {
            for (grad, takes_part) in steps {
                adamw.zero_grad();
                for (weight, takes_part) in weights.iter().zip(takes_part) {
                    if *takes_part {
                        push_grad(weight, grad);
                    }
                }
                let _ = adamw.clip_grad_norm(1.0);
                adamw.step(0.05);
            }
        };
        let initial = [leaf(&start, Kind::Float).detach(), leaf(&start, Kind::Float).detach()];
        let whole = pair(&initial);
        train(&whole, &mut adamw_of(&whole), &steps);

        let before = pair(&initial);
        let mut adamw = adamw_of(&before);
        train(&before, &mut adamw, &steps[..cut]);
        let after = pair(&before.each_ref().map(Tensor::detach));
        let mut resumed = adamw_of(&after);
        resumed.load_state(adamw.state()).unwrap();
        train(&after, &mut resumed, &steps[cut..]);
        for (whole, after) in whole.iter().zip(&after) {
            prop_assert_eq!(values(whole), values(after));
        }
    }

    #[test]
    fn accumulated_micro_batches_equal_their_sum(
        grads in prop::collection::vec(prop::collection::vec(-8_i32..8, 3), 8),
    ) {
        // Small integers add without rounding, so the two ways must agree exactly.
        let as_f64 = |g: &Vec<i32>| g.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let sum: Vec<f64> = (0..3).map(|i| grads.iter().map(|g| f64::from(g[i])).sum()).collect();
        let (one, many) = (leaf(&[1.0; 3], Kind::Float), leaf(&[1.0; 3], Kind::Float));
        push_grad(&one, &sum);
        for grad in &grads {
            push_grad(&many, &as_f64(grad));
        }
        for weight in [&one, &many] {
            AdamW::new(CONFIG, single("w", weight)).unwrap().step(0.1);
        }
        prop_assert_eq!(values(&one), values(&many));
    }
}
