//! `docs/metrics.md` defines what these stages write, all of it and nothing else.

use candor_sft::{GroundMetrics, SftMetrics};
use candor_testing::metrics::undocumented;

const PAGE: &str = include_str!("../../../docs/metrics.md");

#[test]
fn every_metric_of_fine_tuning_is_defined() {
    let metrics = SftMetrics {
        step: 1,
        loss: 1.0,
        grad_norm: 1.0,
        learning_rate: 1.0,
        n_target_tokens: 1,
        n_tokens: 1,
    };
    assert_eq!(undocumented(PAGE, "sft", &metrics), Vec::<String>::new());
}

#[test]
fn every_metric_of_grounding_is_defined() {
    let metrics = GroundMetrics {
        step: 1,
        loss: 1.0,
        kind_accuracy: 1.0,
        grad_norm: 1.0,
        learning_rate: 1.0,
    };
    assert_eq!(undocumented(PAGE, "ground", &metrics), Vec::<String>::new());
}
