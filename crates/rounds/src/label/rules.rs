//! Answers scored by the terms of `[[rewards]]`, which are those of `candor rl`: a score is the sum of weight times number,
//! and a term that does not apply to a prompt adds nothing.

use std::collections::HashMap;
use std::path::Path;

use candor_data::formats::{captions, images, ppo_prompts};
use candor_data::{AnswerType, Facts};
use candor_judge::reward::{Answered, Rewards, Source, Term, question};
use candor_reward::choice::{Group, groups, write_chosen};
use candor_reward::wording::fact_lines;

use super::{Answers, Labels};
use crate::RoundsError;
use crate::recipe::RoundsRecipe;

/// A prompt as the terms are told of it.
struct Told {
    question: String,
    facts: Vec<String>,
    answer_type: AnswerType,
}

/// Scores all answers and sets the best to each prompt against the worst.
///
/// # Errors
/// A file cannot be read, a term knows nothing of a prompt, or gave no number.
pub(super) fn scored(answers: Answers<'_>, terms: &[Term]) -> Result<Labels, RoundsError> {
    let groups = groups(answers.candidates)?;
    let told = told(answers.recipe, terms, &groups)?;
    let mut rewards = Rewards::open(terms, &answers.recipe.sample.images)?;
    check_prompts(&rewards, &groups, &told)?;
    let responses: Vec<Answered<'_>> = groups
        .iter()
        .zip(&told)
        .flat_map(|(group, told)| {
            group.answers.iter().map(move |answer| Answered {
                answer: &answer.text,
                // Its end token is one of them, as `candor rl` counts.
                n_tokens: answer.n_tokens + usize::from(answer.finished),
                ..told.answered(group)
            })
        })
        .collect();
    let numbers = rewards.of(&responses)?;
    let total = |row: usize| -> f64 {
        let of_terms = terms.iter().zip(&numbers);
        let applied = of_terms.filter_map(|(term, numbers)| Some(term.weight * numbers[row]?));
        applied.sum()
    };
    let mut totals = (0..responses.len()).map(total);
    let scores: Vec<Vec<f64>> = groups
        .iter()
        .map(|group| totals.by_ref().take(group.answers.len()).collect())
        .collect();
    Ok(write_chosen(answers.out, &groups, &scores)?.into())
}

/// Whether all terms can judge the prompts of every round; of prompts that are not known yet, whether they have what they read.
///
/// # Errors
/// As [`scored`], before anything is answered.
pub(super) fn check(
    recipe: &RoundsRecipe,
    terms: &[Term],
    rounds: &[Vec<Group>],
) -> Result<(), RoundsError> {
    let rewards = Rewards::open_without_asking(terms)?;
    if rounds.is_empty() {
        told(recipe, terms, &[])?;
    }
    for groups in rounds {
        let told = told(recipe, terms, groups)?;
        check_prompts(&rewards, groups, &told)?;
    }
    Ok(())
}

fn check_prompts(rewards: &Rewards, groups: &[Group], told: &[Told]) -> Result<(), RoundsError> {
    rewards.check(|tell| {
        for (group, told) in groups.iter().zip(told) {
            tell(&told.answered(group));
        }
        Ok(())
    })
}

/// What the terms are told of each prompt.
fn told(recipe: &RoundsRecipe, terms: &[Term], groups: &[Group]) -> Result<Vec<Told>, RoundsError> {
    let types = answer_types(recipe, terms)?;
    let file = recipe.facts.as_deref();
    let book = file.map(captions::read).transpose()?;
    let book = book.unwrap_or_default();
    let mut wanting = None;
    for term in terms {
        if term.wants_facts()? {
            wanting = Some(&term.name);
        }
    }
    if let (Some(term), None) = (wanting, file) {
        return Err(RoundsError::Unfit {
            path: "label.facts".into(),
            problem: format!("reward {term:?} is told facts, and their file is not named"),
            remedy: "name it, or use a prompt without {facts}".to_owned(),
        });
    }
    let of_group = |group: &Group| {
        let answer_type = types.get(&group.index).copied().unwrap_or_default();
        let image = group.image.as_deref().unwrap_or_default();
        let known = Facts {
            // The rationales name the option, and a line of our own would say it twice.
            correct_option: None,
            ..book.for_prompt(image, answer_type)
        };
        let facts = fact_lines(&known);
        if let (Some(term), true) = (wanting, facts.is_empty()) {
            return Err(RoundsError::Unfit {
                path: file.unwrap_or(Path::new("label.facts")).to_owned(),
                problem: format!(
                    "reward {term:?} is told facts, and there are none of {}, which {} is about",
                    group
                        .image
                        .as_deref()
                        .unwrap_or("a prompt without an image"),
                    group.id
                ),
                remedy: "add them, or use a prompt without {facts}".to_owned(),
            });
        }
        Ok(Told {
            question: question(&group.turns),
            facts,
            answer_type,
        })
    };
    groups.iter().map(of_group).collect()
}

/// What a right answer is, by the prompt's place in its file; nothing where no term asks.
fn answer_types(
    recipe: &RoundsRecipe,
    terms: &[Term],
) -> Result<HashMap<u64, AnswerType>, RoundsError> {
    let asks = |term: &Term| matches!(term.source, Source::Letter | Source::YesNo);
    if !terms.iter().any(asks) {
        return Ok(HashMap::new());
    }
    let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
    let prompts = ppo_prompts::read_set(&recipe.sample.prompts, &mut named)?;
    let types = prompts.iter().map(|(_, prompt)| prompt.answer_type);
    Ok((0..).zip(types).collect())
}

impl Told {
    /// The prompt, not answered yet.
    fn answered<'a>(&'a self, group: &'a Group) -> Answered<'a> {
        Answered {
            id: &group.id,
            image: group.image.as_deref(),
            question: &self.question,
            answer: "",
            facts: &self.facts,
            reference: group.original_answer.as_deref(),
            answer_type: self.answer_type,
            n_tokens: 0,
        }
    }
}
