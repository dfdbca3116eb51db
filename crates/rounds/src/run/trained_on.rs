//! The images that earlier rounds were trained on. Where images come again, the borders of a round's parts may lie further on in the order
//! of the images than those of an earlier round, and what it holds out may have been trained on: how much is counted.

use std::collections::HashSet;

use candor_data::comparisons::{KeptRow, Parts};
use candor_data::rows::OnBadRow;
use candor_data::shown;
use candor_train::Judgements;

use crate::RoundsError;
use crate::round::Round;

/// The images, as long as they are known.
#[derive(Debug)]
pub(super) struct TrainedOn(Option<HashSet<String>>);

/// A comparison, of which only what it shows is looked at.
struct Shown;

impl KeptRow for Shown {
    type Held = ();

    fn held(&self) {}

    fn packed(&self) -> Vec<u8> {
        Vec::new()
    }

    fn unpacked(_: &[u8], _: Option<&str>, (): ()) -> Option<Self> {
        Some(Self)
    }
}

impl TrainedOn {
    /// None yet.
    pub(super) fn nothing() -> Self {
        Self(Some(HashSet::new()))
    }

    /// Takes in the images of the next round, and says how many of the comparisons that it holds out show one that a round before it was
    /// trained on. Nothing where that is not known: rows may be skipped, or the comparisons of a round are not there any more.
    ///
    /// # Errors
    /// The comparisons cannot be read.
    pub(super) fn count(&mut self, round: Round<'_>) -> Result<Option<usize>, RoundsError> {
        let (Some(mut images), Some(parts)) = (self.0.take(), parts(round)?) else {
            return Ok(None);
        };
        let seen = |row: &usize| names(&parts, *row).any(|name| images.contains(name));
        let n_seen = parts.held_out().filter(seen).count();
        for row in parts.train() {
            images.extend(names(&parts, row).map(str::to_owned));
        }
        self.0 = Some(images);
        Ok(Some(n_seen))
    }
}

/// The comparisons of a round by what they are for.
fn parts(round: Round<'_>) -> Result<Option<Parts<Shown>>, RoundsError> {
    let Judgements::Comparisons(set) = round.learning()?.0.judgements else {
        return Ok(None);
    };
    if set.on_bad_row == OnBadRow::Skip || !round.preferences().exists() {
        return Ok(None);
    }
    Ok(Some(set.read(None, |_| Ok(Shown))?))
}

/// The images that a row shows.
fn names(parts: &Parts<Shown>, row: usize) -> impl Iterator<Item = &str> {
    parts.shown(row).into_iter().flat_map(shown::names)
}

#[cfg(test)]
mod tests {
    use candor_data::formats::preference;
    use candor_data::{Preference, Turn, Verdict};

    use super::*;
    use crate::recipe::tests::{TEXT, read_text};

    /// A comparison about each of these images.
    fn write(round: Round<'_>, images: &[String]) {
        let rows = images.iter().map(|image| Preference {
            id: image.clone(),
            image: Some(image.clone()),
            turns: vec![Turn::human("<image>\nWhat?")],
            original_answer: None,
            outputs: ["A dog.", "A cat."].map(str::to_owned),
            fewer_hallucinations: Verdict::First,
            more_helpful: None,
            record: None,
            explanation: None,
        });
        let rows: Vec<Preference> = rows.collect();
        preference::write(&round.preferences(), &rows).unwrap();
    }

    /// By hand: of six images one is held out, one validates and four train. Of the same six again the same one is held out. Of the four
    /// alone, whichever is held out was trained on.
    #[test]
    fn what_is_held_out_after_it_was_trained_on_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let sets = [
            format!("run.out={:?}", at("out")),
            format!("data.root={:?}", at("")),
            "data.n_validation=1".to_owned(),
            "data.n_held_out=1".to_owned(),
        ];
        let sets = sets.each_ref().map(String::as_str);
        let recipe = read_text(TEXT, &sets).unwrap();
        let [first, second, third] = [1, 2, 3].map(|number| Round::new(&recipe, number));
        let all: Vec<String> = (0..6).map(|i| format!("{i}.png")).collect();
        write(first, &all);
        write(second, &all);
        let mut trained_on = TrainedOn::nothing();
        assert_eq!(trained_on.count(first).unwrap(), Some(0));
        let images = trained_on.0.clone().unwrap();
        assert_eq!(images.len(), 4);
        assert_eq!(trained_on.count(second).unwrap(), Some(0));
        write(third, &Vec::from_iter(images));
        assert_eq!(trained_on.count(third).unwrap(), Some(1));

        // A finished round does without its comparisons.
        std::fs::remove_file(second.preferences()).unwrap();
        let mut trained_on = TrainedOn::nothing();
        let counts = [first, second, third].map(|round| trained_on.count(round).unwrap());
        assert_eq!(counts, [Some(0), None, None]);
    }
}
