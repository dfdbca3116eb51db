//! Scores: what the reward model and the rules say of each response.

use candor_data::{Conversation, Turn};
use candor_reward::RewardError;
use candor_reward::scorer::{Judged, RewardModel};

use crate::models::{Images, Models};
use crate::recipe::{Normalise, ScoreRecipe};
use crate::rollout::Rollout;
use crate::shaping::{Terminal, terminal};
use crate::symbolic::correctness;

/// The verdict on a response.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// As the reward model said it.
    pub raw: f64,
    /// On the scale of the recipe.
    pub normalised: f64,
    /// By rule, between −0.5 and 1.
    pub correctness: f64,
    /// Penalties, symbolic reward and their total.
    pub terminal: Terminal,
}

/// Scores every response.
///
/// # Errors
/// A response does not fit the reward model.
pub fn score(
    models: &Models,
    images: &Images,
    rollouts: &[Rollout<'_>],
    recipe: &ScoreRecipe,
    pass_rows: usize,
) -> Result<Vec<Score>, RewardError> {
    let conversations: Vec<Conversation> = rollouts.iter().map(answered).collect();
    let items: Vec<Judged<'_>> = rollouts
        .iter()
        .zip(&conversations)
        .map(|(rollout, conversation)| Judged {
            id: &rollout.prompt.id,
            conversation,
            facts: &rollout.facts,
        })
        .collect();
    let raw = models
        .reward
        .score(models.judge_base(), images.judge(), &items, pass_rows)?;
    let scores = rollouts.iter().zip(raw).map(|(rollout, raw)| {
        let normalised = normalise(raw, &models.reward, recipe.normalise);
        verdict(rollout, raw, normalised, recipe)
    });
    Ok(scores.collect())
}

fn answered(rollout: &Rollout<'_>) -> Conversation {
    let mut conversation = rollout.prompt.conversation.clone();
    conversation.turns.push(Turn::gpt(&rollout.text));
    conversation
}

fn normalise(raw: f64, reward: &RewardModel, how: Normalise) -> f64 {
    match how {
        Normalise::None => raw,
        Normalise::HeldOut => (raw - reward.score_mean) / reward.score_std,
    }
}

/// Penalties and rules on top of a score.
#[must_use]
pub fn verdict(rollout: &Rollout<'_>, raw: f64, normalised: f64, recipe: &ScoreRecipe) -> Score {
    let prompt = rollout.prompt;
    let correctness = correctness(&rollout.text, prompt.answer_type, recipe.yes_reward);
    Score {
        raw,
        normalised,
        correctness,
        terminal: terminal(
            &recipe.terminal,
            normalised,
            rollout.response.ids.len(),
            rollout.response.finished,
            prompt.length_bonus,
            correctness,
        ),
    }
}
