//! Training conversations: named sources, their mixture, their tokens, their batches.
//!
//! The order is a function of the recipe alone: step `s` always trains on the same conversations, whatever
//! came before it in this process, so resuming needs nothing but the step.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use candor_data::formats::{ImageNames, a_okvqa, flickr30k, llava, vqa_v2};
use candor_data::mixture::{Mixture, Pick, Share, Source};
use candor_data::rows::{BadRow, BadRows, Look, Pictures, Row, Sieve, Skipped, SourceFile};
use candor_data::sources::{self, PromptOn, Reasoning, VqaOptions};
use candor_data::{Conversation, DataError};
use candor_model::Template;
use candor_model::sample::{Sample, SampleRules};
use candor_train::data_order::{BatchConfig, epoch_batches};
use candor_train::{Reader, fingerprint};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::SftError;
use crate::recipe::SftRecipe;

/// One entry of a recipe's list of sources.
#[derive(Debug, Clone)]
pub struct SourceRecipe {
    /// Name, distinct within the recipe.
    pub name: String,
    /// How much of an epoch it has.
    pub share: Share,
    /// Where its rows are.
    pub files: Files,
}

/// The files of a source, by format.
#[derive(Debug, Clone)]
pub enum Files {
    /// LLaVA conversations.
    Llava(PathBuf),
    /// VQA-v2.
    VqaV2 {
        /// Questions JSON.
        questions: PathBuf,
        /// Annotations JSON.
        annotations: PathBuf,
        /// How questions become conversations.
        options: VqaOptions,
    },
    /// A-OKVQA.
    AOkvqa {
        /// The questions.
        path: PathBuf,
        /// How image numbers become file names.
        images: ImageNames,
        /// Whether the reason stands before the answer (chain of thought, for the policy's start) or after it.
        reasoning: Reasoning,
    },
    /// Flickr30k token file.
    Flickr30k(PathBuf),
}

impl SourceRecipe {
    /// Asks the recipe for the list of sources under `key`; their paths are relative to `root`.
    pub fn read_all(recipe: &mut Reader, key: &str, root: &Path) -> Vec<Self> {
        let elements = recipe
            .tables(key, "The files that are read, one table each.")
            .required();
        elements
            .iter()
            .map(|element| Self::read(recipe, element, root))
            .collect()
    }

    fn read(recipe: &mut Reader, element: &str, root: &Path) -> Self {
        let name = recipe
            .string(
                &format!("{element}.name"),
                "A name for messages, distinct within the recipe.",
            )
            .required();
        let count = recipe
            .usize(&format!("{element}.count"), "Conversations that an epoch takes of this source; not together with `weight`. Without either, every row is taken once.")
            .positive()
            .optional();
        let weight = recipe
            .f64(
                &format!("{element}.weight"),
                "Share of an epoch that this source has, relative to the other weights.",
            )
            .positive()
            .optional();
        if count.is_some() && weight.is_some() {
            let remedy = "keep one of them; without either, every row is taken once";
            recipe.mistake(
                &format!("{element}.weight"),
                "there is a count as well",
                remedy,
            );
        }
        let share = match (count, weight) {
            (Some(count), _) => Share::Count(count),
            (None, Some(weight)) => Share::Weight(weight),
            (None, None) => Share::All,
        };
        let formats = [
            ("llava", 0),
            ("vqa_v2", 1),
            ("a_okvqa", 2),
            ("flickr30k", 3),
        ];
        let format = recipe
            .one_of(
                &format!("{element}.format"),
                &formats,
                "What the file is (docs/formats.md).",
            )
            .required();
        let mut path = |field: &str, meaning| {
            root.join(
                recipe
                    .path(&format!("{element}.{field}"), meaning)
                    .required(),
            )
        };
        let files = match format {
            0 => Files::Llava(path("path", "The file.")),
            1 => Files::VqaV2 {
                questions: path("questions", "The file of questions."),
                annotations: path("annotations", "The file of answers."),
                options: VqaOptions {
                    images: image_names(recipe, element),
                    prompt_on: recipe
                        .one_of(
                            &format!("{element}.prompt_on"),
                            &[
                                ("first_turn", PromptOn::FirstTurn),
                                ("every_turn", PromptOn::EveryTurn),
                            ],
                            "Which questions ask for a single word or phrase.",
                        )
                        .required(),
                    max_questions: NonZeroUsize::new(
                        recipe
                            .usize(
                                &format!("{element}.max_questions"),
                                "Questions about an image that become one conversation, at most.",
                            )
                            .positive()
                            .required(),
                    )
                    .unwrap_or(NonZeroUsize::MIN),
                },
            },
            2 => Files::AOkvqa {
                path: path("path", "The file."),
                images: image_names(recipe, element),
                reasoning: recipe
                    .one_of(
                        &format!("{element}.reasoning"),
                        &[("after", Reasoning::After), ("before", Reasoning::Before)],
                        "Where the rationale stands: after the answer, or before it.",
                    )
                    .required(),
            },
            _ => Files::Flickr30k(path("path", "The file.")),
        };
        Self { name, share, files }
    }

