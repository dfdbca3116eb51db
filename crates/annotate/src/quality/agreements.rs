//! Agreement of all, of pairs, and by kind of question.

use std::collections::{BTreeMap, HashMap};

use super::{Agreement, Estimate, N_PICKS, PairQuality, TypeQuality, category, cluster, estimates};
use crate::answer::Pick;
use crate::store::{Evidence, Given, Judged};
use candor_stats::agreement::{self, Unit, cohen, fleiss, krippendorff};

/// Pairs of people that are listed: those with the most common items.
const MAX_PAIRS: usize = 100;

/// What people said of an item that several judged, and its image.
type Row<'a> = (&'a str, Unit);

fn units(items: &[Judged], of: impl Fn(&Given) -> Pick) -> Vec<Row<'_>> {
    items
        .iter()
        .filter(|item| item.answers.len() >= 2)
        .map(|item| {
            let unit = item
                .answers
                .iter()
                .map(|given| category(of(given)))
                .collect();
            (cluster(item), unit)
        })
        .collect()
}

/// What two people said of an item that both judged, and its image.
type PairRow<'a> = (&'a str, (usize, usize));

/// The number of judgements that most items have; the larger one of two as frequent.
fn usual_number(rows: &[Row<'_>]) -> usize {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, unit) in rows {
        *counts.entry(unit.len()).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|&(n_raters, n)| (n, n_raters))
        .map_or(0, |(n_raters, _)| n_raters)
}

/// Agreement of all on what `of` takes from an answer.
pub(super) fn of_all(items: &[Judged], seed: u64, of: impl Fn(&Given) -> Pick) -> Agreement {
    let rows = units(items, of);
    let n_raters = usual_number(&rows);
    let [alpha, kappa, percent] = estimates(
        &rows,
        seed,
        |row| row.0,
        |rows| {
            let units: Vec<&Unit> = rows.iter().map(|row| &row.1).collect();
            [
                krippendorff::<N_PICKS>(&units),
                fleiss::<N_PICKS>(&units, n_raters),
                agreement::percent(&units),
            ]
        },
    );
    Agreement {
        krippendorff: alpha,
        fleiss: kappa,
        percent,
        n_items: rows.len(),
    }
}

/// Agreement of people two by two on the preference: the pairs with the most common items.
pub(super) fn of_pairs(evidence: &Evidence, seed: u64) -> Vec<PairQuality> {
    let number: HashMap<&str, usize> = evidence
        .people
        .iter()
        .enumerate()
        .map(|(i, (person, _))| (person.as_str(), i))
        .collect();
    let mut common: BTreeMap<(usize, usize), Vec<PairRow<'_>>> = BTreeMap::new();
    for item in &evidence.items {
        let mut said: Vec<(usize, usize)> = item
            .answers
            .iter()
            .filter_map(|given| {
                Some((
                    *number.get(given.person.as_str())?,
                    category(given.answer.preference()),
                ))
            })
            .collect();
        said.sort_unstable();
        for (i, &(one, a)) in said.iter().enumerate() {
            for &(other, b) in &said[i + 1..] {
                common
                    .entry((one, other))
                    .or_default()
                    .push((cluster(item), (a, b)));
            }
        }
    }
    let mut pairs: Vec<_> = common.into_iter().collect();
    pairs.sort_by_key(|(people, rows)| (std::cmp::Reverse(rows.len()), *people));
    pairs.truncate(MAX_PAIRS);
    pairs
        .into_iter()
        .map(|((one, other), rows)| {
            let [kappa] = estimates(
                &rows,
                seed,
                |row| row.0,
                |rows| {
                    let pairs: Vec<(usize, usize)> = rows.iter().map(|row| row.1).collect();
                    [cohen::<N_PICKS>(&pairs)]
                },
            );
            PairQuality {
                a: evidence.people[one].1.clone(),
                b: evidence.people[other].1.clone(),
                n_items: rows.len(),
                cohen: kappa,
            }
        })
        .collect()
}

/// Disagreement on the preference by kind of question; most items first.
pub(super) fn by_type(items: &[Judged], seed: u64) -> Vec<TypeQuality> {
    let mut kinds: BTreeMap<&str, Vec<Row<'_>>> = BTreeMap::new();
    for item in items {
        let kind = item.question_type.as_deref().unwrap_or("other");
        let rows = units(std::slice::from_ref(item), |given| {
            given.answer.preference()
        });
        kinds.entry(kind).or_default().extend(rows);
    }
    let mut all: Vec<TypeQuality> = kinds
        .into_iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(kind, rows)| TypeQuality {
            kind: kind.to_owned(),
            n_items: rows.len(),
            disagreement: disagreement(&rows, seed),
        })
        .collect();
    all.sort_by_key(|kind| std::cmp::Reverse(kind.n_items));
    all
}

fn disagreement(rows: &[Row<'_>], seed: u64) -> Estimate {
    let [disagreement] = estimates(
        rows,
        seed,
        |row| row.0,
        |rows| {
            let units: Vec<&Unit> = rows.iter().map(|row| &row.1).collect();
            [agreement::percent(&units).map(|share| 1.0 - share)]
        },
    );
    disagreement
}
