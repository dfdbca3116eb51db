//! What fields mean that a `config.json` leaves out: the defaults of transformers' classes.

use crate::Activation;

pub fn architectures() -> Vec<String> {
    vec!["LlavaForConditionalGeneration".to_owned()]
}
pub fn llava_model_type() -> String {
    "llava".to_owned()
}
pub fn llama_model_type() -> String {
    "llama".to_owned()
}
pub fn clip_model_type() -> String {
    "clip_vision_model".to_owned()
}
pub fn image_token_index() -> i64 {
    32000
}
pub fn projector_hidden_act() -> Activation {
    Activation::Gelu
}
pub fn vision_feature_layer() -> i64 {
    -2
}
pub fn yes() -> bool {
    true
}

/// Defaults of transformers' `LlamaConfig`.
pub mod llama {
    pub fn vocab_size() -> i64 {
        32000
    }
    pub fn hidden_size() -> i64 {
        4096
    }
    pub fn intermediate_size() -> i64 {
        11008
    }
    pub fn num_hidden_layers() -> i64 {
        32
    }
    pub fn num_attention_heads() -> i64 {
        32
    }
    pub fn rms_norm_eps() -> f64 {
        1e-6
    }
    pub fn rope_theta() -> f64 {
        10000.0
    }
    pub fn rope_type() -> String {
        "default".to_owned()
    }
    pub fn max_position_embeddings() -> i64 {
        2048
    }
}

/// Defaults of transformers' `CLIPVisionConfig`.
pub mod clip {
    use crate::Activation;

    pub fn hidden_size() -> i64 {
        768
    }
    pub fn intermediate_size() -> i64 {
        3072
    }
    pub fn num_hidden_layers() -> i64 {
        12
    }
    pub fn num_attention_heads() -> i64 {
        12
    }
    pub fn image_size() -> i64 {
        224
    }
    pub fn patch_size() -> i64 {
        32
    }
    pub fn layer_norm_eps() -> f64 {
        1e-5
    }
    pub fn hidden_act() -> Activation {
        Activation::QuickGelu
    }
    pub fn projection_dim() -> i64 {
        512
    }
}
