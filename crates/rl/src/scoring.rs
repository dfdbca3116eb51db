//! Scores: what the reward model, the rules of the paper and the terms of the recipe say of each response.
//!
//! `total = weight · score − penalties + symbolic + Σ weight_k · term_k`; a term that does not apply to a prompt adds nothing,
//! and the metrics count to how many responses it applied.

use candor_data::{Conversation, Turn};
use candor_judge::JudgeError;
use candor_judge::reward::{Answered, Rewards, Term};
use candor_reward::scorer::{Judged, RewardModel};
use candor_reward::wording::fact_lines;
use candor_run::Ranks;

use crate::RlError;
use crate::models::{Images, Models};
use crate::recipe::{Normalise, ScoreRecipe};
use crate::rollout::Rollout;
use crate::sentences::{SentenceEnd, sentence_ends};
use crate::shaping::{ScorePosition, Terminal, terminal};
use crate::symbolic::correctness;

/// The verdict on a response.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// What the reward model said, where there is one.
    pub model: Option<ModelScore>,
    /// By rule, between −0.5 and 1.
    pub correctness: f64,
    /// The number of each term of the recipe, before its weight; `None` where it does not apply.
    pub terms: Vec<Option<f64>>,
    /// Penalties, symbolic reward and their total.
    pub terminal: Terminal,
    /// What of the total the terms that are paid by the sentence pay where, by the place of a sentence's last token.
    pub segments: Vec<(usize, f64)>,
}

/// The reward model's score of a response.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelScore {
    /// As the reward model said it.
    pub raw: f64,
    /// On the scale of the recipe.
    pub normalised: f64,
    /// What each sentence adds to the normalised score, with the place of its last token, where scores are paid by the sentence.
    pub sentences: Vec<(usize, f64)>,
}

