//! Optimizer, schedule, checkpoint, run folder, metrics and data order.
