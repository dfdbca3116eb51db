//! What fields mean that a `config.json` leaves out: the defaults of transformers' `LlavaConfig`.

use crate::Activation;

pub fn architectures() -> Vec<String> {
    vec!["LlavaForConditionalGeneration".to_owned()]
}
pub fn model_type() -> String {
    "llava".to_owned()
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
