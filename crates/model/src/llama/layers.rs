//! The linear layers of a decoder block: what an adapter can be put on, and what a quantised base packs.

use crate::TextConfig;

/// The decoder's linear layers, in the order of [`BlockAdapter`](crate::BlockAdapter)'s slots.
pub const TARGETS: [&str; 7] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
];

/// The name of one of [`TARGETS`] in a decoder block.
pub(crate) fn target_name(layer: i64, slot: usize) -> String {
    let part = if slot < 4 { "self_attn" } else { "mlp" };
    format!(
        "language_model.model.layers.{layer}.{part}.{}",
        TARGETS[slot]
    )
}

/// `[n_in, n_out]` of a decoder layer.
pub(crate) fn target_size(c: &TextConfig, target: &str) -> [i64; 2] {
    let (width, head) = (c.hidden_size, c.head_dim());
    match target {
        "q_proj" => [width, c.num_attention_heads * head],
        "k_proj" | "v_proj" => [width, c.n_kv_heads() * head],
        "o_proj" => [c.num_attention_heads * head, width],
        "down_proj" => [c.intermediate_size, width],
        _ => [width, c.intermediate_size],
    }
}
