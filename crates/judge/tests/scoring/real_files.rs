//! The scorers on the benchmarks' own files, which stand beside the repository where they are at all.

use candor_data::formats;
use candor_judge::benchmarks::Files;
use candor_judge::results::Scored;
use candor_judge::score::score;
use candor_judge::{Benchmark, llava_bench};
use candor_testing::shared;
use serde::Deserialize;
use serde_json::json;

use crate::scripted::recited;

/// POPE's three files answered.
fn pope(answer: impl Fn(&formats::pope::Question) -> &'static str) -> Option<Scored> {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, mut answers) = (Files::default(), Vec::new());
    for split in ["random", "popular", "adversarial"] {
        let path = shared(&format!("pope/coco_pope_{split}.jsonl"))?;
        let rows = formats::pope::read(&path).unwrap();
        let lines = rows.iter().map(|row| {
            json!({"question_id": row.question_id, "answer": answer(row)}).to_string() + "\n"
        });
        let answered = dir.path().join(format!("{split}.jsonl"));
        std::fs::write(&answered, lines.collect::<String>()).unwrap();
        files.questions.push(path);
        answers.push(answered);
    }
    let (_, scored) = score(Benchmark::Pope, &files, &answers, None, 0).unwrap();
    Some(scored)
}

fn near(found: impl Into<Option<f64>>, expected: f64) -> bool {
    found
        .into()
        .is_some_and(|found: f64| (found - expected).abs() < 5e-4)
}

#[test]
fn pope_scores_an_answer_sheet_that_always_says_yes() {
    let Some(scored) = pope(|_| "Yes") else {
        return;
    };
    assert_eq!(scored.n, 2910 + 3000 + 3000);
    // Counted with grep: 1500, 1500, 1500 questions have the label yes.
    for (split, n) in [
        ("random", 2910.0),
        ("popular", 3000.0),
        ("adversarial", 3000.0),
    ] {
        let value = |key: &str| scored.figures[key].groups[split].value;
        assert!(near(value("accuracy"), 1500.0 / n), "{split}");
        assert!(near(value("precision"), 1500.0 / n));
        assert!(near(value("recall"), 1.0));
        assert!(near(value("f1"), 3000.0 / (1500.0 + n)));
        assert!(near(value("yes_ratio"), 1.0));
    }
}

#[test]
fn pope_scores_the_true_answers_in_the_models_words() {
    let scored = pope(|row| match row.label {
        formats::pope::Label::Yes => "Yes, there is.",
        formats::pope::Label::No => "There is not, sorry",
    });
    let Some(scored) = scored else { return };
    let figure = |key: &str| &scored.figures[key];
    assert!(near(figure("accuracy").value, 1.0) && near(figure("f1").value, 1.0));
    assert!(near(figure("neither").value, 0.0));
    assert_eq!(figure("accuracy").ci95, Some([1.0, 1.0]));
}

#[test]
fn mmhal_scores_the_official_template() {
    let Some(path) = shared("mmhal_bench/response_template.json") else {
        return;
    };
    // "counting" questions go wrong, the others get 4.
    let rows = formats::mmhal::read(&path).unwrap();
    let replies = rows.iter().map(|row| match row.question_type.as_str() {
        "counting" => "Rating: 1".to_owned(),
        _ => "rating: 4".to_owned(),
    });
    let replies: Vec<String> = replies.collect();
    let files = Files {
        questions: vec![path.clone()],
        ..Files::default()
    };
    let scored = recited(Benchmark::Mmhal, &files, &[path], &replies);
    assert_eq!(scored.n, 96);
    let (score, wrong) = (&scored.figures["score"], &scored.figures["hallucination"]);
    assert_eq!(score.groups.len(), 8);
    assert!(score.groups.values().all(|figure| figure.n == 12));
    assert!(near(score.value, (84.0 * 4.0 + 12.0) / 96.0));
    assert!(near(wrong.value, 12.0 / 96.0));
    assert!(near(wrong.groups["counting"].value, 1.0));
}

#[test]
fn llava_bench_scores_its_own_questions() {
    use formats::llava_bench::Category;
    let folder = "llava_bench_coco";
    let files = [
        "qa90_questions.jsonl",
        "qa90_gpt4_answer.jsonl",
        "caps_boxes_coco2014_val_80.jsonl",
    ]
    .map(|name| shared(&format!("{folder}/{name}")));
    let [Some(questions), Some(references), Some(context)] = files else {
        return;
    };
    let rows = formats::llava_bench::read_questions(&questions).unwrap();
    let replies = rows.iter().map(|row| match row.category {
        Category::Conv => "8 6\nThe second is vague.".to_owned(),
        Category::Detail => "8 8".to_owned(),
        Category::Complex => "8, 10".to_owned(),
    });
    let replies: Vec<String> = replies.collect();
    let files = Files {
        questions: vec![questions],
        references: Some(references.clone()),
        context: Some(context),
        ..Files::default()
    };
    let scored = recited(Benchmark::LlavaBench, &files, &[references], &replies);
    assert_eq!(scored.n, 90);
    let relative = &scored.figures["relative"];
    for (category, expected) in [("conv", 75.0), ("detail", 100.0), ("complex", 125.0)] {
        let figure = &relative.groups[category];
        assert!(figure.n == 30 && near(figure.value, expected), "{category}");
    }
    assert!(near(relative.value, 100.0));
}

#[derive(Deserialize)]
struct Review {
    question_id: u64,
    text: String,
    score: [f64; 2],
}

#[test]
fn the_judges_real_replies_parse_to_the_recorded_scores() {
    for name in [
        "review_bard_vicuna-13b.jsonl",
        "review_gpt35_vicuna-13b.jsonl",
    ] {
        let Some(path) = shared(&format!("judge_replies/{name}")) else {
            return;
        };
        let text = std::fs::read_to_string(path).unwrap();
        let mut unparsed = Vec::new();
        let mut n = 0;
        for line in text.lines() {
            let review: Review = serde_json::from_str(line).unwrap();
            match llava_bench::parse_pair(&review.text) {
                Some([first, second]) => {
                    let [expected, other] = review.score;
                    assert!(near(first, expected) && near(second, other), "{line}");
                }
                None => unparsed.push(review.question_id),
            }
            n += 1;
        }
        assert_eq!(n, 80);
        // In these three the judge solves a sum first and gives its marks at the end; the recorded scores
        // were put in by hand, one of them other than the reply says.
        assert_eq!(unparsed, [68, 69, 70]);
    }
}
