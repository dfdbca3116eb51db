//! Memory by formula, against opened models and by hand.

use std::path::Path;

use candor_model::{ModelFolder, Precision, Vlm};
use candor_train::ParamGroup;
use tch::Device;

use super::*;

fn golden(case: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../model/tests/golden")
        .join(case)
}

/// Sizes of LLaVA v1.5 7B.
fn llava_7b() -> ModelConfig {
    let config: candor_model::LlavaConfig = serde_json::from_str(
        r#"{"text_config": {"vocab_size": 32064},
            "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                              "num_attention_heads": 16, "image_size": 336, "patch_size": 14}}"#,
    )
    .unwrap();
    config.into()
}

#[test]
fn weights_are_those_of_the_opened_model() {
    for case in [
        "llava_mha",
        "llava_gqa",
        "llava_tied",
        "llava_linear",
        "tiled/next_llama",
        "tiled/onevision",
    ] {
        let config = ModelFolder::find(&golden(case)).unwrap().config().clone();
        for precision in [BasePrecision::F32, BasePrecision::Bf16, BasePrecision::Int8] {
            let model = Vlm::open(&golden(case), Device::Cpu, Precision::from(precision)).unwrap();
            let tensors = model.parameters().values();
            let bytes: usize = tensors
                .map(|t| t.numel() * t.kind().elt_size_in_bytes())
                .sum();
            let budget = Budget::new(&config, precision);
            assert_eq!(budget.weights(), bytes as u64, "{case} {precision:?}");
        }
    }
}

/// Tensors that are trained come to the optimizer in the order that plans cut them in.
#[test]
fn tensors_are_in_the_order_of_the_optimizer() {
    for case in ["llava_mha", "llava_tied"] {
        let config = ModelFolder::find(&golden(case)).unwrap().config().clone();
        let budget = Budget::new(&config, BasePrecision::F32);
        let model = Vlm::fresh(config.clone(), 1, Device::Cpu).unwrap();
        let trained = model.set_trainable(|name| !name.starts_with("vision_tower."));
        let groups = ParamGroup::without_decay_on_vectors(trained, 1.0);
        let tensors: Vec<_> = groups.iter().flat_map(|group| &group.tensors).collect();
        let sizes: Vec<u64> = tensors.iter().map(|(_, t)| t.numel() as u64).collect();
        let blocks: Vec<_> = tensors.iter().map(|(name, _)| block_of(name)).collect();
        let trained = |part| part != Part::Tower;
        assert_eq!(
            (budget.sizes_of(trained), budget.blocks_of(trained)),
            (sizes, blocks),
            "{case}"
        );
    }
}

#[test]
fn a_7b_has_the_size_that_everybody_knows() {
    let config = llava_7b();
    let budget = |precision| Budget::new(&config, precision);
    // 7,063,427,072 parameters: 6,738,939,904 of the decoder, 303,507,456 of the tower, 20,979,712 of the projector.
    assert_eq!(budget(BasePrecision::Bf16).weights(), 14_126_854_144);
    // 32 blocks of 202,375,168 linear weights in 4.127 bits, the rest in 16.
    let linear = 32 * 202_375_168_u64;
    let nf4 = linear / 2 + linear / 64 + linear / 4096 + 2 * (7_063_427_072 - linear);
    assert_eq!(budget(BasePrecision::Nf4).weights(), nf4);
    // Half a megabyte of keys and values a token.
    let rows = |n| budget(BasePrecision::Bf16).writing(n, 1);
    let forward = |n| budget(BasePrecision::Bf16).forward(n);
    let words = 32_064 * 32;
    assert_eq!(
        rows(2) - rows(1) - (forward(2) - forward(1)) - words,
        1 << 19
    );
}

/// An image of 640 × 480 is the whole and four tiles to LLaVA-NeXT, and of the tiles 48 × 36 patches are kept.
#[test]
fn tiles_are_encoded_and_kept_without_padding() {
    let name = std::path::Path::new("llava-hf/llava-v1.6-vicuna-7b-hf");
    let config = candor_model::published::whole(name).unwrap();
    let budget = Budget::new(&config, BasePrecision::Bf16);
    assert_eq!(budget.features(10), 10 * (576 + 48 * 36) * 1024 * 2);
    let token = 2 * (8 * 1024 + 4 * 4096);
    let pixels = 4 * 3 * 5 * 576 * 14 * 14;
    assert_eq!(budget.encoding(1), pixels + (5 * 576 + 1) * token);
}

/// 24 blocks of 1024, and 4096 inside, keep what they computed of 577 places, in 2 bytes and in 4.
#[test]
fn a_tower_with_an_adapter_keeps_what_its_blocks_compute() {
    let config = llava_7b();
    let budget = Budget::new(&config, BasePrecision::Bf16);
    let bytes = |n_images, targets: &[&str]| {
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let pass = Pass {
            n_tokens: 1000,
            n_targets: 10,
            n_images,
            n_copied: 0,
            activations: Activations::Recompute,
        };
        let lora = LoraConfig::new(8, 16.0, &targets);
        budget.training(pass, Some(&lora), CROSS_ENTROPY)
    };
    let of_place = 2 * (11 * 1024 + 4 * 4096) + 4 * (7 * 1024 + 4096);
    let with_tower = bytes(2, &["q_proj", "tower"]);
    let without = bytes(2, &["q_proj"]);
    assert_eq!(with_tower - without, 2 * 577 * 24 * of_place);
    assert_eq!(bytes(0, &["q_proj", "tower"]), without);
}

