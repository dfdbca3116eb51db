//! What people say of answers that they rank, how far they agree, and whether they like places on the page.

use std::cmp::Ordering;

use candor_stats::bootstrap::ratio;
use candor_stats::kendall::tau_b;

use super::{Estimate, RankerQuality, RankingQuality, estimates};
use crate::ranking::pairs;
use crate::store::{Evidence, Given, Ranked};

/// A part of some cases.
#[derive(Default, Clone, Copy)]
struct Share {
    part: usize,
    whole: usize,
}

impl Share {
    fn count(&mut self, is_part: bool) {
        self.part += usize::from(is_part);
        self.whole += 1;
    }
}

/// What was said of an item, and its image.
struct Row<'a> {
    image: &'a str,
    /// Rankings.
    n: usize,
    /// Kendall's tau-b of each two rankings.
    taus: Vec<f64>,
    /// Twos of rankings of which one calls all answers alike.
    n_undefined: usize,
    /// Pairs of answers, of each two rankings, and how often both say the same of them.
    agreeing: Share,
    /// Pairs of answers, and how many are alike.
    alike: Share,
    /// Pairs of answers that are put in order, and how often the better one stood earlier on the page.
    earlier: Share,
}

/// The figures; none where nothing is ranked.
pub(super) fn of_all(evidence: &Evidence, seed: u64) -> Option<RankingQuality> {
    let items = &evidence.ranked;
    let rows: Vec<Row<'_>> = items.iter().map(|item| row(item, None)).collect();
    let n_rankings: usize = rows.iter().map(|row| row.n).sum();
    if n_rankings == 0 {
        return None;
    }
    let [tau, agreement, ties, earlier_rate] = figures(&rows, seed);
    let people = evidence.people.iter().filter_map(|(person, name)| {
        let rows = items.iter().map(|item| row(item, Some(person)));
        let rows: Vec<Row<'_>> = rows.filter(|row| row.n > 0).collect();
        let [tau, _, ties, earlier_rate] = figures(&rows, seed);
        (!rows.is_empty()).then(|| RankerQuality {
            name: name.clone(),
            n_rankings: rows.len(),
            tau,
            ties,
            earlier_rate,
        })
    });
    let closed = items.iter().filter(|item| item.is_closed);
    let together: Vec<_> = closed
        .map(|item| {
            let said = item.answers.iter();
            let said: Vec<(&[u8], f64)> = said
                .filter_map(|given| Some((given.answer.ranking.as_deref()?, 1.0)))
                .collect();
            pairs(item.outputs.len(), &said)
        })
        .collect();
    Some(RankingQuality {
        n_items: rows.iter().filter(|row| row.n > 0).count(),
        n_rankings,
        n_undefined: rows.iter().map(|row| row.n_undefined).sum(),
        n_pairs: together.iter().map(|said| said.ordered.len()).sum(),
        n_undecided_pairs: together.iter().map(|said| said.n_undecided).sum(),
        n_circular_pairs: together.iter().map(|said| said.n_circular).sum(),
        tau,
        agreement,
        ties,
        earlier_rate,
        people: people.collect(),
    })
}

/// Mean tau-b, and the shares of pairs on which two agree, that are alike, and whose better one stood earlier.
fn figures(rows: &[Row<'_>], seed: u64) -> [Estimate; 4] {
    estimates(
        rows,
        seed,
        |row| row.image,
        |rows| {
            let share = |of: fn(&Row<'_>) -> Share| {
                let sum = |part: fn(&Share) -> usize| -> usize {
                    rows.iter().map(|row| part(&of(row))).sum()
                };
                ratio(
                    sum(|share| share.part) as f64,
                    sum(|share| share.whole) as f64,
                )
            };
            let taus = || rows.iter().flat_map(|row| &row.taus);
            [
                ratio(taus().sum(), taus().count() as f64),
                share(|row| row.agreeing),
                share(|row| row.alike),
                share(|row| row.earlier),
            ]
        },
    )
}

/// What all said of an item; or what one person said, and how it agrees with what the others did.
fn row<'a>(item: &'a Ranked, who: Option<&str>) -> Row<'a> {
    let is_heard = |given: &Given| who.is_none_or(|who| given.person == who);
    let answers = item.answers.iter();
    let said: Vec<(&Given, &[u8])> = answers
        .filter_map(|given| Some((given, given.answer.ranking.as_deref()?)))
        .collect();
    let mut row = Row {
        image: item.image.as_deref().unwrap_or(&item.name),
        n: 0,
        taus: Vec::new(),
        n_undefined: 0,
        agreeing: Share::default(),
        alike: Share::default(),
        earlier: Share::default(),
    };
    for (i, &(one, ranks)) in said.iter().enumerate() {
        if is_heard(one) {
            row.n += 1;
            row.look_at(one, ranks);
        }
        for &(other, others) in &said[i + 1..] {
            if is_heard(one) || is_heard(other) {
                row.compare(ranks, others);
            }
        }
    }
    row
}

