//! What fields mean that a `config.json` leaves out: the defaults of transformers' `CLIPVisionConfig`.

use crate::Activation;

pub(super) fn model_type() -> String {
    "clip_vision_model".to_owned()
}
pub(super) fn hidden_size() -> i64 {
    768
}
pub(super) fn intermediate_size() -> i64 {
    3072
}
pub(super) fn num_hidden_layers() -> i64 {
    12
}
pub(super) fn num_attention_heads() -> i64 {
    12
}
pub(super) fn image_size() -> i64 {
    224
}
pub(super) fn patch_size() -> i64 {
    32
}
pub(super) fn layer_norm_eps() -> f64 {
    1e-5
}
pub(super) fn hidden_act() -> Activation {
    Activation::QuickGelu
}
pub(super) fn projection_dim() -> i64 {
    512
}
