//! A file of candidates, annotated: what is written, what is dropped, what is refused.

use std::path::{Path, PathBuf};

use candor_data::formats::candidates::{self, Candidate, Sampling};
use candor_data::formats::{preference, preference_log};
use candor_data::{Turn, Verdict};
use candor_world::{Annotator, Scene, World, WorldConfig, annotate_candidates};
use tempfile::TempDir;

/// A world with its scenes on disk, and no images: annotators read the ground truth.
struct Place {
    dir: TempDir,
    scenes: Vec<Scene>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = WorldConfig {
            seed: 21,
            n_train: 1,
            n_preference: 3,
            n_rl: 0,
            ..WorldConfig::default()
        };
        let scenes = World::generate(&config).unwrap().scenes().to_vec();
        let lines = scenes
            .iter()
            .map(|scene| serde_json::to_string(scene).unwrap() + "\n");
        let text: String = lines.collect();
        std::fs::write(dir.path().join("scenes.jsonl"), text).unwrap();
        Self { dir, scenes }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, rows: &[Candidate]) -> PathBuf {
        let path = self.at(name);
        candidates::write(&path, rows).unwrap();
        path
    }
}

fn pair(scene: &Scene, index: u64, turns: &[&str], outputs: [&str; 2]) -> Candidate {
    let turn = |(i, text): (usize, &&str)| match i % 2 {
        0 => Turn::human(*text),
        _ => Turn::gpt(*text),
    };
    Candidate {
        id: format!("pair-{index}"),
        image: Some(scene.image.clone()),
        turns: turns.iter().enumerate().map(turn).collect(),
        original_answer: Some("the data set's".into()),
        outputs: outputs.map(str::to_owned),
        sampling: Sampling {
            model: "m".into(),
            model_fingerprint: "f".into(),
            adapter: None,
            adapter_fingerprint: None,
            seed: 0,
            temperature: 0.7,
            top_p: 1.0,
            max_new_tokens: 64,
            batch_rows: 2,
            chunk: 1,
            index,
            finished: [true; 2],
            n_tokens: [5; 2],
        },
    }
}

const ASK: &str = "<image>\nDescribe the image.";

/// True and false sentences about a scene.
fn said(scene: &Scene) -> (String, String) {
    let (present, absent) = (scene.objects[0].kind, scene.absent()[0]);
    (
        format!("There is a {present}."),
        format!("There is a {absent}."),
    )
}

fn read(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn both_formats_are_written_and_what_cannot_be_told_is_dropped() {
    let place = Place::new();
    let [a, b, c] = [0, 1, 2].map(|i| &place.scenes[i]);
    let (truth, lie) = said(a);
    let two = format!("{truth} {}", said(a).0.replace("There is", "I see"));
    let rows = [
        pair(a, 0, &[ASK], [&format!("{truth} {lie}"), &truth]),
        pair(b, 1, &[ASK], ["I cannot tell.", &said(b).0]),
        pair(c, 2, &[ASK], ["Hello.", "Hello."]),
        pair(a, 3, &[ASK], [&truth, &two]),
    ];
    let file = place.write("candidates.jsonl", &rows);
    let out = place.at("annotated/pairs.json");
    let annotator = Annotator::new(4, 0.0);
    let summary = annotate_candidates(&annotator, place.dir.path(), &file, &out).unwrap();

    let log = preference_log::read(&place.at("annotated/pairs.log.jsonl")).unwrap();
    let ids: Vec<&str> = log.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["pair-0", "pair-1"]);
    assert_eq!(log[0].fewer_hallucinations, Verdict::Second);
    assert_eq!(log[1].fewer_hallucinations, Verdict::Tie);
    assert_eq!(log[1].chosen(), Some(said(b).0.as_str()));
    assert_eq!(log[0].turns, rows[0].turns);
    assert_eq!(log[0].original_answer.as_deref(), Some("the data set's"));
    assert_eq!(log[0].record.as_ref().unwrap().seed, 4);
    let public = preference::read(&out).unwrap();
    assert_eq!(public[0].chosen(), Some(truth.as_str()));
    assert_eq!(public.len(), 2);

    let stored = read(&place.at("annotated/pairs.summary.json"));
    assert_eq!(stored, serde_json::to_value(&summary).unwrap());
    let expected = serde_json::json!({
        "n_pairs": 4, "n_dropped": 2, "n_identical": 1, "first_question_share": 0.5,
        "error_rate": 0.0, "seed": 4,
    });
    assert_eq!(stored, expected);
}

