//! Two policies over several seeds, against cases worked out by hand and against scipy and numpy (`parity/pooled.py`).

use candor_stats::bootstrap::Interval;
use candor_stats::paired::Pair;
use candor_stats::pooled::{Contrast, Pooled, pool};
use candor_stats::student;
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    quantiles: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    contrast: Contrast,
    /// Part and whole of the first and of the second policy, for each image of each seed.
    seeds: Vec<Vec<[f64; 4]>>,
    values: Vec<f64>,
    mean: f64,
    student: Interval,
    bootstrap: Interval,
    bootstrap_std: f64,
    p_seeds: Option<f64>,
    p_images: Option<f64>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("recorded.json")).expect("the recorded file")
}

fn pairs(images: &[[f64; 4]]) -> Vec<Pair> {
    let pair = |(i, &[a, b, c, d]): (usize, &[f64; 4])| Pair {
        image: i.to_string(),
        first: [a, b],
        second: [c, d],
    };
    images.iter().enumerate().map(pair).collect()
}

fn pooled(seeds: &[&[[f64; 4]]], contrast: Contrast) -> Pooled {
    let seeds: Vec<Vec<Pair>> = seeds.iter().map(|images| pairs(images)).collect();
    pool(&seeds, contrast, 0)
}

fn assert_close(ours: impl IntoIterator<Item = f64>, theirs: &[f64], within: f64, what: &str) {
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= within, "{what}: {ours:?} and {theirs:?}");
    }
}

#[test]
fn student_is_scipys() {
    let theirs = recorded().quantiles;
    let ours = (1..=theirs.len()).map(student::quantile_975);
    assert_close(ours, &theirs, 1e-9, "quantiles");
}

#[test]
fn pooled_is_scipys_and_numpys() {
    for case in recorded().cases {
        let seeds: Vec<Vec<Pair>> = case.seeds.iter().map(|images| pairs(images)).collect();
        let ours = pool(&seeds, case.contrast, 0);
        let values = ours.seeds.iter().map(|seed| seed.value.unwrap());
        assert_close(values, &case.values, 1e-12, "values");
        assert_close(ours.mean, &[case.mean], 1e-12, "mean");
        assert_close(ours.student.unwrap(), &case.student, 1e-9, "student");
        assert_close(ours.p_seeds, case.p_seeds.as_slice(), 1e-12, "p over seeds");
        if let Some(theirs) = case.p_images {
            assert_close(ours.p_images, &[theirs], 1e-12, "p over images");
        }
        // Where the values are dense, an end of 2000 resamples has a standard error of some 0.06 standard deviations.
        let within = 0.25 * case.bootstrap_std;
        assert_close(
            ours.bootstrap.unwrap(),
            &case.bootstrap,
            within,
            "bootstrap",
        );
    }
}

#[test]
fn a_difference_worked_by_hand() {
    // Means over one image each: 1 of 10 against 3 of 10, 2 of 10 against 3 of 10, 2 of 10 against 8 of 10: 0.2, 0.1 and
    // 0.6, mean 0.3, deviations −0.1, −0.2 and 0.3, variance 0.07. t is 4.302653, and √(0.07 / 3) is 0.152753.
    let seeds: [&[[f64; 4]]; 3] = [
        &[[1.0, 10.0, 3.0, 10.0]],
        &[[2.0, 10.0, 3.0, 10.0]],
        &[[2.0, 10.0, 8.0, 10.0]],
    ];
    let found = pooled(&seeds, Contrast::Difference);
    assert_close(found.mean, &[0.3], 1e-12, "mean");
    let student = [0.3 - 0.657_241, 0.3 + 0.657_241];
    assert_close(found.student.unwrap(), &student, 1e-6, "student");
    // A resample is three seeds of three: all of the smallest one time in 27, which is more than 2.5%; so of the largest.
    assert_close(found.bootstrap.unwrap(), &[0.1, 0.6], 1e-12, "bootstrap");
    // Of eight patterns of signs only +++ and −−− are as large, for seeds and, with an image each, for images.
    assert_eq!((found.p_seeds, found.p_images), (Some(0.25), Some(0.25)));
    // Student's holds the bootstrap's.
    assert_eq!(found.ci95(), found.student);
}

