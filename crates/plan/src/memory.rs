//! How much memory a model takes, by formula.
//!
//! `E` is the size of a number of the arithmetic: 4 bytes in f32, 2 in bf16, int8 and nf4. `d` is the decoder's width,
//! `k` that of its keys, `f` that of its MLP, `L` its blocks, `V` its words. Everything is for one device, which holds
//! the whole model; candor does not split one.
//!
//! | what | bytes |
//! |---|---|
//! | weights | `E` each; linear layers of the blocks 1 in int8 and 0.516 in nf4 (4 bits, and 1 byte + 4/256 for 64) |
//! | what is trained | 4 for a weight of an adapter, and 12 for the gradient and the two moments of any trained weight; with `run.lanes` above 1 4 more for a second gradient; of a base in bf16 6 more, for the weight in f32 and its gradient in bf16 |
//! | an image's features | `E` · rows · tower width, kept for a whole run; of an image in tiles, a row is a token that ends no line |
//! | keys and values | `2 · E · L · k` for a token of a sequence that is being written |
//! | a block going forward | `E · (8 d + 4 f)` a token |
//! | a block kept for the backward pass | `E · (9 d + 2 k + 4 f)` a token; below f32 also 4 for each of the `2 d` inputs of norms and of the inputs of adapted layers |
//! | what a tower adds after the decoder's first layers (`DeepStack`) | `E · d` a token for each of these layers |
//! | logits of a trained token | `16 V`; of PPO, which also has their entropy, `24 V` |
//!
//! A pass keeps all blocks (`activations = "keep"`), or every block's input and one block (`"recompute"`). A quantised
//! base unpacks one layer at a time. The program itself takes [`PROGRAM`].
//!
//! These are upper bounds of what candor asks for, and allocators need some more. `docs/performance.md` has
//! measurements beside them.

use candor_model::{
    Activations, LoraConfig, ModelConfig, Part, TARGETS, USUAL_IMAGE, tensor_specs,
};
use candor_train::BasePrecision;
use serde::Serialize;

use crate::trained::{F32, Trained};

/// What the program takes without a model: code, tokenizer, a CUDA context.
pub const PROGRAM: u64 = 500_000_000;
/// Images that are encoded together before a run.
pub const IMAGES_PER_PASS: u64 = 64;

/// Memory of one device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Memory {
    /// All weights, adapters included.
    pub weights_bytes: u64,
    /// Gradients and moments of what is trained.
    pub trained_bytes: u64,
    /// Features of the images.
    pub features_bytes: u64,
    /// The largest phase: encoding images, writing answers, or a training pass.
    pub work_bytes: u64,
}

impl Memory {
    /// All of it, and the program.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes + self.trained_bytes + self.features_bytes + self.work_bytes + PROGRAM
    }
}

/// What a model in a precision takes.
#[derive(Debug, Clone, Copy)]
pub struct Budget<'a> {
    /// Its sizes.
    pub config: &'a ModelConfig,
    /// What it is held in.
    pub precision: BasePrecision,
}

/// What a training pass goes through.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Tokens of all its sequences, pads included.
    pub n_tokens: u64,
    /// Tokens whose logits are computed.
    pub n_targets: u64,
    /// What it keeps.
    pub activations: Activations,
}

