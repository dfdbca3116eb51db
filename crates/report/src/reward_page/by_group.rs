//! The reward models of a demo side by side on the world's pairs, by what is asked.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{Figures, Measured, share};
use crate::summary::{Variant, Variants};

/// The reward models of a demo on the world's pairs, by what is asked.
pub(crate) fn by_group(models: &Variants<Measured>) -> Markup {
    let columns: Vec<(Variant, &Measured)> = models.iter().collect();
    let groups = columns.iter().flat_map(|(_, of)| of.groups.keys());
    let groups: BTreeSet<&String> = groups.collect();
    let cell = |found: Option<&Figures>| found.map_or_else(|| "–".to_owned(), share);
    if columns.is_empty() {
        return html! {
            p.missing { "The reward models were not measured on the world's pairs (reward-facts/pairs/result.json is missing)." }
        };
    }
    html! {
        p {
            "On pairs of a true and a false answer about evaluation scenes, which the exact judge ordered: how often the true \
             one has the higher score, by what is asked. Facts seldom say places."
        }
        div.scroll {
            table.results {
                thead {
                    tr {
                        th scope="col" { "Asked" }
                        @for (variant, _) in &columns { th scope="col" class=(variant.class()) { (variant.name()) } }
                    }
                }
                tbody {
                    @for group in groups {
                        tr {
                            th scope="row" { (group) }
                            @for (_, of) in &columns { td { (cell(of.groups.get(group))) } }
                        }
                    }
                    tr {
                        th scope="row" { "all" }
                        @for (_, of) in &columns { td { (cell(Some(&of.all))) " of " (of.all.n_pairs) " pairs" } }
                    }
                }
            }
        }
        @for (variant, of) in columns.iter().filter(|(_, of)| of.n_skipped > 0) {
            p.note { (of.n_skipped) " pairs do not fit the model " (variant.name()) " and were left out." }
        }
    }
}
