//! Speed of unpacking, decoding and training with the base in f32, bf16, int8 and NF4.
//!
//! A plain program: warm-up, then the median of several runs. `cargo bench --package candor-model --bench precision`.

use std::time::Instant;

use candor_model::{
    Activations, Adapter, Decoding, LlavaConfig, LoraConfig, Precision, Quantization, Query,
    TARGETS, Vlm, generate,
};
use tch::{Device, Kind, Tensor};

/// A decoder 512 wide, with the proportions of a 7B, and hardly a tower.
const CONFIG: &str = r#"{
    "image_token_index": 3, "vision_feature_layer": -2,
    "text_config": {"vocab_size": 2000, "hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 4,
                    "num_attention_heads": 8, "num_key_value_heads": 8, "max_position_embeddings": 1024},
    "vision_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                      "num_attention_heads": 2, "image_size": 32, "patch_size": 16}
}"#;

fn main() {
    candor_torch_ext::init();
    let config: LlavaConfig =
        serde_json::from_str(CONFIG).expect("the configuration above is valid");
    let folder = tempfile::tempdir().expect("a folder for the model");
    let fresh = Vlm::fresh(config, 0, Device::Cpu).expect("a fresh model has every tensor");
    fresh.save(folder.path()).expect("the model is written");
    for (name, kind, quantization) in [
        ("f32", Kind::Float, Quantization::None),
        ("bf16", Kind::BFloat16, Quantization::None),
        ("int8", Kind::Float, Quantization::Int8),
        ("nf4", Kind::Float, Quantization::Nf4),
        ("nf4_bf16", Kind::BFloat16, Quantization::Nf4),
    ] {
        let precision = Precision { kind, quantization };
        let model = Vlm::open(folder.path(), Device::Cpu, precision).expect("it opens");
        println!(
            "{name}: linear layers of the blocks {:.2} MB",
            block_bytes(&model) as f64 / 1e6
        );
        for rows in [1, 16, 64] {
            decode(name, &model, rows);
        }
        for activations in [Activations::Keep, Activations::Recompute] {
            train(name, &model, activations);
        }
    }
}

/// Bytes of the linear layers of the decoder's blocks.
fn block_bytes(model: &Vlm) -> usize {
    let in_blocks = |name: &str| TARGETS.iter().any(|target| name.contains(target));
    let tensors = model.parameters().iter();
    let of_blocks = tensors.filter(|(name, _)| name.contains("model.layers.") && in_blocks(name));
    of_blocks
        .map(|(_, tensor)| tensor.numel() * tensor.kind().elt_size_in_bytes())
        .sum()
}

/// `rows` sequences of 32 words, 32 new tokens each.
fn decode(name: &str, model: &Vlm, rows: usize) {
    const NEW: usize = 32;
    let queries: Vec<Query> = (0..rows)
        .map(|_| Query {
            ids: (10..42).collect(),
            features: None,
            image: None,
        })
        .collect();
    // No token has the id −1, so every sequence grows to its full length.
    let decoding = Decoding {
        max_new_tokens: NEW,
        temperature: 0.0,
        top_p: 1.0,
        ends: (-1_i64).into(),
    };
    let secs = median(|| {
        let answers = generate(model, None, &queries, 1, rows, decoding, |_, _| {
            unreachable!("greedy decoding draws nothing")
        });
        assert_eq!(answers.expect("finite logits").len(), rows);
    });
    println!(
        "{name}: decode_b{rows}_q32_r{NEW} {:.0} new tokens/s",
        (rows * NEW) as f64 / secs
    );
}

/// 8 sequences of 128 tokens: forward, and backward into an adapter of rank 16.
fn train(name: &str, model: &Vlm, activations: Activations) {
    const TOKENS: i64 = 8 * 128;
    let lora = LoraConfig::new(16, 32.0, &TARGETS.map(str::to_owned));
    let adapter = Adapter::fresh(lora, model, 0).expect("it fits");
    model.set_trainable(|_| false);
    adapter.set_trainable(true);
    let ids = Tensor::randint_low(10, 2000, [8, 128], (Kind::Int64, Device::Cpu));
    let targets = Tensor::randint_low(10, 2000, [TOKENS], (Kind::Int64, Device::Cpu));
    let secs = median(|| {
        let embedded = model.embed(&ids, None, None);
        model.backward(&embedded, Some(&adapter), activations, |hidden| {
            let logits = model.decoder().logits(&hidden.flatten(0, 1));
            (logits.cross_entropy_for_logits(&targets), ())
        });
    });
    println!(
        "{name}: train_lora_r16_b8_t128_{activations:?} {:.0} tokens/s",
        TOKENS as f64 / secs
    );
}

fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut secs: Vec<f64> = (0..7)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64()
        })
        .collect();
    secs.sort_by(f64::total_cmp);
    secs[secs.len() / 2]
}
