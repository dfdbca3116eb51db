//! The results of an evaluation, whichever command made them, for whoever asked.

use std::path::Path;

use candor_data::atomic;
use candor_judge::compare::compare;
use candor_judge::leakage::Leakage;
use candor_judge::results::Scored;
use candor_judge::{Results, Run};

/// Says on stderr, too, what makes numbers meaningless.
pub fn warn<'a>(warnings: impl IntoIterator<Item = &'a String>) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// Prints the table of the run in the folder `out`, or its results as JSON; what of it is training data is also written
/// beside them. `seed` decides the intervals.
pub fn show(
    out: &Path,
    results: &Results,
    leakage: Option<Leakage>,
    seed: u64,
    json: bool,
) -> anyhow::Result<()> {
    if let Some(leakage) = &leakage {
        let text = serde_json::to_string_pretty(leakage)? + "\n";
        atomic::write(&out.join("leakage.json"), text.as_bytes())?;
    }
    warn(results.warnings());
    if json {
        println!("{}", serde_json::to_string_pretty(results)?);
        return Ok(());
    }
    let mut shown = compare(&[Run::open(out)?], seed);
    shown.leakage = leakage;
    print!("{}", shown.table());
    for (&benchmark, scored) in &results.benchmarks {
        for remark in remarks(scored) {
            println!("{}: {remark}", benchmark.label());
        }
    }
    Ok(())
}

/// What the numbers alone do not say.
fn remarks(scored: &Scored) -> Vec<String> {
    let mut lines = Vec::new();
    if !scored.unparsed.is_empty() {
        let shown: Vec<&str> = scored
            .unparsed
            .iter()
            .take(20)
            .map(String::as_str)
            .collect();
        let n = scored.unparsed.len();
        lines.push(format!("not read: {n} items ({} …)", shown.join(", ")));
    }
    if scored.n_duplicates > 0 {
        let n = scored.n_duplicates;
        lines.push(format!(
            "{n} items ask the same of the same image as another"
        ));
    }
    if let Some(judged) = &scored.judged {
        lines.push(format!(
            "judge: {} at {}, template {} (SHA-256 {})",
            judged.judge.model, judged.judge.endpoint, judged.template, judged.template_sha256
        ));
        if let Some(equal) = judged.agreement.equal {
            let share = 100.0 * equal;
            lines.push(format!(
                "replies to the same question agree in {share:.1}% of their pairs"
            ));
        }
        if let Some(changed) = judged.order.and_then(|order| order.changed) {
            let share = 100.0 * changed;
            lines.push(format!(
                "{share:.1}% of the verdicts change when the two answers are exchanged"
            ));
        }
    }
    lines
}
