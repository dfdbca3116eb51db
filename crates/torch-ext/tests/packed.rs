//! Packed linear layers: what they compute, what flows back, and what they refuse.

use candor_torch_ext::{Nf4, PackedWeight};
use tch::{Device, IndexOp as _, Kind, Tensor};

fn int8() -> PackedWeight {
    PackedWeight::Int8 {
        codes: Tensor::from_slice(&[1_i8, -2, 3, 0, 127, -127]).reshape([2, 3]),
        scales: Tensor::from_slice(&[0.5_f32, 0.25]).reshape([2, 1]),
    }
}

/// Three blocks of four weights, two blocks to a superblock; levels and scales that are easy on the eye.
fn nf4() -> Nf4 {
    let scale_levels = Tensor::zeros([256], (Kind::Float, Device::Cpu));
    let _ = scale_levels.i(1).fill_(-0.5);
    let _ = scale_levels.i(2).fill_(1.0);
    Nf4 {
        shape: [3, 3],
        block: 4,
        superblock: 2,
        codes: Tensor::from_slice(&[0x01_u8, 0x23, 0x45, 0x67, 0xf0]),
        scale_codes: Tensor::from_slice(&[0_u8, 1, 2]),
        scale_scales: Tensor::from_slice(&[2_f32, 8.0]),
        offset: Tensor::from_slice(&[3_f32]),
        levels: Tensor::arange(16, (Kind::Float, Device::Cpu)),
        scale_levels,
    }
}

fn matrix(values: &[f32], width: i64) -> Tensor {
    Tensor::from_slice(values).reshape([-1, width])
}

#[test]
fn int8_rows_have_their_scales() {
    let expected = matrix(&[0.5, -1.0, 1.5, 0.0, 31.75, -31.75], 3);
    assert_eq!(int8().unpack(Kind::Float), expected);
}

#[test]
fn nf4_is_unpacked_from_the_high_half_on_with_the_scales_of_its_blocks() {
    // Scales: 0 · 2 + 3, −0.5 · 2 + 3, 1 · 8 + 3. The last block has one weight, the last byte one half.
    let expected = matrix(&[0.0, 3.0, 6.0, 9.0, 8.0, 10.0, 12.0, 14.0, 165.0], 3);
    let weight = PackedWeight::Nf4(nf4());
    assert_eq!(weight.unpack(Kind::Float), expected);
    assert_eq!(weight.unpack_by_operations(Kind::Float), expected);
    let rounded = expected.to_kind(Kind::BFloat16);
    assert_eq!(weight.unpack(Kind::BFloat16), rounded);
    assert_eq!(weight.unpack_by_operations(Kind::BFloat16), rounded);
}

#[test]
fn the_layer_and_its_gradient_are_those_of_the_unpacked_weight() {
    for kind in [Kind::Float, Kind::BFloat16] {
        for (weight, shape) in [(int8(), [2, 5, 3]), (PackedWeight::Nf4(nf4()), [4, 1, 3])] {
            let values = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
            let (ours, theirs) = (values.copy(), values.copy());
            let ours = ours.set_requires_grad(true);
            let theirs = theirs.set_requires_grad(true);
            let (found, expected) = (
                weight.linear(&ours),
                theirs.linear::<&Tensor>(&weight.unpack(kind), None),
            );
            assert_eq!(found, expected);
            assert_eq!(found.kind(), kind);
            // Not the same for every output, so that a transposed or summed gradient shows.
            let direction = Tensor::randn(found.size(), (Kind::Float, Device::Cpu)).to_kind(kind);
            (found * &direction).sum(kind).backward();
            (expected * &direction).sum(kind).backward();
            assert_eq!(ours.grad(), theirs.grad());
        }
    }
}

#[test]
fn nothing_is_recorded_where_no_gradient_is_wanted() {
    let x = Tensor::ones([2, 3], (Kind::Float, Device::Cpu));
    let weight = PackedWeight::Nf4(nf4());
    assert!(!weight.linear(&x).requires_grad());
    let x = x.set_requires_grad(true);
    assert!(weight.linear(&x).requires_grad());
    let plain = tch::no_grad(|| weight.linear(&x));
    assert!(!plain.requires_grad());
    assert_eq!(plain, weight.linear(&x).detach());
}

#[test]
#[should_panic(expected = "mat1 and mat2 shapes cannot be multiplied")]
fn an_input_of_another_width_is_refused() {
    let _ = int8().linear(&Tensor::ones([2, 4], (Kind::Float, Device::Cpu)));
}

#[test]
fn parts_that_are_too_small_or_of_another_kind_are_never_read() {
    type Damage = fn(&mut Nf4);
    let damages: [(&str, Damage); 7] = [
        ("codes", |w| w.codes = w.codes.i(0..4).copy()),
        ("codes", |w| w.shape = [3, 4]),
        ("scale_codes", |w| {
            w.scale_codes = w.scale_codes.i(0..2).copy();
        }),
        ("scale_scales", |w| {
            w.scale_scales = w.scale_scales.i(0..1).copy();
        }),
        ("offset", |w| w.offset = w.offset.to_kind(Kind::Double)),
        ("scale_levels", |w| {
            w.scale_levels = w.scale_levels.i(0..255).copy();
        }),
        ("levels", |w| {
            w.levels = Tensor::stack(&[&w.levels, &w.levels], 1).select(1, 0);
        }),
    ];
    for (part, damage) in damages {
        let mut weight = nf4();
        damage(&mut weight);
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            PackedWeight::Nf4(weight).unpack(Kind::Float)
        }));
        let message = refused.expect_err(part);
        let message = message.downcast_ref::<String>().expect("a message");
        assert!(message.contains(&format!("`{part}`")), "{message}");
    }
}
