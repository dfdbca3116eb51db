//! What an item's answers come to: still open, complete, or disputed.

use std::collections::BTreeMap;

use candor_data::formats::ratings::hallucinates;

use super::database::{Connection, values};
use super::{Rules, deliveries};
use crate::answer::{Answer, Pick};
use crate::error::{AnnotateError, Refusal};
use crate::project::Dispute;
use crate::ranking::pairs;

/// Counts a new answer to an item of work, and closes the item when it was the last.
pub(super) async fn count(
    connection: &mut Connection,
    rules: &Rules,
    item: i64,
) -> Result<(), AnnotateError> {
    // The first statement locks the item's row, so of two last answers one sees the other.
    let sql = "UPDATE items SET n_answers = n_answers + 1 WHERE item = $1 RETURNING n_answers, overlap, state";
    let Some(row) = connection.row(sql, values![item]).await? else {
        return Ok(());
    };
    if row.text("state")? == "open" && row.int("n_answers")? >= row.int("overlap")? {
        close(connection, rules, item).await?;
    }
    Ok(())
}

/// Closes an item that has all its answers.
pub(super) async fn close(
    connection: &mut Connection,
    rules: &Rules,
    item: i64,
) -> Result<(), AnnotateError> {
    let sql = "SELECT answer FROM answers WHERE item = $1 AND state = 'current'";
    let rows = connection.rows(sql, values![item]).await?;
    let answers = rows
        .iter()
        .map(|row| row.json("answer"))
        .collect::<Result<Vec<Answer>, _>>()?;
    let state = if is_disputed(rules.protocol.dispute, &answers) {
        "disputed"
    } else {
        "complete"
    };
    let sql = "UPDATE items SET state = $1 WHERE item = $2";
    connection.execute(sql, values![state, item]).await?;
    deliveries::item_is(connection, rules, item, state).await
}

/// Takes an answer out of the count of its item, which is open again if it was closed. Locks the item's row first of
/// all, so that nobody decides it meanwhile.
pub(super) async fn uncount(connection: &mut Connection, item: i64) -> Result<(), AnnotateError> {
    let sql = "UPDATE items SET n_answers = n_answers - CASE WHEN kind = 'work' THEN 1 ELSE 0 END, \
               state = CASE WHEN state IN ('complete', 'disputed') THEN 'open' ELSE state END \
               WHERE item = $1 AND state NOT IN ('decided', 'withdrawn')";
    if connection.execute(sql, values![item]).await? == 0 {
        return Err(Refusal::Decided.into());
    }
    Ok(())
}

/// What an answer votes for: a preference, or, of an answer that is rated, whether it hallucinates. Ratings that differ by
/// less are no dispute.
fn vote(answer: &Answer) -> (Pick, Option<bool>) {
    (answer.preference(), answer.rating.map(hallucinates))
}

/// Whether somebody has to decide between these rankings of the same answers. They have a majority where one of a pair is better
/// or both are alike for more than half, and no majorities go in a circle.
fn are_disputed(rule: Dispute, rankings: &[&[u8]]) -> bool {
    let differ = rankings.windows(2).any(|two| two[0] != two[1]);
    match rule {
        Dispute::NoMajority => {
            let n = rankings.first().map_or(0, |ranks| ranks.len());
            let equal: Vec<(&[u8], f64)> = rankings.iter().map(|&ranks| (ranks, 1.0)).collect();
            let said = pairs(n, &equal);
            let n_settled = said.ordered.len() + said.n_alike;
            differ && (n_settled == 0 || said.n_circular > 0)
        }
        Dispute::AnyDifference => differ,
        Dispute::Never => false,
    }
}

