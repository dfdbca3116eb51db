//! The symbolic reward: what a rule can say of an answer to a multiple-choice or yes/no question.
//!
//! | question | correct | wrong | neither |
//! |---|---|---|---|
//! | general | – | – | 0 |
//! | A to D | +1: starts with `B.` or says `correct option is B.` | – | 0 |
//! | truth is no | +0.5: starts with `No` | −0.5: starts with `Yes` | 0 |
//! | truth is yes | +0.5: starts with `Yes` | −0.5: starts with `No` | 0 |
//!
//! # Reference
//! The reference gives nothing for questions whose truth is yes, so a policy is paid for saying no and never for
//! saying yes ([`YesReward::Paper`]). The last line of the table is ours ([`YesReward::Symmetric`]).

use candor_data::AnswerType;

/// What an answer to a question whose truth is yes earns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YesReward {
    /// As much as for a question whose truth is no.
    Symmetric,
    /// Nothing: the reference's.
    Paper,
}

/// How correct an answer is, by rule: between −0.5 and 1, 0 where no rule applies.
///
/// White space before the answer does not count; case does. `Nothing` starts with `No`, as in the reference.
#[must_use]
pub fn correctness(answer: &str, answer_type: AnswerType, yes_reward: YesReward) -> f64 {
    let answer = answer.trim_start();
    match answer_type {
        AnswerType::General => 0.0,
        AnswerType::Option(choice) => {
            let letter = choice.letter();
            let said = answer.starts_with(&format!("{letter}."))
                || answer.contains(&format!("correct option is {letter}."));
            f64::from(u8::from(said))
        }
        AnswerType::No => said_first(answer, "No", "Yes"),
        AnswerType::Yes => match yes_reward {
            YesReward::Symmetric => said_first(answer, "Yes", "No"),
            YesReward::Paper => 0.0,
        },
    }
}

fn said_first(answer: &str, right: &str, wrong: &str) -> f64 {
    if answer.starts_with(right) {
        0.5
    } else if answer.starts_with(wrong) {
        -0.5
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candor_data::Choice;

    #[test]
    fn the_table() {
        let b = AnswerType::Option(Choice::B);
        let table = [
            ("anything", AnswerType::General, 0.0, 0.0),
            ("Yes", AnswerType::General, 0.0, 0.0),
            ("B. a dog", b, 1.0, 1.0),
            ("  B. a dog", b, 1.0, 1.0),
            ("It barks, so the correct option is B. a dog", b, 1.0, 1.0),
            ("The correct option is A. a cat", b, 0.0, 0.0),
            ("B", b, 0.0, 0.0),
            ("b. a dog", b, 0.0, 0.0),
            ("A. not B. either", b, 0.0, 0.0),
            ("No, there is not.", AnswerType::No, 0.5, 0.5),
            ("Nothing.", AnswerType::No, 0.5, 0.5),
            (" Yes.", AnswerType::No, -0.5, -0.5),
            ("There is no dog.", AnswerType::No, 0.0, 0.0),
            ("no", AnswerType::No, 0.0, 0.0),
            ("Yes", AnswerType::Yes, 0.5, 0.0),
            ("No", AnswerType::Yes, -0.5, 0.0),
            ("Maybe", AnswerType::Yes, 0.0, 0.0),
            ("", AnswerType::Yes, 0.0, 0.0),
        ];
        for (answer, answer_type, symmetric, paper) in table {
            let found = [YesReward::Symmetric, YesReward::Paper]
                .map(|yes| correctness(answer, answer_type, yes));
            // All of these are exact in binary.
            let bits = |pair: [f64; 2]| pair.map(f64::to_bits);
            let case = format!("{answer:?} to {answer_type:?}: {found:?}");
            assert_eq!(bits(found), bits([symmetric, paper]), "{case}");
        }
    }
}