impl Budget<'_> {
    fn e(&self) -> u64 {
        match self.precision {
            BasePrecision::F32 => 4,
            BasePrecision::Bf16 | BasePrecision::Int8 | BasePrecision::Nf4 => 2,
        }
    }

    fn text(&self) -> [u64; 4] {
        let c = self.config.decoder_sizes();
        [
            c.width,
            c.n_kv_heads * c.head_width,
            c.mlp_width,
            c.n_blocks,
        ]
        .map(|size| size as u64)
    }

    fn n_words(&self) -> u64 {
        self.config.decoder_sizes().n_words as u64
    }

    /// All weights of the model.
    #[must_use]
    pub fn weights(&self) -> u64 {
        let packed = |n: u64, rows: u64| match self.precision {
            BasePrecision::F32 | BasePrecision::Bf16 => n * self.e(),
            BasePrecision::Int8 => n + F32 * rows,
            BasePrecision::Nf4 => n / 2 + n / 64 + F32 * n / (64 * 256),
        };
        let specs = tensor_specs(self.config).into_iter();
        specs
            .map(|tensor| {
                let n = tensor.n_elements();
                if tensor.packable {
                    packed(n, tensor.shape[0] as u64)
                } else {
                    n * self.e()
                }
            })
            .sum()
    }

    /// The weights that are trained where the tower alone stays as it is.
    #[must_use]
    pub fn trained_base(&self) -> Trained {
        self.weights_of(|part| part != Part::Tower)
    }

    /// The weights of the projector.
    #[must_use]
    pub fn projector(&self) -> Trained {
        self.weights_of(|part| part == Part::Projector)
    }

    fn weights_of(&self, counts: impl Fn(Part) -> bool) -> Trained {
        let specs = tensor_specs(self.config).into_iter();
        let counted = specs.filter(|tensor| counts(tensor.part));
        Trained::of(counted.map(|tensor| tensor.n_elements()))
    }

    /// The largest layer as it is unpacked for one product.
    #[must_use]
    pub fn unpacked_layer(&self) -> u64 {
        if matches!(self.precision, BasePrecision::F32 | BasePrecision::Bf16) {
            return 0;
        }
        let packable = tensor_specs(self.config).into_iter().filter(|t| t.packable);
        let largest = packable.map(|tensor| tensor.n_elements()).max();
        largest.unwrap_or(0) * self.e()
    }

    /// The weights of an adapter.
    #[must_use]
    pub fn adapter(&self, lora: &LoraConfig) -> Trained {
        let widths = self.adapted_widths(lora).into_iter();
        Trained::of(widths.map(|width| lora.r as u64 * width))
    }

    /// Width in and width out of each adapted layer.
    fn adapted_widths(&self, lora: &LoraConfig) -> Vec<u64> {
        let adapted = |name: &str| {
            let layer = name.strip_suffix(".weight").unwrap_or(name);
            lora.target_modules
                .iter()
                .any(|target| layer.ends_with(target.as_str()))
        };
        let specs = tensor_specs(self.config).into_iter();
        specs
            .filter(|tensor| match tensor.part {
                Part::Projector => lora.with_projector && tensor.shape.len() == 2,
                _ => tensor.packable && adapted(&tensor.name),
            })
            .flat_map(|tensor| tensor.shape)
            .map(|width| width as u64)
            .collect()
    }

    /// The features of images.
    #[must_use]
    pub fn features(&self, n_images: u64) -> u64 {
        let width = self.config.feature_width() as u64;
        n_images * self.config.n_feature_rows(USUAL_IMAGE) as u64 * width * self.e()
    }

    /// A pass of the tower over so many images.
    #[must_use]
    pub fn encoding(&self, n_images: u64) -> u64 {
        let c = self.config.tower_sizes();
        let n_patches = self.config.n_patches(USUAL_IMAGE) as u64;
        let pixels = 3 * n_patches * (c.patch_size * c.patch_size) as u64 * F32;
        let token = (8 * c.width + 4 * c.mlp_width) as u64 * self.e();
        n_images * (pixels + (n_patches + 1) * token)
    }

    /// Reading and writing `rows` sequences of at most `n_tokens` tokens, most of them read at once.
    #[must_use]
    pub fn writing(&self, rows: u64, n_tokens: u64) -> u64 {
        /// Logits, and the distribution in f64 that is summed up to a draw.
        const SAMPLING: u64 = 2 * F32 + 3 * 8;
        let [_, k, _, layers] = self.text();
        let cache = rows * n_tokens * 2 * self.e() * layers * k;
        cache + self.forward(rows * n_tokens) + rows * self.n_words() * SAMPLING
    }

    /// A pass without gradients over so many tokens.
    #[must_use]
    pub fn forward(&self, n_tokens: u64) -> u64 {
        let [d, _, f, _] = self.text();
        n_tokens * (self.e() * (8 * d + 4 * f) + self.deep()) + self.unpacked_layer()
    }

    /// What a token takes that a tower adds to after the decoder's first layers, were all tokens an image's.
    fn deep(&self) -> u64 {
        // Features have one part for the tokens and one for each of these layers; a LLaVA makes tokens of all its parts.
        let n_parts = self.config.feature_width() / self.config.tower_sizes().width;
        let n_layers = if self.config.llava().is_none() {
            n_parts - 1
        } else {
            0
        };
        let [d, ..] = self.text();
        n_layers as u64 * d * self.e()
    }

    /// A training pass; `lora` is the adapter that is trained, if the base is not.
    #[must_use]
    pub fn training(&self, pass: Pass, lora: Option<&LoraConfig>, logit_bytes: u64) -> u64 {
        let [d, k, f, layers] = self.text();
        let mut kept = self.e() * (9 * d + 2 * k + 4 * f);
        if self.precision != BasePrecision::F32 {
            let adapted = |target: &str| {
                lora.is_some_and(|lora| lora.target_modules.iter().any(|t| t == target))
            };
            let inputs = TARGETS.into_iter().filter(|target| adapted(target));
            let inputs: u64 = inputs.map(|t| if t == "down_proj" { f } else { d }).sum();
            kept += F32 * (2 * d + inputs);
        }
        let through_blocks = match pass.activations {
            Activations::Keep => layers * kept,
            Activations::Recompute => (layers + 2) * d * self.e() + kept,
        } + self.deep();
        let logits = pass.n_targets * self.n_words() * logit_bytes;
        pass.n_tokens * through_blocks + logits + self.unpacked_layer()
    }
}

