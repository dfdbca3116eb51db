//! What a verdict holds besides its score.

use std::collections::BTreeSet;

use candor_world::judge::{Standing, judge, objects_mentioned};
use candor_world::{Kind, Question};

use crate::scene;

#[test]
fn recall_is_the_part_of_the_kinds_that_is_named() {
    let scene = scene();
    let recall = |answer: &str| judge(&scene, &Question::Describe, answer).recall;
    assert!(recall("").abs() < 1e-12);
    assert!(recall("I am not sure.").abs() < 1e-12);
    assert!((recall("a dog, a dog, and again a dog") - 1.0 / 3.0).abs() < 1e-12);
    assert!((recall("a dog, a cup, chairs and a cat") - 1.0).abs() < 1e-12);
}

#[test]
fn spans_point_at_the_words() {
    let answer = "This is a kitchen. There is a small red cup on the left. There is a green lamp.";
    let verdict = judge(&scene(), &Question::Describe, answer);
    let false_claim = verdict.claims.iter().find(|claim| !claim.truth).unwrap();
    assert_eq!(&answer[false_claim.span.clone()], "green lamp");
    assert_eq!(verdict.standing, Standing::Related);
}

#[test]
fn objects_mentioned_counts_what_is_said_to_be_there() {
    let said =
        objects_mentioned("A puppy and two mugs, no cat, dog yes, lamp no. Is there a bird?");
    assert_eq!(said, BTreeSet::from([Kind::Cup, Kind::Dog]));
    assert!(objects_mentioned("").is_empty());
}
