//! What a start finds in its folder, and what it starts from.

use std::fs;

use serde_json::Value;

use crate::fine_tuning::{RESULTS, sft_sets};
use crate::preferences::{rewarded, with_own_recipe};
use crate::reinforcement::judged;
use crate::runs::{assert_same, candor, ground_sets, prepared, recipe, refused, run, sets};

#[test]
fn a_fresh_run_never_overwrites_another_and_a_changed_recipe_never_resumes() {
    let folder = prepared();
    let attempt = |extra: &[&str]| {
        refused(
            candor(folder)
                .args(["ground", &recipe("0-ground.toml")])
                .args(ground_sets("ground"))
                .args(extra),
        )
    };
    let said = attempt(&[]);
    assert!(said.contains("--resume"), "{said}");
    let said = attempt(&["--resume", "--set", "optimizer.learning_rate=0.5"]);
    assert!(said.contains("optimizer.learning_rate"), "{said}");
    // The folder comes first, after the device: nobody waits for data to be told that it is taken.
    let said = attempt(&["--set", "data.root=nowhere"]);
    let refusal = said.lines().find(|line| !line.starts_with("device: "));
    assert!(
        refusal.is_some_and(|line| line.starts_with("candor: ground already holds a run")),
        "{said}"
    );
}

/// The same command once more, as a job that is queued again has it. What people said since must not take the place of what the run
/// began with, so the project, which is not even there, is not looked at.
#[test]
fn a_run_of_annotations_that_has_begun_keeps_those_it_began_with() {
    let folder = prepared();
    let run = folder.join("reward-annotated");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("resolved.toml"), "").unwrap();
    fs::write(run.join("metrics.jsonl"), "{\"step\":1}\n").unwrap();
    let kept = folder.join("reward-annotated.preferences.jsonl");
    fs::write(&kept, "as it began").unwrap();
    let said = refused(
        candor(folder)
            .args(with_own_recipe("reward", "reward-annotated"))
            .args(["--annotations", "project.toml", "--aggregate", "majority"]),
    );
    for words in [
        "reward-annotated already holds a run",
        "reward-annotated.preferences.jsonl\"]' --resume",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(fs::read_to_string(&kept).unwrap(), "as it began");
}

#[test]
fn a_start_that_failed_is_in_nobodys_way() {
    let folder = prepared();
    let start = |out: &str, extra: &[&str]| {
        let mut command = candor(folder);
        command
            .args(["sft", &recipe("1-sft.toml")])
            .args(sft_sets(out))
            .args(extra);
        command
    };
    // Whether an image can be decoded is found out last, when it is.
    let damaged = folder.join("world/damaged");
    fs::create_dir(&damaged).unwrap();
    for image in fs::read_dir(folder.join("world/images")).unwrap() {
        let image = image.unwrap();
        let bytes = fs::read(image.path()).unwrap();
        fs::write(damaged.join(image.file_name()), &bytes[..20]).unwrap();
    }
    // Before the model is read, while the data are, when an image is looked for, and when it is wanted.
    for (wrong, named) in [
        ("model.base=nowhere", "nowhere"),
        ("data.max_tokens=20", "20"),
        ("data.images=no-images", "no-images"),
        ("data.images=damaged", "damaged"),
    ] {
        let said = refused(&mut start("failed", &["--set", wrong]));
        assert!(said.contains(named), "{said}");
    }
    let left = folder.join("failed/checkpoints");
    assert!(
        left.exists(),
        "the last failure came before the folder was opened"
    );
    run(&mut start("failed", &[]));
    run(&mut start("never-failed", &[]));
    assert_same(folder, "failed", "never-failed", &RESULTS);
    // Now there is something to lose.
    let said = refused(&mut start("failed", &[]));
    assert!(said.contains("already holds a run"), "{said}");
}

/// Starts a run of one step that moves nothing from the run `old`.
fn start_from(arguments: &[String], out: &str, old: &str) {
    let folder = prepared();
    let still = sets(&[
        ("run.out", out),
        ("run.steps", "1"),
        // Zero in the arithmetic of the weights.
        ("optimizer.learning_rate", "1e-60"),
    ]);
    let mut started = candor(folder);
    started
        .args(arguments)
        .args(still)
        .args(["--init-from", old]);
    run(&mut started);
    let note = fs::read(folder.join(out).join("init_from.json")).unwrap();
    let note: Value = serde_json::from_slice(&note).unwrap();
    assert!(note["run"].as_str().unwrap().ends_with(old), "{note}");
    assert_eq!(note["step"], Value::Null);
}

#[test]
fn a_finished_run_is_what_another_starts_from() {
    let folder = judged();
    // The model as a whole.
    let sft = [
        vec!["sft".to_owned(), recipe("1-sft.toml")],
        sft_sets("init-old"),
    ]
    .concat();
    run(candor(folder).args(&sft));
    start_from(&sft, "init-sft", "init-old");
    assert_same(folder, "init-old", "init-sft", &["model/model.safetensors"]);
    // An adapter with a head, in a recipe that counts steps.
    let text = include_str!("reward.toml").replace("epochs = 5", "steps = 6");
    let shorter = folder.join("reward-steps.toml");
    fs::write(&shorter, text).unwrap();
    let reward = |out: &str| {
        let recipe = shorter.display().to_string();
        [vec!["reward".to_owned(), recipe], sets(&[("run.out", out)])].concat()
    };
    run(candor(folder).args(reward("init-reward-old")));
    start_from(&reward("init-reward"), "init-reward", "init-reward-old");
    let files = [
        "adapter/adapter_model.safetensors",
        "reward_head.safetensors",
    ];
    assert_same(folder, "init-reward-old", "init-reward", &files);
    // Policy, value adapter and value head; the reference stays what the recipe says.
    let rl = with_own_recipe("rl", "init-rl-old");
    run(candor(folder).args(&rl).args(sets(&[("run.steps", "3")])));
    start_from(&rl, "init-rl", "init-rl-old");
    let files = [
        "adapter/adapter_model.safetensors",
        "value/adapter/adapter_model.safetensors",
        "value/value_head.safetensors",
    ];
    assert_same(folder, "init-rl-old", "init-rl", &files);
    let first = |out: &str| {
        fs::read(
            folder
                .join(out)
                .join("adapters/step-0/adapter_model.safetensors"),
        )
        .unwrap()
    };
    let result = fs::read(folder.join("init-rl-old").join(files[0])).unwrap();
    assert!(first("init-rl") == result && first("init-rl-old") != result);
}

#[test]
fn another_stages_run_is_nothing_to_start_from() {
    let folder = rewarded();
    let said = refused(
        candor(folder)
            .args(["sft", &recipe("1-sft.toml")])
            .args(sft_sets("init-refused"))
            .args(["--init-from", "reward"]),
    );
    assert!(said.contains("same stage"), "{said}");
    let said = refused(
        candor(folder)
            .args(["sft", &recipe("1-sft.toml")])
            .args(sft_sets("init-refused"))
            .args(["--init-from", "world"]),
    );
    assert!(
        said.contains("world") && said.contains("--init-from"),
        "{said}"
    );
}
