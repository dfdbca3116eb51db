//! From what several people said to one preference.

use std::collections::HashMap;

use candor_data::{Preference, Record, Verdict};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Pick};
use crate::store::{Evidence, Given, GoldAnswer, Judged};

/// The rule by which answers become a preference. Under each, an item that most would call undecided is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// What more than half of the annotators prefer; decisions of adjudicators do not count.
    Majority,
    /// What an adjudicator decided; the majority where nobody had to.
    Adjudicated,
    /// What more than half of the annotators' weight prefers. A person's weight is the log-odds of being right on gold,
    /// ln(p / (1 − p)) with p = (right + 1) / (answered + 2), and 0 for those who are right less than half of the
    /// time. Who met no gold weighs as if right on two thirds.
    Weighted,
}

/// Chance of being right of somebody who met no gold.
const UNKNOWN_ACCURACY: f64 = 2.0 / 3.0;

/// What the words of people weigh under a rule.
pub(super) struct Weights<'a> {
    rule: Aggregate,
    of_people: HashMap<&'a str, f64>,
}

impl<'a> Weights<'a> {
    /// By the answers to gold that the rule may ask for.
    pub(super) fn new(evidence: &'a Evidence, rule: Aggregate) -> Self {
        Self {
            rule,
            of_people: weights(&evidence.gold),
        }
    }

    /// What somebody's word weighs.
    pub(super) fn of(&self, given: &Given) -> f64 {
        match self.rule {
            Aggregate::Weighted => {
                let known = self.of_people.get(given.person.as_str());
                known.copied().unwrap_or(log_odds(UNKNOWN_ACCURACY))
            }
            Aggregate::Majority | Aggregate::Adjudicated => 1.0,
        }
    }
}

/// The closed items that the rule decides, as preferences.
pub(super) fn preferences(evidence: &Evidence, rule: Aggregate, seed: u64) -> Vec<Preference> {
    let weights = Weights::new(evidence, rule);
    let weight = |given: &Given| weights.of(given);
    let decided = |item: &Judged| {
        let decision = item
            .decision
            .as_ref()
            .filter(|_| rule == Aggregate::Adjudicated);
        match decision {
            Some(decision) => {
                let answer = &decision.answer;
                let winner = answer.preference();
                (winner != Pick::Tie).then(|| {
                    preference(
                        item,
                        answer.first != Pick::Tie,
                        winner,
                        Some(decision),
                        seed,
                    )
                })
            }
            None => voted(item, &weight, seed),
        }
    };
    evidence
        .items
        .iter()
        .filter(|item| item.is_closed)
        .filter_map(decided)
        .collect()
}

fn log_odds(p: f64) -> f64 {
    (p / (1.0 - p)).ln().max(0.0)
}

/// The weight of everybody who met gold.
fn weights(gold: &[GoldAnswer]) -> HashMap<&str, f64> {
    let mut counts: HashMap<&str, (f64, f64)> = HashMap::new();
    for answer in gold {
        let (right, all) = counts.entry(answer.person.as_str()).or_default();
        *right += f64::from(u8::from(answer.correct));
        *all += 1.0;
    }
    counts
        .into_iter()
        .map(|(person, (right, all))| (person, log_odds((right + 1.0) / (all + 2.0))))
        .collect()
}

/// What more than half of the weight prefers.
fn voted(item: &Judged, weight: &impl Fn(&Given) -> f64, seed: u64) -> Option<Preference> {
    let total = |answers: &mut dyn Iterator<Item = &Given>| answers.map(weight).sum::<f64>();
    let all = total(&mut item.answers.iter());
    let prefers = |given: &Given, pick: Pick| given.answer.preference() == pick;
    let winner = [Pick::A, Pick::B].into_iter().find(|&pick| {
        2.0 * total(&mut item.answers.iter().filter(|given| prefers(given, pick))) > all
    })?;
    let supporters = || item.answers.iter().filter(|given| prefers(given, winner));
    let by_first = |answer: &Answer| answer.first != Pick::Tie;
    let first = total(&mut supporters().filter(|given| by_first(&given.answer)));
    let by_first = 2.0 * first > total(&mut supporters());
    let only = match item.answers.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    Some(preference(item, by_first, winner, only, seed))
}

