//! How two policies differ over several training seeds: the mean over the seeds of how they differ with each.
//!
//! A seed has a world, models and images of its own, so nothing but figures is compared between seeds. Two intervals say
//! how far the mean may be from that over all seeds, and both together decide ([`Pooled::ci95`]):
//!
//! - **Student's t** over the seeds' differences ([`student`]). It takes them as draws from one normal distribution.
//! - **The bootstrap in two levels**: seeds are resampled, and of each drawn seed its images. It assumes no shape, but takes the
//!   seeds at hand for all that there are: with few it is too narrow. Of three seeds one resample in nine has one seed
//!   alone, and none has a seed that is worse than the worst one seen.
//!
//! Two tests of a difference ask how often a mean at least as large turns up between equal policies:
//!
//! - **Over seeds**: each seed's difference has either sign. This is of other seeds, and coarse: with n seeds no p is below
//!   2^(1 − n), 0.25 for three and 0.03 for six.
//! - **Over images**: for each image of each seed a coin decides which policy gave which answers. This is of other
//!   images, with the models of these seeds; a small p says nothing of the next seed.

use candor_data::random;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{self, Interval, N_RESAMPLES, ratio};
use crate::paired::{self, Pair, Sums};
use crate::student;

/// What is made of two policies' figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contrast {
    /// The second less the first.
    Difference,
    /// The second over the first.
    Ratio,
}

impl Contrast {
    /// `None` where a figure is a ratio over nothing, or the contrast itself is.
    fn of(self, [first, second]: Sums) -> Option<f64> {
        let (first, second) = (ratio(first[0], first[1])?, ratio(second[0], second[1])?);
        match self {
            Self::Difference => Some(second - first),
            Self::Ratio => ratio(second, first),
        }
    }
}

/// The contrast of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OfSeed {
    /// The contrast; `None` over nothing.
    pub value: Option<f64>,
    /// Its 95% interval over this seed's images.
    pub ci95: Option<Interval>,
    /// Items that both policies answered.
    pub n: usize,
}

/// The contrast over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pooled {
    /// Each seed's, in the order given.
    pub seeds: Vec<OfSeed>,
    /// Their mean; `None` without seeds, or where one of them has none.
    pub mean: Option<f64>,
    /// 95% interval by the bootstrap over seeds and images; `None` for fewer than two seeds, or where most resamples are over
    /// nothing.
    pub bootstrap: Option<Interval>,
    /// 95% interval by Student's t over seeds; `None` for fewer than two.
    pub student: Option<Interval>,
    /// Chance of a mean difference at least as large over the signs of the seeds; `None` for ratios.
    pub p_seeds: Option<f64>,
    /// The same over the images within each seed.
    pub p_images: Option<f64>,
}

impl Pooled {
    /// Both intervals together, which decisions rest on: from the lower of their lower ends to the higher of their upper ends.
    /// The wider of the two would not do, since the narrower one may reach further on one side.
    #[must_use]
    pub fn ci95(&self) -> Option<Interval> {
        let (drawn, student) = (self.bootstrap?, self.student?);
        Some([drawn[0].min(student[0]), drawn[1].max(student[1])])
    }
}

/// Compares two policies over seeds, each given by what both contribute with its items. `seed` decides what is drawn.
#[must_use]
pub fn pool(seeds: &[Vec<Pair>], contrast: Contrast, seed: u64) -> Pooled {
    let of_seed = |pairs: &Vec<Pair>| {
        let of = |pairs: &[&Pair]| [contrast.of(paired::total(pairs.iter().copied()))];
        let [ci95] = bootstrap::intervals(pairs, seed, "judge.paired", |pair| &pair.image, of);
        OfSeed {
            value: contrast.of(paired::total(pairs)),
            ci95,
            n: pairs.len(),
        }
    };
    let each: Vec<OfSeed> = seeds.iter().map(of_seed).collect();
    let images: Vec<Vec<Sums>> = seeds.iter().map(|pairs| paired::by_image(pairs)).collect();
    let values: Option<Vec<f64>> = each.iter().map(|of_seed| of_seed.value).collect();
    let values = values.unwrap_or_default();
    let mean = mean(values.iter().copied().map(Some));
    let tested = mean.filter(|_| contrast == Contrast::Difference);
    Pooled {
        bootstrap: mean.and_then(|_| two_levels(&images, contrast, seed)),
        student: student::interval(&values),
        p_seeds: tested.map(|_| over_signs(&values, seed)),
        p_images: tested.map(|observed| over_images(&images, observed, seed)),
        seeds: each,
        mean,
    }
}

/// The mean, unless there are no values or one of them is missing.
fn mean(values: impl ExactSizeIterator<Item = Option<f64>>) -> Option<f64> {
    let n = values.len();
    let sum = values.sum::<Option<f64>>()?;
    ratio(sum, n as f64)
}

fn two_levels(seeds: &[Vec<Sums>], contrast: Contrast, seed: u64) -> Option<Interval> {
    if seeds.len() < 2 {
        return None;
    }
    let resample = |index: usize| {
        let mut stream = random::stream(seed, "stats.pooled", &[index as u64]);
        let drawn = (0..seeds.len()).map(|_| {
            let images = &seeds[stream.random_range(0..seeds.len())];
            let mut sums = Sums::default();
            for _ in 0..images.len() {
                let image = &images[stream.random_range(0..images.len())];
                paired::add(&mut sums, image, false);
            }
            contrast.of(sums)
        });
        mean(drawn)
    };
    bootstrap::middle((0..N_RESAMPLES).filter_map(resample).collect())
}

/// How often the mean is as large when coins decide the sign of each seed's difference.
fn over_signs(differences: &[f64], seed: u64) -> f64 {
    let sum = |is_turned: &dyn Fn(usize) -> bool| {
        let sign = |i: usize| if is_turned(i) { -1.0 } else { 1.0 };
        let signed = differences.iter().enumerate().map(|(i, by)| sign(i) * by);
        signed.sum::<f64>().abs()
    };
    let observed = sum(&|_| false);
    paired::chance(differences.len(), seed, |is_turned| {
        sum(is_turned) >= observed - paired::ROUNDING
    })
}

/// How often the mean difference is as large when coins decide for each image which policy gave which answers.
fn over_images(seeds: &[Vec<Sums>], observed: f64, seed: u64) -> f64 {
    let mut base = Vec::new();
    let mut differing: Vec<(usize, Sums)> = Vec::new();
    for (at, images) in seeds.iter().enumerate() {
        let (equal, others) = paired::split(images);
        base.push(equal);
        differing.extend(others.into_iter().map(|sums| (at, sums)));
    }
    paired::chance(differing.len(), seed, |is_exchanged| {
        let mut sums = base.clone();
        for (i, (at, image)) in differing.iter().enumerate() {
            paired::add(&mut sums[*at], image, is_exchanged(i));
        }
        let drawn = mean(sums.into_iter().map(|sums| Contrast::Difference.of(sums)));
        drawn.is_none_or(|drawn| drawn.abs() >= observed.abs() - paired::ROUNDING)
    })
}