    /// Reads the rows as conversations with something to learn.
    fn rows(&self, seed: u64) -> Result<Vec<Row<Conversation>>, SftError> {
        let of = |path: &Path| SourceFile::of(&self.name, path);
        let rows = match &self.files {
            Files::Llava(path) => sources::descriptions(&of(path), llava::read(path)?),
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
}

/// How image numbers become file names, from a pattern such as `COCO_train2014_{:012}.jpg`.
fn image_names(recipe: &mut Reader, element: &str) -> ImageNames {
    let key = format!("{element}.image_name");
    let meaning =
        "How the number of an image becomes its file name: \"COCO_train2014_{:012}.jpg\".";
    let pattern = recipe.string(&key, meaning).required();
    let parsed = pattern.split_once("{:0").and_then(|(prefix, rest)| {
        let (digits, suffix) = rest.split_once('}')?;
        let digits = digits.parse().ok().filter(|n| (1..=20).contains(n))?;
        Some(ImageNames {
            prefix: prefix.to_owned(),
            digits,
            suffix: suffix.to_owned(),
        })
    });
    parsed.unwrap_or_else(|| {
        recipe.mistake(
            &key,
            format!("found {pattern:?}"),
            "write a pattern such as \"{:012}.jpg\"",
        );
        ImageNames::coco_2017()
    })
}

/// All texts of the sources, as the template renders them.
///
/// # Errors
/// A file cannot be read, or rows have nothing to learn or are refused by the template.
pub fn texts(sources: &[SourceRecipe], template: &Template) -> Result<Vec<String>, SftError> {
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

/// Tokenised conversations of all sources and the mixture that orders them.
#[derive(Debug)]
pub struct Corpus {
    samples: Vec<Vec<Sample>>,
    pictures: Pictures,
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
    pub fn read(recipe: &SftRecipe, rules: SampleRules<'_>, look: Look) -> Result<Self, SftError> {
        let seed = recipe.session.seed;
        let mut rows = Vec::new();
        for (source, files) in recipe.sources.iter().enumerate() {
            let tokenised = files.rows(seed)?.into_par_iter().map(|row| {
                row.and_then(|row| Ok(Sample::new(&row, rules)?))
                    .and_then(|sample| Ok((source, sample)))
            });
            rows.extend(tokenised.collect::<Vec<_>>());
        }
        let sieve = Sieve {
            on_bad_row: recipe.on_bad_row,
            look,
            images: &recipe.images,
        };
        let sifted = sieve.sift(rows, |(_, sample)| sample.image.as_deref())?;
        let mut samples = vec![Vec::new(); recipe.sources.len()];
        for (_, (source, sample)) in sifted.rows {
            samples[source].push(sample);
        }
        let parts = recipe.sources.iter().zip(&samples);
        let parts = parts.map(|(source, samples)| Source {
            name: source.name.clone(),
            n_rows: samples.len(),
            share: source.share,
        });
        let parts: Vec<Source> = parts.collect();
        if let (Some(skipped), Some(empty)) = (
            &sifted.skipped,
            parts.iter().find(|source| source.n_rows == 0),
        ) {
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
            batch_size: recipe.micro_batch,
            window_batches: WINDOW_BATCHES,
        };
        let n_micro = recipe.batch / recipe.micro_batch;
        let steps_per_epoch = mixture.epoch_rows().div_ceil(recipe.batch).max(1) as u64;
        Ok(Self {
            samples,
            pictures: sifted.pictures,
            skipped: sifted.skipped,
            mixture,
            batching,
            n_micro,
            steps_per_epoch,
        })
    }

    /// Conversations of all sources.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.samples.iter().map(Vec::len).sum()
    }

    /// Which rows show which pictures.
    #[must_use]
    pub fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// The rows that are left out, where the recipe skips bad ones.
    #[must_use]
    pub fn skipped(&self) -> Option<&Skipped> {
        self.skipped.as_ref()
    }

    /// How often rows are taken, where that is more than once an epoch.
    #[must_use]
    pub fn repeats(&self) -> Option<String> {
        self.mixture.repeats()
    }

    /// Updates that go through the mixture once.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// A fingerprint of the tokenised rows and their mixture.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let rows = self.samples.iter().flatten().flat_map(|sample| {
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
        let mixture = self.mixture.start().mixture.into_bytes();
        fingerprint::of_bytes(std::iter::once(mixture).chain(rows))
    }

    /// Images of all conversations; names may repeat.
    pub fn images(&self) -> impl Iterator<Item = String> + '_ {
        self.samples
            .iter()
            .flatten()
            .filter_map(|sample| sample.image.clone())
    }

    /// The batches in order.
    #[must_use]
    pub fn batches(&self) -> Batches<'_> {
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
pub struct Batches<'a> {
    corpus: &'a Corpus,
    epoch: Option<(u64, Vec<Vec<&'a Sample>>)>,
}

impl<'a> Batches<'a> {
    /// The conversations of the update after `done` updates, in passes of the recipe's micro-batch.
    pub fn of_step(&mut self, done: u64) -> Vec<Vec<&'a Sample>> {
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
