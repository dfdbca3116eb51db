//! The results as a table for the terminal.

use std::fmt::Write as _;

use crate::bootstrap::Interval;
use crate::{Results, chair, llava_bench, mmhal, pope};

/// One line of the table.
struct Row {
    group: &'static str,
    name: String,
    value: Option<f64>,
    ci95: Option<Interval>,
    decimals: usize,
    n: usize,
}

/// The table, with a newline at its end. A number that is undefined is a dash.
#[must_use]
pub fn render(results: &Results) -> String {
    let mut rows = Vec::new();
    rows.extend(results.mmhal.iter().flat_map(mmhal_rows));
    rows.extend(results.pope.iter().flat_map(pope_rows));
    rows.extend(results.chair.iter().flat_map(chair_rows));
    rows.extend(results.llava_bench.iter().flat_map(llava_bench_rows));
    let mut text = table(&rows);
    if let Some(mean) = results.mean_response_tokens {
        // Writing to a String cannot fail.
        let _ = write!(text, "free answers: {mean:.1} tokens on average; ");
    }
    let _ = writeln!(text, "{} answers cut at the limit", results.n_cut);
    for warning in &results.warnings {
        let _ = writeln!(text, "WARNING: {warning}");
    }
    text
}

fn table(rows: &[Row]) -> String {
    let width = |column: &dyn Fn(&Row) -> usize| rows.iter().map(column).max().unwrap_or(0);
    let group = width(&|row| row.group.chars().count()).max("benchmark".len());
    let name = width(&|row| row.name.chars().count()).max("figure".len());
    let line = |a: &str, b: &str, value: &str, interval: &str, n: &str| {
        format!("{a:group$}  {b:name$}  {value:>7}  {interval:>16}  {n:>5}\n")
    };
    let head = line("benchmark", "figure", "value", "95% interval", "n");
    let rule = "─".repeat(head.chars().count() - 1) + "\n";
    let mut text = rule.clone() + &head;
    let mut before = "";
    for row in rows {
        if row.group != before {
            text += &rule;
        }
        let shown = if row.group == before { "" } else { row.group };
        before = row.group;
        let number = |value: f64| format!("{value:.*}", row.decimals);
        let value = row.value.map_or_else(|| "–".to_owned(), number);
        let interval = row.ci95.map_or_else(String::new, |[low, high]| {
            format!("{} … {}", number(low), number(high))
        });
        text += &line(shown, &row.name, &value, &interval, &row.n.to_string());
    }
    text + &rule
}

fn mmhal_rows(scores: &mmhal::Scores) -> Vec<Row> {
    let row = |name: &str, value, ci95, decimals, n| Row {
        group: "MMHal-Bench",
        name: name.to_owned(),
        value: Some(value),
        ci95,
        decimals,
        n,
    };
    let rate = scores.hallucination_rate;
    let mut rows = vec![
        row("score (0–6)", scores.score, scores.ci95_score, 2, scores.n),
        row(
            "hallucination rate",
            rate,
            scores.ci95_hallucination_rate,
            3,
            scores.n,
        ),
    ];
    if scores.n_parse_failures > 0 {
        let failures = scores.n_parse_failures;
        rows.push(row(
            "replies not parsed",
            failures as f64,
            None,
            0,
            scores.n,
        ));
    }
    for (name, figures) in &scores.types {
        rows.push(row(
            &format!("  score {name}"),
            figures.score,
            None,
            2,
            figures.n,
        ));
    }
    rows
}

