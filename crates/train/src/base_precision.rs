//! What a stage holds its frozen base in, as its recipe says.

use candor_model::{Precision, Quantization};
use tch::Kind;

use candor_recipe::Reader;

/// `model.base_precision`. What is trained on the base, adapters and heads, is in f32 whatever this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BasePrecision {
    /// `"f32"`, and what a recipe without the key means.
    #[default]
    F32,
    /// `"bf16"`.
    Bf16,
    /// `"int8"`: the decoder's linear layers in 8 bits, everything else and the arithmetic in bf16.
    Int8,
    /// `"nf4"`: the same in 4 bits, as the paper's code has it.
    Nf4,
}

impl BasePrecision {
    /// Reads the key.
    pub fn read(recipe: &mut Reader) -> Self {
        let choices = [
            ("f32", Self::F32),
            ("bf16", Self::Bf16),
            ("int8", Self::Int8),
            ("nf4", Self::Nf4),
        ];
        let meaning = "What the base is held in; what is trained is in f32 whatever this is. Where `sft` trains the base \
                       itself in bf16, passes compute with weights rounded to it, and the model is written so. \
                       int8 and nf4 pack the decoder's linear layers of a frozen base and compute in bf16.";
        let field = recipe.one_of("model.base_precision", &choices, meaning);
        field.or(Self::default(), "\"f32\"")
    }
}

impl From<BasePrecision> for Precision {
    fn from(precision: BasePrecision) -> Self {
        let (kind, quantization) = match precision {
            BasePrecision::F32 => (Kind::Float, Quantization::None),
            BasePrecision::Bf16 => (Kind::BFloat16, Quantization::None),
            BasePrecision::Int8 => (Kind::BFloat16, Quantization::Int8),
            BasePrecision::Nf4 => (Kind::BFloat16, Quantization::Nf4),
        };
        Self { kind, quantization }
    }
}
