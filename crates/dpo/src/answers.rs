//! The answers of a row to its prompt as token ids, and what counts of them.

use candor_data::rows::{Reason, RowFault};
use candor_model::shared::{ReadAt, SharedPrefix};

use crate::DpoError;
use crate::counting::{self, Counting};

/// Two answers to one prompt, or a rated one.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Branch 0 is the preferred answer, branch 1 the other; a rated one is alone. Each is read at the tokens that count.
    pub shared: SharedPrefix,
    /// The weight of each token that is read, for each answer.
    pub weights: Vec<Vec<f64>>,
    /// How often the other answer counts in the loss, where the row says so.
    pub other_times: Option<f64>,
    /// Tokens of the prompt.
    pub(crate) n_prompt: usize,
}

impl Answers {
    /// The preferred answer to a prompt and the other one, with what counts of them. `id` is what an error calls them.
    ///
    /// # Errors
    /// Nothing of an answer is left where what both begin with is left out.
    pub fn new(
        id: &str,
        prompt: &[i64],
        both: [&[i64]; 2],
        image: Option<String>,
        counting: Counting,
    ) -> Result<Self, RowFault> {
        let [chosen, rejected] = both;
        let left_out = if counting.common_beginning {
            0
        } else {
            counting::common_beginning(chosen, rejected)
        };
        if left_out >= chosen.len().min(rejected.len()) {
            let found =
                "one answer is the beginning of the other, and what both begin with is left out";
            let remedy = "remove the row, or set dpo.common_beginning = \"counted\"";
            return Err(RowFault::new(
                Reason::EmptyAnswer,
                "outputs",
                found.to_owned(),
                remedy,
            ));
        }
        let changed = counting.changed_weight.unwrap_or(1.0);
        let mut weights = counting::weights(chosen, rejected, changed);
        for weights in &mut weights {
            weights.drain(..left_out);
        }
        let sequences = both.map(|answer| [prompt, answer].concat());
        let read = sequences.each_ref().map(|ids| ReadAt {
            ids,
            read: prompt.len() + left_out..ids.len(),
        });
        Ok(Self {
            shared: SharedPrefix::of(id, &read, image)?,
            weights: weights.into(),
            other_times: None,
            n_prompt: prompt.len(),
        })
    }

    /// An answer to a prompt by itself, of which every token counts.
    ///
    /// # Errors
    /// The prompt is empty.
    pub fn rated(
        id: &str,
        prompt: &[i64],
        answer: &[i64],
        image: Option<String>,
    ) -> Result<Self, RowFault> {
        let ids = [prompt, answer].concat();
        let read = ReadAt {
            ids: &ids,
            read: prompt.len()..ids.len(),
        };
        Ok(Self {
            shared: SharedPrefix::of(id, &[read], image)?,
            weights: vec![vec![1.0; answer.len()]],
            other_times: None,
            n_prompt: prompt.len(),
        })
    }

    /// The same where the other answer counts `times` in the loss.
    #[must_use]
    pub fn with_other_times(self, times: f64) -> Self {
        Self {
            other_times: Some(times),
            ..self
        }
    }

    /// Tokens that a pass computes.
    pub(crate) fn n_tokens(&self) -> usize {
        self.shared.prefix.len() + self.shared.branches.iter().map(Vec::len).sum::<usize>()
    }

    /// Tokens of the prompt.
    pub(crate) fn prompt(&self) -> Vec<i64> {
        let mut ids = self.shared.prefix.to_vec();
        ids.truncate(self.n_prompt);
        ids
    }

