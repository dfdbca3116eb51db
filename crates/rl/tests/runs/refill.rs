//! Prompts whose responses all earn the same give their places to further prompts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_data::AnswerType;
use candor_rl::order::PromptOrder;
use candor_rl::{RlRecipe, run};
use candor_run::Outcome;
use candor_testing::files::lines;
use candor_testing::run::launch;
use serde_json::Value;
use tch::Device;

use crate::fixture::{prepared, prompts};
use crate::rewards::grpo;

/// Of the fixture's prompts half ask for a yes or a no; nothing else earns anything.
const YES_NO: &str = "[[rewards]]\nname = \"right\"\nkind = \"yes_no\"\nweight = 4.0\n";

/// Four prompts a step, two responses to each.
fn refilling(dir: &Path, out: &str, terms: &str, sets: &[&str]) -> RlRecipe {
    let all = [
        "batch.rollout_batch=8",
        "batch.mini_batch=4",
        "run.samples_per_step=8",
        "score.no_eos_penalty=0.0",
        "advantages.leave_out_flat=true",
    ];
    grpo(dir, out, terms, &[&all, sets].concat()).unwrap()
}

fn count(line: &Value, field: &str) -> u64 {
    let number = line[field].as_u64();
    number.unwrap_or_else(|| panic!("{field} of {line}"))
}

#[test]
fn places_without_spread_are_given_to_the_next_prompts_and_a_stopped_run_asks_the_same() {
    let dir = prepared();
    let sets = ["advantages.refill_rounds=6", "run.steps=6"];
    let whole = refilling(dir.path(), "whole", YES_NO, &sets);
    assert_eq!(
        run(&whole, &launch(false), Device::Cpu).unwrap(),
        Outcome::Finished
    );
    let out = dir.path().join("whole");
    let metrics = lines(&out.join("metrics.jsonl"));
    let mut order = PromptOrder::new(5, prompts().len());
    let (mut used, mut n_full) = (0, 0);
    for line in &metrics {
        let [drawn, thrown, flat, rounds] = [
            "n_drawn_prompts",
            "n_thrown_prompts",
            "n_flat_prompts",
            "n_refill_rounds",
        ]
        .map(|field| count(line, field));
        assert_eq!(
            (count(line, "n_rollouts"), drawn),
            (8, 4 + thrown),
            "{line}"
        );
        assert!(rounds <= 6 && (rounds == 0) == (thrown == 0), "{line}");
        assert!(flat == 0 || rounds == 6, "{line}");
        assert_eq!(
            count(line, "n_updates"),
            2 * (4 - flat).div_ceil(2),
            "{line}"
        );

        // The step has asked the next prompts of the order, and learns from some of them: of those with spread.
        let asked: BTreeMap<String, AnswerType> = order
            .take(used..used + drawn)
            .map(|row| {
                (
                    prompts()[row].conversation.id.clone(),
                    prompts()[row].answer_type,
                )
            })
            .collect();
        used += drawn;
        let step = count(line, "step");
        let samples = lines(&out.join(format!("samples/step-{step}.jsonl")));
        let mut n_flat = 0;
        for group in samples.chunks(2) {
            assert_eq!(group[0]["id"], group[1]["id"]);
            let answer_type = asked[group[0]["id"].as_str().unwrap()];
            let is_flat = group[0]["reward_sum"] == group[1]["reward_sum"];
            n_flat += u64::from(is_flat);
            let asks_yes_or_no = matches!(answer_type, AnswerType::Yes | AnswerType::No);
            assert!(is_flat || asks_yes_or_no, "{group:?}");
        }
        assert_eq!((samples.len(), n_flat), (8, flat));
        n_full += u64::from(flat == 0 && thrown > 0);
    }
    // What is looked for has happened: steps were filled by what was drawn again.
    assert!(n_full > 1, "{metrics:?}");

    let broken = refilling(dir.path(), "broken", YES_NO, &sets);
    for start in 0.. {
        let stopping = launch(start > 0);
        stopping.stop.request();
        if run(&broken, &stopping, Device::Cpu).unwrap() == Outcome::Finished {
            break;
        }
    }
    // A step that the guard stops is asked again for the same prompts.
    let guarded = |max_kl: &str| {
        refilling(
            dir.path(),
            "guarded",
            YES_NO,
            &[&sets[..], &[max_kl]].concat(),
        )
    };
    let stopped = run(&guarded("guard.max_kl=0.001"), &launch(false), Device::Cpu).unwrap_err();
    assert!(stopped.to_string().contains("guard.max_kl"), "{stopped}");
    let again = run(&guarded("guard.max_kl=100.0"), &launch(true), Device::Cpu).unwrap();
    assert_eq!(again, Outcome::Finished);
    for name in [
        "metrics.jsonl",
        "result.json",
        "adapter/adapter_model.safetensors",
        "samples/step-6.jsonl",
    ] {
        let read = |out: &str| fs::read(dir.path().join(out).join(name)).unwrap();
        for out in ["broken", "guarded"] {
            assert!(read("whole") == read(out), "{name} of {out} differs");
        }
    }
}

/// Where no prompt ever has spread, a step ends with its rounds, and learns from nothing.
#[test]
fn a_step_that_cannot_be_filled_goes_on_with_what_it_has() {
    let dir = prepared();
    let never = "[[rewards]]\nname = \"never\"\nkind = \"exact\"\nweight = 1.0\n";
    let sets = ["advantages.refill_rounds=2", "run.steps=2"];
    let recipe = refilling(dir.path(), "out", never, &sets);
    run(&recipe, &launch(false), Device::Cpu).unwrap();
    for line in lines(&dir.path().join("out/metrics.jsonl")) {
        let found = [
            "n_drawn_prompts",
            "n_thrown_prompts",
            "n_flat_prompts",
            "n_refill_rounds",
            "n_updates",
        ]
        .map(|field| count(&line, field));
        assert_eq!(found, [12, 8, 4, 2, 0]);
        // Nobody knows how sure of itself a policy is that no update looked at: a 0 would be a policy that always says the same.
        for field in [
            "policy_loss",
            "entropy",
            "clip_fraction",
            "approx_kl",
            "ratio_max",
            "logprob_mismatch_max",
            "grad_norm",
            "learning_rate",
        ] {
            assert_eq!(line[field], Value::Null, "{field} of {line}");
        }
    }
    let trained = fs::read(dir.path().join("out/adapter/adapter_model.safetensors")).unwrap();
    let init = fs::read(dir.path().join("policy-init/adapter_model.safetensors")).unwrap();
    assert!(trained == init);
}

#[test]
fn what_refilling_cannot_stand_beside_is_told() {
    let dir = prepared();
    let refused = |sets: &[&str]| {
        let all = ["advantages.refill_rounds=2"];
        let sets = [&all, sets].concat();
        grpo(dir.path(), "out", YES_NO, &sets)
            .unwrap_err()
            .to_string()
    };
    let message = refused(&["kl.coef=0.1", "advantages.leave_out_flat=true"]);
    let expected = "with the KL in the reward hardly any two responses earn the same";
    assert!(message.contains(expected), "{message}");
    let message = refused(&[]);
    assert!(
        message.contains("set advantages.leave_out_flat = true"),
        "{message}"
    );
}
