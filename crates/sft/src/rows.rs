//! The rows of a source: read one after the other, so that their files need not fit into the memory, and tokenised.

use std::cell::Cell;
use std::path::Path;

use candor_data::conversation::Speaker;
use candor_data::formats::images::{self, Embedded};
use candor_data::formats::trl::messages;
use candor_data::formats::{a_okvqa, flickr30k, folder, llava, vqa_v2};
use candor_data::rows::{BadRow, BadRows, ImageRows, Reason, Row, RowFault, SourceFile};
use candor_data::{Conversation, DataError, shown, sources};
use candor_model::sample::{Sample, SampleRules};
use candor_model::{ModelError, Template};
use candor_train::TrainError;

use crate::SftError;
use crate::recipe::{Files, SourceRecipe, TrainOn};

impl SourceRecipe {
    /// Hands out the rows as conversations with something to learn. Those of LLaVA and of messages are handed out as they are read;
    /// the rows of the other formats, of which there are at most some hundred thousand in the public sets, are read before the first
    /// of them is. `embedded` is what becomes of an image that is inside a file, and `n_read` how many bytes of the files have been read.
    ///
    /// # Errors
    /// A file is missing or damaged, or the first of `take`.
    pub(crate) fn each(
        &self,
        seed: u64,
        embedded: Embedded<'_>,
        n_read: &Cell<u64>,
        mut take: impl FnMut(Row<Conversation>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let of = |path: &Path| SourceFile::of(&self.name, path);
        let mut take = |row: Row<Conversation>| take(row.and_then(sources::learnable));
        let rows = match &self.files {
            Files::Llava(path) | Files::Messages(path) => {
                let share = Cell::new(0.0);
                let mut n_before = 0;
                for path in folder::files_of(path, self.split)? {
                    let (file, n_bytes) = (of(&path), size(&path));
                    let take = |number, row| {
                        n_read.set(n_before + (share.get() * n_bytes as f64) as u64);
                        take(sources::as_it_is(&file, number, row))
                    };
                    if matches!(self.files, Files::Llava(_)) {
                        llava::each_of_any(&path, embedded, &share, take)?;
                    } else {
                        messages::each(&path, embedded, &share, take)?;
                    }
                    n_before += n_bytes;
                }
                return Ok(());
            }
            Files::VqaV2 {
                questions: path,
                annotations,
                options,
            } => {
                let questions = vqa_v2::read_questions(path)?;
                let annotations = vqa_v2::read_annotations(annotations)?;
                sources::vqa_v2(&of(path), &questions, &annotations, options)
            }
            Files::AOkvqa {
                path,
                images,
                reasoning,
            } => sources::a_okvqa(&of(path), &a_okvqa::read(path)?, images, *reasoning, seed),
            Files::Flickr30k(path) => sources::flickr30k(&of(path), &flickr30k::read(path)?, seed),
        };
        n_read.set(self.n_bytes());
        rows.into_iter().try_for_each(take)
    }

    /// Bytes of the files, as far as they are there.
    pub(crate) fn n_bytes(&self) -> u64 {
        let of_set = |path: &Path| folder::files_of(path, self.split).unwrap_or_default();
        match &self.files {
            Files::Llava(path) | Files::Messages(path) => {
                of_set(path).iter().map(|path| size(path)).sum()
            }
            Files::VqaV2 {
                questions,
                annotations,
                ..
            } => size(questions) + size(annotations),
            Files::AOkvqa { path, .. } | Files::Flickr30k(path) => size(path),
        }
    }

    /// Tokenises a row, with labels where it is to be learned.
    pub(crate) fn sample(
        &self,
        row: &Conversation,
        rules: SampleRules<'_>,
    ) -> Result<Sample, ModelError> {
        let mut rendered = rules.render(row)?;
        if self.train_on == TrainOn::LastTurn {
            let answers = row.turns.iter().filter(|turn| turn.from == Speaker::Gpt);
            let (n_answers, n_parts) = (answers.count(), rendered.assistant.len());
            if n_answers != n_parts {
                return Err(ModelError::Row {
                    sample: row.id.clone(),
                    fault: Box::new(RowFault::new(
                        Reason::Template,
                        "conversations",
                        format!(
                            "the template marks {n_parts} parts of a text with {n_answers} answers"
                        ),
                        "use train_on = \"every_turn\": which part is the last answer cannot be told",
                    )),
                });
            }
            rendered.assistant.drain(..n_answers.saturating_sub(1));
        }
        Sample::of_rendered(row, &rendered, rules)
    }
}

/// Bytes of a file; 0 where there is none, which whoever reads it says.
fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |about| about.len())
}

/// All texts of the sources, as the template renders them.
///
/// # Errors
/// A file cannot be read, or rows have nothing to learn or are refused by the template.
pub(crate) fn texts(
    sources: &[SourceRecipe],
    template: &Template,
) -> Result<Vec<String>, SftError> {
    let mut texts = Vec::new();
    let mut bad = BadRows::default();
    for source in sources {
        let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
        source.each(0, &mut named, &Cell::new(0), |row| {
            let Row { name, made } = row.and_then(|row| Ok(template.render(&row)?.text));
            match made {
                Ok(text) => texts.push(text),
                Err(fault) => bad.0.push(BadRow { name, fault }),
            }
            Ok(())
        })?;
    }
    if bad.0.is_empty() {
        return Ok(texts);
    }
    Err(SftError::Data(DataError::BadRows {
        rows: bad,
        remedy: None,
    }))
}