/// Bytes of a trained token's logits, for each word: themselves, in f32, their log-softmax, their gradient.
pub const CROSS_ENTROPY: u64 = 16;
/// The same of PPO, whose distribution and entropy come on top.
pub const POLICY: u64 = 24;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_model::{ModelFolder, Precision, Vlm};
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
                let model =
                    Vlm::open(&golden(case), Device::Cpu, Precision::from(precision)).unwrap();
                let tensors = model.parameters().values();
                let bytes: usize = tensors
                    .map(|t| t.numel() * t.kind().elt_size_in_bytes())
                    .sum();
                let budget = Budget {
                    config: &config,
                    precision,
                };
                assert_eq!(budget.weights(), bytes as u64, "{case} {precision:?}");
            }
        }
    }

    #[test]
    fn a_7b_has_the_size_that_everybody_knows() {
        let config = llava_7b();
        let budget = |precision| Budget {
            config: &config,
            precision,
        };
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
        let budget = Budget {
            config: &config,
            precision: BasePrecision::Bf16,
        };
        assert_eq!(budget.features(10), 10 * (576 + 48 * 36) * 1024 * 2);
        let token = 2 * (8 * 1024 + 4 * 4096);
        let pixels = 4 * 3 * 5 * 576 * 14 * 14;
        assert_eq!(budget.encoding(1), pixels + (5 * 576 + 1) * token);
    }

    /// Three layers of a Qwen3-VL 8B, which is 4096 wide, are given an image's tokens once more, in 2 bytes each.
    #[test]
    fn what_a_tower_adds_to_the_decoder_is_counted() {
        let named =
            |name: &str| candor_model::published::whole(std::path::Path::new(name)).unwrap();
        let without = named("Qwen/Qwen2.5-VL-7B-Instruct");
        let with = named("Qwen/Qwen3-VL-8B-Instruct");
        let forward = |config: &ModelConfig| {
            let precision = BasePrecision::Bf16;
            Budget { config, precision }.forward(10)
        };
        assert_eq!(forward(&without), 10 * 2 * (8 * 3584 + 4 * 18_944));
        assert_eq!(forward(&with), 10 * 2 * (8 * 4096 + 4 * 12_288 + 3 * 4096));
    }

    #[test]
    fn an_adapter_is_as_large_as_its_matrices() {
        let config = llava_7b();
        let budget = Budget {
            config: &config,
            precision: BasePrecision::Bf16,
        };
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
        assert_eq!(budget.projector().largest_bytes, 4 * 4096 * 4096);
    }
}
