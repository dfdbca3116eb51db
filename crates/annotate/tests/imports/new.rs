//! New projects open at once, or nothing is left of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candor_annotate::clock::SystemClock;
use candor_annotate::project::{ImportFormat, Project, Questions, Ranking};
use candor_annotate::store::Store;
use candor_annotate::{command, import};
use candor_data::ComparisonFormat;
use candor_data::formats::answer_sets;
use serde_json::json;

use crate::web::IMAGE;

/// Three pairs, of which one has two equal answers, and the images of the first two.
fn given(folder: &Path) -> (PathBuf, PathBuf) {
    let images = folder.join("pictures of \"ours\"");
    std::fs::create_dir(&images).unwrap();
    std::fs::write(images.join("0.png"), IMAGE).unwrap();
    std::fs::write(images.join("1.png"), IMAGE).unwrap();
    let row = |i: usize, second: &str| {
        json!({
            "id": i.to_string(), "image": format!("{}.png", i % 2), "output_1": "A cup.", "output_2": second,
            "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}],
        })
    };
    let rows = json!([row(0, "A dog."), row(1, "A cat."), row(2, "A cup.")]);
    let file = folder.join("pairs.json");
    std::fs::write(&file, rows.to_string()).unwrap();
    (file, images)
}

#[test]
fn a_new_project_opens_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (file, images) = given(folder.path());
    let out = folder.path().join("project");
    let made = command::new(&file, &images, &out, 7).unwrap();
    assert_eq!((made.n_new, made.n_equal), (2, 1));
    let project = Project::read(&out.join("project.toml")).unwrap();
    assert_eq!(project.seed, 7);
    assert_eq!(
        project.imports[0].format,
        ImportFormat::Comparisons(ComparisonFormat::Llava)
    );
    // The questions are there to be edited, and until then the app's own.
    assert_eq!(project.questions, Questions::default());
    assert!(project.guidelines().unwrap().contains("false things"));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let clock = Arc::new(SystemClock::default());
        let store = Store::open(&project, clock).await.unwrap();
        let imported = import::all(&project, &store, &|_, _| ()).await.unwrap();
        assert_eq!((imported.n_new, imported.n_equal), (2, 1));
        store.close().await;
    });

    let text = std::fs::read_to_string(out.join("project.toml")).unwrap();
    let refused = command::new(&file, &images, &out, 8).unwrap_err();
    assert!(
        refused.to_string().contains("does not exist yet"),
        "{refused}"
    );
    let kept = std::fs::read_to_string(out.join("project.toml")).unwrap();
    assert_eq!(kept, text, "somebody may have worked in it");
}

#[test]
fn what_could_not_be_shown_is_told_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (file, images) = given(folder.path());
    std::fs::write(images.join("1.png"), "no image").unwrap();
    let out = folder.path().join("project");
    let refused = command::new(&file, &images, &out, 0).unwrap_err();
    assert!(refused.to_string().contains("1.png"), "{refused}");
    let refused = command::new(&file, &folder.path().join("nowhere"), &out, 0).unwrap_err();
    assert!(refused.to_string().contains("nowhere"), "{refused}");
    assert!(!out.exists());
    std::fs::write(&file, "[{\"a\": 1}]").unwrap();
    let refused = command::new(&file, &images, &out, 0).unwrap_err();
    assert!(refused.to_string().contains("pairs.json"), "{refused}");
    assert!(!out.exists());
}

/// A row of candidates about `image`, as `candor sample` writes it.
fn sampled(id: &str, image: &str, outputs: [&str; 2]) -> String {
    sampled_to_the_end(id, image, outputs, [true, true])
}

/// A row of [`sampled`] with whether each answer ended by itself.
fn sampled_to_the_end(id: &str, image: &str, outputs: [&str; 2], finished: [bool; 2]) -> String {
    let sampling = json!({
        "model": "m", "model_fingerprint": "f", "seed": 0, "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 9, "batch_rows": 4,
        "chunk": 8, "index": 0, "finished": finished, "n_tokens": [1, 1],
    });
    let row = json!({
        "id": id, "image": image, "outputs": outputs, "sampling": sampling,
        "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}],
    });
    row.to_string() + "\n"
}

