//! Attention, and what it may see.

use tch::Tensor;

/// Which earlier positions a position may read.
#[derive(Debug, Clone, Copy)]
pub enum Visible<'a> {
    /// All up to itself; right for batches padded on the right, whose pads come after every real token.
    Causal,
    /// Everything there is; right for one new token per row when no row is padded on the left.
    All,
    /// As the mask says: `[batch, 1, new, len + new]`, true = may read.
    Mask(&'a Tensor),
}

/// Scaled dot-product attention; several query heads may read one key head.
///
/// # Shapes
/// `query`: `[batch, heads, new, head_dim]`; `key`, `value`: `[batch, kv_heads, len, head_dim]` → as `query`.
pub(crate) fn attend(query: &Tensor, key: &Tensor, value: &Tensor, visible: Visible<'_>) -> Tensor {
    let (mask, causal) = match visible {
        Visible::Causal => (None, true),
        Visible::All => (None, false),
        Visible::Mask(mask) => (Some(mask), false),
    };
    let grouped = query.size()[1] != key.size()[1];
    Tensor::scaled_dot_product_attention(query, key, value, mask, 0.0, causal, None, grouped)
}
