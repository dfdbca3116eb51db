//! How much memory a model takes, by formula.
//!
//! `E` is the size of a number of the arithmetic: 4 bytes in f32, 2 in bf16, int8 and nf4. `d` is the decoder's width,
//! `k` that of its keys, `q` that of its queries, `f` that of its MLP, `L` its blocks, `V` its words. Everything is for one
//! device, which holds the whole model, but where ranks share out the weights of its blocks.
//!
//! | what | bytes |
//! |---|---|
//! | weights | `E` each; linear layers of the blocks 1 in int8 and 0.516 in nf4 (4 bits, and 1 byte + 4/256 for 64) |
//! | what is trained | 4 for a weight of an adapter, and 12 for the gradient and the two moments of any trained weight; with `run.lanes` above 1 4 more for a second gradient; of a base in bf16 6 more, for the weight in f32 and its gradient in bf16; with `optimizer.states = "host"` the moments and the weights in f32 are the host's, but for those of one tensor; the gradient of the largest tensor once more, which is there before it is added |
//! | the same where ranks share out the optimizer (`run.shard = "zero2"`) | 4 for the gradient of any trained weight, of a base in bf16 2, and 4 more for its sum where a lane has several passes; on the rank that owns it 8 for its moments, in bf16 4 for its master, and 4 for its total from a rank's second lane on; or, when passes are through, what is there and on its way of gradients and totals, exchange by exchange (`candor_train::GradientRoom`). With `optimizer.states = "host"` an owner has moments and masters of one tensor on its device |
//! | the same where they share out the weights of blocks (`"zero3"`) | as there, but totals of blocks, and what is on its way of their gradients, come while a pass computes; of weights in blocks those that a rank owns and one block, and of their gradients, where a lane has one pass, one block; or between updates all weights and, without gradients, moments and masters, where that is more |
//! | an update, when activations are gone | 12 for a weight of the largest trained tensor |
//! | the best weights so far, where they are kept | 4 for a weight of an adapter, `E` for one of a base that is trained |
//! | an image's features | `E` · rows · tower width, kept for a whole run in memory or on disk; of an image in tiles, a row is a token that ends no line |
//! | an image where an adapter changes the tower | 12 a pixel, kept for a whole run in the place of its features |
//! | a tower's block kept for the backward pass, where it has an adapter | `E · (11 d + 4 f)` a patch of the pass's images, `d` and `f` being the tower's; below f32 also 4 for each of `7 d + f` |
//! | keys and values | `2 · E · L · k` for a token of a sequence that is being written |
//! | a block going forward | `E · (8 d + 4 f)` a token |
//! | a block kept for the backward pass | `E · (9 d + 2 k + 4 f)` a token; below f32 also 4 for each of the `2 d` inputs of norms and of the inputs of adapted layers |
//! | of such a block, the keys and values that answers to one beginning read, copied for each (`reward`, `dpo`) | `2 · E · q` a token, and again for each token of the beginning and answer after the first |
//! | of such a block in f32, keys and values that several heads read (`k < q`), repeated for attention where no answers are read so | `2 · E · q` a token |
//! | what a tower adds after the decoder's first layers (`DeepStack`) | `E · d` a token for each of these layers |
//! | logits of a trained token | `16 V`; of PPO, which also has their entropy, `24 V` |
//! | logits of a token whose log-probability is read without gradients | `(E + 8) V` |
//!
//! A pass keeps all blocks (`activations = "keep"`), or every block's input and one block (`"recompute"`), or the
//! first blocks' inputs and the other blocks (`recompute_blocks`). A quantised base unpacks one layer at a time. The
//! program itself takes [`PROGRAM`].
//!
//! These are upper bounds of what candor asks for, and allocators need some more. `docs/performance.md` has
//! measurements beside them. Keys and values that several heads read are repeated on GPUs alone (`candor_model`'s attention), which is
//! counted on every device.

use candor_data::image::ImageSize;
use candor_model::{
    Activations, LoraConfig, ModelConfig, Part, TARGETS, TensorSpec, USUAL_IMAGE, image_features,
    tensor_specs,
};
use candor_train::{BasePrecision, States, block_of};
use serde::Serialize;

