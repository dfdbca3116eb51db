//! LLaVA: a CLIP vision tower, a projector and a LLaMA decoder, with LoRA adapters, a key/value cache and
//! batched generation.
//!
//! Files and user input go through `Result`; a wrong shape between modules of this crate is a bug and
//! panics with libtorch's message. Nothing here knows optimizers, recipes or stages.

mod answerer;
mod bundle;
mod cache;
mod clip;
mod continuations;
mod dialect;
mod dialogue;
mod error;
pub mod export;
pub mod features;
mod folder;
mod generate;
mod head;
pub mod hub;
mod join;
mod left_padded;
mod linear;
mod llama;
mod llava;
pub mod logprobs;
mod lora;
mod misfit;
mod names;
pub mod peft;
mod precision;
pub mod preflight;
pub mod published;
mod quantize;
mod ragged;
mod reading;
pub mod sample;
pub mod shared;
mod sizes;
mod store;
pub mod template;
pub mod tensor_file;
mod tensor_specs;
mod tokenizer;
mod utterance;
mod weights;

pub use answerer::{Answerer, Written};
pub use bundle::{Bundle, READING_FILES};
pub use cache::KvCache;
pub use clip::{VisionConfig, VisionTower};
pub use dialect::Dialect;
pub use dialogue::{Answer, Dialogue, End};
pub use error::ModelError;
pub use features::ImageFeatures;
pub use folder::{ModelFolder, Stored};
pub use generate::{Decoding, NotFinite, Query, Response, generate};
pub use head::ScalarHead;
pub use join::Join;
pub use linear::Linear;
pub use llama::{Decoder, RopeParameters, Rotary, TARGETS, TextConfig, Visible};
pub use llava::{Activation, Activations, FeatureSelect, Llava, LlavaConfig, ProjectorKind};
pub use lora::{Adapter, BlockAdapter, LowRank};
pub use misfit::{Misfit, Misfits};
pub use peft::LoraConfig;
pub use precision::{Precision, Quantization};
pub use ragged::Ragged;
pub use reading::Reading;
pub use shared::{ReadAt, Shared, SharedBatch, SharedTargets};
pub use sizes::{DecoderSizes, TowerSizes};
pub use template::Template;
pub use tensor_specs::{Part, TensorSpec, tensor_specs};
pub use tokenizer::{BOS, EOS, Encoded, IMAGE, PAD, Tokenizer};
pub use utterance::Utterance;
pub use weights::{Init, Weights};
