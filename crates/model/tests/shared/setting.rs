//! Models, items with branches, and the same sequences run one by one.

use std::ops::Range;

use candor_data::image::ImageSize;
use candor_model::sample::Continuations;
use candor_model::{
    Adapter, Features, LoraConfig, ModelConfig, SharedBatch, SharedPrefix, TARGETS, Vlm,
};
use proptest::prelude::*;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

pub const TOLERANCE: f64 = 1e-5;
/// Gradients add up over every layer and token in another order; among some thousand random cases a few are a little
/// more than 1e-5 apart. A token that sees what it must not shows as 1e-2 and more.
pub const GRADIENT_TOLERANCE: f64 = 5e-5;
pub const PAD: i64 = 0;
pub const BOS: i64 = 1;
pub const IMAGE: i64 = 3;
const N_VOCAB: i64 = 40;
pub const N_PATCHES: usize = 4;

/// Whose positions a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// One token after another.
    Llava,
    /// Images are tiles, and learned tokens end their lines.
    Next,
    /// Images have rows and columns.
    Qwen,
    /// The same, and outputs of all blocks of the tower are added in the decoder.
    Qwen3,
}

fn model(family: Family, n_kv_heads: i64, seed: u64) -> Vlm {
    let config = match family {
        Family::Llava => llava(n_kv_heads),
        Family::Next => next(n_kv_heads),
        Family::Qwen => qwen(n_kv_heads),
        Family::Qwen3 => qwen3(n_kv_heads),
    };
    let config = ModelConfig::of_json(&config.to_string()).expect("a configuration");
    Vlm::fresh(config, seed, Device::Cpu).expect("a fresh model")
}

/// The features of an image of four tokens, as a square, as a row, or as two tiles and the whole.
fn features(model: &Vlm, family: Family, at: usize) -> Features {
    let pixels = pixels(family, at);
    if family != Family::Next {
        return model.image_features(&pixels);
    }
    let own = ImageSize {
        width: 2,
        height: 1,
    };
    let views = pixels.reshape([1, 3, 3, 4, 4]);
    model.view_features(&views, own)
}

fn pixels(family: Family, at: usize) -> Tensor {
    let [height, width] = match family {
        Family::Next => [4, 12],
        Family::Qwen | Family::Qwen3 if at % 2 == 1 => [4, 16],
        _ => [8, 8],
    };
    let numbers = Tensor::arange(3 * height * width, (Kind::Float, Device::Cpu)) + at as f64;
    (numbers * 0.7).sin().reshape([1, 3, height, width])
}

fn next(n_kv_heads: i64) -> Value {
    let mut config = llava(n_kv_heads);
    config["model_type"] = "llava_next".into();
    config["image_grid_pinpoints"] = serde_json::json!([[4, 8]]);
    config["vision_config"]["image_size"] = 4.into();
    config
}

fn qwen(n_kv_heads: i64) -> Value {
    serde_json::json!({
        "model_type": "qwen2_5_vl", "image_token_id": IMAGE,
        "vocab_size": N_VOCAB, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": n_kv_heads, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6, "rope_theta": 1e4, "rope_scaling": {"type": "mrope", "mrope_section": [0, 1, 1]},
        "vision_config": {
            "depth": 1, "hidden_size": 8, "intermediate_size": 16, "num_heads": 2, "patch_size": 2,
            "window_size": 8, "fullatt_block_indexes": [0], "out_hidden_size": 16
        }
    })
}

fn qwen3(n_kv_heads: i64) -> Value {
    serde_json::json!({
        "model_type": "qwen3_vl", "image_token_id": IMAGE,
        "text_config": {
            "vocab_size": N_VOCAB, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": n_kv_heads, "head_dim": 6,
            "max_position_embeddings": 64, "rope_theta": 1e4, "rope_scaling": {"mrope_section": [1, 1, 1]}
        },
        "vision_config": {
            "depth": 3, "hidden_size": 8, "intermediate_size": 16, "num_heads": 2, "patch_size": 2,
            "num_position_embeddings": 9, "deepstack_visual_indexes": [0, 1, 2], "out_hidden_size": 16
        }
    })
}

fn llava(n_kv_heads: i64) -> Value {
    serde_json::json!({
        "model_type": "llava",
        "image_token_index": IMAGE,
        "vision_feature_layer": -1,
        "text_config": {
            "vocab_size": N_VOCAB, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": n_kv_heads, "max_position_embeddings": 64
        },
        "vision_config": {
            "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 8, "patch_size": 4
        }
    })
}

