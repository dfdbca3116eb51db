//! The habits of people: which side they pick, how often they see a tie, how fast they are, how often they are right.

use std::collections::BTreeMap;

use candor_data::Side;
use candor_stats::bootstrap::ratio;

use super::{Estimate, PersonQuality, cluster, estimates};
use crate::answer::Pick;
use crate::store::{Evidence, Given, GoldAnswer, Judged};

/// One answer, and whether the others agree with it.
pub(super) struct Answered<'a> {
    image: &'a str,
    given: &'a Given,
    with_majority: Option<bool>,
}

/// What answers have in common.
pub(super) struct Habits {
    pub left: Estimate,
    pub tie: Estimate,
    pub majority: Estimate,
}

/// All answers to work.
pub(super) fn of_all(items: &[Judged]) -> Vec<Answered<'_>> {
    items
        .iter()
        .flat_map(|item| {
            item.answers.iter().map(|given| Answered {
                image: cluster(item),
                given,
                with_majority: with_majority(&item.answers, given),
            })
        })
        .collect()
}

/// Whether an answer is what more than half of the others say; none where the others have no majority.
fn with_majority(answers: &[Given], given: &Given) -> Option<bool> {
    let others: Vec<Pick> = answers
        .iter()
        .filter(|other| other.person != given.person)
        .map(|other| other.answer.preference())
        .collect();
    let n_of = |pick: Pick| others.iter().filter(|&&other| other == pick).count();
    let majority = [Pick::A, Pick::B, Pick::Tie]
        .into_iter()
        .find(|&pick| 2 * n_of(pick) > others.len())?;
    Some(given.answer.preference() == majority)
}

/// Whether the picked answer stood on the left; none where neither was picked.
fn picked_left(given: &Given) -> Option<bool> {
    Some(
        given
            .answer
            .preference()
            .turned(given.order.left())
            .side()?
            == Side::First,
    )
}

/// The share of `true` among those that are anything.
fn share<'a>(
    answers: &[&'a Answered<'a>],
    what: impl Fn(&Answered<'a>) -> Option<bool>,
) -> Option<f64> {
    let (mut part, mut whole) = (0.0, 0.0);
    for answered in answers {
        if let Some(yes) = what(answered) {
            part += f64::from(u8::from(yes));
            whole += 1.0;
        }
    }
    ratio(part, whole)
}

/// The habits that answers show.
pub(super) fn habits(answers: &[Answered<'_>], seed: u64) -> Habits {
    let [left, tie, majority] = estimates(
        answers,
        seed,
        |answered| answered.image,
        |answers| {
            [
                share(answers, |answered| picked_left(answered.given)),
                share(answers, |answered| {
                    Some(answered.given.answer.first == Pick::Tie)
                }),
                share(answers, |answered| answered.with_majority),
            ]
        },
    );
    Habits {
        left,
        tie,
        majority,
    }
}

/// Everybody who gave an answer.
pub(super) fn qualities(evidence: &Evidence, seed: u64) -> Vec<PersonQuality> {
    let mut by_person: BTreeMap<&str, Vec<Answered<'_>>> = BTreeMap::new();
    for answered in of_all(&evidence.items) {
        by_person
            .entry(answered.given.person.as_str())
            .or_default()
            .push(answered);
    }
    // The times of ratings and rankings, of which there are no other figures here.
    let mut others: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let rated = evidence.rated.iter().flat_map(|item| &item.answers);
    let ranked = evidence.ranked.iter().flat_map(|item| &item.answers);
    for given in rated.chain(ranked) {
        let times = others.entry(given.person.as_str()).or_default();
        times.push(given.active_ms);
    }
    evidence
        .people
        .iter()
        .map(|(person, name)| {
            let answers = by_person.remove(person.as_str()).unwrap_or_default();
            let others = others.remove(person.as_str()).unwrap_or_default();
            let gold: Vec<&GoldAnswer> = evidence
                .gold
                .iter()
                .filter(|answer| answer.person == *person)
                .collect();
            let habits = habits(&answers, seed);
            PersonQuality {
                person: person.clone(),
                name: name.clone(),
                n_answers: answers.len() + others.len(),
                median_secs: median_secs(
                    answers
                        .iter()
                        .map(|answered| answered.given.active_ms)
                        .chain(others),
                ),
                left_rate: habits.left,
                tie_rate: habits.tie,
                gold_accuracy: gold_accuracy(&gold, seed),
                n_gold: gold.len(),
                majority_rate: habits.majority,
            }
        })
        .collect()
}

fn gold_accuracy(gold: &[&GoldAnswer], seed: u64) -> Estimate {
    let rows: Vec<(String, bool)> = gold
        .iter()
        .map(|answer| (answer.item.to_string(), answer.correct))
        .collect();
    let [accuracy] = estimates(
        &rows,
        seed,
        |row| &row.0,
        |rows| {
            let right = rows.iter().filter(|row| row.1).count();
            [ratio(right as f64, rows.len() as f64)]
        },
    );
    accuracy
}

/// The median of milliseconds, in seconds.
pub(super) fn median_secs(times: impl Iterator<Item = i64>) -> Option<f64> {
    let mut times: Vec<i64> = times.collect();
    times.sort_unstable();
    let middle = times.len() / 2;
    let median = match times.len() {
        0 => return None,
        n if n % 2 == 1 => times[middle] as f64,
        _ => f64::midpoint(times[middle - 1] as f64, times[middle] as f64),
    };
    Some(median / 1000.0)
}
