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
    let ends: Vec<Vec<SentenceEnd>> = match recipe.position {
        ScorePosition::Sentences => {
            let tokenizer = &models.policy_base().tokenizer;
            let of = |r: &Rollout<'_>| sentence_ends(tokenizer, &r.response.ids, &r.text);
            rollouts.iter().map(of).collect::<Result<_, _>>()?
        }
        _ => vec![Vec::new(); rollouts.len()],
    };
    // Each response, and before it what it says up to the end of each sentence.
    let texts = rollouts.iter().zip(&ends).flat_map(|(rollout, ends)| {
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
    let scores = rollouts.iter().zip(&ends).map(|(rollout, ends)| {
        let said: Vec<f64> = raw.by_ref().take(ends.len() + 1).collect();
        let last = *said.last()?;
        let scaled: Vec<f64> = (said.iter())
            .map(|raw| scaled(*raw, reward, recipe.normalise))
            .collect();
        let end = rollout.response.ids.len().saturating_sub(1);
        let places = ends.iter().map(|end| end.place).chain([end]);
        let gains = places.enumerate().map(|(k, place)| {
            let before = if k == 0 { 0.0 } else { scaled[k - 1] };
            (place, scaled[k] - before)
        });
        Some(ModelScore {
            raw: last,
            normalised: *scaled.last()?,
            sentences: match recipe.position {
                ScorePosition::Sentences => gains.collect(),
                _ => Vec::new(),
            },
        })
    });
    Ok(scores.collect())
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

/// Everything that a response earns as a whole. `terms` are the numbers of the recipe's `weighted` terms.
#[must_use]
pub fn verdict(
    rollout: &Rollout<'_>,
    model: Option<ModelScore>,
    terms: Vec<Option<f64>>,
    weighted: &[Term],
    recipe: &ScoreRecipe,
) -> Score {
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
    }
}
