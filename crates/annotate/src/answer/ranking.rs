//! Rankings of three to eight answers: the rank of each, of which 1 is the best, without gaps. Answers of one rank are a tie.

use super::{Corrections, Mark};
use crate::error::Refusal;

/// Refuses what is no ranking of `n` answers.
pub(super) fn check_ranking(ranking: &[u8], n: usize) -> Result<(), Refusal> {
    check_begun(ranking, n)?;
    if ranking.contains(&0) {
        let found = format!("{ranking:?}, of which 0 has no rank yet");
        return Err(Refusal::invalid("ranking", found, "rank every answer"));
    }
    let most = ranking.iter().copied().max().unwrap_or_default();
    if let Some(absent) = (1..most).find(|rank| !ranking.contains(rank)) {
        let found = format!("{ranking:?}, in which no answer has the rank {absent}");
        return Err(Refusal::invalid(
            "ranking",
            found,
            "leave no rank out: after 1, 1 comes 2",
        ));
    }
    Ok(())
}

/// Refuses what no ranking of `n` answers begins as: a rank for each, or 0 where it has none yet.
pub(super) fn check_begun(ranking: &[u8], n: usize) -> Result<(), Refusal> {
    if ranking.len() != n || ranking.iter().any(|&rank| usize::from(rank) > n) {
        let found = format!("{ranking:?} of {n} answers");
        let remedy = "give each answer its rank, from 1, the best, up to their number at most";
        return Err(Refusal::invalid("ranking", found, remedy));
    }
    Ok(())
}

/// Refuses answers of one rank.
pub(super) fn check_strict(ranking: &[u8]) -> Result<(), Refusal> {
    for (i, rank) in ranking.iter().enumerate() {
        if ranking[..i].contains(rank) {
            let found = format!("{ranking:?}, in which two answers have the rank {rank}");
            let remedy = "rank each answer apart: the project allows no ties";
            return Err(Refusal::invalid("ranking", found, remedy));
        }
    }
    Ok(())
}

/// Refuses marks and corrections, which ranked answers do not have.
pub(super) fn check_bare(marks: &[Mark], corrections: &Corrections) -> Result<(), Refusal> {
    let found = "found where answers are ranked";
    if !marks.is_empty() {
        return Err(Refusal::invalid("marks", found, "mark nothing"));
    }
    if *corrections != Corrections::default() {
        return Err(Refusal::invalid("corrections", found, "correct nothing"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_begin_at_one_and_leave_none_out() {
        let is_ranking = |ranking: &[u8]| check_ranking(ranking, 3).is_ok();
        for good in [[1, 2, 3], [3, 1, 2], [1, 1, 2], [2, 1, 2], [1, 1, 1]] {
            assert!(is_ranking(&good), "{good:?}");
        }
        for bad in [[1, 3, 3], [0, 1, 2], [1, 2, 4], [2, 2, 2]] {
            assert!(!is_ranking(&bad), "{bad:?}");
        }
        assert!(!is_ranking(&[1, 2]) && !is_ranking(&[1, 2, 3, 4]));
        assert!(check_begun(&[0, 1, 0], 3).is_ok());
        assert!(check_strict(&[2, 1, 3]).is_ok() && check_strict(&[2, 1, 2]).is_err());
    }
}