/// The same error; of images, with the rows of the sources that show them, for which the files are read again. `remedy` is what can be
/// done about bad rows besides mending them, if anything.
pub(crate) fn in_rows<'a>(
    error: TrainError,
    sources: impl IntoIterator<Item = &'a SourceRecipe>,
    seed: u64,
    remedy: Option<&'static str>,
) -> TrainError {
    let TrainError::Model(ModelError::Images(faults)) = &error else {
        return error;
    };
    let mut rows = Vec::new();
    for source in sources {
        let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
        let read = source.each(seed, &mut named, &Cell::new(0), |Row { name, made }| {
            let shown = made.ok().and_then(|row| row.image).unwrap_or_default();
            let bad = shown::names(&shown).filter(|image| faults.contains_key(*image));
            rows.extend(bad.map(|image| (name.clone(), image.to_owned())));
            Ok(())
        });
        if read.is_err() {
            // Somebody took the file away meanwhile: then the images are named without their rows.
            return error;
        }
    }
    error.in_rows(&ImageRows::new(rows, remedy))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use candor_data::Turn;
    use candor_data::mixture::Share;
    use candor_model::Bundle;
    use candor_model::sample::IGNORE;
    use candor_testing::model::TinyModel;
    use serde_json::json;

    use super::*;

    /// A conversation of these turns, tokenised.
    fn sample_of(
        bundle: &Bundle,
        train_on: TrainOn,
        turns: Vec<Turn>,
    ) -> Result<Sample, ModelError> {
        let source = SourceRecipe {
            name: "talk".to_owned(),
            share: Share::All,
            train_on,
            split: folder::Split::Train,
            files: Files::Flickr30k(PathBuf::new()),
        };
        let row = Conversation {
            id: "0".to_owned(),
            image: None,
            turns,
        };
        source.sample(&row, bundle.rules(200, Path::new("")))
    }

    /// A conversation with two answers, tokenised.
    fn sample(bundle: &Bundle, train_on: TrainOn) -> Result<Sample, ModelError> {
        let turns = vec![
            Turn::human("Is it red?"),
            Turn::gpt("It is."),
            Turn::human("Is it blue?"),
            Turn::gpt("No."),
        ];
        sample_of(bundle, train_on, turns)
    }

    #[test]
    fn an_answer_that_spells_out_its_end_is_learned_to_its_own() {
        let bundle = TinyModel::knowing("Is it red? It is.").bundle();
        let turns = vec![Turn::human("Is it red?"), Turn::gpt("It is</s> it.")];
        let sample = sample_of(&bundle, TrainOn::EveryTurn, turns).unwrap();
        let eos = bundle.tokenizer.eos;
        let ends = sample.labels.iter().filter(|&&label| label == eos);
        assert_eq!(ends.count(), 1);
        assert_eq!(sample.labels.last(), Some(&eos));
    }

    #[test]
    fn of_the_last_turn_alone_the_answers_before_it_have_no_labels() {
        let bundle = TinyModel::knowing("Is it red? It is. Is it blue? No.").bundle();
        let of = |train_on| sample(&bundle, train_on).unwrap();
        let (every, last) = (of(TrainOn::EveryTurn), of(TrainOn::LastTurn));
        let learned = |sample: &Sample| -> Vec<String> {
            let runs = (sample.labels).chunk_by(|a, b| (*a == IGNORE) == (*b == IGNORE));
            let learned = runs.filter(|run| run[0] != IGNORE);
            let texts = learned.map(|run| bundle.tokenizer.decode(run).unwrap());
            texts.map(|text| text.trim().to_owned()).collect()
        };
        assert_eq!(learned(&every), ["It is.", "No."]);
        assert_eq!(learned(&last), ["No."]);
        // The same is read, and of the last answer the same is learned, its end included.
        assert_eq!(last.ids, every.ids);
        let from = last.labels.iter().position(|&label| label != IGNORE);
        assert_eq!(last.labels[from.unwrap()..], every.labels[from.unwrap()..]);
        assert_eq!(last.labels.last(), Some(&bundle.tokenizer.eos));
    }

    #[test]
    fn a_template_that_marks_other_parts_than_the_answers_is_refused() {
        let mut bundle = TinyModel::knowing("Is it red? It is. Is it blue? No.").bundle();
        // It marks the last answer alone.
        let jinja = "{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }} {% elif loop.last %}\
            A: {% generation %}{{ m.content }}{% endgeneration %}{% else %}A: {{ m.content }} {% endif %}{% endfor %}";
        let template = json!({
            "kind": "jinja", "template": jinja, "special_tokens": {"eos_token": "</s>"}, "add_bos": false,
        });
        bundle.template = serde_json::from_value(template).unwrap();
        assert!(sample(&bundle, TrainOn::EveryTurn).is_ok());
        let message = sample(&bundle, TrainOn::LastTurn).unwrap_err().to_string();
        for part in ["marks 1 parts of a text with 2 answers", "\"every_turn\""] {
            assert!(message.contains(part), "{message}\nlacks {part}");
        }
    }
}
