//! Linear layers of one input: values and gradients beside products in f64, whoever learns.

use candor_torch_ext::linears::{Layer, Term, linears, with_term};
use tch::{Device, Kind, Tensor};

const SCALE: f64 = 1.5;
const N_IN: i64 = 6;
const RANK: i64 = 2;

/// Numbers between -1.7 and 1.7 that look drawn; libtorch's generator is one for all threads.
fn drawn(seed: i64, shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    let steps = Tensor::arange(n, (Kind::Double, Device::Cpu)) * 12.9 + seed as f64 * 78.2;
    let uniform = (steps.sin() * 43_758.5).frac();
    (uniform * 1.7).to_kind(Kind::Float).reshape(shape)
}

/// Those that bf16 has too.
fn numbers(seed: i64, shape: &[i64]) -> Tensor {
    drawn(seed, shape)
        .to_kind(Kind::BFloat16)
        .to_kind(Kind::Float)
}

/// Input, then weight, bias, A and B of a layer with all of them, weight, A and B of one without a bias, weight of one
/// with nothing else.
fn tensors() -> Vec<Tensor> {
    let shapes: [&[i64]; 9] = [
        &[2, 5, N_IN],
        &[4, N_IN],
        &[4],
        &[RANK, N_IN],
        &[4, RANK],
        &[3, N_IN],
        &[RANK, N_IN],
        &[3, RANK],
        &[7, N_IN],
    ];
    (0..)
        .zip(shapes)
        .map(|(seed, shape)| numbers(seed, shape))
        .collect()
}

fn layers(t: &[Tensor]) -> [Layer<'_>; 3] {
    let term = |a, b| Some(Term { a, b, scale: SCALE });
    let layer = |weight, bias, term| Layer { weight, bias, term };
    [
        layer(&t[1], Some(&t[2]), term(&t[3], &t[4])),
        layer(&t[5], None, term(&t[6], &t[7])),
        layer(&t[8], None, None),
    ]
}

/// The same, layer by layer, as products of matrices.
fn by_products(t: &[Tensor]) -> Vec<Tensor> {
    let x = &t[0];
    let times = |x: &Tensor, weight: &Tensor| x.matmul(&weight.tr());
    vec![
        times(x, &t[1]) + &t[2] + times(&times(x, &t[3]), &t[4]) * SCALE,
        times(x, &t[5]) + times(&times(x, &t[6]), &t[7]) * SCALE,
        times(x, &t[8]),
    ]
}

/// Results, and the gradients of those tensors that learn.
fn all(kind: Kind, learns: &[usize], of: impl Fn(&[Tensor]) -> Vec<Tensor>) -> Vec<Tensor> {
    let leaves: Vec<Tensor> = tensors()
        .iter()
        .enumerate()
        .map(|(i, x)| {
            x.to_kind(kind)
                .copy()
                .set_requires_grad(learns.contains(&i))
        })
        .collect();
    let results = of(&leaves);
    let losses = (50..).zip(&results).map(|(seed, y)| {
        let gradient = numbers(seed, &y.size()).to_kind(kind);
        (y * gradient).sum(kind)
    });
    let loss: Tensor = losses.sum();
    if !learns.is_empty() {
        loss.backward();
    }
    let gradients = leaves.iter().enumerate().filter_map(|(i, leaf)| {
        let gradient = leaf.grad();
        assert_eq!(gradient.defined(), learns.contains(&i), "gradient of {i}");
        gradient.defined().then_some(gradient)
    });
    results
        .iter()
        .map(Tensor::detach)
        .chain(gradients)
        .collect()
}

fn assert_near(what: &str, found: &[Tensor], expected: &[Tensor], share: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.size(), expected.size(), "{what}, {at}");
        let apart = (found.to_kind(Kind::Double) - expected).abs().max();
        let apart = apart.double_value(&[]) / expected.abs().max().double_value(&[]);
        assert!(apart <= share, "{what}, {at}: {apart} of the largest apart");
    }
}

