//! MMBench: a table with tab-separated, possibly quoted fields, one question to a row, images inside.
//!
//! Columns are found by name, in any order; those that are not known are dropped. A missing value is empty
//! or `nan`. An image is base64, or, if it has at most 64 characters, the index of the row that holds it.
//! In the circular files a question comes several times with its options turned, at indices that differ by
//! multiples of a million. There is no writer.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::table::{Fault, Numbering, Table, fault};
use super::text::{self, Format, empty};
use crate::error::{DataError, Place, Spot};

const FORMAT: Format = Format {
    name: "MMBench",
    expected: "a header and rows of tab-separated fields",
};

/// Longer images are refused before they are decoded.
pub const MAX_IMAGE_CHARS: usize = 64 << 20;
/// Images of at most so many characters are the index of another row.
const MAX_REFERENCE_CHARS: usize = 64;
/// Indices that differ by multiples of this are one question with its options turned.
const TURN: u64 = 1_000_000;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Key in the file.
    pub index: u64,
    /// The question.
    pub question: String,
    /// What is told before it.
    pub hint: Option<String>,
    /// Options by their letter.
    pub options: BTreeMap<char, String>,
    /// The right letter; the test files keep it to themselves.
    pub answer: Option<char>,
    /// What it tests.
    pub category: Option<String>,
    /// A wider kind of what it tests.
    pub l2_category: Option<String>,
    /// `dev` or `test`.
    pub split: Option<String>,
    /// Its image.
    pub image: Image,
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Here: base64 of a JPEG, PNG or WebP file.
    Base64(String),
    /// In the row with this index.
    Row(u64),
}

impl Question {
    /// The index that all turns of a question share.
    #[must_use]
    pub fn group(&self) -> u64 {
        self.index % TURN
    }
}

/// The file of a question's image, decoded from base64.
///
/// # Errors
/// The text is not base64. `path` names the table in the message.
pub fn image(path: &Path, rows: &[Question], question: &Question) -> Result<Vec<u8>, DataError> {
    let holder = match question.image {
        Image::Base64(_) => Some(question),
        Image::Row(index) => rows.iter().find(|row| row.index == index),
    };
    let Some((holder, Image::Base64(text))) = holder.map(|row| (row, &row.image)) else {
        return Err(in_row(
            path,
            question.index,
            "is of no row that holds an image".to_owned(),
        ));
    };
    STANDARD
        .decode(text)
        .map_err(|error| in_row(path, holder.index, format!("not base64: {error}")))
}

fn in_row(path: &Path, index: u64, found: String) -> DataError {
    DataError::Field {
        spot: Spot::new(path, Place::Key(index.to_string()), "image"),
        found,
        remedy: FORMAT.remedy().into(),
    }
}

/// Which field each column is.
struct Columns<'a>(Vec<&'a str>);

impl Columns<'_> {
    /// The value in the column of this name: none if the column or the value is missing.
    fn get<'r>(&self, record: &'r csv::StringRecord, name: &str) -> Option<&'r str> {
        let value = record
            .get(self.0.iter().position(|column| *column == name)?)?
            .trim();
        (!value.is_empty() && !value.eq_ignore_ascii_case("nan")).then_some(value)
    }
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b'\t')
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let refuse = |line: usize, (field, found): Fault| DataError::Field {
        spot: Spot::new(path, Place::Line(line), field),
        found,
        remedy: FORMAT.remedy().into(),
    };
    let unreadable = |error: csv::Error| {
        let line = error
            .position()
            .map_or(1, |position| position.line() as usize);
        refuse(line, (String::new(), format!("not a table: {error}")))
    };
    let Some(header) = records.next().transpose().map_err(unreadable)? else {
        return Err(empty(path, Place::File, "", &FORMAT));
    };
    let columns = Columns(header.iter().map(str::trim).collect());
    for name in ["index", "question", "A", "B", "image"] {
        if !columns.0.contains(&name) {
            let found = format!("no such column, found {:?}", shown(&columns.0.join(", ")));
            return Err(refuse(1, (name.to_owned(), found)));
        }
    }
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for record in records {
        let record = record.map_err(unreadable)?;
        let line = record
            .position()
            .map_or(1, |position| position.line() as usize);
        if record.len() != columns.0.len() {
            let found = format!(
                "found {} fields, the header has {}",
                record.len(),
                columns.0.len()
            );
            return Err(refuse(line, (String::new(), found)));
        }
        rows.push(question(&columns, &record).map_err(|fault| refuse(line, fault))?);
        lines.push(line);
    }
    if rows.is_empty() {
        return Err(empty(path, Place::Line(1), "", &FORMAT));
    }
    let table = Table {
        path,
        format: &FORMAT,
        numbering: Numbering::Lines(&lines),
        rows: &rows,
    };
    let holders: std::collections::HashSet<u64> = rows
        .iter()
        .filter(|row| matches!(row.image, Image::Base64(_)))
        .map(|row| row.index)
        .collect();
    table
        .unique("index", |row| row.index)?
        .each(|row| match row.image {
            Image::Row(index) if !holders.contains(&index) => fault(
                "image",
                format!("found {index}, which is of no row that holds an image"),
            ),
            _ => None,
        })?;
    Ok(rows)
}

