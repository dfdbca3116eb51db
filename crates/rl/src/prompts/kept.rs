//! The prompts of a run: on the disk, and in memory how long each is and what it shows.

use std::collections::HashMap;
use std::path::Path;

use candor_data::rows::packing::{
    add, add_text, add_texts, add_turns, fraction, number, text, texts, turns,
};
use candor_data::rows::{KeptRows, KeptRowsWriter, Skipped};
use candor_data::{AnswerType, Choice, Conversation, DataError, Facts};
use candor_model::TokenRuns;

use super::PromptRow;

/// In the place of what is shown.
const NOTHING: u32 = u32::MAX;

/// All prompts.
#[derive(Debug)]
pub struct Prompts {
    /// None where they are only counted.
    kept: Option<KeptRows>,
    held: Held,
    /// How many were too long for `data.max_query_tokens`.
    pub n_dropped: usize,
    /// Those that are left out, the too long among them, where the recipe skips bad rows.
    pub skipped: Option<Skipped>,
}

/// What is held of prompts in memory.
#[derive(Debug, Default)]
struct Held {
    /// Tokens of each for the policy.
    lengths: Vec<u32>,
    /// Tokens of each for the value model.
    value_lengths: Vec<u32>,
    /// What each shows, as its index in `names`.
    shown: Vec<u32>,
    /// What prompts show, each once.
    names: Vec<String>,
}

/// Prompts that are being read.
#[derive(Debug)]
pub(super) struct Keeper {
    kept: Option<KeptRowsWriter>,
    held: Held,
    indices: HashMap<String, u32>,
}

impl Keeper {
    /// Keeps prompts on the disk of a folder; without one it counts them.
    pub(super) fn new(keep: Option<&Path>) -> Result<Self, DataError> {
        Ok(Self {
            kept: keep.map(KeptRowsWriter::on_disk_of).transpose()?,
            held: Held::default(),
            indices: HashMap::new(),
        })
    }

    /// The next prompt.
    pub(super) fn add(&mut self, row: &PromptRow) -> Result<(), DataError> {
        if let Some(kept) = &mut self.kept {
            kept.add(&row.packed())?;
        }
        let names = &mut self.held.names;
        let shown = match &row.conversation.image {
            None => NOTHING,
            Some(name) => *self.indices.entry(name.clone()).or_insert_with(|| {
                names.push(name.clone());
                names.len() as u32 - 1
            }),
        };
        self.held.lengths.push(row.query.len() as u32);
        self.held.value_lengths.push(row.value_query.len() as u32);
        self.held.shown.push(shown);
        Ok(())
    }

    /// Whether there are no prompts.
    pub(super) fn is_empty(&self) -> bool {
        self.held.lengths.is_empty()
    }

    /// All prompts, to be asked.
    pub(super) fn finish(
        self,
        n_dropped: usize,
        skipped: Option<Skipped>,
    ) -> Result<Prompts, DataError> {
        let mut held = self.held;
        held.lengths.shrink_to_fit();
        held.value_lengths.shrink_to_fit();
        held.shown.shrink_to_fit();
        Ok(Prompts {
            kept: self.kept.map(KeptRowsWriter::finish).transpose()?,
            held,
            n_dropped,
            skipped,
        })
    }
}

impl Prompts {
    /// How many are asked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.lengths.len()
    }

    /// Whether none is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.lengths.is_empty()
    }

    /// Tokens of each for the policy.
    #[must_use]
    pub fn lengths(&self) -> &[u32] {
        &self.held.lengths
    }

    /// What a prompt shows ([`candor_data::shown`]).
    ///
    /// # Panics
    /// There is no such prompt.
    #[must_use]
    pub fn shown(&self, row: usize) -> Option<&str> {
        match self.held.shown[row] {
            NOTHING => None,
            index => Some(&self.held.names[index as usize]),
        }
    }

    /// What prompts show, each once.
    #[must_use]
    pub fn images(&self) -> &[String] {
        &self.held.names
    }

    /// A prompt, read from the disk.
    ///
    /// # Errors
    /// The disk fails, or what is read is not what was written.
    ///
    /// # Panics
    /// There is no such prompt, or prompts were read for a plan, which keeps none.
    pub fn row(&self, row: usize) -> Result<PromptRow, DataError> {
        let Some(kept) = &self.kept else {
            unreachable!("prompts that are counted are not asked for")
        };
        let found = PromptRow::unpacked(&kept.read(row)?, self.shown(row));
        let lengths = [self.held.lengths[row], self.held.value_lengths[row]];
        let found = found.filter(|found| {
            [found.query.len(), found.value_query.len()] == lengths.map(|n| n as usize)
        });
        found.ok_or_else(|| kept.damaged(row))
    }

    /// Prompts by their numbers, read from the disk.
    ///
    /// # Errors
    /// As [`Prompts::row`].
    ///
    /// # Panics
    /// As [`Prompts::row`].
    pub fn rows(&self, rows: impl IntoIterator<Item = usize>) -> Result<Vec<PromptRow>, DataError> {
        rows.into_iter().map(|row| self.row(row)).collect()
    }
}

