//! The numbers of runs as text: for the terminal, as CSV, Markdown and LaTeX.

use crate::rows::{Cell, Row};
use candor_stats::paired::Difference;

fn name(row: &Row) -> String {
    let arrow = match row.higher_is_better {
        Some(true) => " ↑",
        Some(false) => " ↓",
        None => "",
    };
    if row.group.is_empty() {
        format!("{}{arrow}", row.label)
    } else {
        format!("  {}: {}", row.label, row.group)
    }
}

fn number(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}")
}

fn value(row: &Row, cell: &Cell) -> String {
    cell.value
        .map_or_else(|| "–".to_owned(), |value| number(value, row.decimals))
}

fn interval(decimals: usize, cell: &Cell) -> String {
    let ends =
        |[low, high]: [f64; 2]| format!("[{}, {}]", number(low, decimals), number(high, decimals));
    cell.ci95.map_or_else(String::new, ends)
}

/// Whether the difference is one that chance rarely makes.
fn stands_out(difference: &Difference) -> bool {
    difference.p.is_some_and(|p| p < 0.05)
}

/// The chance as people read it.
pub(super) fn chance(p: f64) -> String {
    if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    }
}

pub(super) fn rows(runs: &[String], rows: &[Row]) -> String {
    let mut lines = vec![(vec![String::new(), "number".to_owned()], true)];
    lines[0].0.extend(runs.iter().cloned());
    let mut before = None;
    for row in rows {
        let begins = before != Some(row.benchmark);
        before = Some(row.benchmark);
        let head = if begins { row.benchmark.label() } else { "" };
        let cells = row
            .cells
            .iter()
            .map(|cell| format!("{} {}", value(row, cell), interval(row.decimals, cell)));
        let mut line = vec![head.to_owned(), name(row)];
        line.extend(cells.map(|text| text.trim_end().to_owned()));
        lines.push((line, begins));
        let apart: Vec<String> = row
            .cells
            .iter()
            .map(|cell| {
                let same = if begins { same_answers(cell) } else { None };
                let parts = same.into_iter().chain(difference(row, cell));
                parts.collect::<Vec<_>>().join("; ")
            })
            .collect();
        if apart.iter().any(|text| !text.is_empty()) {
            let head = [String::new(), "    against the first".to_owned()];
            lines.push((head.into_iter().chain(apart).collect(), false));
        }
    }
    aligned(&lines)
}

/// That a run's answers are the first run's, for once for all numbers of a benchmark.
fn same_answers(cell: &Cell) -> Option<String> {
    let found = cell.against_first.filter(|found| found.same_answers)?;
    Some(format!("all {} answers are the same", found.n))
}

fn difference(row: &Row, cell: &Cell) -> Option<String> {
    let found = cell.against_first.filter(|found| !found.is_void())?;
    let (by, p) = (found.difference?, found.p?);
    let decimals = row.decimals;
    let ends = found.ci95.map_or_else(String::new, |[low, high]| {
        format!(" [{low:+.decimals$}, {high:+.decimals$}]")
    });
    let mark = if stands_out(&found) { " *" } else { "" };
    Some(format!("{by:+.decimals$}{ends} {}{mark}", chance(p)))
}

/// Columns as wide as their widest cell; a rule above the lines that begin something.
fn aligned(lines: &[(Vec<String>, bool)]) -> String {
    let n = lines.first().map_or(0, |(line, _)| line.len());
    let wide = |text: &String| text.chars().count();
    let width = |k: usize| {
        lines
            .iter()
            .map(|(line, _)| wide(&line[k]))
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..n).map(width).collect();
    let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * n.saturating_sub(1)) + "\n";
    let mut text = String::new();
    for (line, begins) in lines {
        if *begins {
            text += &rule;
        }
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text += padded.join("  ").trim_end();
        text.push('\n');
    }
    text + &rule
}