/// The judge reads the question that the outputs answer, which is the last of the context.
#[test]
fn the_last_question_of_a_conversation_is_judged() {
    let place = Place::new();
    let scene = &place.scenes[0];
    let present = scene.objects[0].kind;
    let asked = format!("Is there a {present} in the image?");
    let turns = [ASK, "A picture.", asked.as_str()];
    let file = place.write("c.jsonl", &[pair(scene, 0, &turns, ["No.", "Yes."])]);
    let out = place.at("p.json");
    annotate_candidates(&Annotator::new(0, 0.0), place.dir.path(), &file, &out).unwrap();
    let rows = preference_log::read(&place.at("p.log.jsonl")).unwrap();
    assert_eq!(rows[0].chosen(), Some("Yes."));
    assert_eq!(rows[0].turns.len(), 3);
}

#[test]
fn the_seed_decides_every_byte_and_no_pair_depends_on_the_others() {
    let place = Place::new();
    let (truth, lie) = said(&place.scenes[0]);
    let both = format!("{truth} {lie}");
    let rows: Vec<Candidate> = (0..200)
        .map(|i| pair(&place.scenes[0], i, &[ASK], [&truth, &both]))
        .collect();
    let all = place.write("all.jsonl", &rows);
    let half = place.write("half.jsonl", &rows[100..]);
    let log = |file: &Path, name: &str, seed: u64| {
        let annotator = Annotator::new(seed, 0.3);
        annotate_candidates(&annotator, place.dir.path(), file, &place.at(name)).unwrap();
        preference_log::read(&place.at(name).with_extension("log.jsonl")).unwrap()
    };
    let (one, two, other) = (
        log(&all, "1.json", 1),
        log(&all, "2.json", 1),
        log(&all, "3.json", 2),
    );
    assert_eq!(one, two);
    assert_ne!(one, other);
    let late: Vec<_> = one
        .iter()
        .filter(|row| rows[100..].iter().any(|pair| pair.id == row.id))
        .cloned()
        .collect();
    assert_eq!(log(&half, "4.json", 1), late);
}

#[test]
fn a_strange_image_an_undecided_file_and_an_impossible_rate_are_refused() {
    let place = Place::new();
    let scene = &place.scenes[0];
    let refuse = |rows: &[Candidate], error_rate: f64| {
        let file = place.write("c.jsonl", rows);
        let out = place.at("refused.json");
        let annotator = Annotator::new(0, error_rate);
        let error = annotate_candidates(&annotator, place.dir.path(), &file, &out).unwrap_err();
        assert!(!out.exists());
        error.to_string()
    };
    let mut strange = pair(scene, 7, &[ASK], ["a", "b"]);
    strange.image = Some("elsewhere.png".into());
    let message = refuse(&[strange.clone()], 0.0);
    for part in [
        "c.jsonl",
        "pair-7",
        "elsewhere.png",
        "give the world whose prompts",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    strange.image = None;
    assert!(refuse(&[strange], 0.0).contains("no image"));
    let message = refuse(&[pair(scene, 0, &[ASK], ["Hm.", "Well."])], 0.0);
    assert!(message.contains("none of the 1 pairs"), "{message}");
    let message = refuse(&[pair(scene, 0, &[ASK], ["a", "b"])], 1.5);
    assert!(
        message.contains("error_rate") && message.contains("1.5"),
        "{message}"
    );
}
