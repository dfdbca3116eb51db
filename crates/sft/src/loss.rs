//! The loss of supervised fine-tuning: cross-entropy of the assistant's tokens.

use candor_model::Decoder;
use candor_model::sample::Batch;
use tch::{Kind, Tensor};

/// Summed cross-entropy of a batch's target tokens, divided by `n_step_targets`, the number of target tokens
/// of the whole optimizer step.
///
/// Summing and dividing by the step's count makes every token weigh the same, however the step is cut into
/// micro-batches; a mean per micro-batch would not. With one micro-batch it is Hugging Face's loss.
///
/// # Shapes
/// `hidden`: `[batch, len, width]` → scalar f32.
pub fn cross_entropy(
    decoder: &Decoder,
    batch: &Batch,
    hidden: &Tensor,
    n_step_targets: usize,
) -> Tensor {
    // Logits only where a token is trained on: at LLaVA's vocabulary they would be the largest tensor.
    let logits = decoder
        .logits(&batch.at_positions(hidden))
        .to_kind(Kind::Float);
    cross_entropy_of(&logits, &batch.targets) / n_step_targets as f64
}

/// Summed cross-entropy of tokens.
///
/// # Shapes
/// `logits`: `[n_targets, vocabulary]` f32, `targets`: `[n_targets]` i64 → scalar f32.
pub(crate) fn cross_entropy_of(logits: &Tensor, targets: &Tensor) -> Tensor {
    logits.cross_entropy_loss::<&Tensor>(targets, None, tch::Reduction::Sum, -100, 0.0)
}