pub(super) fn csv(runs: &[String], rows: &[Row]) -> String {
    let mut text =
        "benchmark,measure,group,run,value,ci95_low,ci95_high,n,difference,difference_ci95_low,\
                    difference_ci95_high,p,p_is_exact,n_pairs\n"
            .to_owned();
    let some = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for row in rows {
        for (run, cell) in runs.iter().zip(&row.cells) {
            let found = cell.against_first.unwrap_or_default();
            let is_compared = cell.against_first.is_some();
            let of = |ends: Option<[f64; 2]>, k: usize| some(ends.map(|ends| ends[k]));
            let fields = [
                row.benchmark.key().to_owned(),
                row.measure.clone(),
                quoted(&row.group),
                quoted(run),
                some(cell.value),
                of(cell.ci95, 0),
                of(cell.ci95, 1),
                cell.n.to_string(),
                some(found.difference),
                of(found.ci95, 0),
                of(found.ci95, 1),
                some(found.p),
                if is_compared {
                    found.is_exact.to_string()
                } else {
                    String::new()
                },
                if is_compared {
                    found.n.to_string()
                } else {
                    String::new()
                },
            ];
            text += &(fields.join(",") + "\n");
        }
    }
    text
}

/// A field of CSV: quoted where it must be, and never the beginning of a formula.
fn quoted(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

pub(super) fn markdown(runs: &[String], rows: &[Row]) -> String {
    let escaped = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let mut text = format!(
        "| benchmark | number | {} |\n|---|---|{}\n",
        runs.iter()
            .map(|run| escaped(run))
            .collect::<Vec<_>>()
            .join(" | "),
        "---|".repeat(runs.len())
    );
    for row in rows {
        let cells: Vec<String> = row
            .cells
            .iter()
            .map(|cell| {
                let ends = interval(row.decimals, cell);
                let text = format!("{} {ends}{}", value(row, cell), star(cell));
                text.trim_end().to_owned()
            })
            .collect();
        let label = escaped(name(row).trim());
        let line = ["", row.benchmark.label(), &label, &cells.join(" | "), ""].join(" | ");
        text += &(line.trim().to_owned() + "\n");
    }
    text
}

fn star(cell: &Cell) -> &'static str {
    if cell.against_first.as_ref().is_some_and(stands_out) {
        " \\*"
    } else {
        ""
    }
}

pub(super) fn latex(runs: &[String], rows: &[Row]) -> String {
    let runs: Vec<String> = runs.iter().map(|run| tex(run)).collect();
    let mut text = format!(
        "\\begin{{tabular}}{{ll{}}}\n\\toprule\nBenchmark & Number & {} \\\\\n",
        "r".repeat(runs.len()),
        runs.join(" & ")
    );
    let mut before = None;
    for row in rows {
        let begins = before != Some(row.benchmark);
        before = Some(row.benchmark);
        if begins {
            text += "\\midrule\n";
        }
        let head = if begins { row.benchmark.label() } else { "" };
        let cells = row.cells.iter().map(|cell| tex_cell(row.decimals, cell));
        let cells: Vec<String> = cells.collect();
        let line = [head.to_owned(), tex(name(row).trim()), cells.join(" & ")].join(" & ");
        text += &(line + " \\\\\n");
    }
    text + "\\bottomrule\n\\end{tabular}\n"
}

/// A number with its interval.
pub(super) fn tex_cell(decimals: usize, cell: &Cell) -> String {
    let Some(value) = cell.value else {
        return "--".to_owned();
    };
    let star = if cell.against_first.as_ref().is_some_and(stands_out) {
        "^{*}"
    } else {
        ""
    };
    let ends = interval(decimals, cell);
    let ends = if ends.is_empty() {
        ends
    } else {
        format!(" {{\\scriptsize {ends}}}")
    };
    format!("${}{star}${ends}", number(value, decimals))
}

/// Text in which nothing is a command.
pub(super) fn tex(text: &str) -> String {
    let character = |c: char| match c {
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{c}"),
        '\\' => "\\textbackslash{}".to_owned(),
        '~' => "\\textasciitilde{}".to_owned(),
        '^' => "\\textasciicircum{}".to_owned(),
        '↑' => "$\\uparrow$".to_owned(),
        '↓' => "$\\downarrow$".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(character).collect()
}
