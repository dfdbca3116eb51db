//! A benchmark with its questions read: what is asked, what a judge is asked about an answer, and what answer
//! and replies are worth.
//!
//! All benchmarks have this one shape, so whoever has answers to score, and whoever has a model to ask, goes
//! the same way for each: [`Benchmark::open`](crate::Benchmark::open) → [`Task::items`] → answers → [`Task::request`] →
//! replies → [`Task::mark`] → [`crate::figures::figures`]. Where the [truth](crate::truth) about the images is known,
//! nobody is asked and `mark` asks the truth.
//!
//! Each benchmark is a file of the folder `benchmarks`: what is known of it before its questions are read ([`About`]), and its
//! [`Task`].

pub(crate) mod amber;
pub(crate) mod chair;
pub(crate) mod hallusion_bench;
pub(crate) mod llava_bench;
pub(crate) mod mmbench;
pub(crate) mod mme;
pub(crate) mod mmhal;
pub(crate) mod object_hal_bench;
pub(crate) mod own;
mod part;
pub(crate) mod pope;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candor_data::formats::answers::Answer;

use crate::JudgeError;
use crate::item::Item;
use crate::measure::Measure;
use crate::order::{InOrders, Marks};
use crate::outcome::ItemOutcome;
use crate::request::Request;
use crate::settings;
use crate::template::{Template, Templates};
use crate::truth::Truth;
use crate::verdict::Verdict;

/// What reads the questions of a benchmark.
pub type Open = fn(&Files, &settings::Templates) -> Result<Box<dyn Task>, JudgeError>;

/// What is known of a benchmark before its questions are read.
#[derive(Debug)]
pub struct About {
    /// Its name in files.
    pub key: &'static str,
    /// Its name on the command line.
    pub argument: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// What the command line says of it.
    pub help: &'static str,
    /// Its own numbers, the main one first.
    pub measures: &'static [Measure],
    /// Where the main number's scale ends; `None` for the highest that was found.
    pub highest: Option<f64>,
    /// The number that the main one is plotted against besides length, if there is one.
    pub beside: Option<&'static str>,
    /// What is said of answers that could not be read: they "hold neither yes nor no".
    pub unparsed: &'static str,
    /// What its rule makes of such answers and of silence, behind a comma; may be empty.
    pub taken_for: &'static str,
    /// Whether answers are texts that people can compare without a judge.
    pub is_free: bool,
    /// Whether there may be several files of questions, told apart by their names.
    pub has_splits: bool,
    /// What a verdict says of its answer.
    pub outcome: fn(&Verdict) -> ItemOutcome,
    /// Reads its questions.
    pub open: Open,
}

/// What a benchmark is read from, and the truth about its images where it is known.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Questions: one file, or for POPE one for each split and for MME one for each task. A benchmark is opened with at
    /// least one.
    pub questions: Vec<PathBuf>,
    /// Reference answers (LLaVA-Bench), words that go with each other (AMBER), or COCO instances (Object-HalBench).
    pub references: Option<PathBuf>,
    /// Captions and boxes (LLaVA-Bench), COCO captions (CHAIR, Object-HalBench), or annotations (AMBER).
    pub context: Option<PathBuf>,
    /// Words for kinds of objects (CHAIR, Object-HalBench), or words that are like each other (AMBER).
    pub synonyms: Option<PathBuf>,
    /// Folder of images, for a judge or a model that is shown them and for the page of a comparison.
    pub images: Option<PathBuf>,
    /// How many questions of each file, from the first; all if absent.
    pub limit: Option<usize>,
    /// What is in the images, where that is known: it judges in the place of a model.
    pub truth: Option<Arc<dyn Truth>>,
}

impl Files {
    /// The file of questions of a benchmark that has one alone.
    fn first(&self) -> &Path {
        self.questions
            .first()
            .map_or(Path::new(""), PathBuf::as_path)
    }
}

/// What LLaVA is told after questions with a short answer, and was trained with.
const SHORT: &str = "Answer the question using a single word or phrase.";

/// Where the image of a question is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image<'a> {
    /// In this file of the image folder.
    Named(&'a str),
    /// In the file of questions: these bytes of a JPEG or PNG.
    Held(Vec<u8>),
}

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ItemScore {
    /// The line of the verdicts.
    pub verdict: Verdict,
    /// What the replies to each request were read as; none where no judge is asked.
    pub scores: Vec<Vec<Option<f64>>>,
    /// Marks of reference and answer in both orders, where the judge compares the two.
    pub marks: Option<Marks>,
}

/// A benchmark with its questions read.
pub trait Task: Sync {
    /// The questions, in the order of the files.
    fn items(&self) -> &[Item];

    /// The image of a question.
    ///
    /// # Errors
    /// It stands in the file of questions and is damaged.
    fn image(&self, item: usize) -> Result<Image<'_>, JudgeError> {
        Ok(Image::Named(&self.items()[item].image))
    }

    /// Whether answers to some of the questions may be scored alone.
    fn takes_some(&self) -> bool {
        false
    }

    /// Whether a judge is asked about any answer.
    fn asks_judge(&self) -> bool {
        false
    }

    /// What a judge is asked about an answer; `None` where a rule scores it.
    ///
    /// # Errors
    /// What the judge is to be told is missing.
    fn request(&self, _item: usize, _answer: &str) -> Result<Option<Request>, JudgeError> {
        Ok(None)
    }

    /// The same with the two answers exchanged; `None` where a judge compares no two answers.
    ///
    /// # Errors
    /// As of [`Task::request`].
    fn exchanged(&self, _item: usize, _answer: &str) -> Result<Option<Request>, JudgeError> {
        Ok(None)
    }

    /// The prompts of a judge, where one is asked.
    fn templates(&self) -> Option<&Templates> {
        None
    }

    /// What an answer is worth, its length left out, which is counted for all alike. `replies` are those to
    /// [`Task::request`] and to [`Task::exchanged`].
    ///
    /// # Errors
    /// The question has no true answer, or nothing is known of its image.
    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        replies: InOrders<String>,
    ) -> Result<ItemScore, JudgeError>;

    /// Adds what is known only when all answers are marked.
    fn conclude(&self, _verdicts: &mut [&mut Verdict]) {}
}

/// The first rows of a file, as many as are wanted.
fn limited<T>(mut rows: Vec<T>, files: &Files) -> Vec<T> {
    rows.truncate(files.limit.unwrap_or(usize::MAX));
    rows
}

/// A request without images, which whoever asks adds.
fn request(item: &Item, template: &Template, values: &[(&str, &str)]) -> Request {
    Request {
        id: item.id.clone(),
        system: None,
        user: template.fill(values),
        images: Vec::new(),
        template: template.sha256.clone(),
    }
}

/// The template for a category.
fn template<'a>(
    questions: &Path,
    templates: &'a Templates,
    category: &str,
) -> Result<&'a Template, JudgeError> {
    templates.of(category).ok_or_else(|| {
        let problem = format!(
            "the judge's rules ({}) have none for {category:?}",
            templates.source()
        );
        let remedy = "use the rules that belong to the questions";
        JudgeError::unfit(questions, problem, remedy)
    })
}
