//! Three small runs, made up by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candor_judge::compare::{Comparison, compare};
use candor_judge::judge::{Cost, Identity};
use candor_judge::leakage::{Leakage, Leaked};
use candor_judge::order::Order;
use candor_judge::people::{Opinion, People, Tally, Winner};
use candor_judge::results::{Judged, Scored};
use candor_judge::rows::Row;
use candor_judge::{Benchmark, Results, Run, Verdict};
use candor_stats::repeatability::Agreement;

/// What a model or a judge might say that must stay a text.
pub const HOSTILE: &str = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \
                           <!-- & {\"a\": \"b\"} \u{2028}";
/// A run's name that must stay a name.
pub const NAME: &str = "b<b>&\"</script>";

pub fn verdict(id: &str, group: &str, measures: &[(&str, [f64; 2])]) -> Verdict {
    Verdict {
        id: id.to_owned(),
        image: format!("{id}.png"),
        group: group.to_owned(),
        question: format!("What is {id}?"),
        reference: Some("A cup.".to_owned()),
        answer: format!("It is {id}."),
        measures: measures
            .iter()
            .map(|(key, parts)| ((*key).to_owned(), *parts))
            .collect(),
        ..Verdict::default()
    }
}

fn rated(id: &str, group: &str, score: f64) -> Verdict {
    let wrong = f64::from(u8::from(score < 3.0));
    let numbers = [
        ("score", [score, 1.0]),
        ("score_official", [score, 1.0]),
        ("hallucination", [wrong, 1.0]),
        ("words", [3.0, 1.0]),
    ];
    verdict(id, group, &numbers)
}

fn evil(verdict: Verdict) -> Verdict {
    Verdict {
        question: HOSTILE.to_owned(),
        answer: HOSTILE.to_owned(),
        replies: vec![HOSTILE.to_owned()],
        ..verdict
    }
}

fn answered(right: bool) -> Verdict {
    verdict(
        "p",
        "random",
        &[("accuracy", [f64::from(u8::from(right)), 1.0])],
    )
}

/// The first scores 6, 2, 0 on MMHal-Bench, the second 6, 6, 2; the third has POPE alone.
pub fn three() -> Vec<Run> {
    let mmhal = |scores: [f64; 3]| {
        vec![
            rated("one", "attribute & more", scores[0]),
            rated("two", "counting", scores[1]),
            evil(rated("evil", "other", scores[2])),
        ]
    };
    let run = |name: &str, mmhal: Option<Vec<Verdict>>, right: bool| {
        let mut verdicts = BTreeMap::from([(Benchmark::Pope, vec![answered(right)])]);
        verdicts.extend(mmhal.map(|list| (Benchmark::Mmhal, list)));
        Run {
            name: name.to_owned(),
            verdicts,
            ..Run::default()
        }
    };
    let mut runs = vec![
        run("a", Some(mmhal([6.0, 2.0, 0.0])), true),
        run(NAME, Some(mmhal([6.0, 6.0, 2.0])), false),
        run("c", None, true),
    ];
    runs[0].results = Some(Results {
        benchmarks: BTreeMap::from([(Benchmark::Mmhal, scored())]),
        images: None,
    });
    runs
}

fn scored() -> Scored {
    Scored {
        n: 3,
        unparsed: vec!["two".to_owned()],
        judged: Some(Judged {
            judge: Identity {
                model: "judge-model".to_owned(),
                endpoint: "here".to_owned(),
                temperature: 0.0,
                max_tokens: 10,
                samples: 2,
                seed: None,
                images: false,
                swap: true,
            },
            template: "candor's own".to_owned(),
            template_sha256: "0".repeat(64),
            cost: Cost::default(),
            agreement: Agreement {
                equal: Some(0.75),
                mean_distance: Some(0.5),
                n_pairs: 8,
            },
            order: Some(Order {
                changed: Some(0.25),
                favours_first: Some(0.6),
                n_pairs: 12,
            }),
        }),
        ..Scored::default()
    }
}

/// The numbers of the runs, with people and training data beside them.
pub fn compared(runs: &[Run]) -> Comparison {
    let mut comparison = compare(runs, 0);
    let without: Vec<Row> = comparison.rows[..1].to_vec();
    comparison.leakage = Some(Leakage {
        files: vec![PathBuf::from("train.json")],
        compared_bytes: true,
        benchmarks: BTreeMap::from([(
            Benchmark::Mmhal,
            Leaked {
                n: 3,
                images: vec!["evil".to_owned()],
                questions: Vec::new(),
                n_words: 2,
            },
        )]),
        without,
    });
    let opinion = Opinion {
        truer: Winner::Second,
        preferred: Winner::Second,
    };
    let tally = Tally {
        wins: 1,
        rate: Some(1.0),
        ..Tally::default()
    };
    comparison.people = Some(People {
        runs: ["a".to_owned(), NAME.to_owned()],
        truer: tally,
        preferred: tally,
        n_equal: 0,
        n_open: 2,
        items: BTreeMap::from([("mmhal/two".to_owned(), opinion)]),
    });
    comparison
}
