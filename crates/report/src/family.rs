//! What the models of a demo are built as.

use serde::{Deserialize, Serialize};

/// A family of models that the micro-world is learned by from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Family {
    /// LLaVA-1.5.
    #[default]
    #[serde(rename = "llava")]
    Llava,
    /// Qwen2.5-VL.
    #[serde(rename = "qwen2_5_vl")]
    Qwen25Vl,
    /// Qwen3-VL.
    #[serde(rename = "qwen3_vl")]
    Qwen3Vl,
}

impl Family {
    /// As it is written in `summary.json`, on the command line and in recipes.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Llava => "llava",
            Self::Qwen25Vl => "qwen2_5_vl",
            Self::Qwen3Vl => "qwen3_vl",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Llava => "LLaVA",
            Self::Qwen25Vl => "Qwen2.5-VL",
            Self::Qwen3Vl => "Qwen3-VL",
        }
    }

    /// Whether nothing else was asked for: then no file says it.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref)] // Serde's `skip_serializing_if` asks for a reference.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}
