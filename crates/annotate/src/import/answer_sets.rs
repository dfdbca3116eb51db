//! Three to eight answers that people rank, in the format "Answer sets". Of equal answers the first is shown; what has fewer than three
//! different ones is left out and counted.

use std::path::Path;

use candor_data::formats::answer_sets::{self, AnswerSet, MIN_OUTPUTS};
use candor_data::preference::placeholder_fault;
use candor_data::{DataError, Spot};

use super::{Comparisons, check_images, place, question_type};
use crate::project::{Import, Kind};
use crate::store::NewItem;

/// The items of a file.
pub(super) fn read(import: &Import, file: &Path) -> Result<Comparisons, DataError> {
    items(import, file, answer_sets::read(file)?)
}

/// The items of the rows of a file.
pub(super) fn items(
    import: &Import,
    file: &Path,
    sets: Vec<AnswerSet>,
) -> Result<Comparisons, DataError> {
    let n_rows = sets.len();
    let (mut rows, mut items) = (Vec::new(), Vec::new());
    for (i, set) in sets.into_iter().enumerate() {
        check_set(file, i, &set)?;
        let outputs = differing(&set.outputs);
        if outputs.len() >= MIN_OUTPUTS {
            rows.push(i);
            items.push(item(import, set, outputs));
        }
    }
    Ok(Comparisons {
        n_equal: n_rows - items.len(),
        items,
        rows,
        left_behind: None,
    })
}

/// The answers without those that are one before them but for the blanks around it.
pub(crate) fn differing(outputs: &[String]) -> Vec<String> {
    let is_first = |&(i, output): &(usize, &String)| {
        let mut before = outputs[..i].iter();
        !before.any(|other| other.trim() == output.trim())
    };
    let firsts = outputs.iter().enumerate().filter(is_first);
    firsts.map(|(_, output)| output.clone()).collect()
}

/// Refuses what nobody could be asked sensibly or the reward stage would refuse.
pub(crate) fn check_set(file: &Path, i: usize, set: &AnswerSet) -> Result<(), DataError> {
    let image = set.image.as_deref();
    check_images(file, i, &set.id, image)?;
    for (number, output) in set.outputs.iter().enumerate() {
        if let Some((field, found)) = placeholder_fault(&set.turns, image, [output]) {
            // The answer was looked at by itself.
            let field = field.replace("outputs[0]", &format!("outputs[{number}]"));
            return Err(DataError::Field {
                spot: Spot::new(file, place(i), field),
                found: format!("item {:?}: {found}", set.id),
                remedy: "name the images in the row, and write <image> once for each of them in its first question"
                    .into(),
            });
        }
    }
    Ok(())
}

fn item(import: &Import, set: AnswerSet, outputs: Vec<String>) -> NewItem {
    let question = set.turns.last();
    let question_type = question.map(|turn| question_type::of(&turn.value).to_owned());
    NewItem {
        kind: Kind::Work,
        name: set.id,
        image_folder: set.image.is_some().then(|| import.image_folder()).flatten(),
        image: set.image,
        turns: set.turns,
        outputs,
        original_answer: set.original_answer,
        known: None,
        question_type,
        models: None,
        rank: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_answers_the_first_is_shown() {
        let outputs = ["a", "b", " a\n", "c", "b"].map(str::to_owned);
        assert_eq!(differing(&outputs), ["a", "b", "c"]);
    }
}
