//! Operations in one pass: values and gradients beside the plain formulas in f64, and what they must not depend on.

use candor_torch_ext::fused;
use tch::{Device, Kind, Tensor};

const F32: (Kind, Device) = (Kind::Float, Device::Cpu);
const EPS: f64 = 1e-5;

/// Widths beside the sixteen partial sums of a row: fewer, as many, and some left over.
const WIDTHS: [i64; 5] = [2, 16, 24, 96, 130];

/// Numbers between -1.7 and 1.7 that look drawn; libtorch's generator is one for all threads.
fn numbers(seed: i64, shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    let steps = Tensor::arange(n, (Kind::Double, Device::Cpu)) * 12.9 + seed as f64 * 78.2;
    let uniform = (steps.sin() * 43_758.5).frac();
    (uniform * 1.7).to_kind(Kind::Float).reshape(shape)
}

fn norm_in_f64(x: &Tensor, weight: &Tensor) -> Tensor {
    let mean = x.square().mean_dim([-1].as_slice(), true, None);
    x * (mean + EPS).rsqrt() * weight
}

/// Turned as complex numbers are, one for each pair of first and second half.
fn rotary_in_f64(x: &Tensor, angles: &Tensor) -> Tensor {
    let halves = x.chunk(2, -1);
    let (cos, sin) = (angles.cos(), angles.sin());
    let first = &halves[0] * &cos - &halves[1] * &sin;
    let second = &halves[1] * &cos + &halves[0] * &sin;
    Tensor::cat(&[first, second], -1)
}

fn swiglu_in_f64(gate: &Tensor, up: &Tensor) -> Tensor {
    gate / ((-gate).exp() + 1.0) * up
}

/// The tables that [`fused::rotary`] takes, of angles `[batch or 1, 1, len, head_dim / 2]`.
fn tables(angles: &Tensor, kind: Kind) -> [Tensor; 2] {
    let (cos, sin) = (angles.cos(), angles.sin());
    [
        Tensor::cat(&[&cos, &cos], -1).to_kind(kind),
        Tensor::cat(&[&-&sin, &sin], -1).to_kind(kind),
    ]
}

/// Values and the gradients of all inputs where each value's gradient is a number of its own.
fn with_gradients(inputs: &[&Tensor], kind: Kind, of: impl Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    let leaf = |x: &&Tensor| x.detach().to_kind(kind).copy().set_requires_grad(true);
    let leaves: Vec<Tensor> = inputs.iter().map(leaf).collect();
    let y = of(&leaves);
    let gradient = numbers(99, &y.size()).to_kind(Kind::BFloat16).to_kind(kind);
    (&y * gradient).sum(kind).backward();
    let gradients = leaves.iter().map(Tensor::grad);
    std::iter::once(y.detach()).chain(gradients).collect()
}

/// `found` in f32 or bf16 beside the same in f64, as a share of the largest.
fn assert_near(what: &str, found: &[Tensor], expected: &[Tensor], share: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.size(), expected.size(), "{what}, {at}");
        let apart = (found.to_kind(Kind::Double) - expected).abs().max();
        let apart = apart.double_value(&[]) / expected.abs().max().double_value(&[]);
        assert!(apart <= share, "{what}, {at}: {apart} of the largest apart");
    }
}

/// Inputs that bf16 has too, so that both kinds compute from the same numbers.
fn in_both(x: &Tensor) -> Tensor {
    x.to_kind(Kind::BFloat16).to_kind(Kind::Float)
}

/// A share of the largest number: some units in the last place of f32; two roundings to bf16, each of 2^-9, and sums of
/// gradients beside them.
const NEAR: [(Kind, f64); 2] = [(Kind::Float, 2e-6), (Kind::BFloat16, 1e-2)];

#[test]
fn the_norm_and_its_gradients_are_the_formulas() {
    for width in WIDTHS {
        let x = in_both(&(numbers(1, &[3, 70, width]) * 2.0 + 0.3));
        let weight = in_both(&(numbers(2, &[width]) + 1.0));
        let inputs = [&x, &weight];
        let expected = with_gradients(&inputs, Kind::Double, |x| norm_in_f64(&x[0], &x[1]));
        for (kind, near) in NEAR {
            let found = with_gradients(&inputs, kind, |x| fused::rms_norm(&x[0], &x[1], EPS));
            assert_near(
                &format!("norm of {width} in {kind:?}"),
                &found,
                &expected,
                near,
            );
        }
    }
    // By hand: the mean square of 3 and 4 is 12.5.
    let found = fused::rms_norm(
        &Tensor::from_slice(&[3_f32, 4.0]),
        &Tensor::from_slice(&[1_f32, 2.0]),
        0.0,
    );
    let expected = Tensor::from_slice(&[3.0 / 12.5_f64.sqrt(), 8.0 / 12.5_f64.sqrt()]);
    assert_near("norm of 3 and 4", &[found], &[expected], 1e-7);
}