/// An adapter that does something: a fresh one's B is zero.
fn adapter(model: &Vlm, seed: u64) -> Adapter {
    let config = LoraConfig::new(2, 4.0, &TARGETS.map(str::to_owned));
    let adapter = Adapter::fresh(config, model, seed).expect("an adapter");
    for (at, (name, b)) in adapter.parameters().iter().enumerate() {
        if name.ends_with("lora_B.weight") {
            let numbers = Tensor::arange(b.numel() as i64, (Kind::Float, Device::Cpu)) + at as f64;
            let filled = (numbers * 1.3).sin().reshape(b.size()) * 0.3;
            b.shallow_clone().copy_(&filled);
        }
    }
    adapter
}

/// Deterministic ids from `lowest` on.
fn words(seed: u64, n: usize, lowest: i64) -> Vec<i64> {
    let draw = |i| candor_data::random::uniform(seed, "words", &[i as u64]);
    let span = (N_VOCAB - lowest) as f64;
    (0..n).map(|i| lowest + (draw(i) * span) as i64).collect()
}

/// One item's prefix words after its `<s>` and image, whether it has an image, and its branches' words.
pub type Item = (usize, bool, Vec<usize>);

/// What one comparison is made of.
#[derive(Debug, Clone)]
pub struct Case {
    pub seed: u64,
    pub family: Family,
    pub n_kv_heads: i64,
    pub items: Vec<Item>,
    pub read: Read,
}

/// What branches are read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Their last token.
    Last,
    /// Any span of their tokens.
    Spans,
}

impl Read {
    /// The span of a branch of `len` tokens.
    fn of(self, seed: u64, len: usize) -> Range<usize> {
        let draw = |purpose| candor_data::random::uniform(seed, purpose, &[]);
        match self {
            Self::Last => len - 1..len,
            Self::Spans => {
                let start = (draw("start") * len as f64) as usize;
                let n = 1 + (draw("length") * (len - start) as f64) as usize;
                start..start + n
            }
        }
    }
}

impl Case {
    fn items(&self) -> Vec<SharedPrefix> {
        let item = |(at, (n_words, has_image, branches)): (usize, &Item)| {
            let seed = self.seed * 100 + 10 * at as u64;
            let patches = vec![IMAGE; if *has_image { N_PATCHES } else { 0 }];
            // A policy may sample the placeholder's id, which then is a word.
            let branch = |(k, &n): (usize, &usize)| words(seed + k as u64 + 1, n, IMAGE);
            let read = |(k, &n): (usize, &usize)| self.read.of(seed + k as u64 + 1, n);
            SharedPrefix {
                prefix: [vec![BOS], patches, words(seed, *n_words, IMAGE + 1)]
                    .concat()
                    .into(),
                branches: branches.iter().enumerate().map(branch).collect(),
                read: branches.iter().enumerate().map(read).collect(),
                image: has_image.then(|| format!("{at}.png")),
            }
        };
        self.items.iter().enumerate().map(item).collect()
    }
}

/// A model, an adapter and items with the features of their images.
pub struct Setting {
    pub model: Vlm,
    pub adapter: Adapter,
    pub items: Vec<SharedPrefix>,
    pub features: Option<Features>,
}

impl Setting {
    pub fn new(case: &Case) -> Self {
        tch::set_num_threads(1);
        let model = model(case.family, case.n_kv_heads, case.seed);
        let items = case.items();
        let n_images = items.iter().filter(|item| item.image.is_some()).count();
        let encode = |at| features(&model, case.family, at);
        let features: Vec<Features> = tch::no_grad(|| (0..n_images).map(encode).collect());
        Self {
            adapter: adapter(&model, case.seed),
            model,
            items,
            features: Features::cat(&features),
        }
    }

    pub fn batch(&self) -> SharedBatch {
        batch(&self.items, PAD)
    }

    /// The sum of the hidden states of the tokens that each sequence is read at, each run alone and without a pad.
    pub fn unshared(&self, adapter: Option<&Adapter>) -> Tensor {
        let sums: Vec<Tensor> = self
            .each(adapter)
            .into_iter()
            .map(|(item, k, hidden)| {
                let read = &item.read[k];
                let start = (item.prefix.len() + read.start) as i64;
                let hidden = hidden.narrow(1, start, read.len() as i64);
                hidden.sum_dim_intlist([1].as_slice(), false, None)
            })
            .collect();
        Tensor::cat(&sums, 0)
    }

