//! Where the time went: a bar for each stage.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::svg::scale::number;

/// The order of the pipeline; stages that are not named here, evaluations and the ablation's runs, come last, by name.
const ORDER: [&str; 18] = [
    "world",
    "ground",
    "pretrain",
    "sft",
    "sft-gpt4",
    "reading",
    "sample",
    "annotate",
    "reward-facts",
    "reward-no-facts",
    "policy-init",
    "ppo-facts",
    "ppo-no-facts",
    "grpo-facts",
    "grpo-no-facts",
    "rloo-facts",
    "rloo-no-facts",
    "dpo",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_stand_in_the_order_of_the_pipeline_and_the_rest_by_name() {
        let names = [
            "eval/sft",
            "dpo",
            "eval/curve-facts",
            "ppo-facts",
            "reading",
            "sample",
            "sft",
            "sft-gpt4",
        ];
        let secs = names.map(|name| (name.to_owned(), 1.0));
        let drawn = draw(&BTreeMap::from(secs)).into_string();
        let rows = drawn.split("<th scope=\"row\">").skip(1);
        let order: Vec<&str> = rows.filter_map(|row| row.split('<').next()).collect();
        assert_eq!(
            order,
            [
                "sft",
                "sft-gpt4",
                "reading",
                "sample",
                "ppo-facts",
                "dpo",
                "eval/curve-facts",
                "eval/sft",
            ]
        );
    }
}
