//! A judge that is written down, and answers to score with it.

use std::path::{Path, PathBuf};

use candor_judge::benchmarks::Files;
use candor_judge::judge::{Cost, Identity};
use candor_judge::results::Scored;
use candor_judge::score::{JudgeSession, score};
use candor_judge::settings::Templates;
use candor_judge::{Benchmark, Judge, JudgeError, Reply, Request};

/// Replies as a function of the prompt; asked in both orders or not.
pub struct Scripted<F>(pub F, pub bool);

impl<F: Fn(&str) -> Vec<String> + Sync> Judge for Scripted<F> {
    fn identity(&self) -> Identity {
        Identity {
            model: "scripted".to_owned(),
            endpoint: "here".to_owned(),
            temperature: 0.0,
            max_tokens: 10,
            samples: 1,
            seed: None,
            images: false,
            swap: self.1,
        }
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn replies(
        &self,
        requests: &[Request],
        _progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Reply>>, JudgeError> {
        let reply = |text: String| Reply {
            text,
            ..Reply::default()
        };
        Ok(requests
            .iter()
            .map(|r| (self.0)(&r.user).into_iter().map(reply).collect())
            .collect())
    }
}

/// The replies to all requests, in their order.
struct Recited<'a>(&'a [String]);

impl Judge for Recited<'_> {
    fn identity(&self) -> Identity {
        Scripted(|_: &str| Vec::new(), false).identity()
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn replies(
        &self,
        requests: &[Request],
        _progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Reply>>, JudgeError> {
        assert_eq!(requests.len(), self.0.len());
        let reply = |text: &String| Reply {
            text: text.clone(),
            ..Reply::default()
        };
        Ok(self.0.iter().map(|text| vec![reply(text)]).collect())
    }
}

/// Answers scored by a judge whose replies are known.
pub fn recited(
    benchmark: Benchmark,
    files: &Files,
    answers: &[PathBuf],
    replies: &[String],
) -> Scored {
    let session = JudgeSession {
        judge: &Recited(replies),
        templates: &Templates::default(),
        progress: &|_| (),
    };
    score(benchmark, files, answers, Some(&session), 0)
        .unwrap()
        .1
}

pub fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Questions, and answers to them.
#[derive(Clone, Default)]
pub struct Sheet {
    pub files: Files,
    pub answers: Vec<PathBuf>,
}

pub fn run(
    benchmark: Benchmark,
    sheet: &Sheet,
    templates: &Templates,
    reply: impl Fn(&str) -> Vec<String> + Sync,
) -> Result<Scored, JudgeError> {
    let judge = Scripted(reply, false);
    let session = JudgeSession {
        judge: &judge,
        templates,
        progress: &|_| (),
    };
    score(benchmark, &sheet.files, &sheet.answers, Some(&session), 0).map(|(_, scored)| scored)
}

pub fn value(scored: &Scored, key: &str) -> f64 {
    scored.figures[key].value.unwrap()
}

pub fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "{found}, expected {expected}"
    );
}
