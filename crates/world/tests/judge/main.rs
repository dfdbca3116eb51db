//! The judge on written-out cases. The image: a kitchen with a small red cup at the top left, a large
//! white dog at the top right, and two large blue chairs at the bottom left and bottom right.

mod any_text;
mod descriptions;
mod findings;
mod questions;

use candor_world::judge::judge;
use candor_world::{Cell, Colour, Kind, Object, Question, Scene, Size, Split, Theme};

fn object(kind: Kind, colour: Colour, size: Size, row: u8, col: u8) -> Object {
    Object {
        kind,
        colour,
        size,
        cell: Cell { row, col },
        offset: [0.0, 0.0],
        visibility: 1.0,
        cover: None,
    }
}

fn scene() -> Scene {
    Scene {
        id: 1,
        image: "000000000001.png".into(),
        split: Split::Eval,
        theme: Theme::Kitchen,
        texture: 0,
        noise: 0.0,
        clutter: 0.0,
        objects: vec![
            object(Kind::Cup, Colour::Red, Size::Small, 0, 0),
            object(Kind::Dog, Colour::White, Size::Large, 1, 3),
            object(Kind::Chair, Colour::Blue, Size::Large, 2, 2),
            object(Kind::Chair, Colour::Blue, Size::Large, 3, 1),
        ],
    }
}

/// Question, answer, score, number of false claims.
type Case = (&'static str, &'static str, u8, usize);

fn check(cases: &[Case]) {
    let scene = scene();
    let mut wrong = Vec::new();
    for (question, answer, score, n_false) in cases {
        let verdict = judge(&scene, &Question::parse(question), answer);
        if (verdict.score, verdict.n_false()) != (*score, *n_false) {
            wrong.push(format!(
                "{question:?} {answer:?}: expected {score} with {n_false} false, found {} with {} false\n  {:?} {:?}",
                verdict.score,
                verdict.n_false(),
                verdict.standing,
                verdict.claims
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const DESCRIBE: &str = "Describe the image in detail.";
