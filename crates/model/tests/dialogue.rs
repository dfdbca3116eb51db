//! A conversation answers as if each question had been asked at once, and reads only what is new.

use std::path::PathBuf;

use candor_data::{Conversation, Turn};
use candor_model::{Answer, Bundle, Decoding, Dialogue, End, ImageFeatures, Query, generate};
use candor_testing::images::paint;
use candor_testing::model::{N_IMAGE_TOKENS, N_POSITIONS, open, write};
use tch::Tensor;

struct Scene {
    folder: tempfile::TempDir,
    bundle: Bundle,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let bundle = open(folder.path());
        for (name, colour) in [("red.png", [220, 30, 30]), ("blue.png", [30, 40, 220])] {
            paint(&folder.path().join(name), [20, 16], colour);
        }
        Self { folder, bundle }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn encoded(&self, images: &[&str]) -> ImageFeatures {
        let names = images.iter().map(|&name| name.to_owned());
        ImageFeatures::encode(&self.bundle, self.folder.path(), names, |_, _| ()).unwrap()
    }

    fn decoding(&self, max_new_tokens: usize, temperature: f64) -> Decoding {
        Decoding {
            max_new_tokens,
            temperature,
            top_p: 1.0,
            ends: self.bundle.tokenizer.ends,
        }
    }

    /// Greedy answers of 12 tokens.
    fn ask(&self, dialogue: &mut Dialogue, question: &str) -> Answer {
        let decoding = self.decoding(12, 0.0);
        dialogue.ask(question, decoding, 0, |_| true).unwrap()
    }

    /// What [`generate`], which is compared with transformers, says to the turns as a whole.
    fn at_once(&self, turns: &[Turn], images: &[&str]) -> String {
        let bundle = &self.bundle;
        let conversation = Conversation {
            id: "x".to_owned(),
            image: (!images.is_empty()).then(|| "x".to_owned()),
            turns: turns.to_vec(),
        };
        let text = bundle.template.render(&conversation).unwrap().text;
        let ids = bundle.tokenizer.encode(&text).unwrap().ids;
        let image = bundle.tokenizer.image;
        let n = |id| if id == image { N_IMAGE_TOKENS } else { 1 };
        let ids = ids
            .into_iter()
            .flat_map(|id| std::iter::repeat_n(id, n(id)));
        let encoded = self.encoded(images);
        let query = Query {
            ids: ids.collect(),
            features: encoded.of(images.iter().copied()),
            image: None,
        };
        let decoding = self.decoding(12, 0.0);
        let said = generate(&bundle.model, None, &[query], 1, 1, decoding, |_, _| 0.0).unwrap();
        let mut ids = said[0].ids.clone();
        ids.retain(|&id| id != bundle.tokenizer.eos);
        bundle.tokenizer.decode(&ids).unwrap().trim().to_owned()
    }
}

#[test]
fn every_turn_is_answered_as_if_asked_at_once_and_only_new_tokens_are_read() {
    let scene = Scene::new();
    let mut dialogue = Dialogue::new(&scene.bundle, None, None).unwrap();
    dialogue.show(&scene.path("red.png")).unwrap();
    let mut turns = vec![Turn::human("<image>\nWhat is in the picture?")];
    let first = scene.ask(&mut dialogue, "What is in the picture?");
    assert_eq!(first.text, scene.at_once(&turns, &["red.png"]));
    assert_eq!(
        (first.n_kept, first.ids.len(), first.end),
        (0, 12, End::Length)
    );

    turns.extend([Turn::gpt(&first.text), Turn::human("Is it moving?")]);
    let second = scene.ask(&mut dialogue, " Is it moving? ");
    assert_eq!(second.text, scene.at_once(&turns, &["red.png"]));
    // The first question is not read again.
    assert!(second.n_kept >= first.n_read, "{second:?}");

    dialogue.show(&scene.path("blue.png")).unwrap();
    let question = Turn::human("<image>\nIs there a dog?");
    turns.extend([Turn::gpt(&second.text), question]);
    let third = scene.ask(&mut dialogue, "Is there a dog?");
    assert_eq!(third.text, scene.at_once(&turns, &["red.png", "blue.png"]));
    assert!(third.n_kept >= second.n_read, "{third:?}");
    assert!(third.n_read - third.n_kept < 40, "{third:?}");
}