#[test]
fn images_are_resampled_within_their_seed() {
    // Two seeds with two images each, differences 0 and 1: a seed's resample has 0, 1/2 or 1 with 1/4, 1/2 and 1/4, so the
    // mean of two is 0 or 1 with 1/16 each, more than 2.5% at both ends. Seeds alone would always have 1/2.
    let seed: &[[f64; 4]] = &[[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]];
    let found = pooled(&[seed, seed], Contrast::Difference);
    assert_eq!(found.bootstrap, Some([0.0, 1.0]));
    // Equal differences have no spread, so here the bootstrap holds Student's.
    assert_eq!(
        (found.student, found.ci95()),
        (Some([0.5, 0.5]), Some([0.0, 1.0]))
    );
    // Each seed has one image that differs: ±1/2 and ±1/2, half of the outcomes as large as their sum.
    assert_eq!((found.p_seeds, found.p_images), (Some(0.5), Some(0.5)));
}

#[test]
fn both_intervals_decide_together() {
    let found = |bootstrap, student| Pooled {
        bootstrap,
        student,
        ..pooled(&[], Contrast::Difference)
    };
    // The narrower one reaches further down, and alone holds zero; so the other way about.
    let (narrow, wide) = (Some([-0.125, 0.25]), Some([0.125, 1.0]));
    assert_eq!(found(narrow, wide).ci95(), Some([-0.125, 1.0]));
    assert_eq!(found(wide, narrow).ci95(), Some([-0.125, 1.0]));
    assert_eq!(found(None, wide).ci95(), None);
}

#[test]
fn every_seed_weighs_the_same() {
    // A seed with one image, 1 of 2 after 1 of 1, and one with two, 9 of 10 after 9 of 10.
    let large: &[[f64; 4]] = &[[5.0, 5.0, 5.0, 5.0], [4.0, 5.0, 4.0, 5.0]];
    let found = pooled(&[&[[1.0, 1.0, 1.0, 2.0]], large], Contrast::Difference);
    assert_eq!(found.mean, Some(-0.25));
    let found = pooled(&[&[[1.0, 1.0, 1.0, 2.0]], large], Contrast::Ratio);
    // (1/2 + 1) / 2.
    assert_eq!(found.mean, Some(0.75));
    assert_eq!((found.p_seeds, found.p_images), (None, None));
    assert_eq!(found.seeds[1].n, 2);
}

#[test]
fn one_seed_says_nothing_of_others() {
    let images: &[[f64; 4]] = &[[0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]];
    let found = pooled(&[images], Contrast::Difference);
    assert_eq!((found.mean, found.p_seeds), (Some(1.0), Some(1.0)));
    assert_eq!(
        (found.bootstrap, found.student, found.ci95()),
        (None, None, None)
    );
    assert_eq!(found.seeds[0].ci95, Some([1.0, 1.0]));
}

#[test]
fn a_seed_without_a_figure_is_not_left_out_in_silence() {
    let nothing: &[[f64; 4]] = &[[0.0, 0.0, 1.0, 2.0]];
    let some: &[[f64; 4]] = &[[0.0, 2.0, 1.0, 2.0]];
    let found = pooled(&[some, nothing], Contrast::Difference);
    assert_eq!(
        (found.seeds[0].value, found.seeds[1].value),
        (Some(0.5), None)
    );
    assert_eq!(
        (found.mean, found.ci95(), found.p_seeds),
        (None, None, None)
    );
    // A ratio to a figure of zero is over nothing as well.
    assert_eq!(pooled(&[some], Contrast::Ratio).mean, None);
    assert_eq!(pooled(&[], Contrast::Difference).mean, None);
}

#[test]
fn many_seeds_are_drawn_and_come_near_what_is_counted() {
    // Twenty seeds, five of them −1 and the others 1: P(|sum| ≥ 10) for 20 coins is 2 · 21700 / 2^20 = 0.04139.
    let (up, down): (&[[f64; 4]], &[[f64; 4]]) = (&[[0.0, 1.0, 1.0, 1.0]], &[[1.0, 1.0, 0.0, 1.0]]);
    let seeds: Vec<&[[f64; 4]]> = (0..20).map(|i| if i < 5 { down } else { up }).collect();
    let found = pooled(&seeds, Contrast::Difference);
    // Four standard deviations of 9999 draws.
    assert_close(found.p_seeds, &[0.04139], 0.008, "p over seeds");
    assert_close(found.p_images, &[0.04139], 0.008, "p over images");
}