impl Row<'_> {
    /// Counts what one ranking says of pairs.
    fn look_at(&mut self, given: &Given, ranks: &[u8]) {
        for (first, second) in twos(ranks.len()) {
            let order = ranks[first].cmp(&ranks[second]);
            self.alike.count(order == Ordering::Equal);
            let places = (given.order.place_of(first), given.order.place_of(second));
            if let (Some(first), Some(second), true) = (places.0, places.1, order.is_ne()) {
                self.earlier.count(order == first.cmp(&second));
            }
        }
    }

    /// Counts what two rankings say of pairs.
    fn compare(&mut self, one: &[u8], other: &[u8]) {
        if one.len() != other.len() {
            return;
        }
        match tau_b(one, other) {
            Some(tau) => self.taus.push(tau),
            None => self.n_undefined += 1,
        }
        for (first, second) in twos(one.len()) {
            let orders = [one, other].map(|ranks| ranks[first].cmp(&ranks[second]));
            self.agreeing.count(orders[0] == orders[1]);
        }
    }
}

/// Each two of `n`, the smaller first.
fn twos(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |first| (first + 1..n).map(move |second| (first, second)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candor_data::Turn;

    #[test]
    fn figures_are_as_worked_by_hand() {
        let item = Ranked {
            name: "p".into(),
            image: None,
            turns: vec![Turn::human("q")],
            outputs: ["x", "y", "z"].map(str::to_owned).to_vec(),
            original_answer: None,
            is_closed: true,
            is_disputed: false,
            answers: vec![
                Given::ranked("anna", [1, 2, 3], "[0,1,2]"),
                Given::ranked("bert", [1, 3, 2], "[2,1,0]"),
                Given::ranked("cara", [1, 1, 2], "[1,0,2]"),
            ],
            decision: None,
        };
        let names = ["anna", "bert", "cara"];
        let evidence = Evidence {
            people: names.map(|name| (name.into(), name.into())).to_vec(),
            items: Vec::new(),
            rated: Vec::new(),
            ranked: vec![item],
            gold: Vec::new(),
        };
        let found = of_all(&evidence, 5).unwrap();
        assert_eq!(
            (found.n_items, found.n_rankings, found.n_undefined),
            (1, 3, 0)
        );
        // Anna and Bert, or Anna and Cara, agree on each pair.
        let together = [
            found.n_pairs,
            found.n_undecided_pairs,
            found.n_circular_pairs,
        ];
        assert_eq!(together, [3, 0, 0]);
        let near = |estimate: Estimate, expected: f64| {
            let value = estimate.value.unwrap();
            assert!((value - expected).abs() < 1e-12, "{value}, not {expected}");
        };
        // Anna and Bert: two of three pairs alike, 1/3. Anna and Cara: both pairs that Cara orders, 2/√6. Bert and Cara: one alike (x
        // before z), one against (y, z): 0.
        let with_cara = 2.0 / 6.0_f64.sqrt();
        near(found.tau, (1.0 / 3.0 + with_cara) / 3.0);
        // Alike: x–y and x–z of the first two, x–z and y–z of the second, x–z of the third; of nine.
        near(found.agreement, 5.0 / 9.0);
        near(found.ties, 1.0 / 9.0);
        // Anna: all three. Bert saw z first: x is best and stood last (0 of 2), z before y and earlier: 1 of 3. Cara: z is worst and
        // stood last: 2 of 2. So 6 of 8.
        near(found.earlier_rate, 6.0 / 8.0);
        let [anna, bert, cara] = [0, 1, 2].map(|i| &found.people[i]);
        assert_eq!((anna.name.as_str(), anna.n_rankings), ("anna", 1));
        near(anna.tau, f64::midpoint(1.0 / 3.0, with_cara));
        near(bert.tau, 1.0 / 6.0);
        near(bert.earlier_rate, 1.0 / 3.0);
        near(cara.ties, 1.0 / 3.0);
    }

    #[test]
    fn nothing_ranked_is_no_figure() {
        let evidence = Evidence {
            people: Vec::new(),
            items: Vec::new(),
            rated: Vec::new(),
            ranked: Vec::new(),
            gold: Vec::new(),
        };
        assert_eq!(of_all(&evidence, 5), None);
    }
}
