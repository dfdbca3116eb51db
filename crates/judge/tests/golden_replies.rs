//! Thousands of made-up replies, read and scored as plain Python does: `parity/fixtures/replies.py`.

use std::collections::BTreeMap;

use candor_judge::mmhal::Rated;
use candor_judge::pope::Answered;
use candor_judge::{llava_bench, mmhal, pope};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    n: usize,
    seed: u64,
    vocabulary: BTreeMap<String, Vec<String>>,
    read: BTreeMap<String, String>,
    numbers: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Golden {
    fn open() -> Self {
        serde_json::from_str(include_str!("golden/replies.json")).unwrap()
    }

    /// The replies that Python made, by the same generator.
    fn replies(&self, kind: &str) -> Vec<String> {
        let fragments = &self.vocabulary[kind];
        let mut state = self.seed;
        let mut draw = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let replies = (0..self.n).map(|_| {
            let n = 1 + draw(6);
            (0..n)
                .map(|_| fragments[draw(fragments.len())].as_str())
                .collect()
        });
        replies.collect()
    }

    fn near(&self, kind: &str, name: &str, found: Option<f64>) {
        let (found, expected) = (found.unwrap(), self.numbers[kind][name]);
        assert!(
            (found - expected).abs() < 1e-9,
            "{kind} {name}: {found}, expected {expected}"
        );
    }
}

fn same(replies: &[String], found: &[String], expected: &[String]) {
    assert_eq!(found.len(), expected.len());
    for ((reply, found), expected) in replies.iter().zip(found).zip(expected) {
        assert_eq!(found, expected, "{reply:?}");
    }
}

fn letters(text: &str) -> Vec<String> {
    text.chars().map(String::from).collect()
}

#[test]
fn ratings_and_their_numbers() {
    let golden = Golden::open();
    let replies = golden.replies("mmhal");
    let ratings: Vec<Option<u8>> = replies
        .iter()
        .map(|reply| mmhal::parse_rating(reply))
        .collect();
    let found: Vec<String> = ratings
        .iter()
        .map(|rating| rating.map_or("-".to_owned(), |r| r.to_string()))
        .collect();
    same(&replies, &found, &letters(&golden.read["mmhal"]));
    let rated: Vec<Rated> = ratings
        .iter()
        .enumerate()
        .map(|(i, &score)| Rated {
            image: (i % 50).to_string(),
            question_type: String::new(),
            score,
        })
        .collect();
    let scores = mmhal::score(&rated, 0);
    golden.near("mmhal", "score", Some(scores.score));
    golden.near("mmhal", "hallucination", Some(scores.hallucination_rate));
}

#[test]
fn pairs_of_marks_and_their_numbers() {
    let golden = Golden::open();
    let replies = golden.replies("llava_bench");
    let spelled = |pair: Option<[f64; 2]>| pair.map_or("-".to_owned(), |[a, b]| format!("{a}/{b}"));
    let read = |rule: fn(&str) -> Option<[f64; 2]>| -> Vec<Option<[f64; 2]>> {
        replies.iter().map(|reply| rule(reply)).collect()
    };
    let (ours, official) = (
        read(llava_bench::parse_pair),
        read(llava_bench::official_pair),
    );
    for (name, pairs) in [("llava_bench", &ours), ("llava_bench_official", &official)] {
        let found: Vec<String> = pairs.iter().map(|pair| spelled(*pair)).collect();
        let expected: Vec<String> = golden.read[name].split(' ').map(str::to_owned).collect();
        same(&replies, &found, &expected);
    }
    let relative = |pairs: &[Option<[f64; 2]>]| {
        let compared: Vec<llava_bench::Compared> = pairs
            .iter()
            .enumerate()
            .map(|(i, &marks)| llava_bench::Compared {
                image: (i % 50).to_string(),
                category: "conv".to_owned(),
                marks,
            })
            .collect();
        llava_bench::score(&compared, 0).overall.relative_score
    };
    golden.near("llava_bench", "relative", relative(&ours));
    let counted: Vec<_> = official
        .iter()
        .map(|pair| pair.or(Some([-1.0, -1.0])))
        .collect();
    golden.near("llava_bench", "relative_official", relative(&counted));
}

#[test]
fn yes_no_and_their_numbers() {
    let golden = Golden::open();
    let replies = golden.replies("pope");
    let read: Vec<pope::Read> = replies.iter().map(|reply| pope::read(reply)).collect();
    let spelled = |read: &pope::Read| {
        if read.neither {
            "?"
        } else if read.yes {
            "y"
        } else {
            "n"
        }
    };
    let found: Vec<String> = read.iter().map(|read| spelled(read).to_owned()).collect();
    same(&replies, &found, &letters(&golden.read["pope"]));
    let answered: Vec<Answered> = read
        .iter()
        .enumerate()
        .map(|(i, &read)| Answered {
            image: (i % 50).to_string(),
            split: "random".to_owned(),
            truth: i % 3 == 0,
            read,
        })
        .collect();
    let scores = pope::score(&answered, 0).overall;
    golden.near("pope", "accuracy", Some(scores.accuracy));
    golden.near("pope", "precision", scores.precision);
    golden.near("pope", "recall", scores.recall);
    golden.near("pope", "f1", scores.f1);
    golden.near("pope", "yes_ratio", Some(scores.yes_ratio));
}
