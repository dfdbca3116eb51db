//! What fields mean that a `config.json` leaves out: the defaults of transformers' `LlamaConfig`.

pub(super) fn model_type() -> String {
    "llama".to_owned()
}
pub(super) fn vocab_size() -> i64 {
    32000
}
pub(super) fn hidden_size() -> i64 {
    4096
}
pub(super) fn intermediate_size() -> i64 {
    11008
}
pub(super) fn num_hidden_layers() -> i64 {
    32
}
pub(super) fn num_attention_heads() -> i64 {
    32
}
pub(super) fn rms_norm_eps() -> f64 {
    1e-6
}
pub(super) fn rope_theta() -> f64 {
    10000.0
}
pub(super) fn max_position_embeddings() -> i64 {
    2048
}
