//! Scores a file of answers to POPE with the library, and prints every number with its interval. No model, no libtorch.
//!
//! ```text
//! cargo run --release -p candor-judge --example score_answers -- coco_pope_random.jsonl answers.jsonl
//! ```
//!
//! Without arguments it scores four answers of its own. `candor eval score` does the same for all benchmarks, and writes
//! what is found; a program that wants the numbers begins here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candor_judge::Benchmark;
use candor_judge::benchmarks::Files;
use candor_judge::figures::Figure;
use candor_judge::measure::Measure;
use candor_judge::score;

/// Decides the resampling behind the intervals: the same seed gives the same intervals.
const SEED: u64 = 0;

/// POPE's own questions: is there such an object in the image?
const QUESTIONS: &str = r#"{"question_id": 1, "image": "kitchen.jpg", "text": "Is there a kettle in the image?", "label": "yes"}
{"question_id": 2, "image": "kitchen.jpg", "text": "Is there a dog in the image?", "label": "no"}
{"question_id": 3, "image": "street.jpg", "text": "Is there a bus in the image?", "label": "yes"}
{"question_id": 4, "image": "street.jpg", "text": "Is there a tree in the image?", "label": "no"}
"#;

/// Answers of any tool: the answer under one of the usual names, the question by its id, its image or its place.
const ANSWERS: &str = r#"{"question_id": 1, "answer": "Yes, on the stove."}
{"question_id": 2, "answer": "No."}
{"question_id": 3, "answer": "I see only cars."}
{"question_id": 4, "answer": "Yes, there is a tree."}
"#;

fn main() -> ExitCode {
    match example() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The libraries' errors say what was found where, and what to do.
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn example() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [] => {
            // The library reads files, so that every refusal can name one.
            let folder = tempfile::tempdir()?;
            let (questions, answers) =
                (folder.path().join("q.jsonl"), folder.path().join("a.jsonl"));
            std::fs::write(&questions, QUESTIONS)?;
            std::fs::write(&answers, ANSWERS)?;
            print_scores(&questions, &answers)
        }
        [questions, answers] => print_scores(questions, answers),
        _ => Err("usage: score_answers [QUESTIONS ANSWERS]".into()),
    }
}

fn print_scores(questions: &Path, answers: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let benchmark = Benchmark::Pope;
    // What the benchmark is read from. POPE takes several files of questions, one for each of its splits.
    let files = Files {
        questions: vec![questions.to_owned()],
        ..Files::default()
    };
    // A rule reads POPE's answers, so no judge is given. Answers that do not fit the questions are refused here: none is
    // left out in silence.
    let (verdicts, scored) = score::score(benchmark, &files, &[answers.to_owned()], None, SEED)?;

    println!("{}: {} answers", benchmark.label(), scored.n);
    for measure in benchmark.measures() {
        println!(
            "  {:<22} {}",
            measure.label,
            shown(measure, &scored.figures[measure.key])
        );
    }
    // What could not be read is in the numbers as POPE's rule says, and is told besides.
    for verdict in verdicts
        .iter()
        .filter(|verdict| scored.unparsed.contains(&verdict.id))
    {
        println!("  neither yes nor no: {}: {:?}", verdict.id, verdict.answer);
    }
    for warning in &scored.warnings {
        println!("  warning: {warning}");
    }
    Ok(())
}

/// A number with its 95% interval, which resamples images, not questions.
fn shown(measure: &Measure, figure: &Figure) -> String {
    let digits = measure.decimals;
    match (figure.value, figure.ci95) {
        (Some(value), Some([low, high])) => {
            format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
        }
        (Some(value), None) => format!("{value:.digits$}"),
        (None, _) => "nothing to divide by".to_owned(),
    }
}