fn pope_rows(scores: &pope::Scores) -> Vec<Row> {
    let row = |name: String, value, ci95, n| Row {
        group: "POPE",
        name,
        value,
        ci95,
        decimals: 3,
        n,
    };
    let all = &scores.overall;
    let mut rows = vec![
        row(
            "accuracy".into(),
            Some(all.accuracy),
            all.ci95_accuracy,
            all.n,
        ),
        row("precision".into(), all.precision, all.ci95_precision, all.n),
        row("recall".into(), all.recall, all.ci95_recall, all.n),
        row("F1".into(), all.f1, all.ci95_f1, all.n),
        row(
            "yes-ratio".into(),
            Some(all.yes_ratio),
            all.ci95_yes_ratio,
            all.n,
        ),
    ];
    for split in ["random", "popular", "adversarial"] {
        if let Some(figures) = scores.splits.get(split) {
            rows.push(row(
                format!("  F1 {split}"),
                figures.f1,
                figures.ci95_f1,
                figures.n,
            ));
        }
    }
    rows.push(Row {
        decimals: 0,
        ..row(
            "neither yes nor no".into(),
            Some(all.n_neither as f64),
            None,
            all.n,
        )
    });
    rows
}

fn chair_rows(scores: &chair::Scores) -> Vec<Row> {
    let row = |name: &str, value, ci95| Row {
        group: "CHAIR",
        name: name.to_owned(),
        value,
        ci95,
        decimals: 3,
        n: scores.n,
    };
    vec![
        row("CHAIR_i", scores.chair_i, scores.ci95_chair_i),
        row("CHAIR_s", Some(scores.chair_s), scores.ci95_chair_s),
        row("recall", scores.recall, scores.ci95_recall),
        row(
            "object precision",
            scores.object_precision,
            scores.ci95_object_precision,
        ),
        row("object F1", scores.object_f1, scores.ci95_object_f1),
        Row {
            decimals: 2,
            ..row("objects mentioned", Some(scores.mean_mentioned), None)
        },
    ]
}

fn llava_bench_rows(scores: &llava_bench::Scores) -> Vec<Row> {
    let row = |name: String, figures: &llava_bench::Figures| Row {
        group: "LLaVA-Bench",
        name,
        value: figures.relative_score,
        ci95: figures.ci95_relative_score,
        decimals: 1,
        n: figures.n,
    };
    let mut rows = vec![row("relative score".into(), &scores.overall)];
    for category in ["conv", "detail", "complex"] {
        if let Some(figures) = scores.categories.get(category) {
            rows.push(row(format!("  {category}"), figures));
        }
    }
    let failures = scores.overall.n_parse_failures;
    if failures > 0 {
        rows.push(Row {
            value: Some(failures as f64),
            ci95: None,
            decimals: 0,
            ..row("replies not parsed".into(), &scores.overall)
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned_and_shows_undefined_numbers_as_dashes() {
        let results = Results {
            mmhal: Some(mmhal::Scores {
                score: 2.5,
                ci95_score: Some([2.0, 3.125]),
                hallucination_rate: 0.5,
                n: 96,
                ..mmhal::Scores::default()
            }),
            chair: Some(chair::Scores {
                chair_s: 0.25,
                n: 4,
                ..chair::Scores::default()
            }),
            n_cut: 3,
            ..Results::default()
        };
        let text = render(&results);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(
            widths[..widths.len() - 1].iter().all(|&w| w == widths[0]),
            "{text}"
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[3],
            "MMHal-Bench  score (0–6)            2.50       2.00 … 3.12     96"
        );
        assert_eq!(
            lines[4],
            "             hallucination rate    0.500                       96"
        );
        assert_eq!(
            lines[6],
            "CHAIR        CHAIR_i                   –                        4"
        );
        assert_eq!(
            lines[7],
            "             CHAIR_s               0.250                        4"
        );
        assert_eq!(lines.last(), Some(&"3 answers cut at the limit"));
    }

    #[test]
    fn what_makes_numbers_meaningless_stands_below_them() {
        let warning = "POPE: 3 of 3 answers are empty";
        let results = Results {
            warnings: vec![warning.to_owned()],
            ..Results::default()
        };
        let last = format!("WARNING: {warning}\n");
        assert!(render(&results).ends_with(&last));
        // Results without a warning are written as ever.
        let plain = serde_json::to_string(&Results::default()).unwrap();
        assert!(!plain.contains("warnings"), "{plain}");
    }
}