use crate::trained::{F32, Trained};

/// What the program takes without a model: code, tokenizer, a CUDA context.
pub const PROGRAM: u64 = 500_000_000;
/// Images that are encoded together before a run.
pub const IMAGES_PER_PASS: u64 = image_features::IMAGES_PER_PASS as u64;

/// Memory of one device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Memory {
    /// All weights, adapters included.
    pub weights_bytes: u64,
    /// Gradients and moments of what is trained.
    pub trained_bytes: u64,
    /// Features of the images.
    pub features_bytes: u64,
    /// The largest phase: encoding images, writing answers, reading them, or a training pass.
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
    /// What is reckoned with where images have their own sizes.
    pub image: ImageSize,
}

/// What a training pass goes through.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Tokens of all its sequences, pads included.
    pub n_tokens: u64,
    /// Tokens whose logits are computed.
    pub n_targets: u64,
    /// Images, which count where the tower has an adapter.
    pub n_images: u64,
    /// Tokens whose keys and values are copied ([`copied`]); none where sequences share no beginning.
    pub n_copied: u64,
    /// What it keeps.
    pub activations: Activations,
}

/// Tokens whose keys and values are copied in a pass of `n_tokens` over so many answers to each beginning, which have no more tokens
/// than `of_beginnings` together: every answer reads a copy of its own tokens and of those that it follows.
#[must_use]
pub fn copied(n_tokens: u64, n_answers: u64, of_beginnings: u64) -> u64 {
    n_tokens + n_answers.saturating_sub(1) * n_tokens.min(of_beginnings)
}

impl<'a> Budget<'a> {
    /// Of usual images.
    #[must_use]
    pub fn new(config: &'a ModelConfig, precision: BasePrecision) -> Self {
        Self {
            config,
            precision,
            image: USUAL_IMAGE,
        }
    }