#[test]
fn heads_are_turned_as_complex_numbers_and_gradients_back() {
    for head_dim in WIDTHS {
        for tables_of in [1, 3] {
            let x = in_both(&numbers(3, &[3, 2, 7, head_dim]));
            let angles = numbers(4, &[tables_of, 1, 7, head_dim / 2]).to_kind(Kind::Double) * 3.0;
            let expected = with_gradients(&[&x], Kind::Double, |x| rotary_in_f64(&x[0], &angles));
            for (kind, near) in NEAR {
                let [cos, sin] = tables(&angles, kind);
                let found = with_gradients(&[&x], kind, |x| fused::rotary(&x[0], &cos, &sin));
                assert_near(
                    &format!("heads of {head_dim} in {kind:?}"),
                    &found,
                    &expected,
                    near,
                );
                let turned = x.to_kind(kind).transpose(1, 2).contiguous().transpose(1, 2);
                let found = fused::rotary(&turned, &cos, &sin);
                assert_eq!(found.stride(), turned.stride());
                assert_eq!(found, fused::rotary(&x.to_kind(kind), &cos, &sin));
            }
        }
    }
}

#[test]
fn swiglu_and_its_gradients_are_the_formulas_to_the_ends_of_the_exponential() {
    let far = Tensor::from_slice(&[
        -200_f32, -100.0, -88.0, -20.0, 0.0, 20.0, 88.0, 100.0, 200.0,
    ]);
    for gate in [in_both(&(numbers(5, &[3, 5, 37]) * 4.0)), far] {
        let up = in_both(&numbers(6, &gate.size()));
        let inputs = [&gate, &up];
        let expected = with_gradients(&inputs, Kind::Double, |x| swiglu_in_f64(&x[0], &x[1]));
        for (kind, near) in NEAR {
            let found = with_gradients(&inputs, kind, |x| fused::swiglu(&x[0], &x[1]));
            assert_near(&format!("SwiGLU in {kind:?}"), &found, &expected, near);
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    for kind in [Kind::Float, Kind::BFloat16] {
        let x = Tensor::from_slice(&[1.0, f32::NAN, 2.0, 3.0]).to_kind(kind);
        let ones = Tensor::ones([4], (kind, Device::Cpu));
        assert!(bool::try_from(fused::rms_norm(&x, &ones, EPS).isnan().all()).expect("one value"));
        let nan = |y: &Tensor| Vec::<bool>::try_from(y.isnan()).expect("one dimension");
        assert_eq!(nan(&fused::swiglu(&x, &ones)), [false, true, false, false]);
        assert_eq!(nan(&fused::swiglu(&ones, &x)), [false, true, false, false]);
        let heads = x.reshape([1, 1, 1, 4]);
        let [cos, sin] = tables(&Tensor::full([1, 1, 1, 2], 0.5, F32), kind);
        let turned = fused::rotary(&heads, &cos, &sin).flatten(0, 3);
        assert_eq!(nan(&turned), [false, true, false, true]);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads_or_the_layout() {
    let x = numbers(7, &[33, 91, 200]);
    let weight = numbers(8, &[200]);
    let up = numbers(9, &[33, 91, 200]);
    let all = || {
        let norm = with_gradients(&[&x, &weight], Kind::Float, |x| {
            fused::rms_norm(&x[0], &x[1], EPS)
        });
        let gated = with_gradients(&[&x, &up], Kind::Float, |x| fused::swiglu(&x[0], &x[1]));
        norm.into_iter().chain(gated).collect::<Vec<_>>()
    };
    tch::set_num_threads(1);
    let alone = all();
    tch::set_num_threads(3);
    assert_eq!(all(), alone);
    tch::set_num_threads(1);
    let moved = x.transpose(0, 1).contiguous().transpose(0, 1);
    assert_eq!(
        fused::rms_norm(&moved, &weight, EPS),
        fused::rms_norm(&x, &weight, EPS)
    );
    assert_eq!(fused::swiglu(&moved, &up), fused::swiglu(&x, &up));
    // Rows that are neither whole nor beside each other in memory.
    let narrowed = x.narrow(2, 10, 100).narrow(1, 3, 50);
    let weight = weight.narrow(0, 0, 100);
    assert_eq!(
        fused::rms_norm(&narrowed, &weight, EPS),
        fused::rms_norm(&narrowed.contiguous(), &weight, EPS)
    );
}

#[test]
fn without_the_loops_it_is_the_same_but_for_rounding() {
    let x = numbers(10, &[2, 3, 5, 24]);
    let weight = numbers(11, &[24]);
    let [cos, sin] = tables(&numbers(12, &[1, 1, 5, 12]), Kind::Float);
    let all = |x: &Tensor| {
        vec![
            fused::rms_norm(x, &weight.to_kind(x.kind()), EPS),
            fused::rotary(x, &cos.to_kind(x.kind()), &sin.to_kind(x.kind())),
            fused::swiglu(x, &x.flip([3])),
        ]
    };
    // f64 has no loops.
    let by_operations = all(&x.to_kind(Kind::Double));
    assert_near("by operations", &all(&x), &by_operations, 1e-6);
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_libtorchs_words() {
    let message = |run: &dyn Fn() -> Tensor| {
        let run = std::panic::AssertUnwindSafe(run);
        let panic = std::panic::catch_unwind(run).expect_err("it is refused");
        panic.downcast_ref::<String>().expect("a message").clone()
    };
    let x = numbers(13, &[1, 2, 3, 4]);
    let table = numbers(14, &[1, 1, 2, 4]);
    let found = message(&|| fused::rotary(&x, &table, &table));
    assert!(
        found.contains("rotary tables of the shapes [1, 1, 2, 4]"),
        "{found}"
    );
    let found = message(&|| fused::rms_norm(&x, &numbers(15, &[5]), EPS));
    assert!(found.contains("[5]"), "{found}");
    let found = message(&|| fused::swiglu(&x, &numbers(16, &[3])));
    assert!(found.contains("size of tensor"), "{found}");
}
