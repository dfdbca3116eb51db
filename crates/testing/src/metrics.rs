//! Whether a page of documentation defines every metric that a stage writes, and no other.
//!
//! A stage's section is a table `| name | formula | sign and unit |` under a heading `## <section>`, as in
//! `docs/metrics.md`. Its test serialises one line of its metrics and asserts that [`undocumented`] finds
//! nothing. Fields of nested objects are named `outer/inner`, as TensorBoard shows them.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// Every difference between the section's tables and the fields of `metrics`, in words; empty if there is none.
#[must_use]
pub fn undocumented(markdown: &str, section: &str, metrics: &impl Serialize) -> Vec<String> {
    let Some(lines) = lines_of(markdown, section) else {
        return vec![format!("there is no section `## {section}`")];
    };
    let mut found = Vec::new();
    let mut documented = BTreeSet::new();
    for row in lines.iter().filter(|line| line.starts_with('|')) {
        let cells = cells(row);
        let name = cells[0].trim_matches('`');
        if name == "name" || name.chars().all(|c| "-:".contains(c)) {
            continue;
        }
        if cells.len() != 3 || cells.iter().any(String::is_empty) {
            let n = cells.len();
            found.push(format!(
                "section `{section}`: the row of `{name}` has {n} cells or an empty one, expected name, formula, \
                 sign and unit (a bar inside a cell is written \\|)"
            ));
        }
        if !documented.insert(name.to_owned()) {
            found.push(format!("section `{section}` defines `{name}` twice"));
        }
    }
    let mut written = BTreeSet::new();
    match serde_json::to_value(metrics) {
        Ok(value) => collect("", &value, &mut written),
        Err(error) => found.push(format!("the metrics cannot be written as JSON: {error}")),
    }
    let missing = written.difference(&documented);
    found.extend(missing.map(|name| format!("section `{section}` lacks `{name}`")));
    let stale = documented.difference(&written);
    found.extend(
        stale.map(|name| format!("section `{section}` has `{name}`, which is not written")),
    );
    found
}

/// The lines between a heading of the second level and the next of at most that level.
fn lines_of<'a>(markdown: &'a str, section: &str) -> Option<Vec<&'a str>> {
    let heading = format!("## {section}");
    let mut lines = markdown.lines().map(str::trim);
    lines.find(|line| *line == heading)?;
    let within = |line: &&str| !line.starts_with("## ") && !line.starts_with("# ");
    Some(lines.take_while(within).collect())
}

/// The cells of a table's row; a bar after a backslash belongs to its cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim_start_matches('|').replace("\\|", "\0");
    let row = row.strip_suffix('|').unwrap_or(&row);
    row.split('|')
        .map(|cell| cell.trim().replace('\0', "|"))
        .collect()
}

fn collect(prefix: &str, value: &Value, names: &mut BTreeSet<String>) {
    let Value::Object(fields) = value else {
        return;
    };
    for (name, value) in fields {
        let name = format!("{prefix}{name}");
        if value.is_object() {
            collect(&format!("{name}/"), value, names);
        } else {
            names.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAGE: &str = "# Metrics\n\
        ## a\n\
        Text.\n\
        | name | formula | sign and unit |\n\
        |---|:-:|---|\n\
        | `step` | updates done | >= 1 |\n\
        | `gap` | \\|x − y\\| | ≥ 0, nats |\n\
        ### more\n\
        | name | formula | sign and unit |\n\
        |---|---|---|\n\
        | `kl/mean` | mean of k1 | any, nats |\n\
        ## b\n\
        | `other` | o | o |\n";

    #[test]
    fn a_complete_section_has_nothing_undocumented() {
        let metrics = json!({"step": 1, "gap": null, "kl": {"mean": 0.5}});
        assert_eq!(undocumented(PAGE, "a", &metrics), Vec::<String>::new());
    }

    #[test]
    fn both_directions_are_reported() {
        let metrics = json!({"step": 1, "loss": 2.0, "kl": {"mean": 0.5}});
        let found = undocumented(PAGE, "a", &metrics);
        assert_eq!(
            found,
            [
                "section `a` lacks `loss`",
                "section `a` has `gap`, which is not written"
            ]
        );
        let found = undocumented(PAGE, "c", &metrics);
        assert_eq!(found, ["there is no section `## c`"]);
    }

    #[test]
    fn a_row_without_a_formula_or_with_a_bare_bar_is_reported() {
        for row in ["| `x` |  | nats |", "| `x` | |a| | nats |", "| `x` | f |"] {
            let found = undocumented(&format!("## a\n{row}\n"), "a", &json!({"x": 1}));
            assert!(
                found.len() == 1 && found[0].contains("row of `x`"),
                "{found:?}"
            );
        }
        let twice = "## a\n| `x` | f | n |\n| `x` | f | n |\n";
        let found = undocumented(twice, "a", &json!({"x": 1}));
        assert_eq!(found, ["section `a` defines `x` twice"]);
    }
}
