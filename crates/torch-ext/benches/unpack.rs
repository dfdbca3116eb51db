//! Speed of unpacking a weight of 4,096 × 4,096, beside a plain copy of as many bytes.
//!
//! A plain program: warm-up, then the median of several runs, in GB of unpacked weights per second.

use std::time::Instant;

use candor_torch_ext::{Nf4, PackedWeight};
use tch::{Device, Kind, Tensor};

const WIDTH: i64 = 4096;
const BLOCK: i64 = 64;
const SUPERBLOCK: i64 = 256;

fn main() {
    candor_torch_ext::init();
    let n_blocks = WIDTH * WIDTH / BLOCK;
    let on_cpu = |kind| (kind, Device::Cpu);
    let bytes = |n| Tensor::randint_low(0, 256, [n], on_cpu(Kind::Uint8));
    let nf4 = PackedWeight::Nf4(Nf4 {
        shape: [WIDTH, WIDTH],
        block: BLOCK,
        superblock: SUPERBLOCK,
        codes: bytes(WIDTH * WIDTH / 2),
        scale_codes: bytes(n_blocks),
        scale_scales: Tensor::rand([n_blocks / SUPERBLOCK], on_cpu(Kind::Float)),
        offset: Tensor::rand([1], on_cpu(Kind::Float)),
        levels: Tensor::rand([16], on_cpu(Kind::Float)),
        scale_levels: Tensor::rand([256], on_cpu(Kind::Float)),
    });
    let int8 = PackedWeight::Int8 {
        codes: Tensor::randint_low(-127, 128, [WIDTH, WIDTH], on_cpu(Kind::Int8)),
        scales: Tensor::rand([WIDTH, 1], on_cpu(Kind::Float)),
    };
    for kind in [Kind::Float, Kind::BFloat16] {
        let full = Tensor::rand([WIDTH, WIDTH], on_cpu(Kind::Float)).to_kind(kind);
        measure("copy", kind, || full.copy());
        measure("nf4", kind, || nf4.unpack(kind));
        measure("nf4, by operations", kind, || {
            nf4.unpack_by_operations(kind)
        });
        measure("int8", kind, || int8.unpack(kind));
    }
}

fn measure(what: &str, kind: Kind, mut run: impl FnMut() -> Tensor) {
    let mut n_bytes = 0;
    let mut secs: Vec<f64> = (0..12)
        .map(|_| {
            let started = Instant::now();
            let unpacked = run();
            let secs = started.elapsed().as_secs_f64();
            n_bytes = unpacked.numel() * unpacked.kind().elt_size_in_bytes();
            secs
        })
        .skip(1)
        .collect();
    secs.sort_by(f64::total_cmp);
    let median = secs[secs.len() / 2];
    println!(
        "{kind:?} {what}: {:.1} GB/s, {:.1} ms",
        n_bytes as f64 / 1e9 / median,
        median * 1e3
    );
}
