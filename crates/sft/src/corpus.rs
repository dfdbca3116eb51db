//! Training conversations: named sources, their mixture, their tokens, their batches.
//!
//! The order is a function of the recipe alone: step `s` always trains on the same conversations, whatever
//! came before it in this process, so resuming needs nothing but the step.

use std::path::Path;

use candor_data::conversation::Speaker;
use candor_data::formats::trl::messages;
use candor_data::formats::{a_okvqa, flickr30k, llava, vqa_v2};
use candor_data::mixture::{Mixture, Pick, Source};
use candor_data::rows::{
    BadRow, BadRows, ImageRows, LEAVE_OUT, Look, Reason, Row, RowFault, Sieve, Skipped, SourceFile,
};
use candor_data::{Conversation, DataError};
use candor_data::{sha256, sources};
use candor_model::sample::{Sample, SampleRules};
use candor_model::{ModelError, Template};
use candor_train::data_order::{BatchConfig, epoch_batches};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::SftError;
use crate::recipe::{Files, SftRecipe, SourceRecipe, TrainOn};

impl SourceRecipe {
    /// Reads the rows as conversations with something to learn.
    fn rows(&self, seed: u64) -> Result<Vec<Row<Conversation>>, SftError> {
        let of = |path: &Path| SourceFile::of(&self.name, path);
        let rows = match &self.files {
            Files::Llava(path) => sources::descriptions(&of(path), llava::read(path)?),
            Files::Messages(path) => sources::descriptions(&of(path), messages::read(path)?),
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
        let rows = rows.into_iter();
        Ok(rows.map(|row| row.and_then(sources::learnable)).collect())
    }

    /// Tokenises a row, with labels where it is to be learned.
    fn sample(&self, row: &Conversation, rules: SampleRules<'_>) -> Result<Sample, ModelError> {
        let mut rendered = rules.template.render(row)?;
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
        for row in source.rows(0)? {
            let row = row.and_then(|row| Ok(template.render(&row)?.text));
            match row.made {
                Ok(text) => texts.push(text),
                Err(fault) => bad.0.push(BadRow {
                    name: row.name,
                    fault,
                }),
            }
        }
    }
    if bad.0.is_empty() {
        return Ok(texts);
    }
    Err(SftError::Data(DataError::BadRows {
        rows: bad,
        remedy: None,
    }))
}

/// Tokenised conversations by source.
pub(crate) struct Tokenised {
    /// Those of each source.
    pub samples: Vec<Vec<Sample>>,
    /// Which rows show which images.
    pub images: ImageRows,
    /// The rows that were left out, where bad ones are skipped.
    pub skipped: Option<Skipped>,
}

impl Tokenised {
    /// Reads the sources and tokenises what passes the sieve.
    ///
    /// # Errors
    /// A file is missing or damaged, or there are bad rows and the sieve stops at them.
    pub(crate) fn read(
        sources: &[SourceRecipe],
        seed: u64,
        rules: SampleRules<'_>,
        sieve: &Sieve<'_>,
    ) -> Result<Self, SftError> {
        let mut rows = Vec::new();
        for (source, files) in sources.iter().enumerate() {
            let tokenised = files.rows(seed)?.into_par_iter().map(|row| {
                row.and_then(|row| Ok(files.sample(&row, rules)?))
                    .and_then(|sample| Ok((source, sample)))
            });
            rows.extend(tokenised.collect::<Vec<_>>());
        }
        let sifted = sieve.sift(rows, |(_, sample)| sample.image.as_deref())?;
        let mut samples = vec![Vec::new(); sources.len()];
        for (_, (source, sample)) in sifted.rows {
            samples[source].push(sample);
        }
        Ok(Self {
            samples,
            images: sifted.images,
            skipped: sifted.skipped,
        })
    }
}

/// A fingerprint of tokenised conversations.
pub(crate) fn fingerprint<'a>(
    begins: Vec<u8>,
    samples: impl IntoIterator<Item = &'a Sample>,
) -> String {
    let rows = samples.into_iter().flat_map(|sample| {
        let ids = sample
            .ids
            .iter()
            .chain(&sample.labels)
            .flat_map(|id| id.to_le_bytes());
        [
            ids.collect(),
            sample.image.clone().unwrap_or_default().into_bytes(),
        ]
    });
    sha256::of_bytes(std::iter::once(begins).chain(rows))
}

/// Tokenised conversations of all sources and the mixture that orders them.
#[derive(Debug)]
pub(crate) struct Corpus {
    samples: Vec<Vec<Sample>>,
    images: ImageRows,
    skipped: Option<Skipped>,
    mixture: Mixture,
    batching: BatchConfig,
    /// Passes of one update.
    n_micro: usize,
    steps_per_epoch: u64,
}

/// Batches that are sorted by length together: enough that little is padded, few enough that the mixture
/// stays even.
const WINDOW_BATCHES: usize = 16;