/// Scores every response by the reward model; none where there is no reward model. The passes are shared out to `ranks`.
///
/// # Errors
/// A response does not fit the reward model, or another rank has ended or hangs.
pub fn score(
    models: &Models,
    images: &Images,
    rollouts: &[Rollout<'_>],
    recipe: &ScoreRecipe,
    pass_rows: usize,
    ranks: &Ranks,
) -> Result<Vec<Option<ModelScore>>, RlError> {
    let Some(reward) = &models.reward else {
        return Ok(vec![None; rollouts.len()]);
    };
    let ends = if recipe.position.by_sentence() {
        all_ends(models, rollouts)?
    } else {
        vec![Vec::new(); rollouts.len()]
    };
    let said = said_of(reward, models, images, rollouts, &ends, pass_rows, ranks)?;
    let scores = said.into_iter().map(|Said { scores, places }| {
        Some(match recipe.position {
            ScorePosition::Segments => of_segments(&scores, &places),
            position => {
                let scaled = scores
                    .iter()
                    .map(|raw| scaled(*raw, reward, recipe.normalise));
                let scaled: Vec<f64> = scaled.collect();
                ModelScore {
                    raw: *scores.last()?,
                    normalised: *scaled.last()?,
                    sentences: if position.by_sentence() {
                        gains(&scaled, &places)
                    } else {
                        Vec::new()
                    },
                }
            }
        })
    });
    Ok(scores.collect())
}

/// What the reward models of the terms that are paid by the sentence say of every response: for each response, of each term its
/// place among the recipe's, and the labels of its sentences with the places of their last tokens.
///
/// # Errors
/// A response does not fit a reward model, or another rank has ended or hangs.
pub fn segments(
    models: &Models,
    images: &Images,
    rollouts: &[Rollout<'_>],
    pass_rows: usize,
    ranks: &Ranks,
) -> Result<Vec<Vec<Segments>>, RlError> {
    let mut found: Vec<Vec<Segments>> = rollouts.iter().map(|_| Vec::new()).collect();
    if models.segments.is_empty() {
        return Ok(found);
    }
    let ends = all_ends(models, rollouts)?;
    for (term, model) in &models.segments {
        let said = said_of(model, models, images, rollouts, &ends, pass_rows, ranks)?;
        for (of_response, said) in found.iter_mut().zip(said) {
            of_response.push(Segments {
                term: *term,
                labels: of_segments(&said.scores, &said.places).sentences,
            });
        }
    }
    Ok(found)
}

/// What a response's sentences are, in the eyes of one reward model.
#[derive(Debug, Clone, PartialEq)]
pub struct Segments {
    /// The place of its term among the recipe's.
    pub term: usize,
    /// Between −1 for a false sentence and 1 for a clean one, with the place of its last token.
    pub labels: Vec<(usize, f64)>,
}

impl Segments {
    /// What they are worth together, before the weight of the term.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.labels.iter().map(|(_, label)| label).sum()
    }
}

/// Scores of a response's text up to the end of each sentence, and where these end.
struct Said {
    scores: Vec<f64>,
    places: Vec<usize>,
}

/// The ends of the sentences of every response, but of the last ones.
fn all_ends(models: &Models, rollouts: &[Rollout<'_>]) -> Result<Vec<Vec<SentenceEnd>>, RlError> {
    let tokenizer = &models.policy_base().tokenizer;
    let of = |r: &Rollout<'_>| sentence_ends(tokenizer, &r.response.ids, &r.text);
    Ok(rollouts.iter().map(of).collect::<Result<_, _>>()?)
}

/// What a reward model says of each response, and before it of what the response says up to each of its `ends`.
fn said_of(
    reward: &RewardModel,
    models: &Models,
    images: &Images,
    rollouts: &[Rollout<'_>],
    ends: &[Vec<SentenceEnd>],
    pass_rows: usize,
    ranks: &Ranks,
) -> Result<Vec<Said>, RlError> {
    // Each response, and before it what it says up to the end of each sentence.
    let texts = rollouts.iter().zip(ends).flat_map(|(rollout, ends)| {
        let beginnings = ends.iter().map(|end| end.text.as_str());
        let texts = beginnings.chain([rollout.text.as_str()]);
        texts.map(move |text| (rollout, answered(rollout, text)))
    });
    let texts: Vec<(&Rollout<'_>, Conversation)> = texts.collect();
    let items: Vec<Judged<'_>> = texts
        .iter()
        .map(|(rollout, conversation)| Judged {
            id: &rollout.prompt.id,
            conversation,
            facts: &rollout.facts,
        })
        .collect();
    let raw = reward.score(
        models.judge_base(),
        images.judge(),
        &items,
        pass_rows,
        ranks,
    )?;
    let mut raw = raw.into_iter();
    let said = rollouts.iter().zip(ends).map(|(rollout, ends)| {
        let end = rollout.response.ids.len().saturating_sub(1);
        Said {
            scores: raw.by_ref().take(ends.len() + 1).collect(),
            places: ends.iter().map(|end| end.place).chain([end]).collect(),
        }
    });
    Ok(said.collect())
}

/// What each sentence changes in the score, with the place of its last token.
fn gains(scores: &[f64], places: &[usize]) -> Vec<(usize, f64)> {
    let before = [0.0].iter().chain(scores);
    let changes = scores
        .iter()
        .zip(before)
        .map(|(score, before)| score - before);
    places.iter().copied().zip(changes).collect()
}

/// What a reward model of rated sentences says of a response: of each sentence, with all before it as context, 2 σ(s) − 1, which
/// is the expected label where a clean sentence counts 1 and a false one −1; of the response their sum.
fn of_segments(said: &[f64], places: &[usize]) -> ModelScore {
    // 2 σ(s) − 1 = tanh(s / 2).
    let labels = said.iter().map(|raw| (raw / 2.0).tanh());
    let sentences: Vec<(usize, f64)> = places.iter().copied().zip(labels).collect();
    ModelScore {
        raw: said.iter().sum(),
        normalised: sentences.iter().map(|(_, label)| label).sum(),
        sentences,
    }
}

fn answered(rollout: &Rollout<'_>, text: &str) -> Conversation {
    let mut conversation = rollout.prompt.conversation.clone();
    conversation.turns.push(Turn::gpt(text));
    conversation
}

fn scaled(raw: f64, reward: &RewardModel, how: Normalise) -> f64 {
    match how {
        Normalise::None => raw,
        Normalise::HeldOut => (raw - reward.score_mean) / reward.score_std,
    }
}

/// The number of each term for each response: `[rollouts][terms]`.
///
/// # Errors
/// A judge or a function gave no reward.
pub fn terms(
    rewards: &mut Rewards,
    rollouts: &[Rollout<'_>],
) -> Result<Vec<Vec<Option<f64>>>, JudgeError> {
    let questions: Vec<String> = rollouts.iter().map(|r| r.prompt.question()).collect();
    let facts: Vec<Vec<String>> = rollouts.iter().map(|r| fact_lines(&r.facts)).collect();
    let told = rollouts.iter().zip(questions.iter().zip(&facts));
    let responses: Vec<Answered<'_>> = told
        .map(|(rollout, (question, facts))| Answered {
            answer: &rollout.text,
            n_tokens: rollout.response.ids.len(),
            ..rollout.prompt.answered(question, facts)
        })
        .collect();
    let of_terms = rewards.of(&responses)?;
    let of_response = |row: usize| of_terms.iter().map(|numbers| numbers[row]).collect();
    Ok((0..rollouts.len()).map(of_response).collect())
}

/// Everything that a response earns as a whole. `terms` are the numbers of the recipe's `weighted` terms, among which those of
/// `segments` are put.
#[must_use]
pub fn verdict(
    rollout: &Rollout<'_>,
    model: Option<ModelScore>,
    mut terms: Vec<Option<f64>>,
    segments: &[Segments],
    weighted: &[Term],
    recipe: &ScoreRecipe,
) -> Score {
    let mut paid = Vec::new();
    for of_term in segments {
        let weight = weighted[of_term.term].weight;
        terms[of_term.term] = Some(of_term.sum());
        let labels = of_term.labels.iter();
        paid.extend(labels.map(|&(place, label)| (place, weight * label)));
    }
    let prompt = rollout.prompt;
    let correctness = correctness(&rollout.text, prompt.answer_type, recipe.yes_reward);
    let mut terminal = terminal(
        &recipe.terminal,
        model
            .as_ref()
            .map_or(0.0, |score| recipe.weight * score.normalised),
        rollout.response.ids.len(),
        rollout.response.finished,
        prompt.length_bonus,
        correctness,
    );
    for (term, number) in weighted.iter().zip(&terms) {
        terminal.total += term.weight * number.unwrap_or(0.0);
    }
    Score {
        model,
        correctness,
        terms,
        terminal,
        segments: paid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// σ(ln 3) = 3/4, so a sentence of that score is expected to count 1/2; one of score 0 counts nothing.
    #[test]
    fn segments_earn_their_own_labels_and_sentences_what_they_change() {
        let ln3 = 3_f64.ln();
        let (said, places) = ([ln3, 0.0, -ln3, ln3], [2, 5, 6, 9]);
        let score = of_segments(&said, &places);
        let expected = [(2, 0.5), (5, 0.0), (6, -0.5), (9, 0.5)];
        for ((place, label), (end, worth)) in score.sentences.iter().zip(expected) {
            assert_eq!(*place, end);
            assert!((label - worth).abs() < 1e-12, "{:?}", score.sentences);
        }
        assert!((score.normalised - 0.5).abs() < 1e-12);
        assert!((score.raw - ln3).abs() < 1e-12);
        let changes = gains(&[1.0, 3.0, 2.5], &[0, 1, 4]);
        assert_eq!(changes, [(0, 1.0), (1, 2.0), (4, -0.5)]);
        let of_term = Segments {
            term: 1,
            labels: score.sentences,
        };
        assert!((of_term.sum() - 0.5).abs() < 1e-12);
    }
}
