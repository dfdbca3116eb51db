//! Answers that are still being given, and what they come to.

use candor_data::Side;
use serde::{Deserialize, Serialize};

use super::limits::{check_corrections, check_marks, check_note, check_single};
use super::ranking::{check_bare, check_begun};
use super::rating::check_rating;
use super::{Answer, Corrections, Mark, Order, Pick, texts, turned_corrections, turned_marks};
use crate::error::Refusal;

/// An answer that is still being given: everything may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// As in [`Answer`].
    #[serde(default)]
    pub first: Option<Pick>,
    /// As in [`Answer`].
    #[serde(default)]
    pub second: Option<Pick>,
    /// As in [`Answer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<u8>,
    /// As in [`Answer`], with 0 for an answer that has no rank yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranking: Option<Vec<u8>>,
    /// As in [`Answer`].
    #[serde(default)]
    pub marks: Option<Vec<Mark>>,
    /// As in [`Answer`].
    #[serde(default)]
    pub corrections: Option<Corrections>,
    /// As in [`Answer`].
    #[serde(default)]
    pub note: Option<String>,
}

impl From<Answer> for Draft {
    fn from(answer: Answer) -> Self {
        let is_compared = answer.rating.is_none() && answer.ranking.is_none();
        Self {
            first: is_compared.then_some(answer.first),
            second: answer.second.filter(|_| is_compared),
            rating: answer.rating,
            ranking: answer.ranking,
            marks: Some(answer.marks),
            corrections: Some(answer.corrections),
            note: answer.note,
        }
    }
}

/// An answer of which everything is given.
impl TryFrom<Draft> for Answer {
    type Error = Refusal;

    fn try_from(draft: Draft) -> Result<Self, Refusal> {
        let said = (draft.first, draft.second, draft.rating, &draft.ranking);
        let (first, second) = match said {
            (Some(first), second, None, None) => (first, second),
            // Nothing is compared.
            (None, None, Some(_), None) | (None, None, None, Some(_)) => {
                (Pick::Tie, Some(Pick::Tie))
            }
            (_, _, Some(_), None) => {
                let remedy = "compare two answers, or rate the one that is shown";
                return Err(Refusal::invalid("rating", "found beside a pick", remedy));
            }
            (_, _, _, Some(_)) => {
                let remedy = "rank three answers or more, and say nothing else of them";
                let found = "found beside a pick or a rating";
                return Err(Refusal::invalid("ranking", found, remedy));
            }
            (None, _, None, None) => {
                let remedy = "answer the first question, or rate the answer that is shown by itself, or rank several";
                return Err(Refusal::invalid("first", "missing", remedy));
            }
        };
        Ok(Self {
            first,
            second,
            rating: draft.rating,
            ranking: draft.ranking,
            marks: draft.marks.unwrap_or_default(),
            corrections: draft.corrections.unwrap_or_default(),
            note: draft.note,
        })
    }
}

impl Draft {
    /// As [`Answer::turned`].
    #[must_use]
    pub fn turned(self, left: Side) -> Self {
        if left == Side::First {
            return self;
        }
        Self {
            first: self.first.map(|pick| pick.turned(left)),
            second: self.second.map(|pick| pick.turned(left)),
            rating: self.rating,
            ranking: self.ranking,
            marks: self.marks.map(turned_marks),
            corrections: self.corrections.map(turned_corrections),
            note: self.note,
        }
    }

    /// As [`Answer::stored`].
    #[must_use]
    pub fn stored(self, order: &Order) -> Self {
        let ranking = self.ranking.as_deref().map(|said| order.of_outputs(said));
        Self {
            ranking,
            ..self.turned(order.left())
        }
    }

    /// As [`Answer::shown`].
    #[must_use]
    pub fn shown(self, order: &Order) -> Self {
        let ranking = self.ranking.as_deref().map(|said| order.of_places(said));
        Self {
            ranking,
            ..self.turned(order.left())
        }
    }

