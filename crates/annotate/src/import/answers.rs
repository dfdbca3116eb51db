//! Answers that people rate one by one, in the format "Answers": each is an item of its own.

use std::collections::HashMap;
use std::path::Path;

use candor_data::formats::answers::{self, Answer};
use candor_data::preference::placeholder_fault;
use candor_data::{DataError, IMAGE_PLACEHOLDER, Spot, Turn};

use super::{Comparisons, place, question_type};
use crate::project::{Import, Kind};
use crate::store::NewItem;

/// The items of a file.
pub(super) fn read(import: &Import, file: &Path) -> Result<Comparisons, DataError> {
    let rows = answers::read(file)?;
    let mut first_rows: HashMap<String, usize> = HashMap::with_capacity(rows.len());
    let mut items = Vec::with_capacity(rows.len());
    for (i, row) in rows.into_iter().enumerate() {
        let item = item(import, file, i, row)?;
        if let Some(first) = first_rows.insert(item.name.clone(), i) {
            let found = format!("{:?}, which row {first} has too", item.name);
            let remedy = "give every answer an id of its own";
            return Err(fault(file, i, "id", found, remedy));
        }
        items.push(item);
    }
    Ok(Comparisons {
        rows: (0..items.len()).collect(),
        items,
        n_equal: 0,
        left_behind: None,
    })
}

fn fault(file: &Path, row: usize, field: &str, found: String, remedy: &'static str) -> DataError {
    DataError::Field {
        spot: Spot::new(file, place(row), field),
        found,
        remedy: remedy.into(),
    }
}

fn item(import: &Import, file: &Path, i: usize, row: Answer) -> Result<NewItem, DataError> {
    let missing = |field: &str| {
        let remedy = "people rate an answer by the question that it answers, and ratings come back under its id";
        fault(file, i, field, "missing".into(), remedy)
    };
    let name = row.id.ok_or_else(|| missing("id"))?;
    let question = row.question.ok_or_else(|| missing("question"))?;
    if let Some(image) = row.image.as_deref().filter(|image| image.contains('\n')) {
        let found = format!("item {name:?}: found a line break in the name of an image, {image:?}");
        let remedy = "name one image, since an answer that is rated has one at most";
        return Err(fault(file, i, "image", found, remedy));
    }
    let question = if row.image.is_some() && !question.contains(IMAGE_PLACEHOLDER) {
        format!("{IMAGE_PLACEHOLDER}\n{question}")
    } else {
        question
    };
    let turns = vec![Turn::human(question)];
    if let Some((field, found)) = placeholder_fault(&turns, row.image.as_deref(), [&row.text]) {
        let remedy = "write <image> once in the question, or not at all";
        return Err(fault(
            file,
            i,
            &field,
            format!("item {name:?}: {found}"),
            remedy,
        ));
    }
    let question_type = question_type::of(&turns[0].value).to_owned();
    Ok(NewItem {
        kind: Kind::Work,
        name,
        image_folder: row.image.is_some().then(|| import.image_folder()).flatten(),
        image: row.image,
        turns,
        outputs: vec![row.text],
        original_answer: None,
        known: None,
        question_type: Some(question_type),
        models: None,
        rank: 0,
    })
}