    /// The other's answers to this prompt.
    pub(crate) fn answered_by(&self, other: &Self) -> Result<Self, DpoError> {
        let (from, to) = (other.n_prompt, self.n_prompt);
        let (prompt, others) = (self.prompt(), other.shared.prefix.to_vec());
        let sequence = |branch: &Vec<i64>| [&prompt[..], &others[from..], branch].concat();
        let sequences: Vec<Vec<i64>> = other.shared.branches.iter().map(sequence).collect();
        let beginning = other.shared.prefix.len() - from;
        let read: Vec<ReadAt<'_>> = (sequences.iter().zip(&other.shared.read))
            .map(|(ids, read)| ReadAt {
                ids,
                read: to + beginning + read.start..ids.len(),
            })
            .collect();
        Ok(Self {
            shared: SharedPrefix::of("a mismatched answer", &read, self.shared.image.clone())?,
            weights: other.weights.clone(),
            other_times: other.other_times,
            n_prompt: to,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(common_beginning: bool) -> Counting {
        Counting {
            mean: false,
            changed_weight: Some(5.0),
            common_beginning,
        }
    }

    #[test]
    fn a_common_beginning_is_read_as_context_and_not_counted() {
        let answers = |is_counted| {
            let both: [&[i64]; 2] = [&[7, 8, 3, 2], &[7, 9, 2]];
            Answers::new("a", &[1, 5], both, None, counting(is_counted)).unwrap()
        };
        let counted = answers(true);
        assert_eq!(counted.shared.prefix.to_vec(), [1, 5]);
        assert_eq!(counted.shared.read, [0..4, 0..3]);
        assert_eq!(counted.weights[0], [1.0, 5.0, 5.0, 1.0]);
        let left_out = answers(false);
        assert_eq!(left_out.shared.prefix.to_vec(), [1, 5, 7]);
        assert_eq!(left_out.shared.read, [0..3, 0..2]);
        assert_eq!(left_out.weights, [vec![5.0, 5.0, 1.0], vec![5.0, 1.0]]);
        let beginning: [&[i64]; 2] = [&[7, 8], &[7, 8, 9]];
        let fault = Answers::new("a", &[1], beginning, None, counting(false)).unwrap_err();
        assert!(
            fault.found.contains("the beginning of the other"),
            "{fault:?}"
        );
    }

    #[test]
    fn what_the_other_answer_counts_is_beside_the_weights() {
        let both: [&[i64]; 2] = [&[7, 2], &[8, 2]];
        let answers = Answers::new("a", &[1], both, None, counting(true)).unwrap();
        let severe = answers.clone().with_other_times(0.0);
        assert_eq!(severe.weights, answers.weights);
        assert_eq!(answers.other_times, None);
        assert_eq!(severe.other_times, Some(0.0));
    }

    #[test]
    fn a_rated_answer_is_read_after_its_prompt_and_after_another() {
        let rated =
            |prompt: &[i64], answer: &[i64]| Answers::rated("a", prompt, answer, None).unwrap();
        let (own, other) = (rated(&[1, 2, 3], &[7, 2]), rated(&[1, 4], &[5, 6, 2]));
        assert_eq!(
            (own.shared.prefix.to_vec(), own.n_prompt),
            (vec![1, 2, 3], 3)
        );
        assert_eq!(own.shared.branches, [[7, 2]]);
        assert_eq!(own.shared.read[0], 0..2);
        assert_eq!(own.weights, [[1.0; 2]]);
        assert_eq!(own.n_tokens(), 5);
        let found = own.answered_by(&other).unwrap();
        assert_eq!(found.shared, rated(&[1, 2, 3], &[5, 6, 2]).shared);
        assert_eq!(found.weights, [[1.0; 3]]);
    }

    #[test]
    fn mismatched_answers_are_the_others_after_the_own_prompt() {
        for is_counted in [true, false] {
            let of = |prompt: &[i64], both: [&[i64]; 2]| {
                Answers::new("a", prompt, both, None, counting(is_counted)).unwrap()
            };
            let others: [&[i64]; 2] = [&[5, 6, 2], &[5, 7, 7, 2]];
            let (own, other) = (of(&[1, 2, 3], [&[7, 2], &[8, 2]]), of(&[1, 4], others));
            let (found, expected) = (own.answered_by(&other).unwrap(), of(&[1, 2, 3], others));
            assert_eq!(found.shared, expected.shared);
            assert_eq!(found.weights, expected.weights);
            assert_eq!(found.prompt(), [1, 2, 3]);
        }
    }
}
