//! The results as tables: every policy with its intervals, and the ablation.

use candor_judge::{Benchmark, Results};
use candor_stats::bootstrap::Interval;
use maud::{Markup, html};

use crate::plots::algorithms::swatch;
use crate::plots::percent;
use crate::summary::{AblationRow, AlgorithmRow, Measured, Policies, Policy, measured};
use crate::svg::scale::number;
use crate::wording::duration;

/// Which direction is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
    Neither,
}

/// A row of the table.
pub(crate) struct Figure {
    /// The benchmark, for people.
    pub benchmark: &'static str,
    /// What the number is.
    pub name: &'static str,
    better: Better,
    /// How it is written.
    pub written: fn(f64) -> String,
    /// The number of a policy.
    pub of: fn(&Results) -> Option<Measured>,
}

fn hundredths(value: f64) -> String {
    number(value, 2)
}

fn tenths(value: f64) -> String {
    number(value, 1)
}

/// Every number of the table, in its order.
pub(crate) const FIGURES: [Figure; 12] = [
    Figure {
        benchmark: "CHAIR",
        name: "CHAIR_i: objects named that are not there",
        better: Better::Lower,
        written: percent,
        of: |results| measured(results, Benchmark::Chair, "chair_i"),
    },
    Figure {
        benchmark: "CHAIR",
        name: "CHAIR_s: descriptions with such an object",
        better: Better::Lower,
        written: percent,
        of: |results| measured(results, Benchmark::Chair, "chair_s"),
    },
    Figure {
        benchmark: "CHAIR",
        name: "recall: objects there that are named",
        better: Better::Higher,
        written: percent,
        of: |results| measured(results, Benchmark::Chair, "recall"),
    },
    Figure {
        benchmark: "CHAIR",
        name: "object F1 of 1 − CHAIR_i and recall",
        better: Better::Higher,
        written: percent,
        of: |results| measured(results, Benchmark::Chair, "object_f1"),
    },
    Figure {
        benchmark: "CHAIR",
        name: "objects mentioned: in a description, there or not",
        better: Better::Neither,
        written: hundredths,
        of: |results| measured(results, Benchmark::Chair, "objects"),
    },
    Figure {
        benchmark: "MMHal-Bench",
        name: "score, 0 to 6",
        better: Better::Higher,
        written: hundredths,
        of: |results| measured(results, Benchmark::Mmhal, "score"),
    },
    Figure {
        benchmark: "MMHal-Bench",
        name: "hallucination rate",
        better: Better::Lower,
        written: percent,
        of: |results| measured(results, Benchmark::Mmhal, "hallucination"),
    },
    Figure {
        benchmark: "POPE",
        name: "accuracy",
        better: Better::Higher,
        written: percent,
        of: |results| measured(results, Benchmark::Pope, "accuracy"),
    },
    Figure {
        benchmark: "POPE",
        name: "F1",
        better: Better::Higher,
        written: percent,
        of: |results| measured(results, Benchmark::Pope, "f1"),
    },
    Figure {
        benchmark: "POPE",
        name: "share of yes (half is right)",
        better: Better::Neither,
        written: percent,
        of: |results| measured(results, Benchmark::Pope, "yes_ratio"),
    },
    Figure {
        benchmark: "LLaVA-Bench",
        name: "relative score (the reference has 100)",
        better: Better::Higher,
        written: tenths,
        of: |results| measured(results, Benchmark::LlavaBench, "relative"),
    },
    Figure {
        benchmark: "Length",
        name: "tokens of a free answer",
        better: Better::Neither,
        written: tenths,
        of: |results| results.free_tokens().map(|tokens| (tokens, None)),
    },
];

