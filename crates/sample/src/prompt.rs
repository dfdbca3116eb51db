//! What is asked of the model: a conversation up to where its last answer would stand.
//!
//! The prompts are read one after the other and wait on the disk until their chunk is answered; of each, memory holds where it is and
//! how many tokens it has.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use candor_data::comparisons::Purpose;
use candor_data::formats::{images, llava};
use candor_data::rows::packing::{add, add_text, add_texts, add_turns, number, text, texts, turns};
use candor_data::rows::{
    ImageRows, KeptRows, KeptRowsWriter, LEAVE_OUT, Reason, Row, RowFault, ShownImages, Sieve,
    Sifting, Skipped,
};
use candor_data::{Conversation, DataError, Speaker, Turn, shown};
use candor_model::sample::{Sample, SampleRules};
use candor_model::{ModelError, TokenRuns};

use crate::{SampleError, SampleRecipe};

/// Prompts that are in memory together while they are tokenised.
const PART: usize = 1024;

/// A prompt, tokenised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Index in the prompts file.
    pub index: u64,
    /// The row's own id, which need not be unique.
    pub id: String,
    /// Image file, when there is one.
    pub image: Option<String>,
    /// What is answered: turns that end in a human one.
    pub context: Vec<Turn>,
    /// The answer that the data set gives.
    pub original_answer: Option<String>,
    /// The context's token ids, up to where the assistant speaks.
    pub ids: TokenRuns,
}

impl Prompt {
    /// The prompt as bytes.
    fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        add(&mut bytes, self.index as u32);
        add(&mut bytes, (self.index >> 32) as u32);
        add_text(&mut bytes, &self.id);
        for known in [&self.image, &self.original_answer] {
            add_texts(&mut bytes, known.as_slice());
        }
        add_turns(&mut bytes, &self.context);
        self.ids.pack(&mut bytes);
        bytes
    }

    /// The prompt of these bytes, which has so many tokens; none where they are not such a prompt's.
    fn unpacked(mut rest: &[u8], n_tokens: usize) -> Option<Self> {
        let index = u64::from(number(&mut rest)?) | (u64::from(number(&mut rest)?) << 32);
        let id = text(&mut rest)?;
        let image = texts(&mut rest)?.pop();
        let original_answer = texts(&mut rest)?.pop();
        let context = turns(&mut rest)?;
        let ids = TokenRuns::unpack(&mut rest)?;
        (rest.is_empty() && ids.len() == n_tokens).then_some(Self {
            index,
            id,
            image,
            context,
            original_answer,
            ids,
        })
    }
}

/// The prompts of a run that are answered.
#[derive(Debug)]
pub(crate) struct Prompts {
    /// None where they are only counted.
    kept: Option<KeptRows>,
    /// Tokens of each.
    pub lengths: Vec<u32>,
    /// What they show.
    pub images: ShownImages,
    /// Those that are not answered, where the recipe skips bad rows.
    pub skipped: Option<Skipped>,
}

impl Prompts {
    /// Number of prompts.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// A prompt, read from the disk.
    ///
    /// # Errors
    /// The disk fails, or what is read is not what was written.
    pub(crate) fn row(&self, row: usize) -> Result<Prompt, DataError> {
        let Some(kept) = &self.kept else {
            unreachable!("prompts that are counted are not asked for")
        };
        let prompt = Prompt::unpacked(&kept.read(row)?, self.lengths[row] as usize);
        prompt.ok_or_else(|| kept.damaged(row))
    }

    /// The prompts of a chunk, of which each but the last has so many.
    ///
    /// # Errors
    /// As [`Prompts::row`].
    pub(crate) fn chunk(&self, number: usize, chunk: usize) -> Result<Vec<Prompt>, DataError> {
        let end = self.len().min((number + 1) * chunk);
        (number * chunk..end).map(|row| self.row(row)).collect()
    }
}

/// The rows of the file that are asked.
fn window(recipe: &SampleRecipe) -> Range<usize> {
    let end = recipe.count.map(|count| recipe.skip.saturating_add(count));
    recipe.skip..end.unwrap_or(usize::MAX)
}

