//! Vision tower, projector, decoder, LoRA adapters, KV cache, generation, weights in and out.
