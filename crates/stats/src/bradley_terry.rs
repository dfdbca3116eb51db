//! How strong each of several models is, from who wins against whom.
//!
//! `P(i beats j) = p_i / (p_i + p_j)`. A tie is half a win for each.
//!
//! # Reference
//! D. R. Hunter, MM algorithms for generalized Bradley–Terry models, Annals of Statistics 32 (2004), equation (3).

/// Passes of the algorithm, at most.
const MAX_PASSES: usize = 10_000;
/// The largest change of a log-strength in the last pass.
const TOLERANCE: f64 = 1e-10;

/// The models' log-strengths, with mean zero. `wins[i][j]` is how often `i` won against `j`.
///
/// `None` unless the models form one group in which everybody has, directly or along a chain, won against everybody:
/// otherwise the likelihood has no maximum.
#[must_use]
pub fn strengths(wins: &[Vec<f64>]) -> Option<Vec<f64>> {
    let n = wins.len();
    if n < 2 || !all_reach_all(wins) {
        return None;
    }
    let mut p = vec![1.0; n];
    for _ in 0..MAX_PASSES {
        let mut next: Vec<f64> = (0..n)
            .map(|i| {
                let won: f64 = wins[i].iter().sum();
                let met: f64 = (0..n)
                    .filter(|&j| j != i)
                    .map(|j| (wins[i][j] + wins[j][i]) / (p[i] + p[j]))
                    .sum();
                won / met
            })
            .collect();
        let mean = next.iter().map(|p| p.ln()).sum::<f64>() / n as f64;
        for p in &mut next {
            *p /= mean.exp();
        }
        let change = next
            .iter()
            .zip(&p)
            .map(|(a, b)| (a.ln() - b.ln()).abs())
            .fold(0.0, f64::max);
        p = next;
        if change < TOLERANCE {
            break;
        }
    }
    Some(p.into_iter().map(f64::ln).collect())
}

/// Whether everybody can be reached from the first along wins, and the first from everybody.
fn all_reach_all(wins: &[Vec<f64>]) -> bool {
    let reached = |forward: bool| {
        let mut seen = vec![false; wins.len()];
        let mut open = vec![0];
        while let Some(i) = open.pop() {
            if std::mem::replace(&mut seen[i], true) {
                continue;
            }
            let won = |j: usize| if forward { wins[i][j] } else { wins[j][i] };
            open.extend((0..wins.len()).filter(|&j| won(j) > 0.0));
        }
        seen.into_iter().all(|seen| seen)
    };
    reached(true) && reached(false)
}
