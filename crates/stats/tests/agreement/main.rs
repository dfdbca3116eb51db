//! Agreement and strengths, against worked examples of the literature and against other people's code
//! (`parity/agreement.py`).

use candor_stats::agreement::{Unit, cohen, fleiss, krippendorff, krippendorff_interval, percent};
use candor_stats::bradley_terry::strengths;
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    agreement: Vec<Case>,
    bradley_terry: Vec<Models>,
}

#[derive(Deserialize)]
struct Case {
    n_raters: usize,
    units: Vec<Unit>,
    krippendorff: Option<f64>,
    fleiss: Option<f64>,
    cohen: Option<f64>,
}

#[derive(Deserialize)]
struct Models {
    wins: Vec<Vec<f64>>,
    strengths: Vec<f64>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("recorded.json")).expect("the recorded file")
}

/// Sums in another order differ in the last bits.
fn assert_close(ours: Option<f64>, theirs: Option<f64>, within: f64, what: &str) {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => assert!(
            (ours - theirs).abs() < within,
            "{what}: {ours} and {theirs}"
        ),
        (ours, theirs) => assert_eq!(ours, theirs, "{what}"),
    }
}

#[test]
fn equal_to_krippendorff_and_statsmodels() {
    for case in recorded().agreement {
        let units: Vec<&Unit> = case.units.iter().collect();
        assert_close(
            krippendorff::<3>(&units),
            case.krippendorff,
            1e-12,
            "krippendorff",
        );
        assert_close(
            fleiss::<3>(&units, case.n_raters),
            case.fleiss,
            1e-12,
            "fleiss",
        );
        let pairs: Vec<(usize, usize)> = units
            .iter()
            .filter(|unit| unit.len() >= 2)
            .map(|unit| (unit[0], unit[1]))
            .collect();
        assert_close(cohen::<3>(&pairs), case.cohen, 1e-12, "cohen");
    }
}

#[test]
fn equal_to_choix() {
    for case in recorded().bradley_terry {
        let ours = strengths(&case.wins).expect("everybody wins and loses");
        for (ours, theirs) in ours.into_iter().zip(case.strengths) {
            // Both stop when a pass changes little.
            assert_close(Some(ours), Some(theirs), 1e-6, "strength");
        }
    }
}

/// Krippendorff (2011), sections C and D: four observers, twelve units, missing data; the nominal alpha is 0.743, that of
/// interval data 0.849.
#[test]
fn krippendorffs_own_example() {
    let rows = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ];
    let units: Vec<Unit> = (0..12)
        .map(|unit| {
            rows.iter()
                .map(|row| row[unit])
                .filter(|&value| value > 0)
                .collect()
        })
        .collect();
    let units: Vec<&Unit> = units.iter().collect();
    let alpha = krippendorff::<6>(&units).unwrap();
    assert!((alpha - 0.743).abs() < 0.0005, "{alpha}");
    let alpha = krippendorff_interval(&units).unwrap();
    assert!((alpha - 0.849).abs() < 0.0005, "{alpha}");
}

/// Two items, 0 and 2, 4 and 4. Within: 4 + 4 over m − 1 = 1 each, 8 in all. Of all four, ordered pairs: twice 0–2 (8), 0–4
/// four times (64), 2–4 four times (16), 88. So 1 − 3 · 8 / 88.
#[test]
fn alpha_of_ratings_by_hand() {
    let units = [vec![0, 2], vec![4, 4], vec![6]];
    let units: Vec<&Unit> = units.iter().collect();
    let expected = Some(1.0 - 24.0 / 88.0);
    assert_close(krippendorff_interval(&units), expected, 1e-12, "alpha");
    assert_eq!(krippendorff_interval(&units[1..]), None, "nothing varies");
}

/// Fleiss (1971) gives kappa for 14 raters of ten subjects in five categories in the form of the well-known worked
/// example: 0.210.
#[test]
fn fleiss_worked_example() {
    let counts = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ];
    let units: Vec<Unit> = counts
        .iter()
        .map(|counts| {
            counts
                .iter()
                .enumerate()
                .flat_map(|(category, &n)| vec![category; n])
                .collect()
        })
        .collect();
    let units: Vec<&Unit> = units.iter().collect();
    let kappa = fleiss::<5>(&units, 14).unwrap();
    assert!((kappa - 0.210).abs() < 0.0005, "{kappa}");
}

/// Two readers of 50 proposals: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no. Observed 0.7, by chance 0.5, so 0.4.
#[test]
fn cohen_by_hand() {
    let pairs: Vec<(usize, usize)> = [((0, 0), 20), ((0, 1), 5), ((1, 0), 10), ((1, 1), 15)]
        .iter()
        .flat_map(|&(pair, n)| vec![pair; n])
        .collect();
    assert_close(cohen::<2>(&pairs), Some(0.4), 1e-12, "cohen");
}

#[test]
fn two_models_have_the_log_odds_of_their_wins() {
    // Three wins to one: ln 3 apart, around zero.
    let ours = strengths(&[vec![0.0, 3.0], vec![1.0, 0.0]]).unwrap();
    let half = 3.0_f64.ln() / 2.0;
    assert_close(Some(ours[0]), Some(half), 1e-9, "the winner");
    assert_close(Some(ours[1]), Some(-half), 1e-9, "the loser");
}

#[test]
fn what_is_not_defined_is_none() {
    let single: Unit = vec![1];
    let same: Unit = vec![2, 2];
    assert_eq!(krippendorff::<3>(&[&single]), None, "nothing overlaps");
    assert_eq!(krippendorff::<3>(&[&same, &same]), None, "no variation");
    assert_eq!(fleiss::<3>(&[&same], 2), None);
    assert_eq!(fleiss::<3>(&[&same], 3), None);
    assert_eq!(fleiss::<3>(&[], 0), None);
    assert_eq!(cohen::<3>(&[]), None);
    assert_eq!(cohen::<3>(&[(1, 1), (1, 1)]), None);
    assert_eq!(percent(&[&single]), None);
    assert_eq!(percent(&[&same]), Some(1.0));
    assert_eq!(
        strengths(&[vec![0.0, 2.0], vec![0.0, 0.0]]),
        None,
        "one never won"
    );
    assert_eq!(strengths(&[vec![0.0]]), None);
    let islands = [
        vec![0., 1., 0., 0.],
        vec![1., 0., 0., 0.],
        vec![0., 0., 0., 1.],
        vec![0., 0., 1., 0.],
    ];
    assert_eq!(strengths(&islands), None, "two groups that never met");
}