#[test]
fn values_and_gradients_are_those_of_products_whoever_learns() {
    let everything: Vec<usize> = (0..9).collect();
    for learns in [
        &everything[..],
        &[3, 4, 6, 7],
        &[0, 3, 4, 6, 7],
        &[0],
        &[1, 8],
        &[],
    ] {
        let expected = all(Kind::Double, learns, by_products);
        for (kind, near) in [
            (Kind::Double, 1e-14),
            (Kind::Float, 1e-6),
            (Kind::BFloat16, 2e-2),
        ] {
            let found = all(kind, learns, |t| linears(&t[0], layers(t)).into());
            assert_near(&format!("{learns:?} in {kind:?}"), &found, &expected, near);
        }
    }
}

#[test]
fn a_result_that_nobody_reads_has_no_part_in_the_gradients() {
    let learns = [0, 3, 4, 8];
    // Of the second layer nothing learns, and its result is left out of the loss.
    let second_left_out = |results: Vec<Tensor>| -> Vec<Tensor> {
        let mut results = results.into_iter();
        let (first, _) = (results.next(), results.next());
        first.into_iter().chain(results).collect()
    };
    let expected = all(Kind::Double, &learns, |t| second_left_out(by_products(t)));
    let found = all(Kind::Double, &learns, |t| {
        second_left_out(linears(&t[0], layers(t)).into())
    });
    assert_near("without the second", &found, &expected, 1e-14);
}

#[test]
fn a_term_of_f32_on_a_base_of_bf16_is_computed_in_bf16_and_learns_in_f32() {
    let given = tensors();
    let narrow = |x: &Tensor| x.to_kind(Kind::BFloat16);
    let learning = |x: &Tensor| x.copy().set_requires_grad(true);
    let (x, weight, a, b) = (
        narrow(&given[0]),
        narrow(&given[1]),
        learning(&given[3]),
        learning(&given[4]),
    );
    let term = Term {
        a: &a,
        b: &b,
        scale: SCALE,
    };
    let layer = Layer {
        weight: &weight,
        bias: None,
        term: Some(term),
    };
    let [y] = linears(&x, [layer]);
    assert_eq!(y.kind(), Kind::BFloat16);
    y.sum(Kind::Float).backward();
    let of_base = with_term(&x.linear::<&Tensor>(&weight, None), &x, term);
    assert_eq!(of_base.kind(), Kind::BFloat16);
    let (found_a, found_b) = (a.grad().copy(), b.grad().copy());
    assert_eq!((found_a.kind(), found_b.kind()), (Kind::Float, Kind::Float));
    let wide = |i: usize| given[i].to_kind(Kind::Double);
    let [x, weight, a, b] = [0, 1, 3, 4].map(wide);
    let low = x.matmul(&a.tr());
    let expected = x.matmul(&weight.tr()) + low.matmul(&b.tr()) * SCALE;
    let near = 2e-2;
    assert_near(
        "result",
        &[y.detach(), of_base.detach()],
        &[expected.copy(), expected],
        near,
    );
    // Each result's gradient is 1: A's is the sum of B's columns for each token's input, B's the sum of all low results.
    let of_a = (b.sum_dim_intlist(0, false, Kind::Double) * SCALE).outer(&x.sum_dim_intlist(
        [0, 1].as_slice(),
        false,
        Kind::Double,
    ));
    let of_b = (low.sum_dim_intlist([0, 1].as_slice(), false, Kind::Double) * SCALE)
        .expand([4, RANK], false);
    assert_near("gradients", &[found_a, found_b], &[of_a, of_b], near);
}

#[test]
fn the_term_of_another_base_is_the_same_but_for_rounding() {
    let expected = all(Kind::Double, &[0, 1, 3, 4], |t| {
        vec![by_products(t).swap_remove(0)]
    });
    let found = all(Kind::Double, &[0, 1, 3, 4], |t| {
        let base = t[0].linear(&t[1], Some(&t[2]));
        vec![with_term(
            &base,
            &t[0],
            layers(t)[0].term.expect("it has one"),
        )]
    });
    assert_near("with a term", &found, &expected, 1e-14);
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_libtorchs_words() {
    let t = tensors();
    let layer = Layer {
        weight: &t[2],
        bias: None,
        term: Some(Term {
            a: &t[4],
            b: &t[4],
            scale: SCALE,
        }),
    };
    let run = std::panic::AssertUnwindSafe(|| linears(&t[0], [layer]));
    let panic = std::panic::catch_unwind(run).expect_err("it is refused");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.starts_with("libtorch: "), "{message}");
}
