//! Runs whose reward has terms of the recipe.

use std::fs;
use std::path::Path;

use candor_recipe::Reader;
use candor_rl::{RlError, RlRecipe, run};
use candor_run::Outcome;
use candor_testing::files::lines;
use candor_testing::run::launch;
use serde_json::Value;
use tch::Device;

use crate::fixture::{RECIPE, prepared};

/// GRPO without a reward model on what `terms` say.
pub fn grpo(dir: &Path, out: &str, terms: &str, sets: &[&str]) -> Result<RlRecipe, RlError> {
    let text = RECIPE
        .replace(
            "gamma = 1.0\ngae_lambda = 1.0\n",
            "scale = \"none\"\nleave_out_flat = false\n",
        )
        .replace("value_clip_range = 0.2\nvalue_coef = 0.1\n", "")
        .replace("reward = \"reward\"\n", "")
        .replace("whiten]\nadvantages = true", "whiten]\nadvantages = false");
    let text = format!("algorithm = \"grpo\"\n{text}{terms}");
    let paths = [
        ("run.out", out),
        ("model.base", "model"),
        ("model.policy_init", "policy-init"),
        ("data.root", "data"),
    ];
    let all = [
        "sampling.samples_per_prompt=2",
        "score.normalise=\"none\"",
        "kl.coef=0.0",
    ];
    let sets = candor_testing::run::sets(dir, &paths, &[&all, sets].concat());
    RlRecipe::read(Reader::parse("grpo.toml", &text, &sets))
}

const RULES: &str = r#"
[[rewards]]
name = "right"
kind = "yes_no"
weight = 4.0
[[rewards]]
name = "long"
kind = "tokens"
weight = -0.25
per = 8.0
"#;

#[test]
fn a_policy_learns_from_rules_alone_and_no_reward_model_is_read() {
    let dir = prepared();
    fs::remove_dir_all(dir.path().join("reward")).unwrap();
    let recipe = grpo(dir.path(), "out", RULES, &["run.steps=10"]).unwrap();
    assert_eq!(
        run(&recipe, &launch(false), Device::Cpu).unwrap(),
        Outcome::Finished
    );
    let metrics = lines(&dir.path().join("out/metrics.jsonl"));
    let of = |step: usize, name: &str, field: &str| {
        metrics[step]["rewards"][name][field].as_f64().unwrap()
    };
    for (step, line) in metrics.iter().enumerate() {
        assert_eq!(line["score_mean"], Value::Null);
        assert_eq!(line["rewards"]["score"], Value::Null);
        let parts = ["right", "long", "no_eos", "length", "symbolic"];
        let sum: f64 = parts.iter().map(|name| of(step, name, "mean")).sum();
        // Nothing is paid for the KL.
        let reward = line["reward_mean"].as_f64().unwrap();
        assert!((sum - reward).abs() < 1e-6, "{sum} against {reward}");
        let tokens = line["response_tokens_mean"].as_f64().unwrap();
        assert!((of(step, "long", "mean") + 0.25 * tokens / 8.0).abs() < 1e-9);
        assert!(of(step, "long", "n") > of(step, "right", "n"));
    }
    let right = |step: usize| of(step, "right", "unweighted_mean");
    let (early, late) = (right(0), (right(7) + right(8) + right(9)) / 3.0);
    assert!(late > early + 0.15 || late > 0.9, "{early} to {late}");
    assert!(!dir.path().join("out/value").exists());
    let sample = &lines(&dir.path().join("out/samples/step-1.jsonl"))[0];
    assert_eq!(sample["score"], Value::Null);
    assert!(sample["terms"]["long"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_has_no_meaning_without_a_reward_model_is_told() {
    let dir = prepared();
    let message = grpo(dir.path(), "out", "", &[]).unwrap_err().to_string();
    assert!(message.contains("there are no [[rewards]]"), "{message}");
    let held_out = ["score.normalise=\"held_out\""];
    let message = grpo(dir.path(), "out", RULES, &held_out)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("no reward model whose scores"),
        "{message}"
    );
    let ppo = RECIPE.replace("reward = \"reward\"\n", "") + RULES;
    let message = RlRecipe::read(Reader::parse("ppo.toml", &ppo, &[]))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("the critic of algorithm = \"ppo\" begins as the reward model"),
        "{message}"
    );
    let idle = "[[rewards]]\nname = \"a\"\nkind = \"exact\"\nweight = 0\n";
    let message = grpo(dir.path(), "out", idle, &[]).unwrap_err().to_string();
    assert!(message.contains("a weight other than 0"), "{message}");
    let symbolic = ["score.symbolic_coef=1.0"];
    assert!(grpo(dir.path(), "out", idle, &symbolic).is_ok());
    let twice = format!("{RULES}[[rewards]]\nname = \"long\"\nkind = \"exact\"\nweight = 1\n");
    let message = grpo(dir.path(), "out", &twice, &[])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("\"long\" is the name of another term"),
        "{message}"
    );
    let reserved = "[[rewards]]\nname = \"score\"\nkind = \"exact\"\nweight = 1\n";
    let message = grpo(dir.path(), "out", reserved, &[])
        .unwrap_err()
        .to_string();
    assert!(message.contains("rewards[0].name"), "{message}");
}

