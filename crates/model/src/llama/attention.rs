//! Attention, and what it may see.

use tch::{Kind, Tensor};

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
/// On NVIDIA GPUs no fused attention of libtorch takes such heads with a mask or in f32: flash attention takes neither, the memory-efficient
/// one as many key heads as query heads. The plain one, which is left, copies keys and values into f32 and holds all scores. So there
/// the query heads of one new token stand as positions of their key head, and of more tokens keys and values are repeated, which
/// the memory-efficient one takes.
///
/// # Shapes
/// `query`: `[batch, heads, new, head_dim]`; `key`, `value`: `[batch, kv_heads, len, head_dim]` → as `query`.
pub(crate) fn attend(query: &Tensor, key: &Tensor, value: &Tensor, visible: Visible<'_>) -> Tensor {
    let (mask, causal) = match visible {
        Visible::Causal => (None, true),
        Visible::All => (None, false),
        Visible::Mask(mask) => (Some(mask), false),
    };
    let attend = |query: &Tensor, key: &Tensor, value: &Tensor, causal| {
        let grouped = query.size()[1] != key.size()[1];
        Tensor::scaled_dot_product_attention(query, key, value, mask, 0.0, causal, None, grouped)
    };
    let kv_heads = key.size()[1];
    let of_key = query.size()[1] / kv_heads;
    let fused = of_key == 1 || mask.is_none() && query.kind() != Kind::Float;
    if fused || !query.device().is_cuda() {
        return attend(query, key, value, causal);
    }
    if query.size()[2] == 1 {
        let of_keys = query.squeeze_dim(2).unflatten(1, [kv_heads, of_key]);
        // What is causal of one token is the token itself.
        let attended = attend(&of_keys, key, value, false);
        return attended.flatten(1, 2).unsqueeze(2);
    }
    let [key, value] = [key, value].map(|x| x.repeat_interleave_self_int(of_key, 1, None));
    attend(query, &key, &value, causal)
}