    /// Every item and branch with its hidden states, `[1, len, width]`, each run alone and without a pad.
    pub fn each(&self, adapter: Option<&Adapter>) -> Vec<(&SharedPrefix, usize, Tensor)> {
        let mut next_image = 0;
        let mut all = Vec::new();
        for item in &self.items {
            let features = item.image.as_ref().and_then(|_| {
                next_image += 1;
                Some(self.features.as_ref()?.image(next_image - 1))
            });
            let prefix = item.prefix.to_vec();
            for (k, branch) in item.branches.iter().enumerate() {
                let rows = Continuations::new(&[(&prefix, branch)], PAD, Device::Cpu);
                let embedded = self
                    .model
                    .embed_continuations(&rows, features.as_ref(), None);
                all.push((item, k, self.model.hidden(&embedded, adapter)));
            }
        }
        all
    }

    /// Makes the adapter trainable, or all weights but the tower's, and forgets earlier gradients.
    pub fn train(&self, trained: Trained) -> Vec<(String, Tensor)> {
        let full = trained == Trained::Weights;
        let weights = self
            .model
            .set_trainable(|name| full && !name.starts_with("vision_tower."));
        self.adapter.set_trainable(!full);
        if full {
            return weights;
        }
        let named = self.adapter.parameters().iter();
        named
            .map(|(name, t)| (name.clone(), t.shallow_clone()))
            .collect()
    }
}

pub fn batch(items: &[SharedPrefix], pad: i64) -> SharedBatch {
    SharedBatch::new(&items.iter().collect::<Vec<_>>(), pad, Device::Cpu)
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trained {
    Adapter,
    Weights,
}

/// A loss in which every entry of every row counts differently.
pub fn loss(hidden: &Tensor) -> Tensor {
    let n = hidden.numel() as i64;
    let weight = (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.7).sin();
    (hidden.flatten(0, 1) * weight).sum(Kind::Float)
}

/// Takes the gradients away; a tensor that got none has `None`.
pub fn take_gradients(trained: &[(String, Tensor)]) -> Vec<Option<Tensor>> {
    let take = |(_, parameter): &(String, Tensor)| {
        let gradient = parameter.grad();
        let taken = gradient.defined().then(|| gradient.copy());
        parameter.shallow_clone().zero_grad();
        taken
    };
    trained.iter().map(take).collect()
}

pub fn largest(x: &Tensor) -> f64 {
    x.abs().max().double_value(&[])
}

pub fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let difference = largest(&(a - b));
    assert!(difference.is_finite(), "not a number");
    difference
}

pub fn assert_same_gradients(
    trained: &[(String, Tensor)],
    found: &[Option<Tensor>],
    expected: &[Option<Tensor>],
) {
    let size = |g: &Option<Tensor>| g.as_ref().map_or(0.0, largest);
    let floor = expected.iter().map(size).fold(0.0, f64::max) / 10.0;
    let mut n_compared = 0;
    for ((name, _), (found, expected)) in trained.iter().zip(found.iter().zip(expected)) {
        let (Some(found), Some(expected)) = (found, expected) else {
            let nothing = size(found) == 0.0 && size(expected) == 0.0;
            assert!(nothing, "only one way reaches {name}");
            continue;
        };
        n_compared += usize::from(largest(expected) > 0.0);
        let relative = largest_difference(found, expected) / largest(expected).max(floor);
        assert!(
            relative <= GRADIENT_TOLERANCE,
            "the gradient of {name} differs by {relative} of its size"
        );
    }
    assert!(n_compared > 20, "only {n_compared} gradients are not zero");
}

/// One to three items of different lengths, with one to three branches each.
pub fn cases() -> impl Strategy<Value = Case> {
    let heads = prop::sample::select(vec![1_i64, 2, 4]);
    let families = prop::sample::select(vec![
        Family::Llava,
        Family::Next,
        Family::Qwen,
        Family::Qwen3,
    ]);
    let reads = prop::sample::select(vec![Read::Last, Read::Spans]);
    let strategy = (0_u64..1 << 40, families, heads, 1_usize..=3, reads);
    strategy.prop_flat_map(|(seed, family, n_kv_heads, k, read)| {
        let item = (
            0_usize..6,
            any::<bool>(),
            prop::collection::vec(1_usize..6, k),
        );
        prop::collection::vec(item, 1..=3).prop_map(move |items| Case {
            seed,
            family,
            n_kv_heads,
            items,
            read,
        })
    })
}
