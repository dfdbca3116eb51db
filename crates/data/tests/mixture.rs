//! The order of a mixture: what an epoch holds, and that nothing but the address decides it.

use std::collections::{BTreeMap, BTreeSet};

use candor_data::mixture::{Mixture, Pick, Share, Source};

fn source(name: &str, n_rows: usize, share: Share) -> Source {
    Source {
        name: name.into(),
        n_rows,
        share,
    }
}

fn tally(picks: &[Pick]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for pick in picks {
        *counts.entry(pick.source).or_default() += 1;
    }
    counts
}

fn rows_of(picks: &[Pick], source: usize) -> Vec<usize> {
    picks
        .iter()
        .filter(|pick| pick.source == source)
        .map(|pick| pick.row)
        .collect()
}

#[test]
fn shares_become_exact_counts() {
    let sources = vec![
        source("all", 7, Share::All),
        source("count", 100, Share::Count(13)),
        source("heavy", 50, Share::Weight(3.0)),
        source("light", 50, Share::Weight(1.0)),
    ];
    let mixture = Mixture::new(1, sources, Some(60)).unwrap();
    assert_eq!(mixture.counts(), [7, 13, 30, 10]);
    for epoch in 0..3 {
        let counts = tally(&mixture.epoch(epoch));
        assert_eq!(counts, BTreeMap::from([(0, 7), (1, 13), (2, 30), (3, 10)]));
    }
    // Forty rows at 1:1:1 leave one over, which goes to the first of equals.
    let thirds = ["a", "b", "c"].map(|name| source(name, 99, Share::Weight(0.1)));
    let mixture = Mixture::new(1, thirds.to_vec(), Some(40)).unwrap();
    assert_eq!(mixture.counts(), [14, 13, 13]);
}

#[test]
fn every_row_is_seen_before_any_is_seen_again() {
    let sources = vec![
        source("few", 10, Share::Count(4)),
        source("many", 3, Share::Count(7)),
    ];
    let mixture = Mixture::new(5, sources, None).unwrap();
    // Five epochs of four rows are two passes over ten.
    let epochs: Vec<usize> = (0..5)
        .flat_map(|epoch| rows_of(&mixture.epoch(epoch), 0))
        .collect();
    for row in 0..10 {
        assert_eq!(epochs.iter().filter(|&&seen| seen == row).count(), 2);
    }
    // The first two epochs lie within the first pass, so nothing comes twice in them.
    let first: BTreeSet<usize> = epochs[..8].iter().copied().collect();
    assert_eq!(first.len(), 8);
    // Seven of three rows: each at least twice within one epoch.
    let repeated = rows_of(&mixture.epoch(0), 1);
    for row in 0..3 {
        assert!(repeated.iter().filter(|&&seen| seen == row).count() >= 2);
    }
}

#[test]
fn the_seed_decides_the_order_and_epochs_differ() {
    let make = |seed| {
        let sources = vec![source("a", 50, Share::All), source("b", 50, Share::All)];
        Mixture::new(seed, sources, None).unwrap()
    };
    assert_eq!(make(1).epoch(0), make(1).epoch(0));
    assert_ne!(make(1).epoch(0), make(2).epoch(0));
    assert_ne!(make(1).epoch(0), make(1).epoch(1));
}

/// Recorded from the first version. The order is part of what a run promises: a change of it, also by an
/// update of the generator, changes everybody's results and must not go unseen.
#[test]
fn the_order_does_not_change_between_versions() {
    let sources = vec![source("a", 4, Share::All), source("b", 4, Share::Count(2))];
    let mixture = Mixture::new(0, sources, None).unwrap();
    let order: Vec<(usize, usize)> = mixture
        .epoch(0)
        .into_iter()
        .map(|pick| (pick.source, pick.row))
        .collect();
    assert_eq!(order, FIXED_ORDER);
}

const FIXED_ORDER: [(usize, usize); 6] = [(0, 0), (0, 3), (0, 1), (1, 2), (0, 2), (1, 0)];

#[test]
fn adding_a_source_leaves_the_others_their_rows() {
    let ten = source("a", 30, Share::Count(10));
    let one = Mixture::new(3, vec![ten.clone()], None).unwrap();
    let two = Mixture::new(3, vec![source("z", 20, Share::All), ten], None).unwrap();
    for epoch in 0..3 {
        let rows = |mixture: &Mixture, source| -> BTreeSet<usize> {
            rows_of(&mixture.epoch(epoch), source).into_iter().collect()
        };
        assert_eq!(rows(&one, 0), rows(&two, 1));
    }
}

#[test]
fn shares_that_cannot_be_met_are_refused_by_name() {
    let refused = |sources: Vec<Source>, epoch_rows| {
        Mixture::new(0, sources, epoch_rows)
            .unwrap_err()
            .to_string()
    };
    let cases = [
        (refused(vec![], None), "sources", "at least one"),
        (
            refused(vec![source("a", 0, Share::All)], None),
            "\"a\"",
            "no rows",
        ),
        (
            refused(
                vec![source("a", 1, Share::All), source("a", 2, Share::All)],
                None,
            ),
            "\"a\"",
            "twice",
        ),
        (
            refused(vec![source("a", 1, Share::Weight(f64::NAN))], Some(3)),
            "\"a\"",
            "weight NaN",
        ),
        (
            refused(vec![source("a", 1, Share::Weight(-1.0))], Some(3)),
            "\"a\"",
            "weight -1",
        ),
        (
            refused(vec![source("a", 1, Share::Count(0))], None),
            "\"a\"",
            "count 0",
        ),
        (
            refused(vec![source("a", 1, Share::Weight(1.0))], None),
            "epoch_rows",
            "missing",
        ),
        (
            refused(vec![source("a", 5, Share::All)], Some(4)),
            "epoch_rows",
            "add up to 5",
        ),
        (
            refused(
                vec![
                    source("a", 5, Share::All),
                    source("b", 1, Share::Weight(1.0)),
                ],
                Some(5),
            ),
            "epoch_rows",
            "too few",
        ),
        (
            refused(
                vec![
                    source("a", 5, Share::Weight(1.0)),
                    source("b", 1, Share::Weight(1e-9)),
                ],
                Some(9),
            ),
            "\"b\"",
            "no row",
        ),
    ];
    for (message, part, found) in cases {
        assert!(
            message.contains(part) && message.contains(found),
            "{message}"
        );
    }
}

#[test]
fn sources_whose_rows_come_more_than_once_say_how_often() {
    let source = |name: &str, n_rows, share| Source {
        name: name.into(),
        n_rows,
        share,
    };
    let often = vec![
        source("few", 40, Share::Count(100)),
        source("enough", 40, Share::Count(40)),
        source("rest", 2, Share::Weight(1.0)),
    ];
    let repeats = Mixture::new(0, often, Some(146)).unwrap().repeats();
    assert_eq!(
        repeats.as_deref(),
        Some(
            "an epoch takes rows more than once: those of \"few\" 2.5 times (100 rows of 40), \"rest\" 3.0 times \
             (6 rows of 2)"
        )
    );
    let once = vec![source("all", 3, Share::All)];
    assert_eq!(Mixture::new(0, once, None).unwrap().repeats(), None);
}