#[test]
fn answers_of_several_files_to_one_prompt_are_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let (_, images) = given(folder.path());
    let [one, other] = ["one.jsonl", "other.jsonl"].map(|name| folder.path().join(name));
    let rows = sampled("p-0", "0.png", ["A cup.", "A dog."])
        + &sampled("q-1", "1.png", ["A cat.", "A cat."]);
    std::fs::write(&one, rows).unwrap();
    let rows = sampled("q-1", "1.png", ["A cow.", "A cat."])
        + &sampled("p-0", "0.png", [" A cup. ", "A pot."]);
    std::fs::write(&other, rows).unwrap();
    let out = folder.path().join("project");
    let files = [one, other];
    let made = command::new_ranking(&files, &images, &out, 7, true).unwrap();
    // Of the second prompt two answers differ, which are none to rank.
    assert_eq!((made.n_new, made.n_equal), (1, 1));
    let project = Project::read(&out.join("project.toml")).unwrap();
    assert_eq!((project.seed, project.protocol.ranking_ties), (7, true));
    assert_eq!(project.imports[0].format, ImportFormat::AnswerSets);
    assert_eq!(project.ranking, Ranking::default());
    assert!(project.guidelines().unwrap().contains("false things"));
    let read = import::read(
        &project,
        &project.imports[0],
        &out.join("answer-sets.jsonl"),
    )
    .unwrap();
    assert_eq!(read.items[0].name, "p-0");
    assert_eq!(read.items[0].outputs, ["A cup.", "A dog.", "A pot."]);

    let nothing = folder.path().join("nothing");
    let refused = command::new_ranking(&files[..1], &images, &nothing, 7, true).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("none of 2 prompts has 3 different answers"),
        "{refused}"
    );
    let many: String = (0..5)
        .map(|i| {
            sampled(
                &format!("p-{i}"),
                "0.png",
                [&format!("{i}"), &format!("not {i}")],
            )
        })
        .collect();
    std::fs::write(&files[0], many).unwrap();
    let refused = command::new_ranking(&files[..1], &images, &nothing, 7, true).unwrap_err();
    assert!(
        refused.to_string().contains("leave rows of the prompt out"),
        "{refused}"
    );
    let refused = command::new_ranking(&files, &images, &nothing, 7, true).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("12 different answers to the prompt of \"p-0\""),
        "{refused}"
    );
    assert!(!nothing.exists());
}

#[test]
fn an_answer_that_was_cut_is_not_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let (_, images) = given(folder.path());
    let files = ["one.jsonl", "other.jsonl"].map(|name| folder.path().join(name));
    let whole = sampled("p-0", "0.png", ["A cup.", "A dog."]);
    std::fs::write(&files[0], whole).unwrap();
    let cut = sampled_to_the_end("p-0", "0.png", ["A pot.", "A cup on the"], [true, false]);
    std::fs::write(&files[1], cut).unwrap();
    let out = folder.path().join("project");
    command::new_ranking(&files, &images, &out, 7, true).unwrap();
    let rows = answer_sets::read(&out.join("answer-sets.jsonl")).unwrap();
    assert_eq!(rows[0].outputs, ["A cup.", "A dog.", "A pot."]);
}

/// A row of answer sets about `image`, of the id `p-0`.
fn set(image: &str) -> String {
    let row = json!({
        "id": "p-0", "image": image, "outputs": ["A cat.", "A cup.", "A pot."],
        "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}],
    });
    row.to_string() + "\n"
}

#[test]
fn answers_of_sets_join_those_of_candidates_to_the_same_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let (_, images) = given(folder.path());
    let files = ["one.jsonl", "sets.jsonl"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], sampled("c-0", "0.png", ["A cup.", "A dog."])).unwrap();
    std::fs::write(&files[1], set("0.png")).unwrap();
    let out = folder.path().join("project");
    let made = command::new_ranking(&files, &images, &out, 7, true).unwrap();
    assert_eq!((made.n_new, made.n_equal), (1, 0));
    let rows = answer_sets::read(&out.join("answer-sets.jsonl")).unwrap();
    assert_eq!(rows[0].id, "c-0");
    assert_eq!(rows[0].outputs, ["A cup.", "A dog.", "A cat.", "A pot."]);
}

#[test]
fn what_could_not_be_ranked_is_told_of_the_file_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (_, images) = given(folder.path());
    let files = ["one.jsonl", "mine.jsonl"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], set("0.png")).unwrap();
    let out = folder.path().join("project");
    let gone = set("gone.png").replace("p-0", "p-1");
    let unplaced = gone.replace("<image>", "");
    let twenty_one = set("0.png")
        .replace("p-0", "p-1")
        .replace("\"0.png\"", &format!("{:?}", ["0.png"; 21]));
    for (row, words) in [
        (gone, "row 1: image \"gone.png\" is not in"),
        (unplaced, "found 0 <image> and an image"),
        (twenty_one, "found 21 images"),
    ] {
        // The first row is the other file's prompt, so that the second is the first of a set.
        std::fs::write(&files[1], set("0.png") + &row).unwrap();
        let refused = command::new_ranking(&files, &images, &out, 7, true).unwrap_err();
        let refused = refused.to_string();
        for words in ["mine.jsonl", "row 1", words] {
            assert!(refused.contains(words), "{words} in {refused}");
        }
        assert!(!refused.contains("answer-sets.jsonl"), "{refused}");
        assert!(!out.exists());
    }
}

#[test]
fn an_id_of_two_prompts_is_refused_with_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let (_, images) = given(folder.path());
    let files = ["one.jsonl", "other.jsonl"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], set("0.png")).unwrap();
    std::fs::write(&files[1], set("1.png")).unwrap();
    let out = folder.path().join("project");
    let refused = command::new_ranking(&files, &images, &out, 7, true).unwrap_err();
    let refused = refused.to_string();
    for words in [
        "one.jsonl",
        "other.jsonl",
        "\"p-0\"",
        "ids of all files together must differ",
    ] {
        assert!(refused.contains(words), "{words} in {refused}");
    }
    assert!(!out.exists());
}
