//! Answers that other tools wrote: JSON lines, or one JSON list.
//!
//! Tools agree on little. An answer stands under `text`, `answer`, `response`, `caption` or `model_answer`;
//! its question is named by `question_id`, `id` or `index`, by `image` or `image_id`, by the words of
//! `question`, or only by its place in the file. What names it is kept as found; who scores the answers
//! knows which of these their benchmark goes by. candor's own answers also say how many tokens they have and whether they
//! ended by themselves, in `n_tokens` and `finished`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::rows;
use super::table::{Fault, Numbering, Table, fault};
use super::text::{self, Format};
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "Answers",
    expected: "JSON lines or a JSON list of answers",
};

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The question's id.
    pub id: Option<String>,
    /// The image that was asked about: its file name, or its number in COCO.
    pub image: Option<String>,
    /// The question's words.
    pub question: Option<String>,
    /// The answer.
    pub text: String,
    /// Its tokens, the end token not counted, where candor wrote it.
    pub n_tokens: Option<usize>,
    /// Whether it ended by itself rather than at the limit, where candor wrote it.
    pub finished: Option<bool>,
}

/// A number or a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Name {
    Number(u64),
    Text(String),
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        match name {
            Name::Number(number) => number.to_string(),
            Name::Text(text) => text,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Row {
    question_id: Option<Name>,
    id: Option<Name>,
    index: Option<Name>,
    image: Option<Name>,
    image_id: Option<Name>,
    question: Option<String>,
    text: Option<String>,
    answer: Option<String>,
    response: Option<String>,
    caption: Option<String>,
    model_answer: Option<String>,
    // What other tools mean by these is not known.
    n_tokens: Option<Value>,
    finished: Option<Value>,
}

impl Row {
    fn texts(&self) -> Vec<(&'static str, &String)> {
        let fields = [
            ("text", &self.text),
            ("answer", &self.answer),
            ("response", &self.response),
            ("caption", &self.caption),
            ("model_answer", &self.model_answer),
        ];
        let present = fields.into_iter();
        present
            .filter_map(|(name, text)| Some((name, text.as_ref()?)))
            .collect()
    }

    /// What makes it unclear which text is the answer, if anything does.
    fn fault(&self) -> Option<Fault> {
        match self.texts().as_slice() {
            [_] => None,
            [] => fault(
                "text",
                "missing, and so are `answer`, `response`, `caption` and `model_answer`",
            ),
            [(first, _), (second, _), ..] => fault(
                *second,
                format!("found beside `{first}`, so the answer is not clear"),
            ),
        }
    }

    fn answer(self) -> Answer {
        let text = self.texts().first().map(|(_, text)| (*text).clone());
        Answer {
            text: text.unwrap_or_default(),
            id: self.question_id.or(self.id).or(self.index).map(Into::into),
            image: self.image.or(self.image_id).map(Into::into),
            question: self.question,
            n_tokens: self
                .n_tokens
                .and_then(|n| usize::try_from(n.as_u64()?).ok()),
            finished: self.finished.and_then(|finished| finished.as_bool()),
        }
    }
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming row or line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Answer>, DataError> {
    let (rows, lines): (Vec<Row>, Option<Vec<usize>>) = if text.trim_start().starts_with('[') {
        (rows::list(path, text, &FORMAT)?, None)
    } else {
        let (rows, lines) = rows::lines(path, text, &FORMAT)?;
        (rows, Some(lines))
    };
    let numbering = || {
        lines
            .as_ref()
            .map_or(Numbering::List, |lines| Numbering::Lines(lines))
    };
    let table = Table {
        path,
        format: &FORMAT,
        numbering: numbering(),
        rows: &rows,
    };
    table.not_empty()?.each(Row::fault)?;
    Ok(rows.into_iter().map(Row::answer).collect())
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Answer>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Answer {
        parse(Path::new("answers"), text).unwrap().remove(0)
    }

    #[test]
    fn the_words_of_several_tools_are_understood() {
        let llava =
            one(r#"{"question_id":7,"prompt":"Q?","text":"A cup.","answer_id":"x","metadata":{}}"#);
        assert_eq!(
            (llava.id.as_deref(), llava.text.as_str()),
            (Some("7"), "A cup.")
        );
        let pope = one(r#"{"question":"Is there a cat?","answer":"no"}"#);
        assert_eq!(
            (pope.id, pope.question.as_deref()),
            (None, Some("Is there a cat?"))
        );
        let coco = one(r#"[{"image_id":42,"caption":"A dog."}]"#);
        assert_eq!(
            (coco.image.as_deref(), coco.text.as_str()),
            (Some("42"), "A dog.")
        );
        let ours = one(r#"{"id":"1","answer":"A cup.","n_tokens":4,"finished":false}"#);
        assert_eq!((ours.n_tokens, ours.finished), (Some(4), Some(false)));
        let theirs = one(r#"{"id":"1","answer":"A cup.","n_tokens":"4","finished":"stop"}"#);
        assert_eq!((theirs.n_tokens, theirs.finished), (None, None));
        let mmhal =
            one(r#"[{"image_id":"ab","question":"Q?","gt_answer":"A","model_answer":"B"}]"#);
        assert_eq!(
            (mmhal.text.as_str(), mmhal.image.as_deref()),
            ("B", Some("ab"))
        );
    }
}
