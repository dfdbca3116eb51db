//! What is answered together: questions that ask the same once, those about one image side by side.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

use candor_judge::benchmarks::Image;
use candor_model::Bundle;
use candor_model::sample::SampleRules;

use super::EvalRun;
use crate::EvalError;
use crate::answer::{Answer, sample_of};
use crate::questions::Questions;

/// A prompt, and the questions that it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Places of the questions, the first of which speaks for all.
    pub items: Vec<usize>,
    /// What the first is called.
    pub id: String,
    /// What their image is called.
    pub image: String,
    /// Token ids.
    pub ids: Vec<i64>,
}

/// All prompts in batches.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The prompts, in the order of the questions.
    pub prompts: Vec<Prompt>,
    /// Places of prompts, batch by batch.
    pub batches: Vec<Vec<usize>>,
    /// The longest answer, for which there is room behind the longest prompt.
    pub max_new_tokens: usize,
}

impl Plan {
    /// Tokenises the questions and puts them into batches.
    ///
    /// # Errors
    /// A question is empty or leaves no room for an answer.
    pub(crate) fn new(
        questions: &Questions,
        bundle: &Bundle,
        eval_run: &EvalRun,
    ) -> Result<Self, EvalError> {
        // Room for one token at least.
        let room = bundle.model.n_positions().saturating_sub(1);
        let rules = bundle.rules(room, eval_run.images.as_path());
        let mut prompts: Vec<Prompt> = Vec::new();
        let mut known: HashMap<(&str, &str), usize> = HashMap::new();
        for (item, ask) in questions.asks.iter().enumerate() {
            let key = (ask.image.as_str(), ask.text.as_str());
            if let Some(&prompt) = known.get(&key) {
                prompts[prompt].items.push(item);
                continue;
            }
            known.insert(key, prompts.len());
            let images = match questions.task.image(item)? {
                Image::Named(_) => rules.images,
                Image::Held(bytes) => rules.images.held(Path::new(&ask.image), &bytes)?,
            };
            let ids = sample_of(ask, SampleRules { images, ..rules })?.ids;
            prompts.push(Prompt {
                items: vec![item],
                id: ask.id.clone(),
                image: ask.image.clone(),
                ids,
            });
        }
        let longest = prompts.iter().map(|p| p.ids.len()).max().unwrap_or(0);
        Ok(Self {
            batches: batches(&prompts, eval_run.batch_rows),
            prompts,
            max_new_tokens: eval_run
                .max_new_tokens
                .min(bundle.model.n_positions() - longest),
        })
    }

    /// The answers to all questions, in their order, from those to the prompts.
    pub(crate) fn of_questions(&self, n_questions: usize, answers: &[Answer]) -> Vec<Answer> {
        let mut all = vec![Answer::default(); n_questions];
        for (prompt, answer) in self.prompts.iter().zip(answers) {
            for &item in &prompt.items {
                all[item] = answer.clone();
            }
        }
        all
    }
}

/// Puts prompts into batches of at most `rows`: all of an image into one where they fit, images with long prompts
/// first, so that little is padded and a lack of memory shows at the start.
fn batches(prompts: &[Prompt], rows: usize) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (place, prompt) in prompts.iter().enumerate() {
        let group = *known.entry(&prompt.image).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(place);
    }
    let longest = |group: &Vec<usize>| group.iter().map(|&p| prompts[p].ids.len()).max();
    groups.sort_by_key(|group| (Reverse(longest(group)), group[0]));
    let rows = rows.max(1);
    let (mut batches, mut batch): (Vec<Vec<usize>>, Vec<usize>) = (Vec::new(), Vec::new());
    for group in groups {
        if !batch.is_empty() && batch.len() + group.len() > rows {
            batches.push(std::mem::take(&mut batch));
        }
        for place in group {
            if batch.len() == rows {
                batches.push(std::mem::take(&mut batch));
            }
            batch.push(place);
        }
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stay_together_where_they_fit_and_long_prompts_come_first() {
        let prompt = |image: &str, len: usize| Prompt {
            items: Vec::new(),
            id: String::new(),
            image: image.to_owned(),
            ids: vec![0; len],
        };
        let prompts = [
            prompt("a", 3),
            prompt("b", 5),
            prompt("a", 4),
            prompt("c", 9),
            prompt("a", 2),
        ];
        let batches = |rows| batches(&prompts, rows);
        // By length of their longest prompts: c (9), b (5), a (4).
        assert_eq!(batches(5), [vec![3, 1, 0, 2, 4]]);
        assert_eq!(batches(4), [vec![3, 1], vec![0, 2, 4]]);
        assert_eq!(batches(2), [vec![3, 1], vec![0, 2], vec![4]]);
        assert_eq!(batches(0).len(), 5);
    }
}
