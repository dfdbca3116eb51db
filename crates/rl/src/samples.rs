//! `samples/step-N.jsonl`: some of a step's responses as a person wants to see them, a line of JSON each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::AnswerType;
use candor_judge::reward::Term;
use candor_model::{EOS, Tokenizer};
use candor_reward::wording::fact_lines;
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::RlError;
use crate::experience::Experience;
use crate::rollout::Rollout;
use crate::scoring::Score;

/// One response.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    /// Which of the responses to its prompt; only where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<usize>,
    image: Option<&'a str>,
    query: &'a str,
    response: &'a str,
    finished: bool,
    facts: Vec<String>,
    #[serde(rename = "caption_type")]
    answer_type: AnswerType,
    score: Option<f64>,
    normalised_score: Option<f64>,
    correctness: f64,
    /// Subtracted.
    no_eos_penalty: f64,
    /// Subtracted.
    length_penalty: f64,
    symbolic_reward: f64,
    /// The number of each of `[[rewards]]` before its weight; null where it does not apply.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    terms: BTreeMap<&'a str, Option<f64>>,
    reward_sum: f64,
    tokens: Vec<String>,
    /// `log π − log π_ref` of each token.
    kl: Vec<f64>,
    /// Of each token; where the reference's score position is a pad, the last of these lacks the score.
    rewards: Vec<f64>,
}

/// The file of a step.
#[must_use]
pub fn path(run: &Path, step: u64) -> PathBuf {
    run.join("samples").join(format!("step-{step}.jsonl"))
}

/// Writes the first `n` responses of a step.
///
/// # Errors
/// The file cannot be written.
pub fn write(
    path: &Path,
    n: usize,
    tokenizer: &Tokenizer,
    rollouts: &[Rollout<'_>],
    scores: &[Score],
    terms: &[Term],
    experience: &Experience,
) -> Result<(), RlError> {
    let mut lines = Vec::new();
    let several = rollouts.iter().any(|rollout| rollout.sample > 0);
    for (slot, (rollout, score)) in rollouts.iter().zip(scores).take(n).enumerate() {
        let mut row = row(tokenizer, rollout, score, terms, experience, slot as i64)?;
        row.sample = several.then_some(rollout.sample);
        // Numbers and strings: nothing in here can fail to serialise.
        lines.extend(serde_json::to_vec(&row).unwrap_or_default());
        lines.push(b'\n');
    }
    Ok(candor_data::atomic::write(path, &lines)?)
}

fn row<'a>(
    tokenizer: &Tokenizer,
    rollout: &'a Rollout<'_>,
    score: &Score,
    terms: &'a [Term],
    experience: &Experience,
    slot: i64,
) -> Result<Row<'a>, RlError> {
    let conversation = &rollout.prompt.conversation;
    let n_tokens = rollout.response.ids.len() as i64;
    let rewards = experience.rewards.select(0, slot);
    Ok(Row {
        id: &rollout.prompt.id,
        sample: None,
        image: conversation.image.as_deref(),
        query: conversation.query().unwrap_or_default(),
        response: &rollout.text,
        finished: rollout.response.finished,
        facts: fact_lines(&rollout.facts),
        answer_type: rollout.prompt.answer_type,
        score: score.model.as_ref().map(|model| model.raw),
        normalised_score: score.model.as_ref().map(|model| model.normalised),
        correctness: score.correctness,
        no_eos_penalty: score.terminal.no_eos_penalty,
        length_penalty: score.terminal.length_penalty,
        symbolic_reward: score.terminal.symbolic,
        terms: terms
            .iter()
            .map(|term| term.name.as_str())
            .zip(score.terms.iter().copied())
            .collect(),
        reward_sum: rewards.sum(Kind::Double).double_value(&[]),
        tokens: tokens(tokenizer, &rollout.response.ids)?,
        kl: numbers(&experience.k1.select(0, slot), n_tokens),
        rewards: numbers(&rewards, n_tokens),
    })
}

fn tokens(tokenizer: &Tokenizer, ids: &[i64]) -> Result<Vec<String>, RlError> {
    let spelled = ids.iter().map(|&id| {
        if tokenizer.ends.contains(id) {
            return Ok(EOS.to_owned());
        }
        Ok(tokenizer.decode(&[id])?)
    });
    spelled.collect()
}

fn numbers(row: &Tensor, n: i64) -> Vec<f64> {
    let row = row.narrow(0, 0, n).to_kind(Kind::Double);
    Vec::try_from(row).expect("one dimension of f64")
}
