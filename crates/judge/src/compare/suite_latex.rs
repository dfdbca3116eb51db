//! The tables of a suite in LaTeX: runs, and below a rule what was published, with its sources.

use super::show::{tex, tex_cell};
use crate::rows::Cell;
use crate::suite::SuiteFound;
use crate::suite::published::Source;
use crate::suite::tables::{Column, Line, Table};

/// A `tabular` for each benchmark.
pub(super) fn tables(found: &SuiteFound) -> String {
    let tables: Vec<String> = found.tables.iter().map(table).collect();
    tables.join("\n")
}

fn table(table: &Table) -> String {
    let label = table.benchmark.label();
    let heads: Vec<String> = table.columns.iter().map(head).collect();
    let numbers = "r".repeat(table.columns.len());
    let mut lines = vec![
        format!("% {label}"),
        format!("\\begin{{tabular}}{{l{numbers}}}"),
        "\\toprule".to_owned(),
        format!("{label} & {} \\\\", heads.join(" & ")),
        "\\midrule".to_owned(),
    ];
    let (of_runs, published) = table.split();
    lines.extend(of_runs.iter().map(|line| drawn(table, line, "")));
    let mut sources: Vec<&Source> = Vec::new();
    for (line, source) in published {
        if sources.is_empty() && !of_runs.is_empty() {
            lines.push("\\midrule".to_owned());
        }
        let known = sources.iter().position(|one| *one == source);
        let at = known.unwrap_or_else(|| {
            sources.push(source);
            sources.len() - 1
        });
        lines.push(drawn(table, line, &number(at)));
    }
    lines.push("\\bottomrule".to_owned());
    let width = table.columns.len() + 1;
    let note = |text: &str| {
        format!("\\multicolumn{{{width}}}{{p{{0.95\\linewidth}}}}{{\\footnotesize {text}.}} \\\\")
    };
    lines.extend(table.caveat().map(|caveat| note(&tex(&caveat))));
    lines.extend(sources.iter().enumerate().map(|(at, source)| {
        let [paper, place, protocol] =
            [&source.paper, &source.place, &source.protocol].map(|text| tex(text));
        note(&format!(
            "{} Published: {paper}, {place}; {protocol}",
            number(at)
        ))
    }));
    lines.push("\\end{tabular}\n".to_owned());
    lines.join("\n")
}

/// The mark of a source.
fn number(at: usize) -> String {
    format!("\\textsuperscript{{{}}}", at + 1)
}

fn drawn(table: &Table, line: &Line, mark: &str) -> String {
    let columns = table.columns.iter().zip(&line.cells);
    let cells: Vec<String> = columns
        .map(|(column, cell)| number_of(column, line, cell))
        .collect();
    format!("{}{mark} & {} \\\\", tex(&line.model), cells.join(" & "))
}

fn head(column: &Column) -> String {
    let arrow = match column.higher_is_better {
        Some(true) => " $\\uparrow$",
        Some(false) => " $\\downarrow$",
        None => "",
    };
    format!("{}{arrow}", tex(&column.name()))
}

/// A number; a published one as it is printed.
fn number_of(column: &Column, line: &Line, cell: &Cell) -> String {
    match (&line.source, cell.value) {
        (Some(_), Some(value)) => format!("${value}$"),
        _ => tex_cell(column.decimals, cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Benchmark;
    use crate::suite::Suite;

    #[test]
    fn published_models_stand_below_a_rule_with_their_source() {
        let column = Column {
            measure: "f1".to_owned(),
            label: "F1".to_owned(),
            group: "a_b".to_owned(),
            higher_is_better: Some(true),
            decimals: 3,
        };
        let line = |model: &str, source, value, ci95| Line {
            model: model.to_owned(),
            source,
            cells: vec![Cell {
                value: Some(value),
                ci95,
                ..Cell::default()
            }],
        };
        let source = Source {
            paper: "P & Q".to_owned(),
            place: "Table 4".to_owned(),
            protocol: "as here".to_owned(),
        };
        let table = Table {
            benchmark: Benchmark::Pope,
            limit: Some(7),
            columns: vec![column],
            lines: vec![
                line("my_run", None, 0.5, Some([0.25, 0.75])),
                line("theirs", Some(source.clone()), 0.81, None),
                line("theirs 2", Some(source), 0.8, None),
            ],
        };
        let found = SuiteFound {
            suite: Suite::Paper,
            tables: vec![table],
            not_measured: Vec::new(),
        };
        let expected = "% POPE\n\\begin{tabular}{lr}\n\\toprule\nPOPE & F1, a\\_b $\\uparrow$ \\\\\n\\midrule\n\
                        my\\_run & $0.500$ {\\scriptsize [0.250, 0.750]} \\\\\n\\midrule\n\
                        theirs\\textsuperscript{1} & $0.81$ \\\\\ntheirs 2\\textsuperscript{1} & $0.8$ \\\\\n\\bottomrule\n\
                        \\multicolumn{2}{p{0.95\\linewidth}}{\\footnotesize POPE: the runs were asked the first 7 questions of each \
                        file at most, so their numbers are none of the benchmark.} \\\\\n\
                        \\multicolumn{2}{p{0.95\\linewidth}}{\\footnotesize \\textsuperscript{1} Published: P \\& Q, Table 4; \
                        as here.} \\\\\n\\end{tabular}\n";
        assert_eq!(tables(&found), expected);
    }
}
