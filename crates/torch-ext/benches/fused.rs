//! Time of the operations in one pass and of libtorch's in their place, forward alone and with the way back, at the demo's
//! sizes and at those of a decoder 1024 wide.
//!
//! A plain program: the median of several runs on one thread, in ms of processor time, which other programs on the machine
//! disturb less than the clock.

use candor_torch_ext::fused;
use tch::{Device, Kind, Tensor};

fn main() {
    candor_torch_ext::init();
    tch::set_num_threads(1);
    for (n_tokens, width, heads, inner) in [(5120, 96, 4, 288), (2048, 1024, 16, 2816)] {
        for kind in [Kind::Float, Kind::BFloat16] {
            let random = |shape: &[i64]| {
                let x = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
                x.set_requires_grad(true)
            };
            let x = random(&[1, n_tokens, width]);
            let weight = random(&[width]).detach();
            let split = [1, n_tokens, heads, width / heads];
            let heads = x.detach().reshape(split).transpose(1, 2);
            let heads = heads.set_requires_grad(true);
            let table = random(&[1, 1, n_tokens, split[3]]).detach();
            let (gate, up) = (random(&[1, n_tokens, inner]), random(&[1, n_tokens, inner]));
            println!("{n_tokens} tokens, {width} wide, {kind:?}");
            measure("norm", || fused::rms_norm(&x, &weight, 1e-5));
            measure("rotary", || fused::rotary(&heads, &table, &table));
            measure("swiglu", || fused::swiglu(&gate, &up));
        }
    }
}

fn measure(what: &str, run: impl Fn() -> Tensor) {
    let gradient = run().detach();
    let forward = || tch::no_grad(|| drop(run()));
    let both = || (run() * &gradient).sum(Kind::Float).backward();
    println!(
        "  {what:8} forward {}, with the way back {}",
        compared(forward),
        compared(both)
    );
}

/// The loops and libtorch's operations in turn.
fn compared(mut run: impl FnMut()) -> String {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..16 {
        for (way, loops) in [true, false].into_iter().enumerate() {
            fused::in_one_pass(loops);
            let began = processor_secs();
            run();
            if round > 0 {
                times[way].push(processor_secs() - began);
            }
        }
    }
    fused::in_one_pass(true);
    let [ours, theirs] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2] * 1e3
    });
    format!("{ours:6.2} instead of {theirs:6.2}")
}

/// Processor time of the process.
fn processor_secs() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a `timespec` that we own and that the call fills.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "there is no such clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
