//! Greedy answers of a model to questions about images, in batches.
//!
//! A question that is asked twice is answered once: POPE's true questions are the same in all three splits.
//! The query is the conversation that training rendered, `<image>` first, up to where the assistant speaks.

use std::collections::HashMap;

use candor_data::{Conversation, IMAGE_PLACEHOLDER, Turn};
use candor_model::sample::{Sample, SampleRules};
use candor_model::{Adapter, Answerer, Bundle, ImageFeatures, Query, Written};
use candor_run::{Ranks, StopSignal};
use serde::{Deserialize, Serialize};

use crate::EvalError;

/// Batches whose questions are given at once: slots that become free are filled with the next of them, and between two such
/// lots a run can be stopped.
const LOT: usize = 4;

/// A question about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Name of the question, for messages and files.
    pub id: String,
    /// The image's file name.
    pub image: String,
    /// The question, with the instruction after it where there is one; without `<image>`.
    pub text: String,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The text, without blanks at its ends.
    pub text: String,
    /// Its tokens, the end token not counted.
    pub n_tokens: usize,
    /// Whether it ended by itself rather than at the limit.
    pub finished: bool,
}

impl Answer {
    pub(crate) fn of(written: Written) -> Self {
        Self {
            n_tokens: written.response.n_tokens(),
            finished: written.response.finished,
            text: written.text,
        }
    }
}

/// A question about an image as a model is asked it.
pub(crate) fn sample_of(ask: &Ask, rules: SampleRules<'_>) -> Result<Sample, EvalError> {
    let conversation = Conversation {
        id: ask.id.clone(),
        image: Some(ask.image.clone()),
        turns: vec![Turn::human(format!("{IMAGE_PLACEHOLDER}\n{}", ask.text))],
    };
    Ok(Sample::new(&conversation, rules)?)
}

/// A model that answers.
#[derive(Debug, Clone, Copy)]
pub struct Generator<'a> {
    /// The model.
    pub bundle: &'a Bundle,
    /// An adapter on its decoder.
    pub adapter: Option<&'a Adapter>,
    /// Features of all images that may be asked about.
    pub features: &'a ImageFeatures,
    /// Sequences that are decoded together.
    pub batch_rows: usize,
    /// Longest answer, its end token included.
    pub max_new_tokens: usize,
    /// Who the batches are shared out to.
    pub ranks: &'a Ranks,
}

impl Generator<'_> {
    /// Answers the questions, in their order; returns nothing if `stop` asked to end before the last lot. `progress` hears
    /// how many are done.
    ///
    /// # Errors
    /// A question is too long for the model, or about an image without features, or the model's logits are not finite.
    pub fn answer(
        &self,
        asks: &[Ask],
        stop: &StopSignal,
        mut progress: impl FnMut(usize),
    ) -> Result<Option<Vec<Answer>>, EvalError> {
        let (distinct, slots) = distinct(asks);
        let samples: Result<Vec<Sample>, EvalError> =
            distinct.iter().map(|ask| self.sample(ask)).collect();
        let samples = samples?;
        // Of like length together, so that little is padded.
        let mut order: Vec<usize> = (0..samples.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(samples[i].ids.len()), i));
        let mut answers: Vec<Option<Answer>> = vec![None; samples.len()];
        let mut n_done = 0;
        let chunks: Vec<&[usize]> = order.chunks(LOT * self.batch_rows.max(1)).collect();
        // One lot a rank, each as one rank would answer it.
        for round in chunks.chunks(self.ranks.world()) {
            if self.ranks.should_stop(stop)? {
                return Ok(None);
            }
            let found = self.ranks.share(round.len(), |turn| {
                let lot: Vec<&Sample> = round[turn].iter().map(|&i| &samples[i]).collect();
                self.one_lot(&lot)
            })?;
            for (&place, answer) in round.concat().iter().zip(found.into_iter().flatten()) {
                n_done += slots.iter().filter(|&&slot| slot == place).count();
                answers[place] = Some(answer);
            }
            progress(n_done);
        }
        let answers = slots.iter().filter_map(|&slot| answers[slot].clone());
        Ok(Some(answers.collect()))
    }

    fn sample(&self, ask: &Ask) -> Result<Sample, EvalError> {
        let positions = self.bundle.model.n_positions();
        let room = positions.saturating_sub(self.max_new_tokens);
        sample_of(ask, self.bundle.rules(room, self.features))
    }

    fn one_lot(&self, samples: &[&Sample]) -> Result<Vec<Answer>, EvalError> {
        let queries: Result<Vec<Query>, EvalError> =
            samples.iter().map(|sample| self.query(sample)).collect();
        let answerer = Answerer {
            bundle: self.bundle,
            adapter: self.adapter,
            max_new_tokens: self.max_new_tokens,
            temperature: 0.0,
            top_p: 1.0,
            n_samples: 1,
            batch_rows: self.batch_rows,
        };
        let name = |sample: usize| samples[sample].id.clone();
        let written = answerer.answer(&queries?, |_, _, _| 0.0, name)?;
        Ok(written.into_iter().map(Answer::of).collect())
    }

    fn query(&self, sample: &Sample) -> Result<Query, EvalError> {
        let features = self.features.of(sample.image.as_deref());
        if features.is_none() {
            return Err(EvalError::Unfit {
                path: sample.image.clone().unwrap_or_default().into(),
                problem: format!(
                    "question `{}` is about an image that was not encoded",
                    sample.id
                ),
                remedy: "encode the images of all questions first",
            });
        }
        Ok(Query {
            ids: sample.ids.clone(),
            features,
            image: sample.image.clone(),
        })
    }
}

/// The questions that differ in image or text, and which of them each question is.
fn distinct(asks: &[Ask]) -> (Vec<&Ask>, Vec<usize>) {
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut distinct = Vec::new();
    let slots = asks
        .iter()
        .map(|ask| {
            *places.entry((&ask.image, &ask.text)).or_insert_with(|| {
                distinct.push(ask);
                distinct.len() - 1
            })
        })
        .collect();
    (distinct, slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_asked_twice_is_one() {
        let ask = |id: &str, image: &str, text: &str| Ask {
            id: id.to_owned(),
            image: image.to_owned(),
            text: text.to_owned(),
        };
        let asks = [
            ask("1", "a", "x"),
            ask("2", "b", "x"),
            ask("3", "a", "x"),
            ask("4", "a", "y"),
        ];
        let (distinct, slots) = distinct(&asks);
        let ids: Vec<&str> = distinct.iter().map(|ask| ask.id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "4"]);
        assert_eq!(slots, [0, 1, 0, 2]);
    }
}
