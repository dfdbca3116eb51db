//! Reading the prompts: part by part, so that no more than a part of them is in memory.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use candor_data::comparisons::Purpose;
use candor_data::formats::{captions, images, ppo_prompts};
use candor_data::rows::{
    ImageRows, LEAVE_OUT, OnBadRow, Reason, Row, RowFault, RowName, Sieve, Sifting, Skipped,
};
use candor_data::{Conversation, DataError, FactBook, Facts, Prompt, Speaker, Turn, shown};
use candor_model::sample::{Sample, SampleRules};
use candor_model::{ModelError, TokenRuns};
use candor_reward::Judged;
use candor_train::TrainError;

use super::kept::{Keeper, Prompts};
use super::{Asking, PromptRow};
use crate::RlError;
use crate::recipe::{DataRecipe, QuirksRecipe};

/// Prompts that are in memory together while they are tokenised.
const PART: usize = 1024;

impl Prompts {
    /// Reads, tokenises and sorts out the prompts, which are kept on the disk of the folder `keep`; a plan has none, counts them and
    /// writes nothing. Images that are inside their files are kept in the image folder by a run; a plan takes them to be whole.
    ///
    /// # Errors
    /// A file is damaged, the disk is full, all prompts are too long, or prompts cannot be asked and the recipe does not skip them: they
    /// leave no room for an answer, their image is not there, or the reward model wants facts and there are none.
    pub fn read(
        data: &DataRecipe,
        quirks: &QuirksRecipe,
        asking: Asking<'_>,
        keep: Option<&Path>,
    ) -> Result<Self, RlError> {
        let purpose = keep.map_or(Purpose::Plan, |_| Purpose::Run);
        let inside = RefCell::new(BTreeSet::new());
        let mut embedded =
            |bytes: &[u8]| purpose.embedded(&data.images, &mut inside.borrow_mut(), bytes);
        let mut reading = Reading {
            data,
            misaligns: quirks.misalign_dropped_queries,
            asking,
            facts: read_facts(data.facts.as_deref(), asking)?,
            sifting: Sifting::new(Sieve {
                on_bad_row: data.on_bad_row,
                look: asking.look,
                images: &data.images,
                remedy: Some(LEAVE_OUT),
            }),
            waiting: VecDeque::new(),
            n_dropped: 0,
            misaligned: None,
            keeper: Keeper::new(keep)?,
        };
        let (mut n_prompts, mut part) = (0, Vec::with_capacity(PART));
        ppo_prompts::each_of_set(&data.prompts, &mut embedded, |name, prompt| {
            n_prompts += 1;
            part.push((name, prompt));
            if part.len() < PART {
                return Ok(());
            }
            reading.sifting.take_for_good(inside.take());
            reading.add(std::mem::take(&mut part))
        })?;
        reading.sifting.take_for_good(inside.take());
        reading.add(part)?;
        reading.end(n_prompts)
    }
}

/// Prompts that are being read.
struct Reading<'a> {
    data: &'a DataRecipe,
    /// `quirks.misalign_dropped_queries`.
    misaligns: bool,
    asking: Asking<'a>,
    facts: FactBook,
    sifting: Sifting<'a>,
    /// Where the quirk is on, prompts that queries are yet to be judged by.
    waiting: VecDeque<Prompt>,
    n_dropped: usize,
    /// The first query that cannot be judged by what belongs to another.
    misaligned: Option<RlError>,
    keeper: Keeper,
}

