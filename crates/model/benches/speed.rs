//! Speed of batched decoding and of a training pass, by named shapes of the demo's model.
//!
//! A plain program: warm-up, then the median of several runs, in tokens per second.

use std::time::Instant;

use candor_model::{
    Activations, Adapter, Decoding, LlavaConfig, LoraConfig, Query, SharedBatch, SharedPrefix, Vlm,
    generate,
};
use tch::{Device, Kind, Tensor};

/// The demo's sizes (recipes/demo/0-ground.toml).
const CONFIG: &str = r#"{
    "image_token_index": 3, "vision_feature_layer": -2,
    "text_config": {"vocab_size": 600, "hidden_size": 96, "intermediate_size": 288, "num_hidden_layers": 4,
                    "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 1024},
    "vision_config": {"hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 4,
                      "num_attention_heads": 4, "image_size": 64, "patch_size": 16}
}"#;

fn main() {
    candor_torch_ext::init();
    let config: LlavaConfig =
        serde_json::from_str(CONFIG).expect("the configuration above is valid");
    let model = Vlm::fresh(config, 0, Device::Cpu).expect("a fresh model has every tensor");
    for rows in [1, 16, 64, 128] {
        decode(&model, rows, 1);
    }
    decode(&model, 64, 2);
    train(&model, None, Activations::Keep);
    train(&model, None, Activations::Recompute);
    let targets = [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    ]
    .map(str::to_owned);
    let lora = LoraConfig::new(8, 16.0, &targets);
    let adapter = Adapter::fresh(lora, &model, 0).expect("it fits");
    train(&model, Some(&adapter), Activations::Keep);
    train_pairs(&model, &adapter, 32, 37, 160);
    train_pairs(&model, &adapter, 8, 640, 160);
    println!(
        "peak memory {:.0} MB",
        candor_torch_ext::peak_memory_bytes() as f64 / 1e6
    );
}

/// `rows` sequences of 16 image patches and 20 words, 64 new tokens each.
fn decode(model: &Vlm, rows: usize, samples: usize) {
    const NEW: usize = 64;
    let pixels = Tensor::randn([1, 3, 64, 64], (Kind::Float, Device::Cpu));
    let features = tch::no_grad(|| model.image_features(&pixels));
    let ids: Vec<i64> = [vec![1], vec![3; 16], (10..30).collect()].concat();
    let queries: Vec<Query> = (0..rows / samples)
        .map(|_| Query {
            ids: ids.clone(),
            features: Some(features.share()),
            image: None,
        })
        .collect();
    // No token has the id −1, so every sequence grows to its full length.
    let decoding = Decoding {
        max_new_tokens: NEW,
        temperature: 1.0,
        top_p: 1.0,
        ends: (-1_i64).into(),
    };
    let secs = median(|| {
        let answers = generate(model, None, &queries, samples, rows, decoding, |row, at| {
            candor_data::random::uniform(0, "bench", &[row as u64, at as u64])
        });
        assert_eq!(
            answers.expect("finite logits").len(),
            rows / samples * samples
        );
    });
    println!(
        "decode_b{rows}_s{samples}_q37_r{NEW} {:12.0} new tokens/s",
        (rows * NEW) as f64 / secs
    );
}

/// 64 sequences of 80 tokens: forward, backward into all weights or an adapter.
fn train(model: &Vlm, adapter: Option<&Adapter>, activations: Activations) {
    let trained = adapter.is_none();
    model.set_trainable(|name| trained && !name.starts_with("vision_tower."));
    if let Some(adapter) = adapter {
        adapter.set_trainable(true);
    }
    let ids = Tensor::randint_low(10, 500, [64, 80], (Kind::Int64, Device::Cpu));
    let targets = Tensor::randint_low(10, 500, [64 * 40], (Kind::Int64, Device::Cpu));
    let secs = median(|| {
        let embedded = model.embed(&ids, None, None);
        model.backward(&embedded, adapter, activations, |hidden| {
            let logits = model
                .decoder()
                .logits(&hidden.narrow(1, 0, 40).flatten(0, 1));
            (logits.cross_entropy_for_logits(&targets), ())
        });
    });
    let what = if trained { "full" } else { "lora_r8" };
    println!(
        "train_{what}_b64_t80_{activations:?} {:12.0} tokens/s",
        64.0 * 80.0 / secs
    );
}

/// The pair loss of `n` comparisons, whose two answers follow one prefix: with and without sharing it. Tokens
/// are counted as if nothing were shared in both, so the figures compare.
fn train_pairs(model: &Vlm, adapter: &Adapter, n: i64, prefix: i64, branch: i64) {
    model.set_trainable(|_| false);
    adapter.set_trainable(true);
    let n_tokens = 2 * n * (prefix + branch);
    let words = |len: i64| {
        let ids = Tensor::randint_low(10, 500, [len], (Kind::Int64, Device::Cpu));
        Vec::<i64>::try_from(ids).expect("one dimension of i64")
    };
    let items: Vec<SharedPrefix> = (0..n)
        .map(|_| SharedPrefix {
            prefix: words(prefix).into(),
            branches: vec![words(branch), words(branch)],
            read: vec![branch as usize - 1..branch as usize; 2],
            image: None,
        })
        .collect();
    let loss = |last: &Tensor| {
        let scores = last.select(-1, 0).reshape([n, 2]);
        let margins = scores.select(1, 0) - scores.select(1, 1);
        (-margins.log_sigmoid().mean(Kind::Float), ())
    };
    let batch = SharedBatch::new(&items.iter().collect::<Vec<_>>(), 0, Device::Cpu);
    let shared = median(|| {
        model.backward_shared(&batch, None, Some(adapter), Activations::Keep, loss);
    });
    let whole: Vec<i64> = items
        .iter()
        .flat_map(|item| {
            item.branches
                .iter()
                .map(|b| [item.prefix.to_vec().as_slice(), b].concat())
        })
        .flatten()
        .collect();
    let ids = Tensor::from_slice(&whole).reshape([2 * n, prefix + branch]);
    let unshared = median(|| {
        let embedded = model.embed(&ids, None, None);
        model.backward(&embedded, Some(adapter), Activations::Keep, |hidden| {
            loss(&hidden.select(1, -1))
        });
    });
    for (what, secs) in [("shared", shared), ("unshared", unshared)] {
        println!(
            "train_pairs_{what}_b{n}_p{prefix}_s{branch} {:12.0} tokens/s",
            n_tokens as f64 / secs
        );
    }
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