/// The preference for `winner`, by the first question or after a tie; with a record where one person's word stands.
fn preference(
    item: &Judged,
    by_first: bool,
    winner: Pick,
    only: Option<&Given>,
    seed: u64,
) -> Preference {
    Preference {
        id: item.name.clone(),
        image: item.image.clone(),
        turns: item.turns.clone(),
        original_answer: item.original_answer.clone(),
        outputs: item.outputs.clone(),
        fewer_hallucinations: if by_first {
            winner.into()
        } else {
            Verdict::Tie
        },
        more_helpful: if by_first { None } else { winner.side() },
        record: only.map(|given| Record {
            annotator: given.name.clone(),
            unix_secs: (given.answered_at / 1000) as u64,
            seed,
            shown_left: given.order.left(),
        }),
        explanation: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Corrections, Order};
    use candor_data::{Side, Turn};

    fn given(person: &str, first: Pick, second: Option<Pick>) -> Given {
        Given {
            person: person.into(),
            name: person.into(),
            answer: Answer {
                first,
                second,
                rating: None,
                ranking: None,
                marks: Vec::new(),
                corrections: Corrections::default(),
                note: None,
            },
            order: Order::pair(Side::Second),
            active_ms: 0,
            answered_at: 7_000,
        }
    }

    fn item(answers: Vec<Given>, decision: Option<Given>) -> Judged {
        Judged {
            item: 1,
            name: "p".into(),
            image: None,
            turns: vec![Turn::human("q")],
            outputs: ["one".into(), "two".into()],
            original_answer: None,
            question_type: None,
            models: None,
            is_closed: true,
            is_disputed: false,
            answers,
            decision,
        }
    }

    fn chosen(item: Judged, gold: &[(&str, bool)], rule: Aggregate) -> Option<String> {
        let gold = gold.iter().map(|&(person, correct)| GoldAnswer {
            person: person.into(),
            item: 9,
            correct,
        });
        let evidence = Evidence {
            people: Vec::new(),
            items: vec![item],
            rated: Vec::new(),
            ranked: Vec::new(),
            gold: gold.collect(),
        };
        let rows = preferences(&evidence, rule, 3);
        rows.first().and_then(Preference::chosen).map(str::to_owned)
    }

    #[test]
    fn more_than_half_is_a_majority_and_half_is_none() {
        let two_to_one = vec![
            given("x", Pick::B, None),
            given("y", Pick::Tie, Some(Pick::B)),
            given("z", Pick::A, None),
        ];
        assert_eq!(
            chosen(item(two_to_one, None), &[], Aggregate::Majority).as_deref(),
            Some("two")
        );
        let split = vec![given("x", Pick::B, None), given("y", Pick::A, None)];
        assert_eq!(chosen(item(split, None), &[], Aggregate::Majority), None);
    }

    #[test]
    fn only_the_adjudicated_rule_hears_adjudicators() {
        let answers = || vec![given("x", Pick::B, None), given("y", Pick::B, None)];
        let judged = || item(answers(), Some(given("judge", Pick::A, None)));
        assert_eq!(
            chosen(judged(), &[], Aggregate::Majority).as_deref(),
            Some("two")
        );
        assert_eq!(
            chosen(judged(), &[], Aggregate::Adjudicated).as_deref(),
            Some("one")
        );
        let torn = item(answers(), Some(given("judge", Pick::Tie, Some(Pick::Tie))));
        assert_eq!(chosen(torn, &[], Aggregate::Adjudicated), None);
    }

    #[test]
    fn gold_lets_one_outweigh_two() {
        // x: 8 of 8 right, p = 9/10, weight ln 9 = 2.20. y and z: 1 of 2, p = 1/2, weight 0.
        let mut gold = vec![("x", true); 8];
        gold.extend([("y", true), ("y", false), ("z", true), ("z", false)]);
        let answers = || {
            vec![
                given("x", Pick::A, None),
                given("y", Pick::B, None),
                given("z", Pick::B, None),
            ]
        };
        assert_eq!(
            chosen(item(answers(), None), &gold, Aggregate::Weighted).as_deref(),
            Some("one")
        );
        assert_eq!(
            chosen(item(answers(), None), &gold, Aggregate::Majority).as_deref(),
            Some("two")
        );
        // Without gold all weigh ln 2.
        assert_eq!(
            chosen(item(answers(), None), &[], Aggregate::Weighted).as_deref(),
            Some("two")
        );
    }

    #[test]
    fn the_first_question_is_told_as_decisive_where_most_supporters_say_so() {
        let mostly_second = vec![
            given("x", Pick::Tie, Some(Pick::A)),
            given("y", Pick::Tie, Some(Pick::A)),
            given("z", Pick::A, None),
        ];
        let evidence = Evidence {
            people: Vec::new(),
            items: vec![item(mostly_second, None)],
            rated: Vec::new(),
            ranked: Vec::new(),
            gold: Vec::new(),
        };
        let row = &preferences(&evidence, Aggregate::Majority, 3)[0];
        assert_eq!(row.fewer_hallucinations, Verdict::Tie);
        assert_eq!(row.more_helpful, Some(Side::First));
        assert_eq!(row.record, None);
    }
}