/// Reads the recipe's prompts for a model of so many positions. They are kept on the disk of the folder `keep`, and without it only
/// counted.
///
/// # Errors
/// The file is damaged or shorter than asked for, no prompt is left, the disk is full, or prompts leave the model no room for an
/// answer or show an image that is not there, and the recipe does not skip them.
pub(crate) fn read(
    recipe: &SampleRecipe,
    rules: SampleRules<'_>,
    positions: usize,
    keep: Option<&Path>,
) -> Result<Prompts, SampleError> {
    let unfit = |problem, remedy| SampleError::Unfit {
        path: recipe.prompts.clone(),
        problem,
        remedy,
    };
    let purpose = keep.map_or(Purpose::Plan, |_| Purpose::Run);
    // Images inside files that are taken to be whole, because nothing is written.
    let inside = RefCell::new(BTreeSet::new());
    let mut embedded =
        |bytes: &[u8]| purpose.embedded(&recipe.images, &mut inside.borrow_mut(), bytes);
    let rules = SampleRules {
        max_tokens: positions.saturating_sub(recipe.max_new_tokens),
        ..rules
    };
    let tokenised = |index, row: Conversation| {
        tokenised(index, row, rules).map_err(|fault| {
            let remedy = format!(
                "the model has {positions} positions, of which sampling.max_new_tokens = {} are kept free: lower \
                 sampling.max_new_tokens, or shorten or remove the row",
                recipe.max_new_tokens
            );
            fault.advise(Reason::TooLong, remedy)
        })
    };
    let mut sifting = Sifting::new(Sieve {
        on_bad_row: recipe.on_bad_row,
        look: purpose.look(recipe.on_bad_row, &recipe.images),
        images: &recipe.images,
        remedy: Some(LEAVE_OUT),
    });
    let mut kept = keep.map(KeptRowsWriter::on_disk_of).transpose()?;
    let mut lengths = Vec::new();
    // The good ones of the next rows.
    let mut keep_good = |rows: Vec<Row<Prompt>>| -> Result<(), DataError> {
        sifting.take_for_good(inside.take());
        for (_, prompt) in sifting.add(rows, |prompt| prompt.image.as_deref()) {
            if let Some(kept) = &mut kept {
                kept.add(&prompt.packed())?;
            }
            lengths.push(prompt.ids.len() as u32);
        }
        Ok(())
    };
    let (mut n_rows, mut part) = (0, Vec::with_capacity(PART));
    llava::each_of_set(&recipe.prompts, &mut embedded, |row| {
        n_rows += 1;
        if !window(recipe).contains(&(n_rows - 1)) {
            return Ok(());
        }
        part.push(row.and_then(|row| tokenised(n_rows - 1, row)));
        if part.len() < PART {
            return Ok(());
        }
        keep_good(std::mem::take(&mut part))
    })?;
    keep_good(part)?;
    let n_left = n_rows.saturating_sub(recipe.skip);
    let count = recipe.count.unwrap_or(n_left);
    if n_left == 0 || count > n_left {
        let problem = format!(
            "{n_rows} prompts are too few: prompts.skip = {} are passed over, and prompts.count = {} asked",
            recipe.skip,
            recipe.count.map_or("all".to_owned(), |n| n.to_string())
        );
        return Err(unfit(problem, "lower prompts.skip or prompts.count"));
    }
    let (images, skipped) = sifting.end()?;
    if let (true, Some(skipped)) = (lengths.is_empty(), &skipped) {
        let problem = format!("no prompt is left, {skipped}");
        return Err(unfit(
            problem,
            "mend the prompts; data.on_bad_row = \"stop\" names them",
        ));
    }
    lengths.shrink_to_fit();
    Ok(Prompts {
        kept: kept.map(KeptRowsWriter::finish).transpose()?,
        lengths,
        images,
        skipped,
    })
}