impl Reading<'_> {
    /// The next prompts.
    fn add(&mut self, prompts: Vec<(RowName, Prompt)>) -> Result<(), DataError> {
        let prompts = prompts.into_iter().map(|(name, prompt)| {
            let query = self.query(&prompt);
            Row {
                name,
                made: query.map(|query| (query, prompt)),
            }
        });
        let rows: Vec<Row<(Query, Prompt)>> = prompts.collect();
        let good = (self.sifting).add(rows, |(_, prompt)| prompt.conversation.image.as_deref());
        for (_, (query, prompt)) in good {
            let is_asked = query.n_tokens <= self.data.max_query_tokens;
            let judged = if self.misaligns {
                // Of a query that is dropped the prompt stays, and the next query is judged by it.
                self.waiting.push_back(prompt);
                if is_asked {
                    self.waiting.pop_front()
                } else {
                    None
                }
            } else {
                is_asked.then_some(prompt)
            };
            let Some(judged) = judged else {
                continue;
            };
            let row = row(query, &judged, &self.facts);
            // Else each query was looked at with what belongs to it.
            if self.misaligns && self.misaligned.is_none() {
                self.misaligned = check_alignment(&row, self.data, self.asking).err();
            }
            self.keeper.add(&row)?;
        }
        Ok(())
    }

    /// The query of a prompt, as far as it can be asked. Those that are too long are counted.
    fn query(&mut self, prompt: &Prompt) -> Result<Query, RowFault> {
        let (data, asking) = (self.data, self.asking);
        let query = Query::new(prompt, asking)?;
        if query.n_tokens > data.max_query_tokens {
            self.n_dropped += 1;
            if data.on_bad_row == OnBadRow::Skip && !self.misaligns {
                return Err(overlong(query.n_tokens, data));
            }
            return Ok(query);
        }
        query.check_room(asking)?;
        if !self.misaligns {
            check_facts(prompt, &self.facts, data, asking.judge.with_facts)?;
            check_scoring(&query.conversation, &facts_of(prompt, &self.facts), asking)?;
        }
        Ok(query)
    }

    /// What follows from all prompts, of which there were so many.
    fn end(self, n_prompts: usize) -> Result<Prompts, RlError> {
        let (data, n_dropped) = (self.data, self.n_dropped);
        let unfit = |problem, remedy| RlError::Unfit {
            path: data.prompts.clone(),
            problem,
            remedy,
        };
        if n_dropped == n_prompts {
            let most = data.max_query_tokens;
            let problem = format!("all {n_dropped} prompts have more than {most} tokens");
            return Err(unfit(problem, "raise data.max_query_tokens"));
        }
        let (_, skipped) = self.sifting.end()?;
        if let (true, Some(skipped)) = (self.keeper.is_empty(), &skipped) {
            return Err(unfit(
                format!("no prompt is left, {skipped}"),
                "mend the prompts; data.on_bad_row = \"stop\" names them",
            ));
        }
        match self.misaligned {
            Some(error) => Err(error),
            None => Ok(self.keeper.finish(n_dropped, skipped)?),
        }
    }
}

/// The same error; of images, with the rows that show them, for which the prompts are read again. Rows that are `skipped` are not asked.
pub(crate) fn in_rows(
    data: &DataRecipe,
    error: TrainError,
    skipped: Option<&Skipped>,
) -> TrainError {
    let TrainError::Model(ModelError::Images(faults)) = &error else {
        return error;
    };
    let mut rows = Vec::new();
    let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
    let read = ppo_prompts::each_of_set(&data.prompts, &mut named, |name, prompt| {
        let shown = prompt.conversation.image.unwrap_or_default();
        let bad = shown::names(&shown).filter(|image| faults.contains_key(*image));
        let bad: Vec<&str> = bad.collect();
        // Few rows have a bad image, and only these are looked for among those that are skipped.
        if !bad.is_empty() && !skipped.is_some_and(|skipped| skipped.has(&name)) {
            rows.extend(bad.iter().map(|&image| (name.clone(), image.to_owned())));
        }
        Ok(())
    });
    match read {
        Ok(()) => error.in_rows(&ImageRows::new(rows, Some(LEAVE_OUT))),
        // Somebody took the file away meanwhile: then the images are named without their rows.
        Err(_) => error,
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

/// Whether every reward model can read the longest answer to a query, with what it is told.
fn check_scoring(query: &Conversation, facts: &Facts, asking: Asking<'_>) -> Result<(), RowFault> {
    let mut conversation = query.clone();
    conversation.turns.push(Turn::gpt(""));
    let item = Judged {
        id: &conversation.id,
        conversation: &conversation,
        facts,
    };
    let judge = asking.judge;
    let of_segments = judge.segments.iter().map(|(_, model)| model);
    for model in judge.reward.into_iter().chain(of_segments) {
        model.check_room(item, judge.rules, asking.max_new_tokens)?;
    }
    Ok(())
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
fn check_alignment(row: &PromptRow, data: &DataRecipe, asking: Asking<'_>) -> Result<(), RlError> {
    let remedy =
        "turn quirks.misalign_dropped_queries off: dropped rows have shifted images and facts";
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
    if asking.judge.with_facts && row.facts.is_empty() {
        let image = row.conversation.image.as_deref().unwrap_or("no image");
        return Err(RlError::Unfit {
            path: data.facts.clone().unwrap_or_default(),
            problem: format!("no facts for {image}, which the query of {} gets", row.id),
            remedy,
        });
    }
    check_scoring(&row.conversation, &row.facts, asking).map_err(|fault| RlError::Unfit {
        path: data.prompts.clone(),
        problem: format!("the query of {}: {}", row.id, fault.found),
        remedy: "use a smaller sampling.max_new_tokens, or train the reward model with a larger data.max_tokens",
    })
}
