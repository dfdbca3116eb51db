//! Where the time went: a bar for each stage.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::svg::scale::number;

/// The order of the pipeline; stages that are not named here come last, by name.
const ORDER: [&str; 14] = [
    "world",
    "ground",
    "pretrain",
    "sft",
    "sample",
    "annotate",
    "reward-facts",
    "reward-no-facts",
    "policy-init",
    "ppo-facts",
    "ppo-no-facts",
    "eval",
    "curve",
    "ablation",
];

/// A bar for each stage.
#[must_use]
pub(crate) fn draw(stage_secs: &BTreeMap<String, f64>) -> Markup {
    let longest = stage_secs.values().copied().fold(0.0, f64::max);
    let place = |name: &str| {
        ORDER
            .iter()
            .position(|known| *known == name)
            .unwrap_or(ORDER.len())
    };
    let mut stages: Vec<(&String, &f64)> = stage_secs.iter().collect();
    stages.sort_by_key(|(name, _)| (place(name), name.as_str()));
    html! {
        @if longest > 0.0 {
            table.bars {
                caption { "Seconds of each stage" }
                @for (name, secs) in stages {
                    tr {
                        th scope="row" { (name) }
                        td.bar { div style={ "width:" (format!("{:.1}", 100.0 * secs / longest)) "%" } {} }
                        td.number { (number(*secs, 1)) " s" }
                    }
                }
            }
        }
    }
}
