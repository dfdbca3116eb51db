//! `candor demo` as a process: its stages side by side, stopped, killed and continued, and all of them on a very small world.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use candor_testing::model::TinyModel;
use serde_json::{Value, json};

/// All stages but the two evaluations of fine-tuned models.
const FINISHED: [&str; 18] = [
    "world",
    "ground",
    "pretrain",
    "sft",
    "sft-gpt4",
    "reading",
    "sample",
    "annotate",
    "reward-facts",
    "reward-no-facts",
    "policy-init",
    "ppo-facts",
    "ppo-no-facts",
    "eval/policy_init",
    "eval/fact_rlhf",
    "eval/curve-facts",
    "eval/rlhf",
    "eval/curve-no-facts",
];
/// Descriptions alone, a few at a time, so that there are many places to stop.
const SHORT: &str = "[6-eval]\nrun.benchmarks = [\"chair\"]\nanswers.batch_rows = 4\n";
/// Every stage as small as it can be.
const TINY: &str = r#"
[world]
n_train = 60
n_preference = 60
n_rl = 40
n_eval = 150
[0-ground]
run.steps = 2
data.batch_images = 8
data.n_held_out = 8
model.vision = { image_size = 32, patch_size = 8, width = 16, mlp_width = 32, layers = 2, heads = 2, feature_layer = -2 }
model.text = { width = 16, mlp_width = 32, layers = 2, heads = 2, kv_heads = 2, max_positions = 1024 }
[0-pretrain]
run.steps = 4
run.checkpoint_every = 1
[1-sft]
run.steps = 60
run.checkpoint_every = 10
[1-sft-gpt4]
run.steps = 60
run.checkpoint_every = 10
[2-sample]
sampling.max_new_tokens = 12
[3-reading]
run.steps = 2
[3-reward]
data.n_validation = 4
data.n_held_out = 8
data.n_train = 16
[4-policy-init]
run.steps = 2
[5-ppo]
run.steps = 2
run.snapshot_every = 1
run.samples_per_step = 16
batch.rollout_batch = 16
batch.mini_batch = 8
batch.micro_batch = 8
sampling.max_new_tokens = 64
score.normalise = "none"
guard.max_kl = 1e6
guard.min_response_tokens = 0.0
[6-eval]
answers.max_new_tokens = 4
"#;

/// A demo in `out` by changes, with so many threads.
fn demo(folder: &Path, out: &str, jobs: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command
        .arg("demo")
        .arg("--out")
        .arg(folder.join(out))
        .arg("--changes")
        .arg(folder.join("changes.toml"))
        .args(["--jobs", jobs])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn signal(signal: &str, process: u32) {
    let kill = format!("kill -{signal} {process}");
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success(), "{kill}");
}

/// The processes of a demo's stages: the stage and the number of each.
fn stages(out: &Path) -> Vec<(String, u32)> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        let words = text(&fs::read(entry.path().join("cmdline")).ok()?);
        let words: Vec<&str> = words.split('\0').collect();
        let stage = words.iter().position(|word| *word == "--stage")?;
        let is_here = words.contains(&out.to_str()?);
        is_here.then(|| (words[stage + 1].to_owned(), number))
    });
    processes.collect()
}

