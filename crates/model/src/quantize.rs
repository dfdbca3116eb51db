//! Packing a weight into 4 or 8 bits; unpacking and multiplying are [`candor_torch_ext::PackedWeight`]'s.
//!
//! **NF4** (`QLoRA`, arXiv 2305.14314, sections 2 and 3) as bitsandbytes has it: weights in row-major order, 64 to a
//! block, each block divided by its largest magnitude, each weight replaced by the nearest of 16 levels, which
//! are quantiles of the normal distribution. The magnitudes, less their mean, are quantised again: 256 to a block, each
//! to the nearest of 256 levels of the signed dynamic map (arXiv 1511.04561).
//!
//! **int8** (`LLM.int8()`, arXiv 2208.07339) without its outlier columns: each output row by its largest magnitude to
//! −127 … 127, rounding half to even. Activations stay what they are.
//!
//! Departures: the mean of the magnitudes is taken in f64, because a sum in f32 would depend on the number of threads;
//! a block of zeros gets the level zero and not the first one, as bitsandbytes' CUDA kernel does.

use candor_torch_ext::{Nf4, PackedWeight};
use tch::{Device, Kind, Tensor};

use crate::precision::Quantization;

/// Weights that share a scale.
const BLOCK: i64 = 64;
/// Blocks that share a scale of their scales.
const SUPERBLOCK: i64 = 256;
/// Weights that are packed at a time, whole blocks: what is computed on the way fits into the processor's cache, where
/// for a whole matrix it would be ten times the matrix.
const SLICE: i64 = 1 << 18;

/// The levels of NF4 as bitsandbytes and the appendix of `QLoRA` print them.
const NF4_LEVELS: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Below this a magnitude counts as this, so that its reciprocal is finite. It is far below any weight's.
const SMALLEST: f64 = 1e-38;
/// The same where the reciprocal is multiplied by 127.
const SMALLEST_INT8: f64 = 1e-36;

/// What a part of the packed weight `name` is called among a model's tensors.
pub(crate) fn part_name(name: &str, part: &str) -> String {
    format!("{name}.{part}")
}

/// Packs weights on one device.
#[derive(Debug)]
pub(crate) enum Quantizer {
    Int8,
    /// Code books that all weights share.
    Nf4 {
        levels: Tensor,
        scale_levels: Tensor,
    },
}

impl Quantizer {
    /// One for weights on `device`, or none where nothing is quantised.
    pub(crate) fn new(quantization: Quantization, device: Device) -> Option<Self> {
        match quantization {
            Quantization::None => None,
            Quantization::Int8 => Some(Self::Int8),
            Quantization::Nf4 => Some(Self::Nf4 {
                levels: Tensor::from_slice(&NF4_LEVELS).to_device(device),
                scale_levels: dynamic_map().to_device(device),
            }),
        }
    }

    /// The packed weight, which must be finite, as all are that files were read for.
    ///
    /// # Shapes
    /// `weight`: `[n_out, n_in]` of a floating kind.
    pub(crate) fn pack(&self, weight: &Tensor) -> PackedWeight {
        let weight = weight.detach();
        match self {
            Self::Int8 => int8(&weight.to_kind(Kind::Float)),
            Self::Nf4 {
                levels,
                scale_levels,
            } => PackedWeight::Nf4(nf4(&weight, levels, scale_levels)),
        }
    }
}

fn int8(weight: &Tensor) -> PackedWeight {
    let largest = weight.abs().amax(1, true);
    let to_codes = largest.clamp_min(SMALLEST_INT8).reciprocal() * 127.0;
    PackedWeight::Int8 {
        codes: (weight * to_codes).round().to_kind(Kind::Int8),
        scales: largest / 127.0,
    }
}