/// The same error; of images, with the rows that show them, for which the prompts are read again. Rows that are `skipped` are not asked.
pub(crate) fn in_rows(
    recipe: &SampleRecipe,
    error: ModelError,
    skipped: Option<&Skipped>,
) -> ModelError {
    let ModelError::Images(faults) = &error else {
        return error;
    };
    let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
    let (mut n_rows, mut rows) = (0, Vec::new());
    let read = llava::each_of_set(&recipe.prompts, &mut named, |Row { name, made }| {
        n_rows += 1;
        if !window(recipe).contains(&(n_rows - 1)) {
            return Ok(());
        }
        let shown = made.ok().and_then(|row| row.image).unwrap_or_default();
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

fn tokenised(index: usize, row: Conversation, rules: SampleRules<'_>) -> Result<Prompt, RowFault> {
    let (query, original_answer) = split(row);
    let ids = TokenRuns::of(&Sample::new(&query, rules)?.ids);
    Ok(Prompt {
        index: index as u64,
        id: query.id,
        image: query.image,
        context: query.turns,
        original_answer,
        ids,
    })
}

/// The conversation up to its last answer, and that answer. A conversation that ends in a human turn is asked
/// as a whole and has none.
fn split(mut row: Conversation) -> (Conversation, Option<String>) {
    let answer = row.turns.pop_if(|turn| turn.from == Speaker::Gpt);
    (row, answer.map(|turn| turn.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(turns: &[Turn]) -> Conversation {
        Conversation {
            id: "a".into(),
            image: None,
            turns: turns.to_vec(),
        }
    }

    #[test]
    fn the_last_answer_is_what_is_sampled() {
        let (q1, a1, q2, a2) = (
            Turn::human("Q1"),
            Turn::gpt("A1"),
            Turn::human("Q2"),
            Turn::gpt("A2"),
        );
        let all = [q1, a1, q2, a2];
        assert_eq!(split(row(&all[..2])), (row(&all[..1]), Some("A1".into())));
        assert_eq!(split(row(&all)), (row(&all[..3]), Some("A2".into())));
        assert_eq!(split(row(&all[..3])), (row(&all[..3]), None));
    }

    #[test]
    fn prompts_come_back_from_their_bytes_and_what_is_cut_off_is_none() {
        let bare = Prompt {
            index: (1 << 32) + 7,
            id: "a".to_owned(),
            image: None,
            context: vec![Turn::human("Q1"), Turn::gpt("A1"), Turn::human("Q2")],
            original_answer: None,
            ids: vec![1, 7, 7, 7, 5].into(),
        };
        let full = Prompt {
            image: Some("a.png".to_owned()),
            original_answer: Some(String::new()),
            ..bare.clone()
        };
        for prompt in [bare, full] {
            let bytes = prompt.packed();
            assert_eq!(Prompt::unpacked(&bytes, 5), Some(prompt));
            assert_eq!(Prompt::unpacked(&bytes, 4), None);
            for n in 0..bytes.len() {
                assert_eq!(Prompt::unpacked(&bytes[..n], 5), None, "{n}");
            }
        }
    }

    #[test]
    fn chunks_are_read_and_a_prompt_that_is_not_what_it_was_is_an_error() {
        let prompt = |index| Prompt {
            index,
            id: "a".to_owned(),
            image: None,
            context: vec![Turn::human("Q")],
            original_answer: None,
            ids: vec![1, 7, 5].into(),
        };
        let folder = tempfile::tempdir().unwrap();
        let mut writer = KeptRowsWriter::on_disk_of(folder.path()).unwrap();
        for index in [4, 5, 7] {
            writer.add(&prompt(index).packed()).unwrap();
        }
        let prompts = Prompts {
            kept: Some(writer.finish().unwrap()),
            lengths: vec![3, 3, 2],
            images: ShownImages::default(),
            skipped: None,
        };
        assert_eq!(prompts.chunk(0, 2).unwrap(), [prompt(4), prompt(5)]);
        let error = prompts.chunk(1, 2).unwrap_err();
        let message = std::error::Error::source(&error).unwrap().to_string();
        assert!(message.contains("row 2 are no row any more"), "{message}");
    }
}