impl Corpus {
    /// Reads and tokenises the recipe's sources.
    ///
    /// # Errors
    /// A file is missing or damaged, or rows cannot be trained on and the recipe does not skip them.
    pub(crate) fn read(
        recipe: &SftRecipe,
        rules: SampleRules<'_>,
        look: Look,
    ) -> Result<Self, SftError> {
        let seed = recipe.session.seed;
        let sieve = Sieve {
            on_bad_row: recipe.on_bad_row,
            look,
            images: &recipe.images,
            remedy: Some(LEAVE_OUT),
        };
        let Tokenised {
            samples,
            images,
            skipped,
        } = Tokenised::read(&recipe.sources, seed, rules, &sieve)?;
        let parts = recipe.sources.iter().zip(&samples);
        let parts = parts.map(|(source, samples)| Source {
            name: source.name.clone(),
            n_rows: samples.len(),
            share: source.share,
        });
        let parts: Vec<Source> = parts.collect();
        if let (Some(skipped), Some(empty)) =
            (&skipped, parts.iter().find(|source| source.n_rows == 0))
        {
            return Err(SftError::Data(DataError::Mixture {
                part: format!("source {:?}", empty.name),
                found: format!("no row of it is left, {skipped}"),
                remedy:
                    "mend its rows, or leave the source out; data.on_bad_row = \"stop\" names them"
                        .into(),
            }));
        }
        let mixture = Mixture::new(seed, parts, recipe.epoch_rows)?;
        let batching = BatchConfig {
            seed,
            batch_size: recipe.pass.rows,
            window_batches: WINDOW_BATCHES,
        };
        let n_micro = recipe.batch / recipe.pass.rows;
        let steps_per_epoch = mixture.epoch_rows().div_ceil(recipe.batch).max(1) as u64;
        Ok(Self {
            samples,
            images,
            skipped,
            mixture,
            batching,
            n_micro,
            steps_per_epoch,
        })
    }

    /// Conversations of all sources.
    #[must_use]
    pub(crate) fn n_rows(&self) -> usize {
        self.samples.iter().map(Vec::len).sum()
    }

    /// Which rows show which images.
    #[must_use]
    pub(crate) fn image_rows(&self) -> &ImageRows {
        &self.images
    }

    /// The rows that are left out, where the recipe skips bad ones.
    #[must_use]
    pub(crate) fn skipped(&self) -> Option<&Skipped> {
        self.skipped.as_ref()
    }

    /// How often rows are taken, where that is more than once an epoch.
    #[must_use]
    pub(crate) fn repeats(&self) -> Option<String> {
        self.mixture.repeats()
    }

    /// Updates that go through the mixture once.
    #[must_use]
    pub(crate) fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// A fingerprint of the tokenised rows and their mixture.
    #[must_use]
    pub(crate) fn fingerprint(&self) -> String {
        let mixture = self.mixture.fingerprint().to_owned().into_bytes();
        fingerprint(mixture, self.samples.iter().flatten())
    }

    /// Images of all conversations; names may repeat.
    pub(crate) fn images(&self) -> impl Iterator<Item = String> + '_ {
        self.samples
            .iter()
            .flatten()
            .filter_map(|sample| sample.image.clone())
    }

    /// The batches in order.
    #[must_use]
    pub(crate) fn batches(&self) -> Batches<'_> {
        Batches {
            corpus: self,
            epoch: None,
        }
    }

    fn sample(&self, pick: Pick) -> &Sample {
        &self.samples[pick.source][pick.row]
    }
}

/// The batches of a corpus; remembers the epoch it is in.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    corpus: &'a Corpus,
    epoch: Option<(u64, Vec<Vec<&'a Sample>>)>,
}

impl<'a> Batches<'a> {
    /// The conversations of the update after `done` updates, in passes of the recipe's micro-batch.
    pub(crate) fn of_step(&mut self, done: u64) -> Vec<Vec<&'a Sample>> {
        let corpus = self.corpus;
        let (epoch, step) = (
            done / corpus.steps_per_epoch,
            (done % corpus.steps_per_epoch) as usize,
        );
        if self
            .epoch
            .as_ref()
            .is_none_or(|(current, _)| *current != epoch)
        {
            let samples: Vec<&Sample> = corpus
                .mixture
                .epoch(epoch)
                .into_iter()
                .map(|pick| corpus.sample(pick))
                .collect();
            let lengths: Vec<usize> = samples.iter().map(|sample| sample.ids.len()).collect();
            let batches = epoch_batches(&lengths, &corpus.batching, epoch);
            let batches = batches
                .into_iter()
                .map(|batch| batch.into_iter().map(|i| samples[i]).collect());
            self.epoch = Some((epoch, batches.collect()));
        }
        let Some((_, batches)) = &self.epoch else {
            unreachable!("the epoch was just made")
        };
        batches
            .iter()
            .skip(step * corpus.n_micro)
            .take(corpus.n_micro)
            .cloned()
            .collect()
    }
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

    /// A conversation with two answers, tokenised.
    fn sample(bundle: &Bundle, train_on: TrainOn) -> Result<Sample, ModelError> {
        let source = SourceRecipe {
            name: "talk".to_owned(),
            share: Share::All,
            train_on,
            files: Files::Flickr30k(PathBuf::new()),
        };
        let row = Conversation {
            id: "0".to_owned(),
            image: None,
            turns: vec![
                Turn::human("Is it red?"),
                Turn::gpt("It is."),
                Turn::human("Is it blue?"),
                Turn::gpt("No."),
            ],
        };
        source.sample(&row, bundle.rules(200, Path::new("")))
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
