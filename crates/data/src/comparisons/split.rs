//! Which comparisons train, which choose the best step, and which are only reported: by image, so that no part
//! knows an image (or the facts of it) from another.

use std::collections::BTreeMap;

use rand::RngExt as _;

use crate::random;

/// Indices of rows, by what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Split {
    /// Trained on.
    pub train: Vec<usize>,
    /// Choose the step whose weights are kept.
    pub validation: Vec<usize>,
    /// Measured once, at the end.
    pub held_out: Vec<usize>,
}

impl Split {
    /// The rows of all parts.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let parts = [&self.train, &self.validation, &self.held_out];
        parts.into_iter().flatten().copied()
    }
}

/// Splits rows by the image each has. A part that is to have `n` rows takes whole images until it has at least
/// that many, held out first, then validation; the rest trains, of which `n_train` rows at most are kept.
///
/// Each image has its place in the order by the seed and its name alone, whatever other images there are and however the rows
/// stand in their files. All stages that learn from comparisons split alike by one seed; of two that are given different rows, each
/// takes the beginning of the same order. Where the rows of one are all among those of another, it holds out all that it has of what
/// the other holds out.
#[must_use]
pub(crate) fn by_image(
    images: &[&str],
    seed: u64,
    n_validation: usize,
    n_held_out: usize,
    n_train: Option<usize>,
) -> Split {
    let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, image) in images.iter().enumerate() {
        rows.entry(image).or_default().push(row);
    }
    let mut groups: Vec<(&str, Vec<usize>)> = rows.into_iter().collect();
    groups.sort_by_cached_key(|(image, _)| place(seed, image));
    let mut split = Split::default();
    for (_, group) in groups {
        let part = if split.held_out.len() < n_held_out {
            &mut split.held_out
        } else if split.validation.len() < n_validation {
            &mut split.validation
        } else {
            &mut split.train
        };
        part.extend(group);
    }
    split.train.truncate(n_train.unwrap_or(usize::MAX));
    split
}

/// Where an image stands in the order.
fn place(seed: u64, image: &str) -> u64 {
    random::stream(seed, "reward.split", &[random::index(image)]).random()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_row_is_in_one_part_and_every_image_too(
            images in prop::collection::vec(0_u8..40, 0..120),
            seed in any::<u64>(),
            n_validation in 1_usize..20,
            n_held_out in 1_usize..20,
        ) {
            let names: Vec<String> = images.iter().map(u8::to_string).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let split = by_image(&names, seed, n_validation, n_held_out, None);
            let parts = [&split.train, &split.validation, &split.held_out];
            let mut all: Vec<usize> = parts.iter().copied().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..names.len()).collect::<Vec<_>>());
            let seen = parts.map(|part| part.iter().map(|&i| names[i]).collect::<BTreeSet<_>>());
            for (i, j) in [(0, 1), (0, 2), (1, 2)] {
                prop_assert!(seen[i].is_disjoint(&seen[j]));
            }
            // Parts are filled in order, and no part has an image more than it needs.
            prop_assert!(split.train.is_empty() || split.validation.len() >= n_validation);
            prop_assert!(split.validation.is_empty() || split.held_out.len() >= n_held_out);
            let largest = |part: &[usize]| {
                let last = part.last().map_or("", |&i| names[i]);
                part.iter().filter(|&&i| names[i] == last).count()
            };
            prop_assert!(split.held_out.len() - largest(&split.held_out) < n_held_out);
            prop_assert!(split.validation.len() - largest(&split.validation) < n_validation);
        }

        /// An image that is not there any more moves the borders of the parts by one place, and no other image to another place.
        #[test]
        fn without_an_image_what_was_held_out_still_is(
            n_images in 2_usize..60,
            removed in any::<prop::sample::Index>(),
            seed in any::<u64>(),
            n_validation in 0_usize..20,
            n_held_out in 1_usize..20,
        ) {
            let names: Vec<String> = (0..n_images).map(|i| format!("{i}.png")).collect();
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            let removed = all[removed.index(n_images)];
            let left: Vec<&str> = all.iter().copied().filter(|&name| name != removed).collect();
            let parts = |names: &[&str]| {
                let split = by_image(names, seed, n_validation, n_held_out, None);
                let named = |part: &[usize]| -> BTreeSet<String> {
                    let names = part.iter().map(|&row| names[row].to_owned());
                    names.filter(|name| name != removed).collect()
                };
                let held_out = named(&split.held_out);
                let measured = [split.held_out, split.validation].concat();
                [held_out, named(&measured)]
            };
            let (before, after) = (parts(&all), parts(&left));
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(before.is_subset(after));
                prop_assert!(after.len() - before.len() <= 1);
            }
        }
    }

    #[test]
    fn the_seed_decides_and_the_order_of_rows_does_not() {
        let names: Vec<String> = (0..50).map(|i| format!("{i}.png")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let reversed: Vec<&str> = names.iter().rev().copied().collect();
        let held_out = |names: &[&str], seed| -> BTreeSet<String> {
            let split = by_image(names, seed, 5, 10, None);
            split
                .held_out
                .iter()
                .map(|&i| names[i].to_owned())
                .collect()
        };
        assert_eq!(held_out(&names, 1), held_out(&reversed, 1));
        assert_ne!(held_out(&names, 1), held_out(&names, 2));
    }

    #[test]
    fn training_rows_are_capped() {
        let names = ["a", "a", "b", "c", "c", "d", "e"];
        let all = by_image(&names, 3, 1, 1, None).train;
        let capped = by_image(&names, 3, 1, 1, Some(2)).train;
        assert!(all.len() >= 3);
        assert_eq!(capped, all[..2]);
    }
}
