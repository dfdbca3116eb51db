//! What the project file says of the questions.

use candor_recipe::Reader;

use super::reading::{stated, wrong};
use super::{Question, Questions, Ranking, Scale};

/// Both questions of the protocol.
pub(super) fn questions(file: &mut Reader) -> Questions {
    let Questions { first, second } = Questions::default();
    Questions {
        first: question(file, "questions.first", first),
        second: question(file, "questions.second", second),
    }
}

/// The scale in another language, all of it or nothing.
pub(super) fn scale(file: &mut Reader) -> Scale {
    if !file.has("questions.rating") {
        return Scale::default();
    }
    Scale {
        text: file
            .string("questions.rating.text", "The question.")
            .required(),
        ratings: file
            .strings(
                "questions.rating.scale",
                "What the ratings from 0 to 6 say; the first three are of answers that hallucinate.",
            )
            .check(|ratings| {
                if ratings.len() == Scale::N {
                    return Ok(());
                }
                wrong(
                    format!("{} ratings", ratings.len()),
                    "give seven, from 0 to 6",
                )
            })
            .required(),
    }
}

/// What is asked about three answers or more.
pub(super) fn ranking(file: &mut Reader) -> Ranking {
    Ranking {
        text: file
            .string(
                "questions.ranking.text",
                "What is asked about three answers or more.",
            )
            .check(|text| stated(text, "ask something"))
            .or(Ranking::default().text, "the best first"),
    }
}

/// A question and its answers, all of them or none.
fn question(file: &mut Reader, key: &str, absent: Question) -> Question {
    if !file.has(key) {
        return absent;
    }
    let mut of = |name, meaning| file.string(&format!("{key}.{name}"), meaning).required();
    Question {
        text: of("text", "The question."),
        a: of("a", "Picks the left answer."),
        b: of("b", "Picks the right answer."),
        tie: of("tie", "Picks neither."),
    }
}
