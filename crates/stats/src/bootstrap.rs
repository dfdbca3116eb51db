//! How certain a figure over test items is: the percentile bootstrap over images.
//!
//! What is resampled is the image with all its questions, not the single question. Questions about one
//! image stand or fall together, and POPE asks the same ones again in every split, so resampling
//! questions would promise more certainty than there is. A ratio is computed anew from each resample.
//!
//! What it does not know: the spread between training seeds. An interval here says how the same model
//! would do on other images.

use std::collections::BTreeMap;

use rand::RngExt as _;

use candor_data::{random, shown};

/// Resamples behind every interval.
pub const N_RESAMPLES: usize = 2000;

/// The two ends of a 95% interval.
pub type Interval = [f64; 2];

/// 95% intervals of `K` statistics of `items`, which are resampled by the image that `image` names. It may name several, each on a
/// line of its own, as a row of several images shows them: items that are connected by images are resampled together
/// ([`shown::connected`]).
///
/// `statistics` is given the items of one resample and returns `None` for a ratio whose denominator is
/// zero. Such resamples are left out; when more than half of them are, there is no interval. The order of
/// the items does not matter as long as sums over them are exact, as sums of counts are.
pub fn intervals<T, const K: usize>(
    items: &[T],
    seed: u64,
    purpose: &str,
    image: impl Fn(&T) -> &str,
    statistics: impl Fn(&[&T]) -> [Option<f64>; K],
) -> [Option<Interval>; K] {
    let images = by_image(items, image);
    let mut drawn: [Vec<f64>; K] = std::array::from_fn(|_| Vec::with_capacity(N_RESAMPLES));
    let mut resample = Vec::with_capacity(items.len());
    for index in 0..N_RESAMPLES {
        let mut stream = random::stream(seed, purpose, &[index as u64]);
        resample.clear();
        for _ in 0..images.len() {
            resample.extend_from_slice(&images[stream.random_range(0..images.len())]);
        }
        for (values, value) in drawn.iter_mut().zip(statistics(&resample)) {
            values.extend(value);
        }
    }
    drawn.map(middle)
}

/// The items that belong together, in the order of their images' names: those of one image, and those that are connected by images
/// which they show together ([`shown::connected`]).
pub(crate) fn by_image<T>(items: &[T], image: impl Fn(&T) -> &str) -> Vec<Vec<&T>> {
    let names: Vec<String> = items.iter().map(|item| image(item).to_owned()).collect();
    let mut images: BTreeMap<String, Vec<&T>> = BTreeMap::new();
    for (item, name) in items.iter().zip(shown::connected(&names)) {
        images.entry(name).or_default().push(item);
    }
    images.into_values().collect()
}

/// The middle 95% of the values of [`N_RESAMPLES`] resamples; `None` where more than half of them have none.
pub(crate) fn middle(mut values: Vec<f64>) -> Option<Interval> {
    if values.len() * 2 < N_RESAMPLES {
        return None;
    }
    values.sort_by(f64::total_cmp);
    Some([quantile(&values, 0.025), quantile(&values, 0.975)])
}

/// The quantile of sorted values, between neighbours by linear interpolation.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

/// A ratio of counts or sums, or `None` over nothing.
#[must_use]
pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[&(String, f64)]) -> [Option<f64>; 1] {
        let sum: f64 = values.iter().map(|(_, value)| value).sum();
        [ratio(sum, values.len() as f64)]
    }

    fn coins(repetition: u64, n: usize, p: f64, per_image: usize) -> Vec<(String, f64)> {
        let flip =
            |i: usize| random::uniform(7, "test.coin", &[repetition, (i / per_image) as u64]);
        let image = |i: usize| (i / per_image).to_string();
        (0..n)
            .map(|i| (image(i), f64::from(u8::from(flip(i) < p))))
            .collect()
    }

    fn coverage(per_image: usize) -> usize {
        (0..300)
            .filter(|&repetition| {
                let items = coins(repetition, 100 * per_image, 0.3, per_image);
                let [interval] = intervals(&items, repetition, "test", |item| &item.0, mean);
                let [low, high] = interval.unwrap();
                (low..=high).contains(&0.3)
            })
            .count()
    }

    #[test]
    fn covers_a_known_mean_about_19_times_in_20() {
        // Binomial(300, 0.95) has mean 285 and standard deviation 3.8. The percentile interval of 100
        // coin flips is known to cover a little less than it says, about 0.94.
        let covered = coverage(1);
        assert!((270..=297).contains(&covered), "{covered} of 300");
    }

    #[test]
    fn covers_when_questions_of_one_image_stand_or_fall_together() {
        // Resampling single questions would cover the truth in only about two thirds of the repetitions.
        let covered = coverage(4);
        assert!((270..=297).contains(&covered), "{covered} of 300");
    }

    #[test]
    fn a_constant_has_no_width_and_an_undefined_ratio_no_interval() {
        let items: Vec<(String, f64)> = (0..20).map(|i| (i.to_string(), 2.0)).collect();
        let [constant, undefined] = intervals(
            &items,
            0,
            "test",
            |item| &item.0,
            |values| [mean(values)[0], None],
        );
        assert_eq!(constant, Some([2.0, 2.0]));
        assert_eq!(undefined, None);
    }

    #[test]
    fn the_seed_decides_and_the_order_does_not_matter() {
        // Whole numbers, so that sums are exact in any order, and many of them, so that quantiles differ.
        let squares = |i: i32| ((i / 2).to_string(), f64::from(i * i));
        let items: Vec<(String, f64)> = (0..50).map(squares).collect();
        let mut reversed = items.clone();
        reversed.reverse();
        let run = |items: &[(String, f64)], seed| intervals(items, seed, "test", |i| &i.0, mean)[0];
        assert_eq!(run(&items, 3), run(&items, 3));
        assert_eq!(run(&items, 3), run(&reversed, 3));
        assert_ne!(run(&items, 3), run(&items, 4));
    }

    #[test]
    fn items_that_are_connected_by_images_are_resampled_together() {
        let interval = |second: &str| {
            let items = [("x".to_owned(), 1.0), (second.to_owned(), 0.0)];
            intervals(&items, 0, "test", |item| &item.0, mean)[0]
        };
        // Together they are half right however often they are drawn.
        assert_eq!(interval("y\nx"), Some([0.5, 0.5]));
        assert_eq!(interval("y\nz"), Some([0.0, 1.0]));
    }

    #[test]
    fn nothing_has_no_interval() {
        let none: [(String, f64); 0] = [];
        assert_eq!(intervals(&none, 0, "test", |item| &item.0, mean), [None]);
    }

    #[test]
    fn quantiles_interpolate() {
        assert!((quantile(&[0.0, 1.0, 2.0], 0.25) - 0.5).abs() < 1e-12);
        assert!((quantile(&[5.0], 0.975) - 5.0).abs() < 1e-12);
    }
}