/// Waits for what must happen, as long as the demo runs, if one is given.
fn wait_for(what: &str, mut demo: Option<&mut Child>, happened: impl Fn() -> bool) {
    let began = Instant::now();
    while !happened() {
        if let Some(demo) = &mut demo {
            assert!(
                demo.try_wait().unwrap().is_none(),
                "{what}: the demo has ended"
            );
        }
        assert!(began.elapsed() < Duration::from_mins(5), "{what}: never");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A demo of which everything is done but the two evaluations, of one and the same untrained model.
fn nearly_done(out: &Path, seed: u64) {
    let sizes = format!("--train 20 --preference 0 --rl 0 --eval 150 --seed {seed}");
    let mut world = Command::new(env!("CARGO_BIN_EXE_candor"));
    world
        .args(["world", "write", "--out"])
        .arg(out.join("world"));
    let output = world.args(sizes.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let questions = fs::read_to_string(out.join("world/eval/mmhal.json")).unwrap();
    for stage in ["sft", "sft-gpt4"] {
        let model = out.join(stage).join("model");
        TinyModel::knowing(&questions[..20_000]).write(&model);
        // Room for the demo's longest answers.
        let mut config = read_json(&model.join("config.json"));
        config["text_config"]["max_position_embeddings"] = json!(1024);
        fs::write(model.join("config.json"), config.to_string()).unwrap();
    }
    // What the demo would leave for people needs answers that were never sampled.
    fs::create_dir(out.join("annotate")).unwrap();
    fs::write(out.join("annotate/project.toml"), "").unwrap();
    // Said to be of another family than the model, which evaluations do not ask.
    let done = json!({
        "seed": seed, "quick": true, "family": "qwen3_vl", "finished": FINISHED, "wall_secs": 0.0, "stage_secs": {},
        "processor_secs": {}, "stage_peak_bytes": {}, "peak_memory_bytes": 0,
    });
    fs::write(out.join("demo.json"), done.to_string()).unwrap();
}

const EVALUATIONS: [&str; 2] = ["eval/sft", "eval/sft_gpt4"];

/// Two seeds, one after the other.
fn two_seeds(folder: &Path) -> Command {
    let mut command = demo(folder, "two", "2");
    command.args(["--seeds", "2", "--family", "qwen3_vl"]);
    command
}

/// Starts the demo and waits until both evaluations of the first seed answer.
fn start_both(folder: &Path) -> Child {
    let out = folder.join("two/seed-0");
    // Written before the first answer.
    let begun = EVALUATIONS.map(|name| out.join(name).join("resolved.toml"));
    for file in &begun {
        let _ = fs::remove_file(file);
    }
    let mut child = two_seeds(folder).spawn().unwrap();
    wait_for("both begin", Some(&mut child), || {
        begun.iter().all(|file| file.exists())
    });
    child
}

/// Neither evaluation says numbers or counts as finished, and their processes are gone.
fn neither_is_done(folder: &Path, errors: &str) {
    let out = folder.join("two/seed-0");
    wait_for("the stages end", None, || stages(&out).is_empty());
    let done = read_json(&out.join("demo.json"));
    let finished = done["finished"].as_array().unwrap();
    for name in EVALUATIONS {
        assert!(!out.join(name).join("results.json").exists(), "{errors}");
        assert!(!finished.contains(&json!(name)), "{errors}");
    }
    assert_eq!(finished.len(), FINISHED.len());
}

#[test]
fn a_demo_that_is_stopped_or_killed_leaves_no_stage_behind_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let out = folder.join("two/seed-0");
    fs::write(folder.join("changes.toml"), SHORT).unwrap();
    nearly_done(&out, 0);
    nearly_done(&folder.join("two/seed-1"), 1);
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let child = start_both(folder);
        signal(name, child.id());
        let output = child.wait_with_output().unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(
            errors.contains(" --seeds 2 --family qwen3_vl --changes ")
                && errors.contains("demo: stopped; continue with: ")
                && errors.contains(" --jobs 2\n"),
            "{errors}"
        );
        neither_is_done(folder, &errors);
    }
    // The demo itself is killed.
    let child = start_both(folder);
    signal("KILL", child.id());
    let output = child.wait_with_output().unwrap();
    neither_is_done(folder, &text(&output.stderr));
    // One stage is killed: it is named, and the other is stopped.
    let child = start_both(folder);
    let running = stages(&out);
    let (_, victim) = running.iter().find(|(name, _)| name == "eval/sft").unwrap();
    signal("KILL", *victim);
    let output = child.wait_with_output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    let last = errors.lines().last().unwrap();
    assert!(
        last.starts_with("candor: eval/sft was ended by signal 9"),
        "{errors}"
    );
    assert!(last.contains("continue with: "), "{errors}");
    neither_is_done(folder, &errors);
    // What one of the stages is asked, the demo does.
    let child = start_both(folder);
    let running = stages(&out);
    let (_, asked) = running
        .iter()
        .find(|(name, _)| name == "eval/sft_gpt4")
        .unwrap();
    signal("TERM", *asked);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", text(&output.stderr));
    neither_is_done(folder, &text(&output.stderr));

    let output = two_seeds(folder).output().unwrap();
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("demo: 14 of 20: eval/sft\n"), "{errors}");
    // Each line says whose it is.
    for name in EVALUATIONS {
        assert!(errors.contains(&format!("\n{name}: eval: ")), "{errors}");
    }
    let [one, other] = EVALUATIONS.map(|name| read_json(&out.join(name).join("results.json")));
    assert_eq!(one["benchmarks"]["chair"]["n"], 150);
    // The same model: the same answers, in a folder of their own each.
    let [ours, theirs] = [&one, &other].map(|results| &results["benchmarks"]["chair"]);
    assert_eq!(ours["figures"], theirs["figures"]);
    assert_eq!(
        ours["sources"][1]["sha256"], theirs["sources"][1]["sha256"],
        "other answers"
    );
    assert!(ours["sources"][1]["sha256"].is_string());
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("CHAIR_i"));
    // Both seeds are on one page, which claims nothing.
    let pooled = read_json(&folder.join("two/seeds.json"));
    let seeds: Vec<&Value> = pooled["demos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|demo| &demo["seed"])
        .collect();
    assert_eq!(
        (seeds, &pooled["quick"]),
        (vec![&json!(0), &json!(1)], &json!(true))
    );
    // What the models are built as is said everywhere.
    let [summary, done] = ["summary.json", "demo.json"].map(|name| read_json(&out.join(name)));
    for said in [&pooled, &summary, &done] {
        assert_eq!(said["family"], "qwen3_vl");
    }
    let family = fs::read_to_string(out.join("recipes/family.toml")).unwrap();
    assert!(family.contains("model.family = \"qwen3_vl\""), "{family}");
    assert!(
        text(&output.stdout).contains("The models are built as Qwen3-VL."),
        "{errors}"
    );
    assert!(folder.join("two/report.html").exists());
    assert!(
        text(&output.stdout).contains("nothing is claimed"),
        "{errors}"
    );
}

