//! Rankings as comparisons: each pair of answers that people together put in order.
//!
//! A ranking answers both questions of the protocol at once, so nothing is claimed of the first alone: it is a tie, and the second
//! names the better answer. Pairs keep the order that the item has its answers in, so that the better one is not always the first.

use std::collections::HashSet;
use std::fmt;

use candor_data::{Preference, Record, Side, Verdict};

use super::aggregate::{Aggregate, Weights};
use crate::answer::Order;
use crate::ranking::{Pairs, pairs};
use crate::store::{Evidence, Given, Ranked};

/// What became of rankings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RankedPairs {
    /// Closed items whose answers were ranked.
    pub n_items: usize,
    /// Items of which no pair is put in order.
    pub n_undecided_items: usize,
    /// Pairs that are put in order: the rows.
    pub n_pairs: usize,
    /// Fewest pairs of an item that has any.
    pub fewest: usize,
    /// Most pairs of an item.
    pub most: usize,
    /// Pairs that are left out, because neither answer is better for more than half: ties, too.
    pub n_undecided: usize,
    /// Pairs that are left out, because their majorities go in a circle.
    pub n_circular: usize,
}

impl fmt::Display for RankedPairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pairs of {} ranked items, {} to {} an item; left out {} ties or undecided and {} in circles",
            self.n_pairs,
            self.n_items - self.n_undecided_items,
            self.fewest,
            self.most,
            self.n_undecided,
            self.n_circular
        )
    }
}

/// The pairs of all closed items, and how many.
pub(super) fn preferences(
    evidence: &Evidence,
    rule: Aggregate,
    seed: u64,
) -> (Vec<Preference>, RankedPairs) {
    let weights = Weights::new(evidence, rule);
    let compared = evidence.items.iter().map(|item| item.name.as_str());
    let taken: HashSet<&str> = compared.collect();
    let mut rows = Vec::new();
    let mut counts = RankedPairs::default();
    for item in evidence.ranked.iter().filter(|item| item.is_closed) {
        let decision = item.decision.iter();
        let decision = decision.filter(|_| rule == Aggregate::Adjudicated);
        let mut heard: Vec<&Given> = decision.collect();
        if heard.is_empty() {
            heard.extend(&item.answers);
        }
        let ranked: Vec<(&[u8], f64)> = heard
            .iter()
            .filter_map(|given| Some((given.answer.ranking.as_deref()?, weights.of(given))))
            .collect();
        let said = pairs(item.outputs.len(), &ranked);
        counts.add(&said);
        let only = match heard[..] {
            [only] => Some(only),
            _ => None,
        };
        let row = |&pair: &(usize, usize)| preference(item, pair, only, seed, &taken);
        rows.extend(said.ordered.iter().map(row));
    }
    (rows, counts)
}

impl RankedPairs {
    fn add(&mut self, said: &Pairs) {
        let n = said.ordered.len();
        self.n_items += 1;
        self.n_undecided_items += usize::from(n == 0);
        if n > 0 {
            self.fewest = if self.n_pairs == 0 {
                n
            } else {
                self.fewest.min(n)
            };
        }
        self.n_pairs += n;
        self.most = self.most.max(n);
        self.n_undecided += said.n_undecided;
        self.n_circular += said.n_circular;
    }
}

/// The preference for the better of a pair; with a record where one person's word stands. `taken` are names of
/// other rows.
fn preference(
    item: &Ranked,
    (better, worse): (usize, usize),
    only: Option<&Given>,
    seed: u64,
    taken: &HashSet<&str>,
) -> Preference {
    let (first, second) = (better.min(worse), better.max(worse));
    let side = if better == first {
        Side::First
    } else {
        Side::Second
    };
    // The name is a key, and an item of two answers may be called so. No other row of a ranking ends like this.
    let mut id = format!("{}-{first}-{second}", item.name);
    while taken.contains(id.as_str()) {
        id.push_str("-ranked");
    }
    Preference {
        id,
        image: item.image.clone(),
        turns: item.turns.clone(),
        original_answer: item.original_answer.clone(),
        outputs: [item.outputs[first].clone(), item.outputs[second].clone()],
        fewer_hallucinations: Verdict::Tie,
        more_helpful: Some(side),
        record: only.map(|given| Record {
            annotator: given.name.clone(),
            unix_secs: (given.answered_at / 1000) as u64,
            seed,
            shown_left: earlier(&given.order, first, second),
        }),
        explanation: None,
    }
}

