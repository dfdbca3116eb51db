//! A checkpoint is never in memory twice. A program of its own, because it looks at the memory of the whole process.

use candor_model::{Init, Weights, tensor_file};
use candor_torch_ext::{recent_peak_bytes, restart_peak};
use tch::{Device, Kind, Tensor};

const N_TENSORS: usize = 16;
const SHAPE: [i64; 2] = [1024, 4096];

#[test]
fn loading_costs_the_weights_and_one_tensor_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    for stored in [Kind::BFloat16, Kind::Float] {
        let one = Tensor::ones(SHAPE, (stored, Device::Cpu));
        let names: Vec<String> = (0..N_TENSORS)
            .map(|i| format!("layer.{i}.weight"))
            .collect();
        let repeated = names.iter().map(|name| (name.as_str(), &one));
        tensor_file::write(&path, repeated, None).unwrap();
        drop(one);

        restart_peak();
        let before = recent_peak_bytes();
        let mut weights = Weights::open(&path, Device::Cpu, Kind::BFloat16).unwrap();
        for name in &names {
            let _ = weights.take(name, &SHAPE, Init::Zeros).unwrap();
        }
        let held = weights.finish().unwrap();
        let grown = recent_peak_bytes() - before;
        let sum = held["layer.15.weight"].sum(Kind::Float).double_value(&[]);
        assert_eq!(sum.to_string(), (1024 * 4096).to_string());
        // 8 MB each in bfloat16; a tensor of the file has 8 or 16, and there is room for the allocator's habits.
        let all = N_TENSORS as u64 * (8 << 20);
        assert!(
            grown < all + (40 << 20),
            "{stored:?}: {grown} bytes for {all}"
        );
    }
}
