//! The prompts, tokenised, each with what its answers are judged by.
//!
//! Only the first human turn is asked. Overlong prompts are dropped as a whole and counted. The reference drops
//! them from the token list only, and reads images, facts, answer types and length factors on from the full list:
//! `quirks.misalign_dropped_queries`.

mod kept;
mod reading;

use candor_data::rows::Look;
use candor_data::{AnswerType, Conversation, Facts};
use candor_judge::reward::{Answered, question};
use candor_model::TokenRuns;
use candor_model::sample::SampleRules;
use candor_reward::RewardModel;

pub use self::kept::Prompts;
pub(crate) use self::reading::in_rows;

/// A prompt that responses are sampled for.
#[derive(Debug, Clone)]
pub struct PromptRow {
    /// The row it comes from.
    pub id: String,
    /// The first human turn, with the image.
    pub conversation: Conversation,
    /// Token ids for the policy, one placeholder for each image patch.
    pub query: TokenRuns,
    /// Token ids for a value model on the reward model's base, which may see images in other sizes.
    pub value_query: TokenRuns,
    /// What the reward model may be told.
    pub facts: Facts,
    /// What a correct answer is.
    pub answer_type: AnswerType,
    /// Factor on the length penalty.
    pub length_bonus: f64,
    /// The data set's own answer, for rewards that compare with it.
    pub reference: Option<String>,
}

impl PromptRow {
    /// A response to it, as the terms of the reward are told of it.
    #[must_use]
    pub fn answered<'a>(&'a self, question: &'a str, facts: &'a [String]) -> Answered<'a> {
        Answered {
            id: &self.id,
            image: self.conversation.image.as_deref(),
            question,
            answer: "",
            facts,
            reference: self.reference.as_deref(),
            answer_type: self.answer_type,
            n_tokens: 0,
        }
    }

    /// What is asked, without the place of the image.
    #[must_use]
    pub fn question(&self) -> String {
        question(&self.conversation.turns)
    }
}

/// What judges the answers, as far as it decides about prompts; without a reward model the policy's base stands for it.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// How the reward model's base reads; it has so many positions as `max_tokens` says.
    pub rules: SampleRules<'a>,
    /// Whether it, or a term of the reward, is shown facts and cannot do without.
    pub with_facts: bool,
    /// The reward model, where there is one that is trained: it must have room for the longest answer.
    pub reward: Option<&'a RewardModel>,
    /// Those of terms that are paid by the sentence, each with the place of its term; they must have room as well.
    pub segments: &'a [(usize, RewardModel)],
}

/// Who is asked, and what there is to look at beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// How the policy's base reads; it has so many positions as `max_tokens` says.
    pub policy: SampleRules<'a>,
    /// What judges the answers.
    pub judge: Judge<'a>,
    /// The longest answer.
    pub max_new_tokens: usize,
    /// Whether facts are told where there are any.
    pub tells_facts: bool,
    /// How closely images are looked at.
    pub look: Look,
}
