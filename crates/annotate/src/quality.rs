//! How good the work is: agreement, gold, habits, and which model wins; each with an interval.
//!
//! Intervals are percentile bootstraps over images ([`candor_stats::bootstrap`]): items about one image stand or
//! fall together. What is not defined is `None`.

mod agreements;
mod days;
mod kept;
mod models;
mod people;
mod rankings;
mod ratings;

use candor_stats::bootstrap::{Interval, intervals};
use serde::Serialize;

pub use self::days::{PersonDay, by_day, days_csv};
pub use self::kept::{Aged, Kept};
use crate::answer::Pick;
use crate::store::{Evidence, Judged};

/// The categories of both questions.
const N_PICKS: usize = 3;

/// A figure and its 95% interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: Option<f64>,
    /// Its interval.
    pub ci95: Option<Interval>,
}

/// The quality of a project's work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Person by person.
    pub people: Vec<PersonQuality>,
    /// All together.
    pub agreement: Agreements,
    /// Two by two.
    pub pairs: Vec<PairQuality>,
    /// Disagreement by kind of question.
    pub by_type: Vec<TypeQuality>,
    /// Share of answers that call the first question a tie.
    pub tie_rate: Estimate,
    /// Share of picks that are of the left answer.
    pub left_rate: Estimate,
    /// Items that wait because their answers disagree.
    pub n_disputed: usize,
    /// How the models compare, where there are several.
    pub models: Option<Vec<ModelStrength>>,
    /// What is said of answers that are rated one by one, where there are such.
    pub ratings: Option<RatingQuality>,
    /// What is said of answers that are ranked, where there are such.
    pub rankings: Option<RankingQuality>,
}

/// Rankings of three answers or more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankingQuality {
    /// Items with a ranking.
    pub n_items: usize,
    /// Rankings of work.
    pub n_rankings: usize,
    /// Twos of rankings of one item of which one calls all answers alike: tau says nothing of them.
    pub n_undefined: usize,
    /// Pairs of answers of closed items that more than half put in order.
    pub n_pairs: usize,
    /// Such pairs of which neither answer is better for more than half.
    pub n_undecided_pairs: usize,
    /// Such pairs whose majorities go in a circle.
    pub n_circular_pairs: usize,
    /// Mean of Kendall's tau-b of each two rankings of one item.
    pub tau: Estimate,
    /// Share of pairs of answers of which two people say the same: which is better, or that they are alike.
    pub agreement: Estimate,
    /// Share of pairs of answers that share a rank.
    pub ties: Estimate,
    /// Share of pairs, of those put in order, whose better answer stood earlier on the page.
    pub earlier_rate: Estimate,
    /// Person by person.
    pub people: Vec<RankerQuality>,
}

/// One person's rankings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankerQuality {
    /// Their name.
    pub name: String,
    /// Their rankings.
    pub n_rankings: usize,
    /// Mean of Kendall's tau-b with each other ranking of the same item.
    pub tau: Estimate,
    /// Share of pairs of answers that share a rank.
    pub ties: Estimate,
    /// Share of pairs, of those put in order, whose better answer stood earlier on the page.
    pub earlier_rate: Estimate,
}

/// Ratings of single answers, from 0 to 6.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RatingQuality {
    /// Answers with a rating.
    pub n_items: usize,
    /// Ratings of work.
    pub n_ratings: usize,
    /// Mean of all ratings.
    pub mean: Estimate,
    /// Share of ratings that say that the answer hallucinates.
    pub hallucinated: Estimate,
    /// Krippendorff's alpha of the ratings as numbers.
    pub alpha: Estimate,
    /// Krippendorff's alpha of whether the answer hallucinates.
    pub alpha_hallucinated: Estimate,
}

