//! `docs/metrics.md` defines what sampling writes, all of it and nothing else.

use candor_sample::{Counts, SampleMetrics};
use candor_testing::metrics::undocumented;

const PAGE: &str = include_str!("../../../docs/metrics.md");

#[test]
fn every_metric_of_sampling_is_defined() {
    let metrics = SampleMetrics {
        step: 1,
        counts: Counts::default(),
    };
    assert_eq!(undocumented(PAGE, "sample", &metrics), Vec::<String>::new());
}