impl PromptRow {
    /// The prompt as bytes, but for what it shows.
    fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        add_text(&mut bytes, &self.id);
        add_text(&mut bytes, &self.conversation.id);
        add_turns(&mut bytes, &self.conversation.turns);
        self.query.pack(&mut bytes);
        self.value_query.pack(&mut bytes);
        let Facts {
            captions,
            rationale,
            correct_option,
            objects,
        } = &self.facts;
        for lines in [captions, rationale, objects] {
            add_texts(&mut bytes, lines);
        }
        let option = correct_option.map_or(0, |choice| 1 + choice.index() as u32);
        add(&mut bytes, option);
        add(&mut bytes, u32::from(self.answer_type.caption_type()));
        bytes.extend(self.length_bonus.to_le_bytes());
        add_texts(&mut bytes, self.reference.as_slice());
        bytes
    }

    /// The prompt of these bytes; none where they are not such a prompt's. `shown` is what it shows.
    fn unpacked(mut rest: &[u8], shown: Option<&str>) -> Option<Self> {
        let id = text(&mut rest)?;
        let conversation = Conversation {
            id: text(&mut rest)?,
            image: shown.map(str::to_owned),
            turns: turns(&mut rest)?,
        };
        let query = TokenRuns::unpack(&mut rest)?;
        let value_query = TokenRuns::unpack(&mut rest)?;
        let (captions, rationale) = (texts(&mut rest)?, texts(&mut rest)?);
        let objects = texts(&mut rest)?;
        let correct_option = match number(&mut rest)? {
            0 => None,
            option => Some(Choice::from_index(option as usize - 1)?),
        };
        let caption_type = u8::try_from(number(&mut rest)?).ok()?;
        let row = Self {
            id,
            conversation,
            query,
            value_query,
            facts: Facts {
                captions,
                rationale,
                correct_option,
                objects,
            },
            answer_type: AnswerType::from_caption_type(caption_type)?,
            length_bonus: fraction(&mut rest)?,
            reference: texts(&mut rest)?.pop(),
        };
        rest.is_empty().then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use candor_data::Turn;

    use super::*;

    fn row(image: Option<&str>, reference: Option<&str>, answer_type: AnswerType) -> PromptRow {
        PromptRow {
            id: "a".to_owned(),
            conversation: Conversation {
                id: "a".to_owned(),
                image: image.map(str::to_owned),
                turns: vec![Turn::human("<image>\nQ")],
            },
            query: vec![1, 7, 7, 7, 5].into(),
            value_query: vec![1, 7, 7, 5].into(),
            facts: Facts {
                captions: vec!["A dog.".to_owned(), String::new()],
                rationale: vec!["It barks.".to_owned()],
                correct_option: Some(Choice::B),
                objects: vec!["dog".to_owned()],
            },
            answer_type,
            length_bonus: 0.1,
            reference: reference.map(str::to_owned),
        }
    }

    /// Every field of a prompt, for it is compared with nothing elsewhere.
    fn told(row: &PromptRow) -> String {
        format!("{row:?}")
    }

    #[test]
    fn prompts_come_back_and_what_is_cut_off_or_has_another_length_is_an_error() {
        let rows = [
            row(Some("a.png"), Some(""), AnswerType::Option(Choice::C)),
            row(None, None, AnswerType::General),
            row(Some("a.png"), Some("No."), AnswerType::No),
        ];
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::new(Some(folder.path())).unwrap();
        for row in &rows {
            keeper.add(row).unwrap();
            let (bytes, shown) = (row.packed(), row.conversation.image.as_deref());
            for n in 0..bytes.len() {
                assert!(PromptRow::unpacked(&bytes[..n], shown).is_none(), "{n}");
            }
        }
        let mut prompts = keeper.finish(0, None).unwrap();
        assert_eq!(
            (prompts.lengths(), prompts.images()),
            (&[5_u32; 3][..], &["a.png".to_owned()][..])
        );
        assert_eq!(
            [0, 1, 2].map(|n| prompts.shown(n).is_some()),
            [true, false, true]
        );
        for (number, row) in rows.iter().enumerate() {
            assert_eq!(told(&prompts.row(number).unwrap()), told(row));
        }
        prompts.held.lengths[1] = 6;
        let error = prompts.row(1).unwrap_err();
        let message = std::error::Error::source(&error).unwrap().to_string();
        assert!(message.contains("row 1 are no row any more"), "{message}");
    }

    #[test]
    fn a_prompt_whose_bytes_say_more_tokens_than_it_had_is_an_error() {
        let row = row(Some("a.png"), None, AnswerType::General);
        let folder = tempfile::tempdir().unwrap();
        let mut writer = KeptRowsWriter::on_disk_of(folder.path()).unwrap();
        let mut keeper = Keeper::new(None).unwrap();
        // After both names and the turn; after the number of runs, the token 1, the mark of a run and its token.
        let of_query = (4 + 1) + (4 + 1) + (4 + 4 + 4 + 9) + 4 + 4 + (4 + 4);
        // And after the token 5 at the end of the query the same of the other one.
        let of_value_query = of_query + 4 + 4 + 4 + 4 + (4 + 4);
        for (at, n) in [(of_query, 3_u32), (of_value_query, 2)] {
            keeper.add(&row).unwrap();
            let mut bytes = row.packed();
            let count = &mut bytes[at..at + 4];
            assert_eq!(count, n.to_le_bytes());
            count.copy_from_slice(&u32::MAX.to_le_bytes());
            writer.add(&bytes).unwrap();
        }
        let mut prompts = keeper.finish(0, None).unwrap();
        prompts.kept = Some(writer.finish().unwrap());
        for number in 0..2 {
            let error = prompts.row(number).unwrap_err();
            let message = std::error::Error::source(&error).unwrap().to_string();
            let expected = format!("row {number} are no row any more");
            assert!(message.contains(&expected), "{message}");
        }
    }
}
