//! A benchmark with its questions read: what is asked, what a judge is asked about an answer, and what answer
//! and replies are worth.
//!
//! All benchmarks have this one shape, so whoever has answers to score, and whoever has a model to ask, goes
//! the same way for each: [`open`] → [`Exam::items`] → answers → [`Exam::request`] → replies →
//! [`Exam::mark`] → [`crate::measure::figures`].

mod chair;
mod llava_bench;
mod mmbench;
mod mmhal;
mod own;
mod part;
mod pope;

pub(crate) use chair::add_chair;
pub(crate) use llava_bench::add_llava_bench;
pub(crate) use mmhal::add_mmhal;
pub(crate) use part::add_words;
pub(crate) use pope::add_pope;
pub use pope::split;

use std::path::{Path, PathBuf};

use candor_data::formats::answers::Answer;

use crate::JudgeError;
use crate::measure::{Benchmark, Verdict};
use crate::order::{InOrders, Marks};
use crate::request::Request;
use crate::settings;
use crate::template::{Template, Templates};

/// What a benchmark is read from.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Questions: one file, or for POPE one for each split.
    pub questions: Vec<PathBuf>,
    /// Reference answers (LLaVA-Bench).
    pub references: Option<PathBuf>,
    /// Captions and boxes (LLaVA-Bench), or COCO captions (CHAIR).
    pub context: Option<PathBuf>,
    /// Words for kinds of objects (CHAIR).
    pub synonyms: Option<PathBuf>,
    /// Folder of pictures, for a judge or a model that is shown them and for the page of a comparison.
    pub images: Option<PathBuf>,
    /// How many questions of each file, from the first; all if absent.
    pub limit: Option<usize>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// Its key within its file.
    pub id: String,
    /// Which of the files of questions it is from.
    pub file: usize,
    /// Questions with the same name here are about the same picture.
    pub image: String,
    /// What else answers may call its picture.
    pub names: [String; 2],
    /// Its words, by which answers are told apart.
    pub question: String,
    /// What a model is asked: its words with hint and options where it has them.
    pub prompt: String,
    /// What it is told after that on a line of its own, by custom; may be empty.
    pub instruction: &'static str,
}

/// What LLaVA is told after questions with a short answer, and was trained with.
const SHORT: &str = "Answer the question using a single word or phrase.";

/// Where the picture of a question is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture<'a> {
    /// In this file of the image folder.
    Named(&'a str),
    /// In the file of questions: these bytes of a JPEG or PNG.
    Held(Vec<u8>),
}

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mark {
    /// The line of the verdicts.
    pub verdict: Verdict,
    /// Whether the answer, or a reply about it, could not be read by our rule.
    pub unread: bool,
    /// What the replies to each request were read as; none where no judge is asked.
    pub scores: Vec<Vec<Option<f64>>>,
    /// Marks of reference and answer in both orders, where the judge compares the two.
    pub marks: Option<Marks>,
}

/// A benchmark with its questions read.
pub trait Exam: Sync {
    /// The questions, in the order of the files.
    fn items(&self) -> &[Item];

    /// The picture of a question.
    ///
    /// # Errors
    /// It stands in the file of questions and is damaged.
    fn picture(&self, item: usize) -> Result<Picture<'_>, JudgeError> {
        Ok(Picture::Named(&self.items()[item].image))
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
    /// As of [`Exam::request`].
    fn exchanged(&self, _item: usize, _answer: &str) -> Result<Option<Request>, JudgeError> {
        Ok(None)
    }

    /// The prompts of a judge, where one is asked.
    fn templates(&self) -> Option<&Templates> {
        None
    }

    /// What an answer is worth. `replies` are those to [`Exam::request`] and to [`Exam::exchanged`].
    ///
    /// # Errors
    /// The question has no true answer.
    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        replies: InOrders<String>,
    ) -> Result<Mark, JudgeError>;

    /// Adds what is known only when all answers are marked.
    fn conclude(&self, _verdicts: &mut [Verdict]) {}
}

/// Reads the questions of a benchmark.
///
/// # Errors
/// A file is missing or damaged, or is one too many.
pub fn open(
    benchmark: Benchmark,
    files: &Files,
    templates: &settings::Templates,
) -> Result<Box<dyn Exam>, JudgeError> {
    let [first, more @ ..] = files.questions.as_slice() else {
        let remedy = "give --questions";
        return Err(JudgeError::unfit(
            Path::new("--questions"),
            "no file is named",
            remedy,
        ));
    };
    if let (Some(second), true) = (more.first(), benchmark != Benchmark::Pope) {
        return Err(JudgeError::unfit(
            second,
            "only POPE has several files of questions",
            "give one file of questions and one of answers",
        ));
    }
    Ok(match benchmark {
        Benchmark::Mmhal => Box::new(mmhal::Mmhal::read(first, files, templates)?),
        Benchmark::LlavaBench => Box::new(llava_bench::LlavaBench::read(first, files, templates)?),
        Benchmark::Pope => Box::new(pope::Pope::read(files)?),
        Benchmark::Mmbench => Box::new(mmbench::Mmbench::read(first, files)?),
        Benchmark::Chair => Box::new(chair::Chair::read(first, files)?),
        Benchmark::Own => Box::new(own::Own::read(first, files, templates)?),
    })
}

/// The first rows of a file, as many as are wanted.
fn limited<T>(mut rows: Vec<T>, files: &Files) -> Vec<T> {
    rows.truncate(files.limit.unwrap_or(usize::MAX));
    rows
}

/// A request without pictures, which whoever asks adds.
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