/// Which of two outputs stood earlier on the page. An adjudicator sees all in the item's order.
fn earlier(order: &Order, first: usize, second: usize) -> Side {
    match (order.place_of(first), order.place_of(second)) {
        (Some(first), Some(second)) if second < first => Side::Second,
        _ => Side::First,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Judged;
    use candor_data::Turn;

    fn evidence(answers: Vec<Given>, decision: Option<Given>) -> Evidence {
        let ranked = Ranked {
            name: "p".into(),
            image: Some("a.png".into()),
            turns: vec![Turn::human("<image>\nq")],
            outputs: ["one", "two", "three"].map(str::to_owned).to_vec(),
            original_answer: None,
            is_closed: true,
            is_disputed: false,
            answers,
            decision,
        };
        Evidence {
            people: Vec::new(),
            items: Vec::new(),
            rated: Vec::new(),
            ranked: vec![ranked],
            gold: Vec::new(),
        }
    }

    #[test]
    fn one_ranking_is_its_pairs_with_a_record_and_its_ties_are_counted() {
        // Two is best, one and three are alike.
        let said = evidence(vec![Given::ranked("anna", [2, 1, 2], "[2,0,1]")], None);
        let (rows, counts) = preferences(&said, Aggregate::Majority, 3);
        let told: Vec<(&str, Option<&str>)> = rows
            .iter()
            .map(|row| (row.id.as_str(), row.chosen()))
            .collect();
        assert_eq!(told, [("p-0-1", Some("two")), ("p-1-2", Some("two"))]);
        assert_eq!(rows[0].outputs, ["one", "two"]);
        assert_eq!(rows[0].fewer_hallucinations, Verdict::Tie);
        // On the page three stood first, then one, then two.
        let record = |row: &Preference| row.record.as_ref().unwrap().shown_left;
        assert_eq!(
            [record(&rows[0]), record(&rows[1])],
            [Side::First, Side::Second]
        );
        let expected = RankedPairs {
            n_items: 1,
            n_pairs: 2,
            fewest: 2,
            most: 2,
            n_undecided: 1,
            ..RankedPairs::default()
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn no_pair_is_called_as_an_item_of_two_answers() {
        let mut said = evidence(vec![Given::ranked("anna", [2, 1, 2], "[2,0,1]")], None);
        let compared = |name: &str| Judged {
            item: 1,
            name: name.into(),
            image: None,
            turns: vec![Turn::human("q")],
            outputs: ["x".into(), "y".into()],
            original_answer: None,
            question_type: None,
            models: None,
            is_closed: true,
            is_disputed: false,
            answers: Vec::new(),
            decision: None,
        };
        said.items = ["p-0-1", "p-0-1-ranked"].map(compared).into();
        let (rows, _) = preferences(&said, Aggregate::Majority, 3);
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["p-0-1-ranked-ranked", "p-1-2"]);
    }

    #[test]
    fn circles_are_counted_until_somebody_decides() {
        let circle = || {
            vec![
                Given::ranked("x", [1, 2, 3], "[2,0,1]"),
                Given::ranked("y", [3, 1, 2], "[2,0,1]"),
                Given::ranked("z", [2, 3, 1], "[2,0,1]"),
            ]
        };
        let judged = || evidence(circle(), Some(Given::ranked("judge", [3, 2, 1], "[2,0,1]")));
        let (rows, counts) = preferences(&judged(), Aggregate::Majority, 3);
        assert!(rows.is_empty());
        assert_eq!((counts.n_undecided_items, counts.n_circular), (1, 3));
        let (rows, _) = preferences(&judged(), Aggregate::Adjudicated, 3);
        let chosen: Vec<_> = rows.iter().filter_map(Preference::chosen).collect();
        assert_eq!(chosen, ["two", "three", "three"]);
    }
}