fn nf4(weight: &Tensor, levels: &Tensor, scale_levels: &Tensor) -> Nf4 {
    let (n_out, n_in) = weight.size2().expect("a linear layer's weight is a matrix");
    let values = weight.flatten(0, -1);
    let n = n_out * n_in;
    let device = weight.device();
    let codes = Tensor::empty([(n + 1) / 2], (Kind::Uint8, device));
    let scales = Tensor::empty([(n + BLOCK - 1) / BLOCK], (Kind::Float, device));
    for start in (0..n).step_by(SLICE as usize) {
        let len = SLICE.min(n - start);
        let slice = values.narrow(0, start, len).to_kind(Kind::Float);
        let (largest, relative) = in_blocks(&slice, BLOCK);
        // Pads are zeros; a last half byte that no weight needs is the code of zero.
        let n_bytes = (len + 1) / 2;
        let pairs = nearest(&relative, levels)
            .narrow(0, 0, 2 * n_bytes)
            .reshape([n_bytes, 2]);
        let bytes = (pairs.select(1, 0) * 16).bitwise_or_tensor(&pairs.select(1, 1));
        codes.narrow(0, start / 2, n_bytes).copy_(&bytes);
        scales
            .narrow(0, start / BLOCK, largest.size()[0])
            .copy_(&largest);
    }
    let offset = scales
        .mean_dim([0_i64].as_slice(), true, Kind::Double)
        .to_kind(Kind::Float);
    let (scale_scales, relative) = in_blocks(&(&scales - &offset), SUPERBLOCK);
    Nf4 {
        shape: [n_out, n_in],
        block: BLOCK,
        superblock: SUPERBLOCK,
        codes,
        scale_codes: nearest(&relative, scale_levels)
            .narrow(0, 0, scales.size()[0])
            .copy(),
        scale_scales,
        offset,
        levels: levels.shallow_clone(),
        scale_levels: scale_levels.shallow_clone(),
    }
}

/// The largest magnitude of each block, and the values divided by it, with zeros up to the end of the last block.
///
/// # Shapes
/// `values`: `[n]` f32 → `[n_blocks]`, `[n_blocks · block]` between −1 and 1.
fn in_blocks(values: &Tensor, block: i64) -> (Tensor, Tensor) {
    let n_missing = (block - values.size()[0] % block) % block;
    let blocks = values.constant_pad_nd([0, n_missing]).reshape([-1, block]);
    let largest = blocks.abs().amax(1, true);
    let scaled = blocks * largest.clamp_min(SMALLEST).reciprocal();
    (
        largest.flatten(0, -1),
        scaled.clamp(-1.0, 1.0).flatten(0, -1),
    )
}

/// The index of the nearest level; a value on the middle between two goes to the lower.
///
/// # Shapes
/// `values`: `[n]`; `levels`: ascending → `[n]` u8.
fn nearest(values: &Tensor, levels: &Tensor) -> Tensor {
    let n = levels.size()[0];
    let middles = (levels.narrow(0, 0, n - 1) + levels.narrow(0, 1, n - 1)) / 2.0;
    values.bucketize(&middles, true, false).to_kind(Kind::Uint8)
}