#[test]
fn images_are_told_apart_and_forgotten() {
    let scene = Scene::new();
    let features = |name: &str| -> Tensor {
        let encoded = scene.encoded(&[name]);
        encoded.of([name]).unwrap().rows().shallow_clone()
    };
    assert_ne!(features("red.png"), features("blue.png"));
    let mut dialogue = Dialogue::new(&scene.bundle, None, None).unwrap();
    for name in ["red.png", "blue.png"] {
        dialogue.show(&scene.path(name)).unwrap();
        let question = "What is in the picture?";
        let answer = scene.ask(&mut dialogue, question);
        let turn = Turn::human(format!("<image>\n{question}"));
        assert_eq!(answer.text, scene.at_once(&[turn], &[name]), "{name}");
        assert_eq!(answer.n_kept, 0, "nothing of before is left");
        dialogue.reset();
    }
}

#[test]
fn a_long_conversation_outgrows_its_cache_and_fills_the_positions() {
    let scene = Scene::new();
    let mut dialogue = Dialogue::new(&scene.bundle, None, None).unwrap();
    let mut turns = Vec::new();
    // More than the first room of the cache, in the second turn.
    for question in [
        "Is it moving?".to_owned(),
        "There is a dog, too. ".repeat(40),
    ] {
        turns.push(Turn::human(&question));
        let answer = scene.ask(&mut dialogue, &question);
        assert_eq!(answer.text, scene.at_once(&turns, &[]));
        turns.push(Turn::gpt(answer.text));
    }
    let decoding = scene.decoding(10_000, 0.0);
    let answer = dialogue.ask("No.", decoding, 0, |_| true).unwrap();
    assert_eq!(answer.end, End::Full);
    assert_eq!(answer.n_read + answer.ids.len(), N_POSITIONS);
    let message = dialogue.ask("No.", decoding, 0, |_| true).unwrap_err();
    assert!(message.to_string().contains("640 positions"), "{message}");
}

#[test]
fn whoever_listens_hears_the_text_and_may_stop() {
    let scene = Scene::new();
    let mut dialogue = Dialogue::new(&scene.bundle, None, None).unwrap();
    let mut heard = String::new();
    let decoding = scene.decoding(12, 0.0);
    let answer = dialogue
        .ask("Is it moving?", decoding, 0, |piece| {
            heard.push_str(piece);
            true
        })
        .unwrap();
    assert_eq!(heard.trim_end(), answer.text);
    dialogue.reset();
    let mut n_pieces = 0;
    let stopped = dialogue
        .ask("Is it moving?", decoding, 0, |_| {
            n_pieces += 1;
            n_pieces < 3
        })
        .unwrap();
    assert_eq!((stopped.end, stopped.ids.len()), (End::Stopped, 3));
    assert!(answer.text.starts_with(&stopped.text), "{stopped:?}");
}

#[test]
fn a_draw_is_a_function_of_seed_and_question() {
    let scene = Scene::new();
    let said = |seed: u64| {
        let mut dialogue = Dialogue::new(&scene.bundle, None, None).unwrap();
        let decoding = scene.decoding(30, 1.0);
        let mut ask = || {
            dialogue
                .ask("Is it moving?", decoding, seed, |_| true)
                .unwrap()
                .text
        };
        [ask(), ask()]
    };
    assert_eq!(said(1), said(1));
    assert_ne!(said(1), said(2));
    let [first, second] = said(1);
    assert_ne!(first, second);
}

#[test]
fn what_cannot_be_asked_leaves_the_conversation_as_it_was() {
    let scene = Scene::new();
    let mut dialogue = Dialogue::new(&scene.bundle, None, Some("Be brief.")).unwrap();
    dialogue.show(&scene.path("red.png")).unwrap();
    let decoding = scene.decoding(4, 0.0);
    let message = dialogue
        .ask("What is an <image>?", decoding, 0, |_| true)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("2 places for images, but 1 were shown"),
        "{message}"
    );
    let missing = dialogue
        .show(&scene.path("none.png"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("none.png"), "{missing}");
    // The image still waits for its question.
    let answer = scene.ask(&mut dialogue, "Is it moving?");
    let brief = Bundle {
        template: scene
            .bundle
            .template
            .clone()
            .with_system("Be brief.")
            .unwrap(),
        ..open(scene.folder.path())
    };
    let scene = Scene {
        bundle: brief,
        ..scene
    };
    let turn = Turn::human("<image>\nIs it moving?");
    assert_eq!(answer.text, scene.at_once(&[turn], &["red.png"]));
}