    /// Checks what is there already, as [`Answer::check_for`] does: it must fit its limits, and belong to an item with these answers.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn check_for(&self, outputs: &[String]) -> Result<(), Refusal> {
        check_rating(self.rating)?;
        let (is_rated, is_ranked) = (outputs.len() == 1, outputs.len() > 2);
        let is_compared = !is_rated && !is_ranked;
        for (field, is_foreign) in [
            ("first", !is_compared && self.first.is_some()),
            ("second", !is_compared && self.second.is_some()),
            ("rating", !is_rated && self.rating.is_some()),
            ("ranking", !is_ranked && self.ranking.is_some()),
        ] {
            if is_foreign {
                let remedy = "compare two answers, rate the one that is shown, or rank several";
                let found = format!("found beside {} answers", outputs.len());
                return Err(Refusal::invalid(field, found, remedy));
            }
        }
        if is_ranked {
            if let Some(ranking) = &self.ranking {
                check_begun(ranking, outputs.len())?;
            }
            let corrections = self.corrections.clone().unwrap_or_default();
            check_bare(self.marks.as_deref().unwrap_or_default(), &corrections)?;
            return check_note(self.note.as_deref());
        }
        if let Some(corrections) = &self.corrections {
            check_single(outputs, corrections)?;
        }
        check_marks(self.marks.as_deref().unwrap_or_default(), texts(outputs))?;
        self.corrections
            .as_ref()
            .map_or(Ok(()), check_corrections)?;
        check_note(self.note.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_is_rated_and_two_are_compared() {
        let outputs = ["x", "y"].map(str::to_owned);
        let of = |first, second, rating| {
            let draft = Draft {
                first,
                second,
                rating,
                ..Draft::default()
            };
            Answer::try_from(draft)
        };
        let field = |said: Result<Answer, Refusal>, n: usize| match said
            .and_then(|answer| answer.check_for(&outputs[..n]))
        {
            Ok(()) => String::new(),
            Err(Refusal::Invalid { field, .. }) => field,
            Err(other) => panic!("{other}"),
        };
        for (first, second, rating, of_one, of_two) in [
            (None, None, Some(0), "", "rating"),
            (None, None, Some(6), "", "rating"),
            (None, None, Some(7), "rating", "rating"),
            (Some(Pick::A), None, None, "rating", ""),
            (Some(Pick::A), None, Some(3), "rating", "rating"),
            (None, Some(Pick::A), Some(3), "rating", "rating"),
            (None, None, None, "first", "first"),
        ] {
            assert_eq!(
                field(of(first, second, rating), 1),
                of_one,
                "{first:?} {rating:?}"
            );
            assert_eq!(
                field(of(first, second, rating), 2),
                of_two,
                "{first:?} {rating:?}"
            );
        }
        let rated = of(None, None, Some(4)).unwrap();
        let twice = Answer {
            corrections: Corrections {
                a: None,
                b: Some("z".into()),
            },
            ..rated.clone()
        };
        assert_eq!(field(Ok(twice), 1), "corrections.b");
        let text = serde_json::to_string(&Draft::from(rated)).unwrap();
        assert!(
            text.starts_with(r#"{"first":null,"second":null,"rating":4,"#),
            "{text}"
        );
    }

    #[test]
    fn drafts_hold_nothing_of_other_items() {
        let outputs = ["x", "y"].map(str::to_owned);
        let none = Draft::default;
        let corrected = Corrections {
            a: None,
            b: Some("z".into()),
        };
        for (draft, of_one, of_two) in [
            (none(), "", ""),
            (
                Draft {
                    first: Some(Pick::A),
                    ..none()
                },
                "first",
                "",
            ),
            (
                Draft {
                    second: Some(Pick::Tie),
                    ..none()
                },
                "second",
                "",
            ),
            (
                Draft {
                    rating: Some(3),
                    ..none()
                },
                "",
                "rating",
            ),
            (
                Draft {
                    corrections: Some(corrected),
                    ..none()
                },
                "corrections.b",
                "",
            ),
        ] {
            for (n, expected) in [(1, of_one), (2, of_two)] {
                let found = match draft.check_for(&outputs[..n]) {
                    Ok(()) => String::new(),
                    Err(Refusal::Invalid { field, .. }) => field,
                    Err(other) => panic!("{other}"),
                };
                assert_eq!(found, expected, "{draft:?} of {n}");
            }
        }
    }
}
