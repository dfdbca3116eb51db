//! Rollouts whose truth is known by how they are made.

use std::fmt::Write as _;

use candor_world::judge;
use candor_world::{Kind, Question, Scene, World, WorldConfig};
use tempfile::TempDir;

use super::*;

fn world() -> (TempDir, World) {
    let dir = tempfile::tempdir().unwrap();
    let config = WorldConfig {
        seed: 5,
        n_train: 4,
        n_preference: 0,
        n_rl: 0,
        n_eval: 150,
        image_px: 32,
        ..WorldConfig::default()
    };
    let world = World::generate(&config).unwrap();
    candor_world::write(&world, dir.path()).unwrap();
    (dir, world)
}

fn sentence(kind: Kind) -> String {
    format!("There is a {kind}.")
}

fn said_truly(scene: &Scene) -> String {
    sentence(*scene.kinds().iter().next().unwrap())
}

fn said_falsely(scene: &Scene, n: usize) -> String {
    let absent = Kind::ALL
        .into_iter()
        .filter(|kind| !scene.kinds().contains(kind));
    let sentences: Vec<String> = absent.take(n).map(sentence).collect();
    sentences.join(" ")
}

/// A line with fields beside those that are read, as `rl` writes them.
fn line(scene: &Scene, response: &str, score: f64, answer_type: u8) -> String {
    serde_json::json!({
        "id": "x", "image": scene.image, "query": "<image>\nDescribe the image in detail.",
        "response": response, "score": score, "normalised_score": score / 2.0,
        "caption_type": answer_type, "kl": [0.1, 0.2],
    })
    .to_string()
}

fn written(dir: &TempDir, step: u64, lines: &[String]) -> (u64, PathBuf) {
    let path = dir.path().join(format!("step-{step}.jsonl"));
    let mut text = String::new();
    for line in lines {
        writeln!(text, "{line}").unwrap();
    }
    std::fs::write(&path, text).unwrap();
    (step, path)
}

#[test]
fn rollouts_are_counted_by_what_is_false_in_them() {
    let (dir, world) = world();
    let truth = Scenes::read(dir.path()).unwrap();
    let scene = world
        .scenes()
        .iter()
        .find(|scene| scene.kinds().len() < 8)
        .unwrap();
    let texts = [
        said_truly(scene),
        said_falsely(scene, 2),
        said_falsely(scene, 1),
        String::new(),
    ];
    let scores = [4.0, -2.0, 1.0, 0.0];
    let mut lines: Vec<String> = texts
        .iter()
        .zip(scores)
        .map(|(text, score)| line(scene, text, score, 1))
        .collect();
    // A yes/no prompt, which the symbolic reward judges, is not counted.
    lines.push(line(scene, "Yes", 100.0, 7));
    let general = written(&dir, 3, &lines);
    let other = written(&dir, 4, &lines[4..]);
    let blind = lines[0].replace(&format!("{:?}", scene.image), "null");
    let blind = written(&dir, 5, &[blind]);

    let points = rollouts::judged(&[general, other, blind], &truth).unwrap();
    let [point] = points.as_slice() else {
        panic!("one step has general rollouts: {points:?}")
    };
    assert_eq!((point.step, point.n), (3, 4));
    let near = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
    assert!(near(point.score_mean, 0.75));
    assert!(near(point.normalised_score_mean.unwrap(), 0.375));
    assert!(near(point.hallucinated_share, 0.5));
    assert!(near(point.false_claims_mean, 0.75));
    let judged = texts.map(|text| judge::judge(scene, &Question::Describe, &text).score);
    assert!(judged[0] >= 3 && judged[1] < 3 && judged[2] < 3 && judged[3] == 0);
    let sum: u8 = judged.iter().sum();
    assert!(near(point.judge_score_mean, f64::from(sum) / 4.0));
    assert!(point.correlation.unwrap().pearson > 0.5);
}

#[test]
fn a_damaged_line_and_an_image_without_truth_are_named() {
    let (dir, world) = world();
    let truth = Scenes::read(dir.path()).unwrap();
    let scene = &world.scenes()[0];
    let good = line(scene, "A dog.", 0.0, 1);
    let half = written(&dir, 1, &[good.clone(), good[..40].to_owned()]);
    let message = rollouts::judged(&[half], &truth).unwrap_err().to_string();
    assert!(
        message.contains("step-1.jsonl") && message.contains("line 2"),
        "{message}"
    );

    let elsewhere = written(&dir, 2, &[good.replace(&scene.image, "elsewhere.png")]);
    let message = rollouts::judged(&[elsewhere], &truth)
        .unwrap_err()
        .to_string();
    assert!(message.contains("elsewhere.png"), "{message}");
}

#[test]
fn steps_are_walked_in_the_order_of_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "step-10",
        "step-9",
        "step-100",
        "step-",
        "step-x",
        ".candor-1",
        "step-9.damaged",
    ] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let steps = |suffix| -> Vec<u64> {
        let found = by_step(dir.path(), suffix).unwrap();
        found.into_iter().map(|(step, _)| step).collect()
    };
    assert_eq!(steps(""), [9, 10, 100]);
    assert_eq!(steps(".damaged"), [9]);
    assert_eq!(by_step(&dir.path().join("nothing"), "").unwrap(), []);
}
