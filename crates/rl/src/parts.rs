//! What each part of the reward adds to it: the score, the penalties, the symbolic reward and every term of the recipe.

use std::collections::BTreeMap;

use candor_data::AnswerType;
use candor_judge::reward::Term;
use serde::Serialize;

use crate::recipe::ScoreRecipe;
use crate::rollout::Rollout;
use crate::scoring::Score;

/// What a part of the reward was like in a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PartMetrics {
    /// Mean over all responses of what it adds, weighted; over all parts these add up to the mean of what responses earn.
    pub mean: f64,
    /// Standard deviation of that.
    pub std: f64,
    /// Mean of its number before its weight, over the responses that it applies to.
    pub unweighted_mean: Option<f64>,
    /// Responses that it applies to.
    pub n: usize,
}

/// A part: what its number is multiplied by, and its number for each response that it applies to.
struct Part {
    weight: f64,
    numbers: Vec<Option<f64>>,
}

impl Part {
    fn measured(&self) -> PartMetrics {
        let added = self.numbers.iter().map(|x| self.weight * x.unwrap_or(0.0));
        let added: Vec<f64> = added.collect();
        PartMetrics {
            // Without a negative zero.
            mean: mean(added.iter().copied()).unwrap_or(0.0) + 0.0,
            std: deviation(&added).unwrap_or(0.0),
            unweighted_mean: mean(self.numbers.iter().copied().flatten()),
            n: self.numbers.iter().flatten().count(),
        }
    }
}

/// Measures every part by its name: `score`, `no_eos`, `length`, `symbolic`, and the names of terms.
pub(crate) fn parts(
    rollouts: &[Rollout<'_>],
    scores: &[Score],
    recipe: &ScoreRecipe,
    terms: &[Term],
) -> BTreeMap<String, PartMetrics> {
    let coefs = &recipe.terminal;
    let part = |weight: f64, number: &dyn Fn(&Rollout<'_>, &Score) -> Option<f64>| {
        let both = rollouts.iter().zip(scores);
        let numbers = both.map(|(rollout, score)| number(rollout, score));
        let numbers = numbers.collect();
        Part { weight, numbers }.measured()
    };
    let tokens = |rollout: &Rollout<'_>| {
        rollout.prompt.length_bonus * coefs.length_share(rollout.response.ids.len())
    };
    let fixed = [
        (
            "no_eos",
            part(-coefs.no_eos_penalty, &|rollout, _| {
                Some(f64::from(u8::from(!rollout.response.finished)))
            }),
        ),
        (
            "length",
            part(-coefs.length_penalty, &|rollout, _| Some(tokens(rollout))),
        ),
        (
            "symbolic",
            part(coefs.symbolic_coef, &|rollout, score| {
                (rollout.prompt.answer_type != AnswerType::General).then_some(score.correctness)
            }),
        ),
    ];
    let score = scores.iter().any(|score| score.model.is_some()).then(|| {
        let number =
            |_: &Rollout<'_>, score: &Score| score.model.as_ref().map(|model| model.normalised);
        ("score", part(recipe.weight, &number))
    });
    let own = terms.iter().enumerate().map(|(k, term)| {
        let number = |_: &Rollout<'_>, score: &Score| score.terms[k];
        (term.name.as_str(), part(term.weight, &number))
    });
    let all = fixed.into_iter().chain(score).chain(own);
    all.map(|(name, measured)| (name.to_owned(), measured))
        .collect()
}

/// The mean, if there are any.
pub(crate) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = numbers.fold((0_usize, 0.0), |(n, sum), x| (n + 1, sum + x));
    (n > 0).then(|| sum / n as f64)
}

/// The standard deviation, dividing by the number, if there are any.
pub(crate) fn deviation(numbers: &[f64]) -> Option<f64> {
    let center = mean(numbers.iter().copied())?;
    let squares = numbers.iter().map(|x| (x - center).powi(2));
    mean(squares).map(f64::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_does_not_apply_adds_nothing_and_is_not_averaged() {
        let numbers = vec![Some(1.0), None, Some(4.0), None];
        let found = Part {
            weight: -2.0,
            numbers,
        };
        // -2, 0, -8, 0: mean -2.5, squares of the distances 0.25, 6.25, 30.25, 6.25.
        let expected = PartMetrics {
            mean: -2.5,
            std: 10.75_f64.sqrt(),
            unweighted_mean: Some(2.5),
            n: 2,
        };
        assert_eq!(found.measured(), expected);
        let none = Part {
            weight: -1.0,
            numbers: vec![None],
        };
        let none = none.measured();
        assert_eq!(
            (none.mean.to_bits(), none.n, none.unweighted_mean),
            (0, 0, None)
        );
    }
}
