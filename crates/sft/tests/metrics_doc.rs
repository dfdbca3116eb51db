//! `docs/metrics.md` defines what these stages write, all of it and nothing else.

use std::collections::BTreeMap;

use candor_sft::{GroundMetrics, HeldOutFigures, SftMetrics};
use candor_testing::metrics::undocumented;

const PAGE: &str = include_str!("../../../docs/metrics.md");

#[test]
fn every_metric_of_fine_tuning_is_defined() {
    let figures = HeldOutFigures {
        loss: 1.0,
        accuracy: 1.0,
    };
    let metrics = SftMetrics {
        step: 1,
        loss: 1.0,
        grad_norm: 1.0,
        learning_rate: 1.0,
        n_target_tokens: 1,
        n_tokens: 1,
        validation_loss: Some(1.0),
        validation_accuracy: Some(1.0),
        validation: BTreeMap::from([("<source>".to_owned(), figures)]),
        suite: BTreeMap::from([(
            "<benchmark>".to_owned(),
            BTreeMap::from([("<number>".to_owned(), 1.0)]),
        )]),
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