/// One for a yes; ends before a line is answered once `fail` is there and so many were.
fn yes(folder: &Path) -> String {
    let script = r#"
while IFS= read -r line; do
    [ -e fail ] && [ "$(wc -l < asked)" -ge "$(cat fail)" ] && exit 1
    printf '%s\n' "$line" >> asked
    n=${line#*:}; n=${n%%,*}
    case "$line" in *'"answer":"Yes'*) r=1;; *) r=0;; esac
    echo "{\"n\": $n, \"reward\": $r}"
done
"#;
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("reward.sh"), script).unwrap();
    format!(
        "[[rewards]]\nname = \"yes\"\nkind = \"command\"\nweight = 2.0\ncommand = [\"sh\", \"-c\", \"cd '{at}' && . ./reward.sh\"]\n\
         cache = '{at}/cache.jsonl'\n",
        at = folder.display()
    )
}

/// Also with the reward model, which `yes` then stands beside.
#[test]
fn a_step_without_rewards_keeps_the_steps_before_it_and_nothing_is_asked_twice() {
    let dir = prepared();
    let at = |name: &str| dir.path().join(name);
    let facts_and_model = [
        format!("model.reward='{}'", at("reward").display()),
        "score.weight=0.5".to_owned(),
        "run.checkpoint_every=100".to_owned(),
        "run.snapshot_every=100".to_owned(),
    ];
    let sets: Vec<&str> = facts_and_model.iter().map(String::as_str).collect();
    let whole = grpo(dir.path(), "whole", &yes(&at("one")), &sets).unwrap();
    assert_eq!(
        run(&whole, &launch(false), Device::Cpu).unwrap(),
        Outcome::Finished
    );
    let asked = |folder: &str| {
        let text = fs::read_to_string(at(folder).join("asked")).unwrap();
        // Without the numbers of the lines.
        let line = |line: &str| line.split_once(',').unwrap().1.to_owned();
        text.lines().map(line).collect::<Vec<String>>()
    };
    let all = asked("one");
    assert!(
        all.iter()
            .all(|line| line.contains("\"reference\":\"not looked at\""))
    );
    assert!(
        all.iter()
            .any(|line| line.contains("\"It is a red wall.\""))
    );

    let broken = grpo(dir.path(), "broken", &yes(&at("two")), &sets).unwrap();
    // All but the last that is ever asked about.
    fs::write(at("two").join("fail"), (all.len() - 1).to_string()).unwrap();
    let message = run(&broken, &launch(false), Device::Cpu)
        .unwrap_err()
        .to_string();
    for part in [
        "has no rewards: reward \"yes\"",
        "exit status: 1",
        "--resume",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    let n_done = lines(&at("broken").join("metrics.jsonl")).len();
    assert!(n_done >= 1, "{message}");
    assert!(
        message.starts_with(&format!("step {} has", n_done + 1)),
        "{message}"
    );
    assert_eq!(
        fs::read_dir(at("broken").join("checkpoints"))
            .unwrap()
            .count(),
        1
    );
    fs::remove_file(at("two").join("fail")).unwrap();
    assert_eq!(
        run(&broken, &launch(true), Device::Cpu).unwrap(),
        Outcome::Finished
    );
    for file in [
        "metrics.jsonl",
        "adapter/adapter_model.safetensors",
        "samples/step-6.jsonl",
    ] {
        let [one, two] = ["whole", "broken"].map(|run| fs::read(at(run).join(file)).unwrap());
        assert!(one == two, "{file} differs");
    }
    assert_eq!(asked("two"), all);
}

#[test]
fn a_step_without_rewards_is_told_also_where_no_checkpoint_can_be_written() {
    let dir = prepared();
    let at = |name: &str| dir.path().join(name);
    let term = yes(&at("function"));
    // Fails once the first step's samples are there, and leaves a file in the place of the checkpoints.
    let out = at("out");
    let (script, out) = (at("function/reward.sh"), out.display());
    let old = "[ -e fail ] && [ \"$(wc -l < asked)\" -ge \"$(cat fail)\" ] && exit 1";
    let text = fs::read_to_string(&script).unwrap();
    assert!(text.contains(old));
    let new = format!(
        "[ -e '{out}/samples/step-1.jsonl' ] && {{ rm -rf '{out}/checkpoints'; : > '{out}/checkpoints'; exit 1; }}"
    );
    fs::write(&script, text.replace(old, &new)).unwrap();
    let sets = ["run.checkpoint_every=100", "run.snapshot_every=100"];
    let recipe = grpo(dir.path(), "out", &term, &sets).unwrap();
    let message = run(&recipe, &launch(false), Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("step "), "{message}");
    for part in [
        "has no rewards: reward \"yes\"",
        "none could be written: ",
        "checkpoints",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}