/// Whether somebody has to decide between these answers.
fn is_disputed(rule: Dispute, answers: &[Answer]) -> bool {
    let rankings = answers.iter();
    let rankings: Vec<&[u8]> = rankings
        .filter_map(|answer| answer.ranking.as_deref())
        .collect();
    if !rankings.is_empty() {
        return are_disputed(rule, &rankings);
    }
    let mut votes: BTreeMap<(Pick, Option<bool>), usize> = BTreeMap::new();
    for answer in answers {
        *votes.entry(vote(answer)).or_default() += 1;
    }
    let most = votes.values().copied().max().unwrap_or_default();
    match rule {
        Dispute::NoMajority => 2 * most <= answers.len(),
        Dispute::AnyDifference => votes.len() > 1,
        Dispute::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Corrections;

    fn answers(first: &[(Pick, Option<Pick>)]) -> Vec<Answer> {
        let answer = |&(first, second)| Answer {
            first,
            second,
            rating: None,
            ranking: None,
            marks: Vec::new(),
            corrections: Corrections::default(),
            note: None,
        };
        first.iter().map(answer).collect()
    }

    #[test]
    fn a_tie_that_the_second_question_breaks_votes_with_the_first_question() {
        let two = answers(&[(Pick::A, None), (Pick::Tie, Some(Pick::A))]);
        assert!(!is_disputed(Dispute::AnyDifference, &two));
    }

    #[test]
    fn ratings_disagree_where_some_say_that_it_hallucinates() {
        let rated = |ratings: &[u8]| -> Vec<Answer> {
            let tie = (Pick::Tie, Some(Pick::Tie));
            let answers = answers(&vec![tie; ratings.len()]).into_iter().zip(ratings);
            let rated = answers.map(|(answer, &rating)| Answer {
                rating: Some(rating),
                ..answer
            });
            rated.collect()
        };
        assert!(!is_disputed(Dispute::AnyDifference, &rated(&[3, 6, 4])));
        assert!(is_disputed(Dispute::AnyDifference, &rated(&[2, 3, 4])));
        assert!(!is_disputed(Dispute::NoMajority, &rated(&[2, 3, 4])));
        assert!(is_disputed(Dispute::NoMajority, &rated(&[2, 3])));
    }

    #[test]
    fn rankings_disagree_where_no_pair_is_settled_or_pairs_go_in_a_circle() {
        let asks = |rule, rankings: &[&[u8]]| {
            let tie = (Pick::Tie, Some(Pick::Tie));
            let answers = answers(&vec![tie; rankings.len()]).into_iter();
            let ranked: Vec<Answer> = answers
                .zip(rankings)
                .map(|(answer, ranks)| Answer {
                    ranking: Some(ranks.to_vec()),
                    ..answer
                })
                .collect();
            is_disputed(rule, &ranked)
        };
        // They agree that the third is worst, and on nothing else.
        let two: [&[u8]; 2] = [&[1, 2, 3], &[2, 1, 3]];
        assert!(!asks(Dispute::NoMajority, &two));
        assert!(asks(Dispute::AnyDifference, &two));
        let opposite: [&[u8]; 2] = [&[1, 2, 3], &[3, 2, 1]];
        assert!(asks(Dispute::NoMajority, &opposite));
        assert!(!asks(Dispute::Never, &opposite));
        let circle: [&[u8]; 3] = [&[1, 2, 3], &[3, 1, 2], &[2, 3, 1]];
        assert!(asks(Dispute::NoMajority, &circle));
        // All alike for everybody is no dispute, though no answer is better.
        let alike: [&[u8]; 2] = [&[1, 1, 1], &[1, 1, 1]];
        assert!(!asks(Dispute::NoMajority, &alike));
        assert!(!asks(Dispute::AnyDifference, &alike));
        // Two of three call every pair alike.
        let mostly: [&[u8]; 3] = [&[1, 1, 1], &[1, 1, 1], &[1, 2, 3]];
        assert!(!asks(Dispute::NoMajority, &mostly));
        assert!(asks(Dispute::AnyDifference, &mostly));
        // Half is no majority of ties, either.
        assert!(asks(Dispute::NoMajority, &mostly[1..]));
    }

    #[test]
    fn half_is_no_majority() {
        let half = answers(&[(Pick::A, None), (Pick::B, None)]);
        assert!(is_disputed(Dispute::NoMajority, &half));
        assert!(!is_disputed(Dispute::Never, &half));
        let most = answers(&[(Pick::A, None), (Pick::A, None), (Pick::B, None)]);
        assert!(!is_disputed(Dispute::NoMajority, &most));
        assert!(is_disputed(Dispute::AnyDifference, &most));
    }
}
