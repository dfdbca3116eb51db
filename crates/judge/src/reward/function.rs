//! Functions of the user's: JSON lines in, JSON lines out.
//!
//! A response is told in a line
//! `{"n": 7, "id": .., "prompt": .., "answer": .., "facts": [..], "reference": .. | null, "image": path | [path, ..] | null, "caption_type": 1}`,
//! with a list of paths where several images are shown, and earns what a line `{"n": 7, "reward": 0.5}` says, in whatever order.
//! `n` counts the lines of a run, so that no reply is taken for that to another response. Equal responses are asked about once,
//! and every reward is kept in a file before it counts, under a key of all that was told and of who was asked.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use candor_data::{LineLog, sha256};
use serde::{Deserialize, Serialize};

use super::Answered;
use super::command::Command;
use super::http::Http;
use super::recipe::{CommandRecipe, HttpRecipe};
use crate::JudgeError;
use crate::request::files;

/// A function that is asked, and what it said.
#[derive(Debug)]
pub(super) struct Function {
    term: String,
    /// Who is asked, for the keys.
    asked: String,
    images: PathBuf,
    via: Via,
    kept: Kept,
    /// Lines that were sent.
    n_lines: u64,
}

/// How it is asked.
#[derive(Debug)]
enum Via {
    Command(Command),
    Http(Http),
}

/// What is told about a response.
#[derive(Debug, Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    id: &'a str,
    prompt: &'a str,
    answer: &'a str,
    facts: &'a [String],
    reference: Option<&'a str>,
    image: Option<Images>,
    caption_type: u8,
}

/// Paths of the images that are shown: one as a text, several as a list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Images {
    One(String),
    Several(Vec<String>),
}

impl Images {
    fn new(folder: &Path, shown: &str) -> Self {
        let path = |file: &PathBuf| file.display().to_string();
        let mut paths: Vec<String> = files(folder, shown).iter().map(path).collect();
        if paths.len() == 1 {
            Self::One(paths.remove(0))
        } else {
            Self::Several(paths)
        }
    }
}

/// A reply.
#[derive(Debug, Deserialize)]
struct Said {
    n: u64,
    reward: f64,
}

/// What a function can do wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// It gave no reward: what happened.
    Reply(String),
    /// What it gave cannot be kept.
    Keeping(JudgeError),
}

/// Takes the lines of replies as they come; says whether more are waited for.
pub(super) type Hear<'a> = dyn FnMut(&str) -> Result<bool, Fault> + 'a;

impl Function {
    pub(super) fn command(
        term: &str,
        recipe: &CommandRecipe,
        images: &Path,
    ) -> Result<Self, JudgeError> {
        let via = Via::Command(Command::new(recipe));
        Self::new(term, recipe.command.join("\0"), via, &recipe.cache, images)
    }

    pub(super) fn http(term: &str, recipe: &HttpRecipe, images: &Path) -> Result<Self, JudgeError> {
        let via = Via::Http(Http::new(term, recipe)?);
        Self::new(term, recipe.url.clone(), via, &recipe.cache, images)
    }

    fn new(
        term: &str,
        asked: String,
        via: Via,
        cache: &Path,
        images: &Path,
    ) -> Result<Self, JudgeError> {
        Ok(Self {
            term: term.to_owned(),
            asked,
            images: images.to_owned(),
            via,
            kept: Kept::open(cache)?,
            n_lines: 0,
        })
    }

    /// The rewards of the responses, each asked for unless it is kept.
    pub(super) fn of(
        &mut self,
        responses: &[Answered<'_>],
    ) -> Result<Vec<Option<f64>>, JudgeError> {
        let mut keys = Vec::with_capacity(responses.len());
        // What is asked for, by the number of its line.
        let mut asked: HashMap<u64, (String, &str)> = HashMap::new();
        let mut lines = Vec::new();
        let mut new: HashSet<String> = HashSet::new();
        for response in responses {
            let mut told = self.told(response);
            let key = sha256::of(format!("{}\n{}", self.asked, json(&told)));
            if !self.kept.rewards.contains_key(&key) && new.insert(key.clone()) {
                self.n_lines += 1;
                told.n = Some(self.n_lines);
                lines.push(json(&told) + "\n");
                asked.insert(self.n_lines, (key.clone(), response.id));
            }
            keys.push(key);
        }
        let n_asked = asked.len();
        let kept = &mut self.kept;
        let mut hear = |line: &str| {
            let said = read(line)?;
            let Some((key, id)) = asked.remove(&said.n) else {
                let problem = format!(
                    "it replied to the line n = {}, which waits for no reply (any more)",
                    said.n
                );
                return Err(Fault::Reply(problem));
            };
            kept.keep(key, id, said.reward).map_err(Fault::Keeping)?;
            Ok(!asked.is_empty())
        };
        let outcome = if lines.is_empty() {
            Ok(())
        } else {
            match &mut self.via {
                Via::Command(command) => command.ask(&lines, &mut hear),
                Via::Http(http) => http.ask(&lines, &mut hear),
            }
        };
        match outcome {
            Ok(()) => {}
            Err(Fault::Keeping(error)) => return Err(error),
            Err(Fault::Reply(problem)) => {
                return Err(JudgeError::Reward {
                    term: self.term.clone(),
                    problem: format!(
                        "{problem}; {} of {n_asked} rewards of the step were given",
                        n_asked - asked.len()
                    ),
                    remedy: format!(
                        "mend the function and continue: what was given is kept in {} and not asked for again",
                        self.kept.log.path().display()
                    ),
                });
            }
        }
        Ok(keys
            .iter()
            .map(|key| self.kept.rewards.get(key).copied())
            .collect())
    }

    fn told<'a>(&self, response: &Answered<'a>) -> Told<'a> {
        let image = |shown| Images::new(&self.images, shown);
        Told {
            n: None,
            id: response.id,
            prompt: response.question,
            answer: response.answer,
            facts: response.facts,
            reference: response.reference,
            image: response.image.map(image),
            caption_type: response.answer_type.caption_type(),
        }
    }
}

/// Strings and numbers: nothing in here can fail to serialise.
fn json(told: &Told<'_>) -> String {
    serde_json::to_string(told).unwrap_or_default()
}

/// Reads a reply. JSON has no NaN and no infinity, so whatever is a number is a reward.
fn read(line: &str) -> Result<Said, Fault> {
    serde_json::from_str(line).map_err(|error| {
        let shown: String = line.trim_end().chars().take(80).collect();
        Fault::Reply(format!(
            "its line {shown:?} is no {{\"n\": .., \"reward\": a finite number}} ({error})"
        ))
    })
}

/// A line of the file of rewards.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    key: String,
    id: String,
    reward: f64,
}

/// Rewards that were given, by key; a file that is only appended to.
#[derive(Debug)]
struct Kept {
    log: LineLog<Line>,
    rewards: HashMap<String, f64>,
}

impl Kept {
    fn open(path: &Path) -> Result<Self, JudgeError> {
        let remedy = "remove the line; its reward is asked for again";
        let (log, lines) = LineLog::<Line>::open(path, remedy)?;
        let rewards = lines.into_iter().map(|line| (line.key, line.reward));
        Ok(Self {
            log,
            rewards: rewards.collect(),
        })
    }

    /// Keeps a reward; it is on the disk when this returns.
    fn keep(&mut self, key: String, id: &str, reward: f64) -> Result<(), JudgeError> {
        let line = Line {
            key,
            id: id.to_owned(),
            reward,
        };
        self.log.append(&line)?;
        self.rewards.insert(line.key, line.reward);
        Ok(())
    }
}
