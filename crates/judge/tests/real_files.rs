//! The scorers on the benchmarks' own files, which stand beside the repository where they are at all.

use std::io::Write as _;
use std::path::PathBuf;

use candor_data::formats;
use candor_judge::mmhal::Rated;
use candor_judge::pope::Answered;
use candor_judge::{llava_bench, mmhal, pope};
use serde::Deserialize;

/// A file of the shared test data; without it the test is skipped, and says so.
fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    // Written past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: {} is not there",
        path.display()
    );
    None
}

fn pope_answers(answer: impl Fn(&formats::pope::Question) -> String) -> Option<Vec<Answered>> {
    let mut all = Vec::new();
    for split in ["random", "popular", "adversarial"] {
        let path = shared(&format!("pope/coco_pope_{split}.jsonl"))?;
        all.extend(
            formats::pope::read(&path)
                .unwrap()
                .into_iter()
                .map(|row| Answered {
                    split: split.to_owned(),
                    truth: row.label == formats::pope::Label::Yes,
                    read: pope::read(&answer(&row)),
                    image: row.image,
                }),
        );
    }
    Some(all)
}

fn near(found: impl Into<Option<f64>>, expected: f64) -> bool {
    found
        .into()
        .is_some_and(|found: f64| (found - expected).abs() < 5e-4)
}

#[test]
fn pope_scores_an_answer_sheet_that_always_says_yes() {
    let Some(answers) = pope_answers(|_| "Yes".to_owned()) else {
        return;
    };
    let scores = pope::score(&answers, 0);
    assert_eq!(scores.overall.n, 2910 + 3000 + 3000);
    assert_eq!(scores.splits["random"].n, 2910);
    // Counted with grep: 1500, 1500, 1500 questions have the label yes.
    for (split, n) in [
        ("random", 2910.0),
        ("popular", 3000.0),
        ("adversarial", 3000.0),
    ] {
        let figures = &scores.splits[split];
        assert!(near(figures.accuracy, 1500.0 / n), "{split}: {figures:?}");
        assert!(near(figures.precision, 1500.0 / n));
        assert!(near(figures.recall, 1.0));
        assert!(near(figures.f1, 3000.0 / (1500.0 + n)));
        assert!(near(figures.yes_ratio, 1.0));
    }
}

#[test]
fn pope_scores_the_true_answers_in_the_models_words() {
    let answers = pope_answers(|row| match row.label {
        formats::pope::Label::Yes => "Yes, there is.".to_owned(),
        formats::pope::Label::No => "There is not, sorry".to_owned(),
    });
    let Some(answers) = answers else { return };
    let scores = pope::score(&answers, 0);
    assert!(near(scores.overall.accuracy, 1.0) && near(scores.overall.f1, 1.0));
    assert_eq!(scores.overall.n_neither, 0);
    assert_eq!(scores.overall.ci95_accuracy, Some([1.0, 1.0]));
}

#[test]
fn mmhal_scores_the_official_template() {
    let Some(path) = shared("mmhal_bench/response_template.json") else {
        return;
    };
    let rows = formats::mmhal::read(&path).unwrap();
    // "counting" questions go wrong, the others get 4.
    let rated: Vec<Rated> = rows
        .iter()
        .map(|row| {
            let reply = if row.question_type == "counting" {
                "Rating: 1"
            } else {
                "rating: 4"
            };
            Rated {
                image: row.image_id.clone(),
                question_type: row.question_type.clone(),
                score: mmhal::parse_rating(reply),
            }
        })
        .collect();
    let scores = mmhal::score(&rated, 0);
    assert_eq!(scores.n, 96);
    assert_eq!(scores.types.len(), 8);
    assert!(scores.types.values().all(|figures| figures.n == 12));
    assert!(near(scores.score, (84.0 * 4.0 + 12.0) / 96.0));
    assert!(near(scores.hallucination_rate, 12.0 / 96.0));
    assert!(near(scores.types["counting"].hallucination_rate, 1.0));
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
        let mut unread = Vec::new();
        let mut n = 0;
        for line in text.lines() {
            let review: Review = serde_json::from_str(line).unwrap();
            match llava_bench::parse_pair(&review.text) {
                Some([first, second]) => {
                    let [expected, other] = review.score;
                    assert!(near(first, expected) && near(second, other), "{line}");
                }
                None => unread.push(review.question_id),
            }
            n += 1;
        }
        assert_eq!(n, 80);
        // In these three the judge solves a sum first and gives its marks at the end; the recorded scores
        // were put in by hand, one of them other than the reply says.
        assert_eq!(unread, [68, 69, 70]);
    }
}

#[test]
fn llava_bench_scores_its_own_questions() {
    let Some(path) = shared("llava_bench_coco/qa90_questions.jsonl") else {
        return;
    };
    let rows = formats::llava_bench::read_questions(&path).unwrap();
    let compared: Vec<llava_bench::Compared> = rows
        .into_iter()
        .map(|row| {
            use formats::llava_bench::Category;
            let (category, reply) = match row.category {
                Category::Conv => ("conv", "8 6\nThe second is vague."),
                Category::Detail => ("detail", "8 8"),
                Category::Complex => ("complex", "8, 10"),
            };
            llava_bench::Compared {
                image: row.image,
                category: category.to_owned(),
                marks: llava_bench::parse_pair(reply),
            }
        })
        .collect();
    let scores = llava_bench::score(&compared, 0);
    assert_eq!(scores.overall.n, 90);
    for (category, expected) in [("conv", 75.0), ("detail", 100.0), ("complex", 125.0)] {
        assert_eq!(scores.categories[category].n, 30);
        assert!(near(scores.categories[category].relative_score, expected));
    }
    assert!(near(scores.overall.relative_score, 100.0));
}
