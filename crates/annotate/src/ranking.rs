//! From what several people say of the order of some answers to what they say together: pair by pair.
//!
//! One answer is better than another where more than half of the weight ranks it so; who calls the two alike counts against both.
//! Such majorities may go in a circle (of three answers, each better than the next): nothing follows from these pairs, and they
//! are told apart from the others. What is left has no circle.

use std::cmp::Ordering;

/// What people say together of the pairs of some answers. Every pair is in one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// The better and the worse of a pair, by their places among the outputs; in the order of the outputs.
    pub ordered: Vec<(usize, usize)>,
    /// Pairs of which neither is better for more than half.
    pub n_undecided: usize,
    /// Of these, pairs that more than half call alike.
    pub n_alike: usize,
    /// Pairs whose majorities go in a circle.
    pub n_circular: usize,
}

/// The pairs of `n` answers. Each person's ranking has the rank of every answer, and a weight.
pub(crate) fn pairs(n: usize, rankings: &[(&[u8], f64)]) -> Pairs {
    let all: f64 = rankings.iter().map(|(_, weight)| weight).sum();
    let do_most_say = |first: usize, second: usize, what: Ordering| {
        let agreeing = rankings.iter().filter(|(ranks, _)| {
            let both = ranks.get(first).zip(ranks.get(second));
            both.is_some_and(|(first, second)| first.cmp(second) == what)
        });
        2.0 * agreeing.map(|(_, weight)| weight).sum::<f64>() > all
    };
    let is_better = |better: usize, worse: usize| do_most_say(better, worse, Ordering::Less);
    let beats: Vec<Vec<bool>> = (0..n)
        .map(|better| (0..n).map(|worse| is_better(better, worse)).collect())
        .collect();
    let leads = reached(&beats);
    let mut pairs = Pairs::default();
    for first in 0..n {
        for second in first + 1..n {
            let (better, worse) = match (is_better(first, second), is_better(second, first)) {
                (true, _) => (first, second),
                (false, true) => (second, first),
                (false, false) => {
                    pairs.n_undecided += 1;
                    pairs.n_alike += usize::from(do_most_say(first, second, Ordering::Equal));
                    continue;
                }
            };
            if leads[worse][better] {
                pairs.n_circular += 1;
            } else {
                pairs.ordered.push((better, worse));
            }
        }
    }
    pairs
}

/// Which answers each one beats, or beats by way of others.
fn reached(beats: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let mut leads = beats.to_vec();
    for by in 0..beats.len() {
        let further = leads[by].clone();
        for from in &mut leads {
            if from[by] {
                for (reached, &more) in from.iter_mut().zip(&further) {
                    *reached |= more;
                }
            }
        }
    }
    leads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rankings: &[&[u8]]) -> Pairs {
        let equal: Vec<(&[u8], f64)> = rankings.iter().map(|&ranks| (ranks, 1.0)).collect();
        pairs(rankings[0].len(), &equal)
    }

    #[test]
    fn one_ranking_says_all_but_its_ties() {
        // The second is best, the others are alike.
        let said = of(&[&[2, 1, 2]]);
        assert_eq!(said.ordered, [(1, 0), (1, 2)]);
        assert_eq!((said.n_undecided, said.n_circular), (1, 0));
        assert_eq!(said.n_alike, 1);
    }

    #[test]
    fn more_than_half_decides_a_pair() {
        // Of four: 0 before 1 for three; 0 before 2 for two of four, which is not more than half; 1 before 2 for three.
        let said = of(&[&[1, 2, 3], &[1, 2, 3], &[3, 1, 2], &[2, 3, 1]]);
        assert_eq!(said.ordered, [(0, 1), (1, 2)]);
        assert_eq!((said.n_undecided, said.n_circular), (1, 0));
        assert_eq!(said.n_alike, 0);
    }

    #[test]
    fn circles_say_nothing_and_leave_the_rest() {
        // Condorcet's three, and a fourth answer that all call the worst.
        let said = of(&[&[1, 2, 3, 4], &[3, 1, 2, 4], &[2, 3, 1, 4]]);
        assert_eq!(said.ordered, [(0, 3), (1, 3), (2, 3)]);
        assert_eq!((said.n_undecided, said.n_circular), (0, 3));
    }

    #[test]
    fn a_circle_by_way_of_a_fourth_is_one() {
        // From best to worst: 0123, 1230, 2301, 3012. Neighbours have three of four, those two apart two.
        let said = of(&[&[1, 2, 3, 4], &[4, 1, 2, 3], &[3, 4, 1, 2], &[2, 3, 4, 1]]);
        assert!(said.ordered.is_empty());
        assert_eq!((said.n_undecided, said.n_circular), (2, 4));
    }

    #[test]
    fn weight_counts_and_not_heads() {
        let rankings: [(&[u8], f64); 3] = [(&[1, 2, 3], 2.2), (&[3, 2, 1], 0.0), (&[3, 2, 1], 0.0)];
        let said = pairs(3, &rankings);
        assert_eq!(said.ordered, [(0, 1), (0, 2), (1, 2)]);
    }
}