/// One person's work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonQuality {
    /// The person.
    pub person: String,
    /// Their name.
    pub name: String,
    /// Answers to work.
    pub n_answers: usize,
    /// Median of the seconds that a task was on screen.
    pub median_secs: Option<f64>,
    /// Share of picks that are of the left answer.
    pub left_rate: Estimate,
    /// Share of answers that call the first question a tie.
    pub tie_rate: Estimate,
    /// Share of right answers to gold.
    pub gold_accuracy: Estimate,
    /// Answers to gold.
    pub n_gold: usize,
    /// Share of answers that most of the others share.
    pub majority_rate: Estimate,
}

/// Agreement of all, on the first question and on the preference that both questions come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreements {
    /// On the first question.
    pub first: Agreement,
    /// On the preference.
    pub preference: Agreement,
}

/// Agreement of all on one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Krippendorff's alpha.
    pub krippendorff: Estimate,
    /// Fleiss' kappa, over the items with as many judgements as most have.
    pub fleiss: Estimate,
    /// Share of pairs of judgements that agree.
    pub percent: Estimate,
    /// Items that several people judged.
    pub n_items: usize,
}

/// Agreement of two people on the preference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairQuality {
    /// The name of one.
    pub a: String,
    /// The name of the other.
    pub b: String,
    /// Items that both judged.
    pub n_items: usize,
    /// Cohen's kappa.
    pub cohen: Estimate,
}

/// Disagreement about a kind of question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypeQuality {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Items of the kind that several people judged.
    pub n_items: usize,
    /// Share of pairs of judgements that differ.
    pub disagreement: Estimate,
}

/// A model's strength.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelStrength {
    /// The model.
    pub model: String,
    /// Bradley–Terry's log-strength, with mean zero.
    pub strength: Option<f64>,
    /// Its interval.
    pub ci95: Option<Interval>,
    /// Judgements in which it was compared with another model.
    pub n_comparisons: usize,
}

/// The quality of the work that `evidence` tells of; `seed` decides the resamples.
#[must_use]
pub fn of(evidence: &Evidence, seed: u64) -> Quality {
    let items = &evidence.items;
    let habits = people::habits(&people::of_all(items), seed);
    Quality {
        people: people::qualities(evidence, seed),
        agreement: Agreements {
            first: agreements::of_all(items, seed, |given| given.answer.first),
            preference: agreements::of_all(items, seed, |given| given.answer.preference()),
        },
        pairs: agreements::of_pairs(evidence, seed),
        by_type: agreements::by_type(items, seed),
        tie_rate: habits.tie,
        left_rate: habits.left,
        n_disputed: items.iter().filter(|item| item.is_disputed).count()
            + evidence
                .rated
                .iter()
                .filter(|item| item.is_disputed)
                .count()
            + evidence
                .ranked
                .iter()
                .filter(|item| item.is_disputed)
                .count(),
        models: models::strengths_of(items, seed),
        ratings: ratings::of_all(&evidence.rated, seed),
        rankings: rankings::of_all(evidence, seed),
    }
}

/// A pick as the number of its category.
fn category(pick: Pick) -> usize {
    pick as usize
}

/// What an item stands or falls together with: its images.
fn cluster(item: &Judged) -> &str {
    item.image.as_deref().unwrap_or(&item.name)
}

/// `K` statistics of rows, with intervals. `image` names a row's image.
fn estimates<T, const K: usize>(
    rows: &[T],
    seed: u64,
    image: impl Fn(&T) -> &str,
    statistics: impl Fn(&[&T]) -> [Option<f64>; K],
) -> [Estimate; K] {
    if rows.is_empty() {
        return [Estimate::default(); K];
    }
    let all: Vec<&T> = rows.iter().collect();
    let values = statistics(&all);
    let ends = intervals(rows, seed, "annotate.quality", image, statistics);
    std::array::from_fn(|k| Estimate {
        value: values[k],
        // A figure that is not defined has no interval, even if resamples would have one.
        ci95: ends[k].filter(|_| values[k].is_some()),
    })
}
