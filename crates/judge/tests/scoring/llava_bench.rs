//! LLaVA-Bench, in one order of the two answers and in both.

use std::path::Path;

use candor_judge::Benchmark;
use candor_judge::benchmarks::Files;
use candor_judge::score::{JudgeSession, score};
use candor_judge::settings::Templates;

use crate::scripted::{Scripted, Sheet, file, near, run, value};

fn llava(folder: &Path) -> Sheet {
    let questions = "{\"question_id\":0,\"image\":\"a.jpg\",\"text\":\"Q0?\",\"category\":\"conv\"}\n\
                     {\"question_id\":1,\"image\":\"a.jpg\",\"text\":\"Q1?\",\"category\":\"detail\"}\n";
    let answers = |text: &str| {
        format!(
            "{{\"question_id\":0,\"text\":\"{text} zero\"}}\n{{\"question_id\":1,\"text\":\"{text} one\"}}\n"
        )
    };
    let files = Files {
        questions: vec![file(folder, "q.jsonl", questions)],
        references: Some(file(folder, "r.jsonl", &answers("reference"))),
        context: Some(file(
            folder,
            "c.jsonl",
            r#"{"id":"a","image":"a.jpg","captions":["A cup."],"instances":[{"category":"cup","bbox":[0.1,0.25,0.5,1.0]}]}"#,
        )),
        ..Files::default()
    };
    Sheet {
        files,
        answers: vec![file(folder, "a.jsonl", &answers("candidate"))],
    }
}

#[test]
fn llava_bench_relates_marks_and_counts_unread_ones_as_the_script_does() {
    let dir = tempfile::tempdir().unwrap();
    let sheet = llava(dir.path());
    let rules = r#"{"conv":{"role":"Side","prompt":"P"},"detail":{"role":"Side","prompt":"P"}}"#;
    let templates = Templates {
        llava_bench: Some(file(dir.path(), "rule.json", rules)),
        ..Templates::default()
    };
    let scored = run(Benchmark::LlavaBench, &sheet, &templates, |prompt| {
        assert!(
            prompt.starts_with("[Context]\nA cup.\n\ncup: [0.1, 0.25, 0.5, 1.0]\n\n[Question]\nQ"),
            "{prompt}"
        );
        let reference = prompt.find("[Side 1]\nreference").unwrap();
        assert!(reference < prompt.find("[Side 2]\ncandidate").unwrap());
        vec![
            if prompt.contains("zero") {
                "8 6\nwhy"
            } else {
                "10, 10"
            }
            .to_owned(),
        ]
    })
    .unwrap();
    near(value(&scored, "relative"), 100.0 * 16.0 / 18.0);
    // "10, 10" has two blanks for the official script: −1 and −1.
    near(value(&scored, "relative_official"), 100.0 * 5.0 / 7.0);
    near(
        scored.figures["relative"].groups["conv"].value.unwrap(),
        75.0,
    );
}

#[test]
fn a_judge_that_favours_the_first_place_is_found_out_by_exchanging_the_answers() {
    let dir = tempfile::tempdir().unwrap();
    // Question 0 is decided by place alone; of question 1 the reference is better wherever it stands.
    let reply = |prompt: &str| {
        let (reference, answer) = (prompt.find("reference"), prompt.find("candidate"));
        vec![
            match (prompt.contains("zero"), reference < answer) {
                (true, _) => "9 3",
                (false, true) => "8 4",
                (false, false) => "4 8",
            }
            .to_owned(),
        ]
    };
    let judge = Scripted(reply, true);
    let session = JudgeSession {
        judge: &judge,
        templates: &Templates::default(),
        progress: &|_| (),
    };
    let sheet = llava(dir.path());
    let (verdicts, scored) = score(
        Benchmark::LlavaBench,
        &sheet.files,
        &sheet.answers,
        Some(&session),
        0,
    )
    .unwrap();
    // Of question 0 both get (9 + 3) / 2 = 6, of question 1 the reference 8 and the answer 4.
    near(value(&scored, "relative"), 100.0 * 10.0 / 14.0);
    near(value(&scored, "mark"), 5.0);
    // The script knows one order: 9 3 and 8 4.
    near(value(&scored, "relative_official"), 100.0 * 7.0 / 17.0);
    near(value(&scored, "order_changes"), 0.5);
    let order = scored.judged.unwrap().order.unwrap();
    assert_eq!((order.changed, order.n_pairs), (Some(0.5), 2));
    // First place favoured: twice on question 0, once on question 1.
    assert_eq!(order.favours_first, Some(0.75));
    assert_eq!(verdicts[0].replies, ["9 3", "9 3"]);
    assert_eq!(
        (verdicts[0].n_exchanged, &verdicts[0].read_as),
        (1, &vec!["9 3".to_owned(), "3 9".to_owned()])
    );
    // Asked in one order, the same judge looks steady, and nothing is said of orders.
    let scored = run(Benchmark::LlavaBench, &sheet, &Templates::default(), reply).unwrap();
    near(value(&scored, "relative"), 100.0 * 7.0 / 17.0);
    assert_eq!(scored.judged.unwrap().order, None);
    assert_eq!(scored.figures["order_changes"].value, None);
}
