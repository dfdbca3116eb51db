//! What several seeds say, for a terminal and as Markdown.

use std::fmt::Write as _;

use super::claims::listed;
use super::{FigureRow, SeedsSummary};
use crate::summary::Measured;
use crate::svg::scale::number;

impl SeedsSummary {
    /// For a terminal: each claim with what became of it and the numbers that it rests on.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("seeds {}\n", listed(&self.seeds()));
        if !self.family.is_usual() {
            let _ = writeln!(text, "The models are built as {}.", self.family.name());
        }
        if self.quick {
            text += "A quick pass: everything was made small, so nothing is claimed.\n";
        }
        for claim in &self.claims {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<13} {}", claim.decision.name(), claim.claim);
            for part in &claim.parts {
                let each = part.pooled.seeds.iter().map(|of| {
                    of.value
                        .map_or("–".to_owned(), |value| part.unit.written(value))
                });
                let each: Vec<String> = each.collect();
                let decided = if claim.parts.len() > 1 {
                    format!(", {}", part.decision.name())
                } else {
                    String::new()
                };
                let _ = writeln!(
                    text,
                    "{:13} {}: {}{decided}; by seed {}",
                    "",
                    part.what,
                    part.mean(),
                    each.join(", ")
                );
                if !part.chances().is_empty() {
                    let _ = writeln!(text, "{:13} {}", "", part.chances());
                }
            }
        }
        for left_out in &self.left_out {
            text.extend([left_out, "\n"]);
        }
        if !self.claims.is_empty() {
            text += "brackets: 95% interval over seeds, Student's t and the bootstrap together; p over n seeds is never below 2^(1 − n)\n";
        }
        text
    }

    /// The claims, and all numbers seed by seed, as tables in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        if !self.family.is_usual() {
            let _ = writeln!(text, "The models are built as {}.\n", self.family.name());
        }
        if self.quick {
            text += "A quick pass: everything was made small, so nothing is claimed.\n\n";
        }
        if !self.claims.is_empty() {
            text += "| claim | | mean over the seeds (95 % interval) | p over seeds | p over images |\n|---|---|---|---|---|\n";
        }
        for claim in &self.claims {
            for part in &claim.parts {
                let chance =
                    |p: Option<f64>, decimals| p.map_or("–".to_owned(), |p| number(p, decimals));
                let _ = writeln!(
                    text,
                    "| {} | {} | {}: {} | {} | {} |",
                    claim.claim,
                    part.decision.name(),
                    part.what,
                    part.mean(),
                    chance(part.pooled.p_seeds, 3),
                    chance(part.pooled.p_images, 4),
                );
            }
        }
        for left_out in &self.left_out {
            let _ = writeln!(text, "\n{left_out}");
        }
        for rows in [&self.reward_models, &self.policies, &self.algorithms] {
            if !rows.is_empty() {
                text += "\n";
                text += &self.numbers(rows);
            }
        }
        if !self.algorithm_differences.is_empty() {
            text +=
                "\n| CHAIR | less | difference over the seeds (95 % interval) |\n|---|---|---|\n";
        }
        for one in &self.algorithm_differences {
            let (of, measure) = (&one.of, one.measure);
            let _ = writeln!(
                text,
                "| {measure} of {of} | {} | {} |",
                one.less,
                one.mean()
            );
        }
        for demo in &self.demos {
            let memory = demo.peak_memory_bytes as f64 / 1e9;
            let _ = write!(
                text,
                "\nSeed {}: {:.0} s, {memory:.2} GB\n",
                demo.seed, demo.wall_secs
            );
        }
        text
    }

    fn numbers(&self, rows: &[FigureRow]) -> String {
        let seeds = self.seeds();
        let names: Vec<String> = seeds.iter().map(|seed| format!("seed {seed}")).collect();
        let mut text = format!("| | | {} | mean |\n", names.join(" | "));
        text += &("|---".repeat(seeds.len() + 3) + "|\n");
        for row in rows {
            let cell = |cell: Option<Measured>| match cell {
                None => "–".to_owned(),
                Some((value, None)) => (row.written)(value),
                Some((value, Some([low, high]))) => {
                    let written = row.written;
                    format!("{} ({}–{})", written(value), written(low), written(high))
                }
            };
            let mean = row.mean.map(|mean| (mean, row.ci95));
            let cells: Vec<String> = row.seeds.iter().copied().chain([mean]).map(cell).collect();
            let name = row.figure.split(':').next().unwrap_or(row.figure);
            let _ = writeln!(
                text,
                "| {} {name} | {} | {} |",
                row.benchmark,
                row.of,
                cells.join(" | ")
            );
        }
        text
    }
}