/// Three layers of a Qwen3-VL 8B, which is 4096 wide, are given an image's tokens once more, in 2 bytes each.
#[test]
fn what_a_tower_adds_to_the_decoder_is_counted() {
    let named = |name: &str| candor_model::published::whole(std::path::Path::new(name)).unwrap();
    let without = named("Qwen/Qwen2.5-VL-7B-Instruct");
    let with = named("Qwen/Qwen3-VL-8B-Instruct");
    let forward = |config: &ModelConfig| Budget::new(config, BasePrecision::Bf16).forward(10);
    assert_eq!(forward(&without), 10 * 2 * (8 * 3584 + 4 * 18_944));
    assert_eq!(forward(&with), 10 * 2 * (8 * 4096 + 4 * 12_288 + 3 * 4096));
}

/// 28 blocks of a Qwen2.5-VL 7B have 28 heads, 128 wide, in 2 bytes, for each of which keys and values are repeated. Two answers
/// of 100 tokens to a beginning of 800 are two sequences of 900.
#[test]
fn what_answers_read_is_copied_in_each_block_that_is_held() {
    assert_eq!(copied(1000, 2, 800), 2 * 900);
    // A beginning is no longer than the pass, and one answer reads it once.
    assert_eq!(copied(1000, 2, 2048), 2 * 1000);
    assert_eq!(copied(1000, 1, 2048), 1000);
    let name = Path::new("Qwen/Qwen2.5-VL-7B-Instruct");
    let config = candor_model::published::whole(name).unwrap();
    let budget = Budget::new(&config, BasePrecision::Bf16);
    let lora = LoraConfig::new(8, 16.0, &["q_proj".to_owned()]);
    let bytes = |n_copied, activations| {
        let pass = Pass {
            n_tokens: 1000,
            n_targets: 0,
            n_images: 1,
            n_copied,
            activations,
        };
        budget.training(pass, Some(&lora), CROSS_ENTROPY)
    };
    for (activations, n_held) in [
        (Activations::Keep, 28),
        (Activations::Recompute, 1),
        (Activations::RecomputeFirst(20), 8),
        (Activations::RecomputeFirst(28), 1),
    ] {
        let more = bytes(1800, activations) - bytes(0, activations);
        assert_eq!(more, n_held * 1800 * 2 * (28 * 128) * 2, "{activations:?}");
    }
}

/// Of a Qwen2.5-VL 7B 28 heads read 4 of keys and values, of a LLaVA 7B each head has its own: what is kept of a token in f32 is 9
/// widths, 2 of the keys and 4 of the MLP, and with shared heads keys and values of all 28.
#[test]
fn keys_that_heads_share_are_repeated_in_f32() {
    let qwen = Path::new("Qwen/Qwen2.5-VL-7B-Instruct");
    let qwen = candor_model::published::whole(qwen).unwrap();
    let of_token = |config: &ModelConfig| {
        let bytes = |n_tokens| {
            let pass = Pass {
                n_tokens,
                n_targets: 0,
                n_images: 0,
                n_copied: 0,
                activations: Activations::Keep,
            };
            Budget::new(config, BasePrecision::F32).training(pass, None, CROSS_ENTROPY)
        };
        bytes(1000) - bytes(999)
    };
    let shared = 9 * 3584 + 2 * (4 * 128) + 4 * 18_944 + 2 * (28 * 128);
    assert_eq!(of_token(&qwen), 4 * 28 * shared);
    assert_eq!(
        of_token(&llava_7b()),
        4 * 32 * (9 * 4096 + 2 * 4096 + 4 * 11_008)
    );
}

#[test]
fn an_adapter_is_as_large_as_its_matrices() {
    let config = llava_7b();
    let budget = Budget::new(&config, BasePrecision::Bf16);
    let all: Vec<String> = TARGETS.iter().map(ToString::to_string).collect();
    // r (n_in + n_out): four layers of 4096 + 4096, three of 4096 + 11008, in 32 blocks.
    let weights = 64 * 32 * (4 * 8192 + 3 * 15_104);
    assert_eq!(
        budget.adapter(&LoraConfig::new(64, 16.0, &all)),
        Trained {
            bytes: 4 * weights,
            largest_bytes: 4 * 64 * 11_008,
        }
    );
    // The projector: 1024 + 4096 and 4096 + 4096.
    let whole = ["decoder".to_owned(), "projector".to_owned()];
    assert_eq!(
        budget.adapter(&LoraConfig::new(64, 16.0, &whole)).bytes,
        4 * (weights + 64 * (5120 + 8192))
    );
    let two = ["q_proj".to_owned(), "v_proj".to_owned()];
    assert_eq!(
        budget.adapter(&LoraConfig::new(4, 8.0, &two)).bytes,
        4 * 4 * 32 * 2 * 8192
    );
    // The words of the embedding, and those of the head, are the largest.
    assert_eq!(budget.trained_base().largest_bytes, 4 * 32_064 * 4096);
    let projector = Trained::of(budget.sizes_of(|part| part == Part::Projector));
    assert_eq!(projector.largest_bytes, 4 * 4096 * 4096);
}
