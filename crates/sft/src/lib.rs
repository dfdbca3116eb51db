//! Supervised fine-tuning: recipe, loss, run.