fn question(columns: &Columns<'_>, record: &csv::StringRecord) -> Result<Question, Fault> {
    let owned = |name: &str| columns.get(record, name).map(str::to_owned);
    let needed = |name: &str| {
        let missing = || (name.to_owned(), "found nothing".to_owned());
        columns.get(record, name).ok_or_else(missing)
    };
    let number = |name: &str, text: &str| {
        let wrong = |_| {
            (
                name.to_owned(),
                format!("found {:?}, expected a number", shown(text)),
            )
        };
        text.parse::<u64>().map_err(wrong)
    };
    let mut options = BTreeMap::new();
    for letter in 'A'..='Z' {
        if let Some(option) = owned(&letter.to_string()) {
            options.insert(letter, option);
        }
    }
    if options.len() < 2 {
        return Err(("A".to_owned(), "found fewer than two options".to_owned()));
    }
    let answer = match columns.get(record, "answer") {
        None => None,
        Some(text) => match (text.chars().next(), text.chars().count()) {
            (Some(letter), 1) if options.contains_key(&letter) => Some(letter),
            _ => {
                let found = format!("found {:?}, which is the letter of no option", shown(text));
                return Err(("answer".to_owned(), found));
            }
        },
    };
    let image = needed("image")?;
    let image = match image.len() {
        0..=MAX_REFERENCE_CHARS => Image::Row(number("image", image)?),
        length if length > MAX_IMAGE_CHARS => {
            let found = format!("found {length} characters, more than {MAX_IMAGE_CHARS}");
            return Err(("image".to_owned(), found));
        }
        _ => Image::Base64(image.to_owned()),
    };
    Ok(Question {
        index: number("index", needed("index")?)?,
        question: needed("question")?.to_owned(),
        hint: owned("hint"),
        options,
        answer,
        category: owned("category"),
        l2_category: owned("l2-category").or_else(|| owned("l2_category")),
        split: owned("split"),
        image,
    })
}

/// The beginning of a text, for messages.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Question>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "candor" eleven times over in base64, 88 characters.
    const PIXELS: &str =
        "Y2FuZG9yY2FuZG9yY2FuZG9yY2FuZG9yY2FuZG9yY2FuZG9yY2FuZG9yY2FuZG9yY2FuZG9yY2FuZG9yY2FuZG9y";

    fn table(rows: &str) -> Vec<Question> {
        let text = format!("index\tquestion\thint\tA\tB\tC\tanswer\timage\tcategory\n{rows}");
        parse(Path::new("mmbench.tsv"), &text).unwrap()
    }

    #[test]
    fn quotes_tabs_and_lines_inside_fields_are_text() {
        let rows = table(
            &format!(
                "3\t\"What \"\"is\"\"\tthis?\nSay.\"\tnan\tA cup\t\tNaN\tA\t{PIXELS}\tobject\n\
             1000003\tWhat?\tHint\tx\tA cup\t\tB\t3\t\n"
            )
            .replace("A cup\t\tNaN\tA", "A cup\tA dish\tNaN\tA"),
        );
        assert_eq!(rows[0].question, "What \"is\"\tthis?\nSay.");
        assert_eq!(rows[0].hint, None);
        let options: Vec<(char, &str)> = rows[0]
            .options
            .iter()
            .map(|(l, o)| (*l, o.as_str()))
            .collect();
        assert_eq!(options, [('A', "A cup"), ('B', "A dish")]);
        assert_eq!((rows[0].answer, rows[1].answer), (Some('A'), Some('B')));
        assert_eq!((rows[1].group(), rows[1].image.clone()), (3, Image::Row(3)));
        let path = Path::new("mmbench.tsv");
        let expected = b"candor".repeat(11);
        assert_eq!(image(path, &rows, &rows[0]).unwrap(), expected);
        assert_eq!(image(path, &rows, &rows[1]).unwrap(), expected);
    }

    #[test]
    fn an_image_that_is_no_base64_is_named_by_its_row() {
        let rows = table(&format!("3\tQ\t\tx\ty\t\tA\t{}\t\n", "?".repeat(70)));
        let message = image(Path::new("t.tsv"), &rows, &rows[0])
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("row \"3\", field `image`: not base64"),
            "{message}"
        );
    }
}