    /// Tokens of an image.
    #[must_use]
    pub fn image_tokens(&self) -> u64 {
        self.config.n_image_tokens(self.image) as u64
    }

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
        Trained::of(self.sizes_of(|part| part != Part::Tower))
    }

    /// What trained weights of the base need besides [`Trained::optimizer`]: where passes are in bf16, [`Trained::masters`].
    #[must_use]
    pub fn masters(&self, trained: Trained, states: States) -> u64 {
        if self.precision == BasePrecision::Bf16 {
            trained.masters(states)
        } else {
            0
        }
    }

    /// The weights of each tensor of some parts.
    pub(crate) fn sizes_of(&self, counts: impl Fn(Part) -> bool) -> Vec<u64> {
        let trained = self.in_order().filter(|tensor| counts(tensor.part));
        trained.map(|tensor| tensor.n_elements()).collect()
    }

    /// The decoder's block that each tensor of some parts is of.
    pub(crate) fn blocks_of(&self, counts: impl Fn(Part) -> bool) -> Vec<Option<usize>> {
        let trained = self.in_order().filter(|tensor| counts(tensor.part));
        trained.map(|tensor| block_of(&tensor.name)).collect()
    }

    /// All tensors in the order in which an optimizer has them: by name, matrices before vectors, which do not decay. Ranks that share
    /// it out exchange them so.
    fn in_order(&self) -> impl Iterator<Item = TensorSpec> {
        let mut specs = tensor_specs(self.config);
        specs.sort_by(|one, other| one.name.cmp(&other.name));
        let (matrices, vectors): (Vec<_>, Vec<_>) =
            specs.into_iter().partition(|tensor| tensor.shape.len() > 1);
        matrices.into_iter().chain(vectors)
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
        Trained::of(self.adapter_sizes(lora))
    }

    /// The weights of each matrix of an adapter.
    pub(crate) fn adapter_sizes(&self, lora: &LoraConfig) -> Vec<u64> {
        let widths = self.adapted_widths(lora).into_iter();
        widths.map(|width| lora.r as u64 * width).collect()
    }

    /// Width in and width out of each adapted layer.
    fn adapted_widths(&self, lora: &LoraConfig) -> Vec<u64> {
        let adapted = |name: &str| {
            let layer = name.strip_suffix(".weight").unwrap_or(name);
            lora.target_modules
                .iter()
                .any(|target| layer.ends_with(target.as_str()))
        };
        self.in_order()
            .filter(|tensor| match tensor.part {
                Part::Projector | Part::Tower => {
                    lora.means(tensor.part) && tensor.linear().is_some()
                }
                _ => tensor.packable && adapted(&tensor.name),
            })
            .flat_map(|tensor| tensor.shape.into_iter().rev())
            .map(|width| width as u64)
            .collect()
    }

    /// The features of images.
    #[must_use]
    pub fn features(&self, n_images: u64) -> u64 {
        let width = self.config.feature_width() as u64;
        n_images * self.config.n_feature_rows(self.image) as u64 * width * self.e()
    }

    fn n_patches(&self) -> u64 {
        self.config.n_patches(self.image) as u64
    }

    /// Images as they are kept where an adapter changes the tower.
    #[must_use]
    pub fn pixels(&self, n_images: u64) -> u64 {
        let side = self.config.tower_sizes().patch_size as u64;
        n_images * 3 * self.n_patches() * side * side * F32
    }

    /// A pass of the tower over so many images.
    #[must_use]
    pub fn encoding(&self, n_images: u64) -> u64 {
        let c = self.config.tower_sizes();
        let token = (8 * c.width + 4 * c.mlp_width) as u64 * self.e();
        self.pixels(n_images) + n_images * (self.n_patches() + 1) * token
    }

    /// What the tower keeps of so many images for the backward pass into its adapter.
    fn seeing(&self, n_images: u64) -> u64 {
        let c = self.config.tower_sizes();
        let [d, f, layers] = [c.width, c.mlp_width, c.n_blocks].map(|size| size as u64);
        let mut kept = self.e() * (11 * d + 4 * f);
        if self.precision != BasePrecision::F32 {
            kept += F32 * (7 * d + f);
        }
        n_images * (self.n_patches() + 1) * layers * kept
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

    /// The same, and the log-probabilities of so many of the tokens: their logits, those in f32, and the log-softmax of these.
    #[must_use]
    pub fn reading(&self, n_tokens: u64, n_targets: u64) -> u64 {
        self.forward(n_tokens) + n_targets * self.n_words() * (self.e() + 2 * F32)
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

    /// The width of the queries of all heads together.
    fn queries(&self) -> u64 {
        let c = self.config.decoder_sizes();
        (c.n_heads * c.head_width) as u64
    }

    /// Tokens of a pass whose keys and values attention reads in a copy.
    fn n_repeated(&self, pass: Pass) -> u64 {
        let [_, k, ..] = self.text();
        let repeats = self.precision == BasePrecision::F32 && k < self.queries();
        if pass.n_copied == 0 && repeats {
            pass.n_tokens
        } else {
            pass.n_copied
        }
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
        // Blocks whose inputs alone are there with what comes besides, and blocks of which all is.
        let (inputs, whole) = match pass.activations {
            Activations::Keep => (0, layers),
            // Besides the inputs: what comes out of the last block, its gradient, and what the block that is made again gives.
            Activations::Recompute => (layers + 3, 1),
            Activations::RecomputeFirst(n) => {
                let first = layers.min(n as u64);
                (first + 3, (layers - first).max(1))
            }
        };
        let of_token = inputs * d * self.e() + whole * kept + self.deep();
        let copied = whole * self.n_repeated(pass) * 2 * self.e() * self.queries();
        let logits = pass.n_targets * self.n_words() * logit_bytes;
        let seeing = if lora.is_some_and(|lora| lora.with_tower) {
            self.seeing(pass.n_images)
        } else {
            0
        };
        pass.n_tokens * of_token + copied + logits + self.unpacked_layer() + seeing
    }
}

/// Bytes of a trained token's logits, for each word: themselves, in f32, their log-softmax, their gradient.
pub const CROSS_ENTROPY: u64 = 16;
/// The same of PPO, whose distribution and entropy come on top.
pub const POLICY: u64 = 24;

#[cfg(test)]
mod tests;
