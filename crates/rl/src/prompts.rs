//! The prompts, tokenised, each with what its answers are judged by.
//!
//! Only the first human turn is asked. Overlong prompts are dropped as a whole and counted. The reference drops
//! them from the token list only, and reads images, facts, answer types and length factors on from the full list:
//! `quirks.misalign_dropped_queries`.

use std::collections::BTreeSet;
use std::path::Path;

use candor_data::comparisons::Purpose;
use candor_data::formats::{captions, ppo_prompts};
use candor_data::rows::{
    ImageRows, LEAVE_OUT, Look, OnBadRow, Reason, Row, RowFault, Sieve, Skipped,
};
use candor_data::{AnswerType, Conversation, FactBook, Facts, Prompt, Speaker, shown};
use candor_judge::reward::{Answered, question};
use candor_model::TokenRuns;
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

/// All prompts.
#[derive(Debug)]
pub struct Prompts {
    /// Those that are asked.
    pub rows: Vec<PromptRow>,
    /// How many were too long for `data.max_query_tokens`.
    pub n_dropped: usize,
    /// Those that are left out, the too long among them, where the recipe skips bad rows.
    pub skipped: Option<Skipped>,
    /// Which rows show which images.
    pub images: ImageRows,
}

/// What judges the answers, as far as it decides about prompts; without a reward model the policy's base stands for it.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// How the reward model's base reads; it has so many positions as `max_tokens` says.
    pub rules: SampleRules<'a>,
    /// Whether it, or a term of the reward, is shown facts and cannot do without.
    pub with_facts: bool,
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

impl Prompts {
    /// Reads, tokenises and sorts out the prompts. Images that are inside their files are kept in the image folder by a run; a plan
    /// takes them to be whole.
    ///
    /// # Errors
    /// A file is damaged, all prompts are too long, or prompts cannot be asked and the recipe does not skip them: they
    /// leave no room for an answer, their image is not there, or the reward model wants facts and there are none.
    pub fn read(
        data: &DataRecipe,
        quirks: &QuirksRecipe,
        asking: Asking<'_>,
        purpose: Purpose,
    ) -> Result<Self, RlError> {
        let mut inside = BTreeSet::new();
        let mut embedded = |bytes: &[u8]| purpose.embedded(&data.images, &mut inside, bytes);
        let prompts = ppo_prompts::read_set(&data.prompts, &mut embedded)?;
        let facts = read_facts(data.facts.as_deref(), asking)?;
        let too_long = |n_tokens: usize| n_tokens > data.max_query_tokens;
        let mut n_dropped = 0;
        let mut rows = Vec::with_capacity(prompts.len());
        for (name, prompt) in &prompts {
            let mut query = Query::new(prompt, asking);
            if let Ok(Query { n_tokens, .. }) = query
                && too_long(n_tokens)
            {
                n_dropped += 1;
                if data.on_bad_row == OnBadRow::Skip && !quirks.misalign_dropped_queries {
                    query = Err(overlong(n_tokens, data));
                }
            } else if !quirks.misalign_dropped_queries {
                query = query.and_then(|query| {
                    query.check_room(asking)?;
                    check_facts(prompt, &facts, data, asking.judge.with_facts)?;
                    Ok(query)
                });
            } else {
                query = query.and_then(|query| query.check_room(asking).map(|()| query));
            }
            rows.push(Row {
                name: name.clone(),
                made: query.map(|query| (query, prompt)),
            });
        }
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
        let sieve = Sieve {
            on_bad_row: data.on_bad_row,
            look: asking.look,
            images: &data.images,
            remedy: Some(LEAVE_OUT),
        };
        let sifted = sieve.sift(
            rows,
            |(_, prompt)| prompt.conversation.image.as_deref(),
            inside,
        )?;
        let judged: Vec<&Prompt> = sifted.rows.iter().map(|(_, (_, prompt))| *prompt).collect();
        let queries = sifted.rows.into_iter();
        let queries = queries.map(|(_, (query, _))| (!too_long(query.n_tokens)).then_some(query));
        let pairs: Vec<(Query, &Prompt)> = if quirks.misalign_dropped_queries {
            queries.flatten().zip(judged).collect()
        } else {
            let aligned = queries.zip(judged);
            aligned.filter_map(|(q, p)| Some((q?, p))).collect()
        };
        let rows: Vec<PromptRow> = pairs
            .into_iter()
            .map(|(query, judged)| row(query, judged, &facts))
            .collect();
        if let (true, Some(skipped)) = (rows.is_empty(), &sifted.skipped) {
            return Err(RlError::Unfit {
                path: data.prompts.clone(),
                problem: format!("no prompt is left, {skipped}"),
                remedy: "mend the prompts; data.on_bad_row = \"stop\" names them",
            });
        }
        check_alignment(&rows, data, asking.judge.with_facts)?;
        Ok(Self {
            rows,
            n_dropped,
            skipped: sifted.skipped,
            images: sifted.images,
        })
    }
}

fn read_facts(path: Option<&Path>, asking: Asking<'_>) -> Result<FactBook, RlError> {
    match path {
        Some(path) if asking.judge.with_facts || asking.tells_facts => Ok(captions::read(path)?),
        None if asking.judge.with_facts => Err(RlError::Unfit {
            path: "data.facts".into(),
            problem: "the recipe names no file of facts, but the prompt of the reward model or of a judge shows facts"
                .to_owned(),
            remedy: "add data.facts, or use a reward model or a prompt without facts",
        }),
        _ => Ok(FactBook::new()),
    }
}

