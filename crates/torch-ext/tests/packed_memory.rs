//! Between forward and backward no weight is kept in full. A program of its own, because it looks at the memory of
//! the whole process.

use candor_torch_ext::{PackedWeight, peak_memory_bytes, recent_peak_bytes, restart_peak};
use tch::{Device, Kind, Tensor};

#[test]
fn layers_do_not_keep_what_they_unpack() {
    const WIDTH: i64 = 1024;
    const N_LAYERS: usize = 64;
    let layer = PackedWeight::Int8 {
        codes: Tensor::ones([WIDTH, WIDTH], (Kind::Int8, Device::Cpu)),
        scales: Tensor::full([WIDTH, 1], 1.0 / 1024.0, (Kind::Float, Device::Cpu)),
    };
    let x = Tensor::ones([1, WIDTH], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let run = || {
        let y = (0..N_LAYERS).fold(x.shallow_clone(), |x, _| layer.linear(&x));
        y.sum(Kind::Float).backward();
    };
    // libtorch's own buffers and threads come with the first products.
    layer.linear(&x).sum(Kind::Float).backward();
    restart_peak();
    let before = recent_peak_bytes();
    run();
    let grown = peak_memory_bytes() - before;
    // Each product of the ones with 1,024 weights of 1 / 1,024 is one again, in both passes.
    assert_eq!(x.grad(), x.full_like(2.0));
    // A weight is 4 MB in full: 64 of them would be 268 MB.
    assert!(grown < 64 << 20, "{grown} bytes");
}
