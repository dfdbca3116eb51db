//! A row as it waits on the disk, and what is held of it in memory: what decides about the order, the passes and which rows are compared.

use candor_data::comparisons::{Judged, KeptRow};
use candor_data::rows::packing::{add, add_text, fraction, number, text};
use candor_data::sha256;
use candor_model::shared::SharedPrefix;
use candor_train::{RowShape, RowSize};

use crate::answers::Answers;
use crate::rows::Row;

/// What is held of a row in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHeld {
    /// Of the tokens of its prompt: two rows have the same prompt where they have the same here.
    pub(crate) prompt: [u64; 2],
    /// Tokens of its prompt.
    pub(crate) n_prompt: u32,
    /// Tokens of what all answers begin with, the prompt among them.
    beginning: u32,
    /// Tokens of each answer after that; a rated one is alone.
    branches: [u32; 2],
    /// Whether a rated answer is a good one; none of a comparison.
    pub(crate) rating: Option<bool>,
}

impl RowHeld {
    /// Tokens that a pass computes for the answers.
    fn n_tokens(self) -> usize {
        (self.beginning + self.branches[0] + self.branches[1]) as usize
    }

    /// Tokens of the longer answer.
    pub(crate) fn longest_answer(self) -> usize {
        (self.beginning - self.n_prompt + self.branches[0].max(self.branches[1])) as usize
    }

    /// What the row takes of the updates whose answers a pass has so often; `mismatched` are the answers to another prompt that are
    /// put to its own, in passes of their own.
    pub(crate) fn size(self, times: usize, mismatched: Option<Self>) -> RowSize {
        // What they begin with is after this prompt as it was after theirs.
        let others = mismatched.map_or(0, |other| {
            other.n_tokens() - other.n_prompt as usize + self.n_prompt as usize
        });
        RowSize {
            n_tokens: times * self.n_tokens() + others,
            shape: RowShape {
                times,
                beginning: self.beginning as usize,
                n_branches: if self.rating.is_none() { 2 } else { 1 },
                branch: self.branches[0].max(self.branches[1]) as usize,
            },
        }
    }
}

impl KeptRow for Row {
    type Held = RowHeld;

    fn held(&self) -> RowHeld {
        let prompt = self.answers.prompt();
        let prompt: Vec<u8> = prompt.iter().flat_map(|id| id.to_le_bytes()).collect();
        let hash = sha256::of(prompt);
        // The digits of a hash always parse.
        let digits = |at: usize| u64::from_str_radix(&hash[at..at + 16], 16).unwrap_or_default();
        let shared = &self.answers.shared;
        let branch = |n: usize| shared.branches.get(n).map_or(0, Vec::len) as u32;
        RowHeld {
            prompt: [digits(0), digits(16)],
            n_prompt: self.answers.n_prompt as u32,
            beginning: shared.prefix.len() as u32,
            branches: [branch(0), branch(1)],
            rating: self.rating(),
        }
    }

    fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        add_text(&mut bytes, &self.id);
        self.judged.pack(&mut bytes);
        let answers = &self.answers;
        answers.shared.pack(&mut bytes);
        add(&mut bytes, answers.n_prompt as u32);
        for weights in &answers.weights {
            for run in weights.chunk_by(|left, right| left.to_bits() == right.to_bits()) {
                bytes.extend(run[0].to_le_bytes());
                add(&mut bytes, run.len() as u32);
            }
        }
        if let Some(times) = answers.other_times {
            bytes.extend(times.to_le_bytes());
        }
        bytes
    }

    fn unpacked(mut rest: &[u8], shown: Option<&str>, held: RowHeld) -> Option<Self> {
        let id = text(&mut rest)?;
        let judged = Judged::unpack(&mut rest)?;
        let shared = SharedPrefix::unpack(&mut rest, shown)?;
        let n_prompt = number(&mut rest)? as usize;
        // What is held of a row is made of its tokens, so that their number is compared before one is written out.
        let lengths = [n_prompt, shared.prefix.len()];
        if lengths != [held.n_prompt, held.beginning].map(|n| n as usize) {
            return None;
        }
        let mut weights = Vec::with_capacity(shared.read.len());
        for read in &shared.read {
            // Each token that is read has one.
            let mut of_answer = Vec::with_capacity(read.len());
            while of_answer.len() < read.len() {
                let (weight, n) = (fraction(&mut rest)?, number(&mut rest)? as usize);
                if n == 0 || n > read.len() - of_answer.len() {
                    return None;
                }
                of_answer.resize(of_answer.len() + n, weight);
            }
            weights.push(of_answer);
        }
        let other_times = if rest.is_empty() {
            None
        } else {
            Some(fraction(&mut rest)?)
        };
        let answers = Answers {
            shared,
            weights,
            other_times,
            n_prompt,
        };
        rest.is_empty().then(|| Self::of(id, judged, answers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counting;

    fn rated(prompt: &[i64], answer: &[i64], is_desirable: bool) -> Row {
        let judged = Judged::Rated {
            answer: "It is.".to_owned(),
            is_desirable,
        };
        let answers = Answers::rated("a", prompt, answer, Some("a.png".to_owned()));
        Row::of("a".to_owned(), judged, answers.unwrap())
    }

    fn compared(prompt: &[i64], both: [&[i64]; 2], common_beginning: bool) -> Row {
        let counting = Counting {
            mean: false,
            changed_weight: Some(1.3),
            common_beginning,
        };
        let answers = Answers::new("a", prompt, both, None, counting).unwrap();
        Row::new("a".to_owned(), ["yes".to_owned(), "no".to_owned()], answers)
    }

    /// Answers to two prompts: 3 and 2 tokens, 1 and 4. The second's after the first's prompt are 7 tokens of other passes.
    #[test]
    fn what_a_row_takes_of_a_pass_is_not_what_it_is_compared_with() {
        let own = rated(&[1, 2, 3], &[7, 2], true).held();
        let other = rated(&[1], &[5, 6, 6, 2], false).held();
        let shape = |times| RowShape {
            times,
            beginning: 3,
            n_branches: 1,
            branch: 2,
        };
        let of = |times, mismatched| {
            let size = own.size(times, mismatched);
            (size.n_tokens, size.shape)
        };
        assert_eq!(of(1, None), (5, shape(1)));
        assert_eq!(of(1, Some(other)), (12, shape(1)));
        // With a spoilt image.
        assert_eq!(of(2, Some(other)), (17, shape(2)));
        assert_eq!([own, other].map(RowHeld::longest_answer), [2, 4]);
        // As docs/data.md counts it.
        assert_eq!(size_of_val(&own), 40);
    }

    #[test]
    fn lengths_of_mismatched_answers_are_those_that_they_have() {
        for is_counted in [true, false] {
            let own = compared(&[1, 2, 3], [&[7, 2], &[8, 2]], is_counted);
            // Both begin with 5.
            let other = compared(&[1, 4], [&[5, 6, 2], &[5, 7, 7, 2]], is_counted);
            assert_eq!(other.held().longest_answer(), 4);
            let found = own.answers.answered_by(&other.answers).unwrap();
            let size = own.held().size(1, Some(other.held()));
            assert_eq!(size.n_tokens, own.answers.n_tokens() + found.n_tokens());
            assert_eq!(size.shape, RowShape::shared(&own.answers.shared, 1));
        }
    }

    #[test]
    fn rows_of_one_prompt_are_told_from_those_of_another() {
        let prompt = |row: Row| row.held().prompt;
        let of = |ids: &[i64]| prompt(rated(ids, &[7], true));
        assert_eq!(of(&[1, 2]), prompt(rated(&[1, 2], &[8, 9], false)));
        // What both answers begin with is left out and is no part of the prompt.
        let both = [&[7, 8, 3][..], &[7, 9]];
        assert_eq!(of(&[1, 2]), prompt(compared(&[1, 2], both, false)));
        assert_ne!(of(&[1, 2]), of(&[1, 3]));
    }

    #[test]
    fn rows_come_back_from_their_bytes_and_what_is_cut_off_is_none() {
        let severe = |row: Row| Row {
            answers: row.answers.with_other_times(0.1),
            ..row
        };
        let both = [&[7, 8, 3, 2][..], &[7, 9, 2]];
        let rows = [
            rated(&[1, 7, 7, 7], &[5, 2], true),
            rated(&[1, 7, 7, 7], &[5, 2], false),
            compared(&[1, 4], both, true),
            severe(compared(&[1, 4], both, false)),
        ];
        for row in rows {
            let bytes = row.packed();
            let shown = row.answers.shared.image.as_deref();
            let unpacked = |bytes: &[u8]| Row::unpacked(bytes, shown, row.held());
            let found = unpacked(&bytes).unwrap();
            assert_eq!((&found.id, &found.judged), (&row.id, &row.judged));
            let [of, expected] = [&found.answers, &row.answers];
            assert_eq!(of.shared, expected.shared);
            // To the bit.
            assert_eq!(of.weights, expected.weights);
            assert_eq!(of.other_times, expected.other_times);
            assert_eq!((found.n_tokens, found.held()), (row.n_tokens, row.held()));
            for n in 0..bytes.len() {
                // Without its last number a row would be one that says nothing of how bad an answer is.
                let is_other = row.answers.other_times.is_some() && n == bytes.len() - 8;
                let cut = unpacked(&bytes[..n]);
                assert_eq!(cut.is_none(), !is_other, "{n}");
            }
        }
    }

    #[test]
    fn a_row_whose_bytes_say_more_tokens_than_it_had_is_none() {
        let row = rated(&[1, 7, 7, 7], &[5, 2], true);
        let mut bytes = row.packed();
        // After the name, what was said, the number of runs, the token 1, the mark of a run and its token.
        let at = (4 + 1) + (4 + 4 + 6) + 4 + 4 + (4 + 4);
        let count = &mut bytes[at..at + 4];
        assert_eq!(count, 3_u32.to_le_bytes());
        count.copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Row::unpacked(&bytes, Some("a.png"), row.held()).is_none());
        // Of the prompt's length too.
        let mut bytes = row.packed();
        let at = bytes.len() - (8 + 4) - 4;
        let n_prompt = &mut bytes[at..at + 4];
        assert_eq!(n_prompt, 4_u32.to_le_bytes());
        n_prompt.copy_from_slice(&3_u32.to_le_bytes());
        assert!(Row::unpacked(&bytes, Some("a.png"), row.held()).is_none());
    }
}
