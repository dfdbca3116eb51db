//! LLaVA: a CLIP vision tower, a projector and a LLaMA decoder, with LoRA adapters, a key/value cache and
//! batched generation.
//!
//! Files and user input go through `Result`; a wrong shape between modules of this crate is a bug and
//! panics with libtorch's message. Nothing here knows optimizers, recipes or stages.

mod block;
mod bundle;
mod cache;
mod config;
mod continuations;
mod decoder;
mod dialect;
mod dialogue;
mod error;
pub mod export;
pub mod features;
mod folder;
mod generate;
mod head;
pub mod hub;
mod inventory;
mod join;
mod left_padded;
mod linear;
mod llava;
pub mod logprobs;
mod lora;
mod misfit;
mod names;
mod openings;
pub mod peft;
mod precision;
pub mod preflight;
mod projector;
mod quantize;
mod ragged;
mod reading;
pub mod sample;
pub mod shared;
mod store;
pub mod template;
pub mod tensor_file;
mod tokenizer;
mod utterance;
mod vision;
mod weights;

pub use block::{Rotary, Visible};
pub use bundle::{Bundle, READING_FILES};
pub use cache::KvCache;
pub use config::{
    Activation, FeatureSelect, LlavaConfig, ProjectorKind, RopeParameters, TextConfig, VisionConfig,
};
pub use decoder::Decoder;
pub use dialect::Dialect;
pub use dialogue::{Answer, Dialogue, End};
pub use error::ModelError;
pub use features::ImageFeatures;
pub use folder::{ModelFolder, Stored};
pub use generate::{Decoding, NotFinite, Query, Response, generate};
pub use head::ScalarHead;
pub use inventory::{Called, Part, inventory};
pub use join::Join;
pub use linear::Linear;
pub use llava::{Activations, Llava};
pub use lora::{Adapter, BlockAdapter, LowRank, TARGETS};
pub use misfit::{Misfit, Misfits};
pub use openings::{Opening, generate_openings};
pub use peft::LoraConfig;
pub use precision::{Precision, Quantization};
pub use ragged::Ragged;
pub use reading::Reading;
pub use shared::{ReadAt, Shared, SharedBatch, SharedTargets};
pub use template::Template;
pub use tokenizer::{BOS, EOS, Encoded, IMAGE, PAD, Tokenizer};
pub use utterance::Utterance;
pub use vision::VisionTower;
pub use weights::{Init, Weights};