fn overlong(n_tokens: usize, data: &DataRecipe) -> RowFault {
    RowFault::new(
        Reason::TooLong,
        "conversations",
        format!(
            "{n_tokens} tokens, an image counted as one, are more than data.max_query_tokens = {}",
            data.max_query_tokens
        ),
        "raise data.max_query_tokens, or shorten the prompt",
    )
}

/// A tokenised first turn.
struct Query {
    conversation: Conversation,
    ids: TokenRuns,
    value_ids: TokenRuns,
    /// An image counts as one.
    n_tokens: usize,
}

impl Query {
    fn new(prompt: &Prompt, asking: Asking<'_>) -> Result<Self, RowFault> {
        let mut conversation = prompt.conversation.clone();
        let first = conversation.turns.iter();
        let first = first.take_while(|turn| turn.from == Speaker::Human);
        conversation.turns.truncate(first.count().min(1));
        let tokens = |rules: SampleRules<'_>| {
            let max_tokens = usize::MAX;
            Sample::new(
                &conversation,
                SampleRules {
                    max_tokens,
                    ..rules
                },
            )
        };
        let ids = tokens(asking.policy)?.ids;
        let value_ids = tokens(asking.judge.rules)?.ids;
        let n_patches = ids
            .iter()
            .filter(|&&id| id == asking.policy.tokenizer.image);
        let n_images = shown::count(conversation.image.as_deref());
        let n_tokens = ids.len() - n_patches.count() + n_images;
        Ok(Self {
            conversation,
            ids: TokenRuns::of(&ids),
            value_ids: TokenRuns::of(&value_ids),
            n_tokens,
        })
    }

    /// Whether both bases have a position for every token of the query and of the longest answer to it.
    fn check_room(&self, asking: Asking<'_>) -> Result<(), RowFault> {
        let max_new_tokens = asking.max_new_tokens;
        for (ids, rules) in [
            (&self.ids, asking.policy),
            (&self.value_ids, asking.judge.rules),
        ] {
            let positions = rules.max_tokens;
            if ids.len() + max_new_tokens > positions {
                let found = format!(
                    "{} tokens, those of its image among them, and sampling.max_new_tokens = {max_new_tokens} are more \
                     than the {positions} positions of a base",
                    ids.len()
                );
                let remedy = "lower sampling.max_new_tokens or data.max_query_tokens, or shorten or remove the row";
                return Err(RowFault::new(
                    Reason::TooLong,
                    "conversations",
                    found,
                    remedy,
                ));
            }
        }
        Ok(())
    }
}

/// What the reward model may be told about a prompt.
fn facts_of(prompt: &Prompt, facts: &FactBook) -> Facts {
    let image = prompt.conversation.image.as_deref();
    image.map_or_else(Facts::default, |image| Facts {
        // The rationales of a file name the option; a line of our own would say it twice.
        correct_option: None,
        ..facts.for_prompt(image, prompt.answer_type)
    })
}

/// Whether the reward model can be told something, where it must be.
fn check_facts(
    prompt: &Prompt,
    facts: &FactBook,
    data: &DataRecipe,
    wanted: bool,
) -> Result<(), RowFault> {
    if !wanted || !facts_of(prompt, facts).is_empty() {
        return Ok(());
    }
    let image = prompt.conversation.image.as_deref();
    let file = data.facts.as_deref().unwrap_or(Path::new("data.facts"));
    Err(RowFault::new(
        Reason::NoFacts,
        "image",
        format!(
            "{} has no facts for {} (caption_type {})",
            file.display(),
            image.unwrap_or("a row without an image"),
            prompt.answer_type.caption_type()
        ),
        "add the image's captions (rationales under `aok_` for caption_type 2 to 5), or drop the row",
    ))
}

/// A query, judged by what belongs to `judged`, which is its own row unless the quirk is on.
fn row(query: Query, judged: &Prompt, facts: &FactBook) -> PromptRow {
    let conversation = Conversation {
        image: judged.conversation.image.clone(),
        ..query.conversation
    };
    PromptRow {
        id: conversation.id.clone(),
        conversation,
        query: query.ids,
        value_query: query.value_ids,
        facts: facts_of(judged, facts),
        answer_type: judged.answer_type,
        length_bonus: judged.length_bonus,
        reference: first_answer(judged),
    }
}

/// The turn after the first human one.
fn first_answer(prompt: &Prompt) -> Option<String> {
    let turns = &prompt.conversation.turns;
    let asked = turns.iter().position(|turn| turn.from == Speaker::Human)?;
    let next = turns.get(asked + 1)?;
    (next.from == Speaker::Gpt).then(|| next.value.clone())
}

/// What would otherwise fail in the middle of a run that judges queries by what belongs to others.
fn check_alignment(rows: &[PromptRow], data: &DataRecipe, with_facts: bool) -> Result<(), RlError> {
    let remedy =
        "turn quirks.misalign_dropped_queries off: dropped rows have shifted images and facts";
    for row in rows {
        let expected = shown::count(row.conversation.image.as_deref());
        if row.conversation.n_placeholders() != expected {
            return Err(RlError::Unfit {
                path: data.prompts.clone(),
                problem: format!(
                    "the query of {} has {} places for images, but gets {expected}",
                    row.id,
                    row.conversation.n_placeholders()
                ),
                remedy,
            });
        }
        if with_facts && row.facts.is_empty() {
            let image = row.conversation.image.as_deref().unwrap_or("no image");
            return Err(RlError::Unfit {
                path: data.facts.clone().unwrap_or_default(),
                problem: format!("no facts for {image}, which the query of {} gets", row.id),
                remedy,
            });
        }
    }
    Ok(())
}