/// Every policy's numbers.
#[must_use]
pub(crate) fn results(policies: &Policies) -> Markup {
    let columns: Vec<(Policy, &Results)> = policies.iter().collect();
    let mut before = "";
    html! {
        div.scroll {
            table.results.policies style={ "--n:" (columns.len()) } {
                thead {
                    tr {
                        th scope="col" { "Figure" }
                        @for (policy, _) in &columns { th scope="col" class=(policy.class()) { (policy.name()) } }
                    }
                }
                tbody {
                    @for figure in &FIGURES {
                        @let cells: Vec<Option<Measured>> = columns.iter().map(|(_, r)| (figure.of)(r)).collect();
                        @let best = best(&cells, figure.better);
                        @if std::mem::replace(&mut before, figure.benchmark) != figure.benchmark {
                            tr.group { th colspan=(columns.len() + 1) scope="colgroup" { (figure.benchmark) } }
                        }
                        tr {
                            th scope="row" { (figure.name) (arrow(figure.better)) }
                            @for (index, cell) in cells.iter().enumerate() {
                                (shown(*cell, figure.written, best == Some(index)))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn arrow(better: Better) -> &'static str {
    match better {
        Better::Higher => "\u{a0}↑",
        Better::Lower => "\u{a0}↓",
        Better::Neither => "",
    }
}

/// A cell: the value, and its interval below.
#[must_use]
pub(crate) fn shown(cell: Option<Measured>, written: fn(f64) -> String, best: bool) -> Markup {
    html! {
        @match cell {
            None => td { "–" },
            Some((value, interval)) => td.best[best] {
                span.value { (written(value)) @if best { span.star title="best; its interval meets no other" { " ★" } } }
                @if let Some([low, high]) = interval {
                    span.interval { (bare(written(low))) "–" (bare(written(high))) }
                }
            },
        }
    }
}

/// A bound of an interval; what it is in percent of stands above it.
fn bare(mut written: String) -> String {
    if written.ends_with('%') {
        written.pop();
    }
    written
}

/// The place of the best value, if its interval meets that of no other.
fn best(cells: &[Option<Measured>], better: Better) -> Option<usize> {
    let sign = match better {
        Better::Higher => 1.0,
        Better::Lower => -1.0,
        Better::Neither => return None,
    };
    let present: Vec<(usize, Measured)> = cells
        .iter()
        .enumerate()
        .filter_map(|(place, cell)| Some((place, (*cell)?)))
        .collect();
    let (place, (_, interval)) = *present
        .iter()
        .max_by(|a, b| (sign * a.1.0).total_cmp(&(sign * b.1.0)))?;
    let mine = interval?;
    let alone = present
        .iter()
        .filter(|(other, _)| *other != place)
        .all(|(_, (_, other))| other.is_some_and(|other| apart(mine, other)));
    (present.len() > 1 && alone).then_some(place)
}

/// Whether two intervals have no value in common.
#[must_use]
pub(crate) fn apart(a: Interval, b: Interval) -> bool {
    a[1] < b[0] || b[1] < a[0]
}

/// The numbers that policies are told apart by where there are many: `CHAIR_i`, recall, object F1, MMHal's score, POPE's F1
/// and the length.
pub(crate) fn chosen() -> [&'static Figure; 6] {
    [0, 2, 3, 5, 8, 11].map(|index| &FIGURES[index])
}

/// The algorithms side by side; what a name is drawn with stands before it.
#[must_use]
pub(crate) fn algorithms(rows: &[AlgorithmRow]) -> Markup {
    html! {
        div.scroll {
            table.results {
                thead {
                    tr {
                        @for name in ["Algorithm", "Facts"] { th scope="col" { (name) } }
                        @for figure in chosen() { th scope="col" { (short(figure)) (arrow(figure.better)) } }
                        @for name in ["Samples", "Processor time"] { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" class={ "series " (row.algorithm.class()) } {
                                (swatch(row)) (row.algorithm.name())
                            }
                            td { (row.facts.map_or("no reward model", |facts| if facts { "✓" } else { "–" })) }
                            @for figure in chosen() { (shown((figure.of)(&row.results), figure.written, false)) }
                            td { (row.samples) }
                            td { (duration(row.processor_secs)) }
                        }
                    }
                }
            }
        }
    }
}

/// Which additions were on, and what came out.
#[must_use]
pub(crate) fn ablation(rows: &[AblationRow]) -> Markup {
    let chosen = chosen();
    let yes = |on: bool| if on { "✓" } else { "–" };
    html! {
        div.scroll {
            table.results {
                thead {
                    tr {
                        @for name in ["Facts", "Symbolic reward", "Length penalty"] { th scope="col" { (name) } }
                        @for figure in chosen { th scope="col" { (short(figure)) (arrow(figure.better)) } }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for on in [row.facts, row.symbolic, row.length_penalty] { td { (yes(on)) } }
                            @for figure in chosen { (shown((figure.of)(&row.results), figure.written, false)) }
                        }
                    }
                }
            }
        }
    }
}

/// A name for a narrow column.
fn short(figure: &Figure) -> &'static str {
    let name = figure.name.split(':').next().unwrap_or(figure.name);
    match name {
        "score, 0 to 6" => "MMHal score",
        "object F1 of 1 − CHAIR_i and recall" => "object F1",
        "tokens of a free answer" => "tokens",
        "F1" => "POPE F1",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(value: f64, low: f64, high: f64) -> Measured {
        (value, Some([low, high]))
    }

    #[test]
    fn the_best_is_marked_only_if_its_interval_meets_no_other() {
        let clear = [
            Some(cell(0.3, 0.25, 0.35)),
            Some(cell(0.1, 0.05, 0.15)),
            Some(cell(0.2, 0.16, 0.24)),
        ];
        assert_eq!(best(&clear, Better::Lower), Some(1));
        assert_eq!(best(&clear, Better::Higher), Some(0));
        assert_eq!(best(&clear, Better::Neither), None);
        let close = [
            Some(cell(0.3, 0.25, 0.35)),
            Some(cell(0.1, 0.05, 0.15)),
            Some(cell(0.2, 0.15, 0.24)),
        ];
        assert_eq!(best(&close, Better::Lower), None);
    }

    #[test]
    fn nothing_is_best_alone_or_without_interval() {
        assert_eq!(
            best(&[Some(cell(0.3, 0.2, 0.4)), None], Better::Higher),
            None
        );
        assert_eq!(
            best(
                &[Some((0.9, None)), Some(cell(0.1, 0.0, 0.2))],
                Better::Higher
            ),
            None
        );
        assert_eq!(
            best(
                &[Some(cell(0.9, 0.8, 1.0)), Some((0.1, None))],
                Better::Higher
            ),
            None
        );
        assert_eq!(best(&[], Better::Higher), None);
    }
}
