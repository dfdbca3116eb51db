//! What fields mean that a `config.json` leaves out: the defaults of transformers' `CLIPVisionConfig`.

use crate::Activation;

pub fn model_type() -> String {
    "clip_vision_model".to_owned()
}
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