#[test]
fn what_cannot_be_in_one_folder_or_in_a_recipe_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_candor"));
        demo.args(["demo", "--quick", "--out"]).arg(folder.path());
        let output = demo.args(arguments).output().unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(words), "{errors}");
        assert!(!folder.path().join("world").exists(), "{errors}");
        assert!(!folder.path().join("seed-0").exists(), "{errors}");
    };
    // 2^63, and a last seed of 2^63.
    refused(&["--seed", "9223372036854775808"], "9223372036854775807");
    refused(
        &["--seed", "9223372036854775807", "--seeds", "2"],
        "take a smaller --seed",
    );
    let (one, several) = ("demo.json", "seeds.json");
    fs::write(folder.path().join(one), "{}").unwrap();
    refused(&["--seeds", "2"], "holds a demo of one seed");
    let begun = json!({
        "seed": 0, "quick": true, "family": "qwen3_vl", "finished": [], "wall_secs": 0.0, "stage_secs": {},
        "processor_secs": {}, "stage_peak_bytes": {}, "peak_memory_bytes": 0,
    });
    fs::write(folder.path().join(one), begun.to_string()).unwrap();
    refused(
        &[],
        "built as Qwen3-VL; give another --out for --family llava",
    );
    refused(&["--family", "qwen2_5_vl"], "--out for --family qwen2_5_vl");
    fs::remove_file(folder.path().join(one)).unwrap();
    fs::write(folder.path().join(several), "{}").unwrap();
    refused(&[], "holds the page of several seeds");
}

/// A stage's recipe, and files that it makes.
const MADE: [(&str, &str, [&str; 2]); 2] = [
    ("sft", "sft", ["model/model.safetensors", "metrics.jsonl"]),
    (
        "rl",
        "ppo-no-facts",
        ["adapter/adapter_model.safetensors", "metrics.jsonl"],
    ),
];

#[test]
fn a_whole_demo_stopped_between_makes_the_bytes_of_its_stages_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("changes.toml"), TINY).unwrap();
    let out = folder.join("demo");
    let mut child = demo(folder, "demo", "3").spawn().unwrap();
    // In the middle of both kinds of fine-tuning.
    wait_for("both are tuned", Some(&mut child), || {
        ["sft", "sft-gpt4"].iter().all(|stage| {
            let metrics = fs::read_to_string(out.join(stage).join("metrics.jsonl"));
            metrics.is_ok_and(|text| text.contains('\n'))
        })
    });
    signal("TERM", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", text(&output.stderr));
    let output = demo(folder, "demo", "3").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for (command, stage, files) in MADE {
        let alone = folder.join(stage);
        let mut candor = Command::new(env!("CARGO_BIN_EXE_candor"));
        candor
            .arg(command)
            .arg(out.join(stage).join("resolved.toml"))
            .arg("--set")
            .arg(format!("run.out={:?}", alone.display().to_string()))
            .env("OMP_NUM_THREADS", "1");
        let output = candor.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        for file in files {
            let [demo, alone] = [out.join(stage), alone.clone()].map(|folder| {
                let path = folder.join(file);
                fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            });
            assert!(demo == alone, "{stage}/{file} is another one");
        }
    }

    let summary = read_json(&out.join("summary.json"));
    assert_eq!(summary["quick"], true);
    assert_eq!(summary["stage_secs"].as_object().unwrap().len(), 20);
    let of = |key: &str| summary["policies"][key]["benchmarks"]["mmhal"]["n"].clone();
    for policy in ["sft", "sft_gpt4", "policy_init", "rlhf", "fact_rlhf"] {
        assert_eq!(of(policy), 384, "{policy}");
    }
    // Twenty processes, of which three were there at once at most; none of them is larger than a gigabyte.
    let done = read_json(&out.join("demo.json"));
    let peaks = done["stage_peak_bytes"].as_object().unwrap();
    let mut peaks: Vec<u64> = peaks.values().map(|peak| peak.as_u64().unwrap()).collect();
    peaks.sort_unstable();
    let most = summary["peak_memory_bytes"].as_u64().unwrap();
    assert!(
        peaks[19] < most && most < 4 * peaks[19],
        "{most}: {peaks:?}"
    );
    // Both reward models are measured on the world's pairs, by what is asked.
    for reward in ["reward-facts", "reward-no-facts"] {
        let found = read_json(&out.join(reward).join("pairs/result.json"));
        assert_eq!(found["groups"].as_object().unwrap().len(), 5, "{reward}");
        let n = |key: &str| found[key].as_u64().unwrap();
        assert_eq!(n("n_pairs") + n("n_skipped"), 500, "{reward}");
        assert_eq!(found["with_facts"], reward == "reward-facts");
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("CHAIR_i") && page.contains("<th scope=\"row\">attribute</th>"));

    // A demo of another kind does not go on in the same folder.
    let mut other = Command::new(env!("CARGO_BIN_EXE_candor"));
    let output = other.args(["demo", "--out"]).arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = text(&output.stderr);
    assert!(errors.contains("was begun with --quick"), "{errors}");
}
