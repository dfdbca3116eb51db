//! The prompts, tokenised, each with what its answers are judged by.
//!
//! Only the first human turn is asked. Overlong prompts are dropped as a whole and counted. The reference drops
//! them from the token list only, and reads images, facts, answer types and length factors on from the full list:
//! `quirks.misalign_dropped_queries`.

use std::path::Path;

use candor_data::formats::{captions, ppo_prompts};
use candor_data::{AnswerType, Conversation, FactBook, Facts, Prompt, Speaker};
use candor_model::sample::{Sample, SampleRules};

use crate::RlError;
use crate::recipe::{DataRecipe, QuirksRecipe};

/// A prompt that responses are sampled for.
#[derive(Debug, Clone)]
pub struct PromptRow {
    /// The row it comes from.
    pub id: String,
    /// The first human turn, with the image.
    pub conversation: Conversation,
    /// Token ids for the policy, one placeholder for each image patch.
    pub query: Vec<i64>,
    /// Token ids for the value model, whose base may see images in other sizes.
    pub value_query: Vec<i64>,
    /// What the reward model may be told.
    pub facts: Facts,
    /// What a correct answer is.
    pub answer_type: AnswerType,
    /// Factor on the length penalty.
    pub length_bonus: f64,
}

/// All prompts.
#[derive(Debug)]
pub struct Prompts {
    /// Those short enough.
    pub rows: Vec<PromptRow>,
    /// How many were too long.
    pub n_dropped: usize,
}

/// What judges the answers, as far as it decides about prompts.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// How the reward model's base reads.
    pub rules: SampleRules<'a>,
    /// Whether it is shown facts.
    pub with_facts: bool,
}

impl Prompts {
    /// Reads, tokenises and sorts out the prompts.
    ///
    /// # Errors
    /// A file is damaged, all prompts are too long, or the reward model wants facts and there are none.
    pub fn read(
        data: &DataRecipe,
        quirks: &QuirksRecipe,
        policy: SampleRules<'_>,
        judge: Judge<'_>,
    ) -> Result<Self, RlError> {
        let prompts = ppo_prompts::read(&data.prompts)?;
        let facts = read_facts(data.facts.as_deref(), judge.with_facts)?;
        let mut queries = Vec::with_capacity(prompts.len());
        for prompt in &prompts {
            let query = Query::new(prompt, policy, judge.rules)?;
            queries.push((query.n_tokens <= data.max_query_tokens).then_some(query));
        }
        let n_dropped = queries.iter().filter(|query| query.is_none()).count();
        if n_dropped == prompts.len() {
            return Err(RlError::Unfit {
                path: data.prompts.clone(),
                problem: format!(
                    "all {n_dropped} prompts have more than {} tokens",
                    data.max_query_tokens
                ),
                remedy: "raise data.max_query_tokens",
            });
        }
        let pairs: Vec<(Query, &Prompt)> = if quirks.misalign_dropped_queries {
            queries.into_iter().flatten().zip(&prompts).collect()
        } else {
            let aligned = queries.into_iter().zip(&prompts);
            aligned.filter_map(|(q, p)| Some((q?, p))).collect()
        };
        let rows: Vec<PromptRow> = pairs
            .into_iter()
            .map(|(query, judged)| row(query, judged, &facts))
            .collect();
        check(&rows, data, judge.with_facts)?;
        Ok(Self { rows, n_dropped })
    }
}

fn read_facts(path: Option<&Path>, wanted: bool) -> Result<FactBook, RlError> {
    match path {
        Some(path) if wanted => Ok(captions::read(path)?),
        None if wanted => Err(RlError::Unfit {
            path: "data.facts".into(),
            problem: "the recipe names no file of facts, but the reward model's prompt shows facts"
                .to_owned(),
            remedy: "add data.facts, or use a reward model without facts",
        }),
        _ => Ok(FactBook::new()),
    }
}

/// A tokenised first turn.
struct Query {
    conversation: Conversation,
    ids: Vec<i64>,
    value_ids: Vec<i64>,
    /// An image counts as one.
    n_tokens: usize,
}

impl Query {
    fn new(
        prompt: &Prompt,
        policy: SampleRules<'_>,
        judge: SampleRules<'_>,
    ) -> Result<Self, RlError> {
        let mut conversation = prompt.conversation.clone();
        let first = conversation.turns.iter();
        let first = first.take_while(|turn| turn.from == Speaker::Human);
        conversation.turns.truncate(first.count().min(1));
        let tokens = |rules: SampleRules<'_>| Sample::new(&conversation, rules);
        let ids = tokens(policy)?.ids;
        let value_ids = tokens(judge)?.ids;
        let n_patches = ids.iter().filter(|&&id| id == policy.tokenizer.image);
        let n_patches = n_patches.count();
        let n_tokens = ids.len() - n_patches.saturating_sub(1);
        Ok(Self {
            conversation,
            ids,
            value_ids,
            n_tokens,
        })
    }
}

/// A query, judged by what belongs to `judged`, which is its own row unless the quirk is on.
fn row(query: Query, judged: &Prompt, facts: &FactBook) -> PromptRow {
    let image = judged.conversation.image.clone();
    let facts = image.as_deref().map_or_else(Facts::default, |image| Facts {
        // The rationales of a file name the option; a line of our own would say it twice.
        correct_option: None,
        ..facts.for_prompt(image, judged.answer_type)
    });
    let conversation = Conversation {
        image,
        ..query.conversation
    };
    PromptRow {
        id: conversation.id.clone(),
        conversation,
        query: query.ids,
        value_query: query.value_ids,
        facts,
        answer_type: judged.answer_type,
        length_bonus: judged.length_bonus,
    }
}

/// What would otherwise fail in the middle of a run.
fn check(rows: &[PromptRow], data: &DataRecipe, with_facts: bool) -> Result<(), RlError> {
    for row in rows {
        let expected = usize::from(row.conversation.image.is_some());
        if row.conversation.n_placeholders() != expected {
            return Err(RlError::Unfit {
                path: data.prompts.clone(),
                problem: format!(
                    "the query of {} has {} places for images, but gets {expected}",
                    row.id,
                    row.conversation.n_placeholders()
                ),
                remedy: "turn quirks.misalign_dropped_queries off: dropped rows have shifted the images",
            });
        }
        if with_facts && row.facts.is_empty() {
            let image = row.conversation.image.as_deref().unwrap_or("no image");
            return Err(RlError::Unfit {
                path: data.facts.clone().unwrap_or_default(),
                problem: format!(
                    "no facts for {} ({image}, caption_type {})",
                    row.id,
                    row.answer_type.caption_type()
                ),
                remedy: "add the image's captions (rationales under `aok_` for caption_type 2 to 5), or drop the row",
            });
        }
    }
    Ok(())
}