/// The signed dynamic map of 8 bits, ascending: for each of seven decades below 1 the middles of 1, 2, 4 … 64 equal
/// parts of its range, with either sign; zero; and one.
fn dynamic_map() -> Tensor {
    let on_cpu = (Kind::Float, Device::Cpu);
    let mut levels = vec![Tensor::zeros([1], on_cpu), Tensor::ones([1], on_cpu)];
    for decade in 0..7 {
        let n_parts = 1_i64 << decade;
        let bounds = Tensor::linspace(0.1, 1.0, n_parts + 1, on_cpu);
        let middles = (bounds.narrow(0, 0, n_parts) + bounds.narrow(0, 1, n_parts)) / 2.0;
        let middles = middles * 10_f64.powi(decade - 6);
        levels.extend([middles.neg(), middles]);
    }
    Tensor::cat(&levels, 0).sort(0, false).0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::tensor_file;

    const SCHEMES: [(&str, Quantization); 2] =
        [("int8", Quantization::Int8), ("nf4", Quantization::Nf4)];

    /// `parity/fixtures/quantized.py` wrote it by the definition in `PyTorch`.
    fn golden() -> BTreeMap<String, Tensor> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quantized");
        tensor_file::read(&folder.join("weights.safetensors")).expect("a golden file")
    }

    fn pack(weight: &Tensor, quantization: Quantization) -> PackedWeight {
        let quantizer = Quantizer::new(quantization, Device::Cpu).expect("something to do");
        quantizer.pack(weight)
    }

    /// Bits, so that −0 is not 0.
    fn bits(tensor: &Tensor) -> Tensor {
        tensor.contiguous().view_dtype(match tensor.kind() {
            Kind::Float => Kind::Int,
            Kind::BFloat16 => Kind::Int16,
            kind => kind,
        })
    }

    #[test]
    fn packed_and_unpacked_weights_are_those_of_the_definition_bit_by_bit() {
        let golden = golden();
        let mut n_compared = 0;
        for (name, weight) in &golden {
            let Some(case) = name.strip_suffix(".weight") else {
                continue;
            };
            for (scheme, quantization) in SCHEMES {
                let expected = |part: &str| golden.get(&format!("{case}.{scheme}.{part}"));
                let Some(unpacked) = expected("unpacked") else {
                    continue;
                };
                let packed = pack(weight, quantization);
                for (part, found) in packed.parts() {
                    let expected = expected(part).expect("every part is in the file");
                    assert_eq!(bits(found), bits(expected), "{case}, {scheme}: {part}");
                }
                let found = packed.unpack(weight.kind());
                assert_eq!(found.size(), weight.size());
                assert_eq!(bits(&found), bits(unpacked), "{case}, {scheme}: unpacked");
                if quantization == Quantization::Nf4 {
                    let found = packed.unpack_by_operations(weight.kind());
                    assert_eq!(bits(&found), bits(unpacked), "{case}: by operations");
                }
                n_compared += 1;
            }
        }
        assert_eq!(n_compared, 11, "six weights, one of them as NF4 only");
    }

    #[test]
    fn half_a_byte_and_an_eighth_of_it_for_the_scales() {
        let weight = Tensor::randn([256, 512], (Kind::Float, Device::Cpu));
        let packed = pack(&weight, Quantization::Nf4);
        // 131,072 weights: a half byte each, a byte for each of 2,048 blocks, 4 for each of 8 superblocks, 4 for the
        // mean.
        assert_eq!(packed.n_bytes(), 65_536 + 2_048 + 32 + 4);
        let bits = 8.0 * packed.n_bytes() as f64 / weight.numel() as f64;
        assert!((bits - 4.127).abs() < 5e-4, "{bits}");
        let packed = pack(&weight, Quantization::Int8);
        assert_eq!(packed.n_bytes(), 131_072 + 4 * 256);
    }

    #[test]
    fn normal_weights_lose_a_hundredth_or_a_tenth() {
        let weight = golden()
            .remove("superblocks.weight")
            .expect("it is in the file");
        let weight = weight.to_kind(Kind::Float);
        // The largest of 64 normal weights is about 2.5 deviations. In the middle, where most weights are, levels of
        // NF4 are 0.08 of it apart, and uniform rounding errs by 0.08 · 2.5 / √12 = 0.06, farther out by more. The
        // largest of 129 is 2.7 deviations, of which int8 makes 127 steps: 2.7 / 127 / √12 = 0.006.
        for (quantization, about) in [(Quantization::Int8, 0.006), (Quantization::Nf4, 0.08)] {
            let unpacked = pack(&weight, quantization).unpack(Kind::Float);
            let error = (unpacked - &weight).norm().double_value(&[]);
            let relative = error / weight.norm().double_value(&[]);
            assert!(
                relative > 0.7 * about && relative < 1.5 * about,
                "{relative}"
            );
        }
    }

    /// A block's codes depend on nothing outside it, so they are the same wherever a slice ends.
    #[test]
    fn a_matrix_of_several_slices_has_the_codes_of_its_parts() {
        let (n_in, n_out) = (512, 3 * SLICE / 512 / 2 + 1);
        let weight = Tensor::randn([n_out, n_in], (Kind::Float, Device::Cpu));
        let codes = |weight: &Tensor| match pack(weight, Quantization::Nf4) {
            PackedWeight::Nf4(packed) => packed.codes,
            PackedWeight::Int8 { .. } => unreachable!("NF4 was asked for"),
        };
        let n_first = SLICE / n_in - 3;
        let parts = [(0, n_first), (n_first, n_out - n_first)]
            .map(|(start, len)| codes(&weight.narrow(0, start, len)));
        assert_eq!(codes(&weight), Tensor::cat(&parts, 0));
    }
}
