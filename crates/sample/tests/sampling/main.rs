//! Real runs with a tiny untrained model: what is asked, and what is recorded of the answers.

mod resume;
mod tiny;

use std::path::Path;

use std::fs;

use candor_data::Conversation;
use candor_data::formats::candidates::Candidate;
use candor_model::sample::Sample;
use candor_model::{
    Adapter, Bundle, Decoding, ImageFeatures, LoraConfig, Query, generate, tensor_file,
};
use candor_sample::run;
use candor_testing::run::launch;
use candor_train::{set_tf32, tf32};
use tch::{Device, Kind};

use tiny::{assert_same, model, prepared, prompts, recipe, sampled};

fn outputs(rows: &[Candidate]) -> Vec<[String; 2]> {
    rows.iter().map(|row| row.outputs.clone()).collect()
}

#[test]
fn every_prompt_is_asked_up_to_its_last_answer() {
    let dir = prepared();
    let rows = sampled(dir.path(), "out", &["sampling.top_p=0.9"]);
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let expected = [
        "row-0-0", "row-1-1", "row-2-2", "row-3-3", "row-4-4", "row-0-5", "text-6",
    ];
    assert_eq!(ids, expected);
    let prompts = prompts();
    assert_eq!(rows[0].turns, prompts[0].turns[..1]);
    assert_eq!(rows[0].original_answer.as_deref(), Some("It is red."));
    assert_eq!(rows[1].turns, prompts[1].turns[..3]);
    assert_eq!(rows[1].original_answer.as_deref(), Some("Yes, it is."));
    assert_eq!(
        (&rows[2].turns, &rows[2].original_answer),
        (&prompts[2].turns, &None)
    );
    assert_eq!(rows[5].image.as_deref(), Some("blue.png"));
    assert_eq!(rows[6].image, None);
    for (i, row) in rows.iter().enumerate() {
        let s = &row.sampling;
        assert_eq!(
            (s.seed, s.temperature, s.top_p, s.index),
            (3, 0.7, 0.9, i as u64)
        );
        assert_eq!((s.max_new_tokens, s.batch_rows, s.chunk), (6, 4, 3));
        assert_eq!((&s.adapter, &s.adapter_fingerprint), (&None, &None));
        for (finished, n_tokens) in s.finished.into_iter().zip(s.n_tokens) {
            assert!(n_tokens < 6 || !finished && n_tokens == 6);
        }
    }
    let result = fs::read_to_string(dir.path().join("out/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let n_tokens: usize = rows.iter().flat_map(|row| row.sampling.n_tokens).sum();
    let finished = rows.iter().flat_map(|row| row.sampling.finished);
    assert_eq!(result["n_prompts"], 7);
    assert_eq!(result["n_cut"], finished.filter(|f| !f).count());
    assert_eq!(result["mean_response_tokens"], n_tokens as f64 / 14.0);
}

/// Rounds learn and sample in one process, and learning may have asked for TF32.
#[test]
fn answers_are_sampled_in_f32_whatever_ran_before() {
    let dir = prepared();
    set_tf32(true);
    sampled(dir.path(), "out", &[]);
    assert!(!tf32());
}

/// Every weight is finite, and the logits that come of them are not.
#[test]
fn a_prompt_whose_logits_are_no_numbers_is_named() {
    let dir = prepared();
    let weights = dir.path().join("model/model.safetensors");
    let tensors = tensor_file::read(&weights).unwrap();
    let head = tensors["language_model.lm_head.weight"].shallow_clone();
    let _ = head.get(0).fill_(3e38);
    let _ = head.get(1).fill_(-3e38);
    let all = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    tensor_file::write(&weights, all, None).unwrap();
    let recipe = recipe(dir.path(), "out", &[]);
    let message = run(&recipe, &launch(false), Device::Cpu).unwrap_err();
    let message = message.to_string();
    assert!(
        message.contains("sample `row-") && message.contains("not finite"),
        "{message}"
    );
    assert!(!dir.path().join("out/candidates.jsonl").exists());
}

/// Where the temperature is next to nothing both answers are the greedy ones, of the model alone.
#[test]
fn at_a_vanishing_temperature_both_answers_are_greedy() {
    let dir = prepared();
    let rows = sampled(dir.path(), "out", &["sampling.temperature=1e-6"]);
    let bundle = Bundle::open(&dir.path().join("model"), Device::Cpu, Kind::Float).unwrap();
    for (row, prompt) in rows.iter().zip(prompts()) {
        let query = Conversation {
            turns: row.turns.clone(),
            ..prompt
        };
        let sample = Sample::new(&query, bundle.rules(128, Path::new(""))).unwrap();
        let data = dir.path().join("data");
        let features =
            ImageFeatures::encode(&bundle, &data, query.image.clone(), |_, _| ()).unwrap();
        let query = Query {
            ids: sample.ids,
            features: features.of(query.image.as_deref()),
            image: None,
        };
        let decoding = Decoding {
            max_new_tokens: 6,
            temperature: 0.0,
            top_p: 1.0,
            ends: bundle.tokenizer.ends,
        };
        let greedy = generate(&bundle.model, None, &[query], 1, 1, decoding, |_, _| 0.0).unwrap();
        let text = bundle.tokenizer.decode(&greedy[0].ids).unwrap();
        assert_eq!(row.outputs, [text.trim(), text.trim()], "{}", row.id);
    }
}

#[test]
fn the_seed_decides_the_answers_and_each_has_draws_of_its_own() {
    let dir = prepared();
    let one = outputs(&sampled(dir.path(), "one", &[]));
    sampled(dir.path(), "two", &[]);
    assert_same(dir.path(), "one", "two");
    let other = outputs(&sampled(dir.path(), "other", &["seed=4"]));
    let differ = |left: &[[String; 2]], right: &[[String; 2]]| {
        left.iter().zip(right).filter(|(l, r)| l != r).count()
    };
    // With some 300 almost equally likely tokens, chance agreement is next to impossible.
    assert_eq!(differ(&one, &other), 7);
    assert!(one.iter().all(|pair| pair[0] != pair[1]));
    // The same prompt, asked at two places.
    assert_ne!(one[0], one[3]);
    // What is answered does not depend on how many prompts follow.
    let few = outputs(&sampled(dir.path(), "few", &["prompts.count=3"]));
    assert_eq!(few, one[..3]);
    // Nor on how many are passed over.
    let later = outputs(&sampled(
        dir.path(),
        "later",
        &["prompts.skip=4", "prompts.count=2"],
    ));
    assert_eq!(later, one[4..6]);
}

#[test]
fn a_quantised_model_answers_and_is_another_model() {
    let dir = prepared();
    let rows = sampled(dir.path(), "nf4", &["model.base_precision=\"nf4\""]);
    assert_eq!(rows.len(), 7);
    let exact = sampled(dir.path(), "f32", &[]);
    let fingerprint = |rows: &[Candidate]| rows[0].sampling.model_fingerprint.clone();
    assert_ne!(fingerprint(&rows), fingerprint(&exact));
}

#[test]
fn an_adapter_speaks_and_is_recorded() {
    let dir = prepared();
    let bundle = model(1);
    let targets = ["q_proj".to_owned(), "down_proj".to_owned()];
    let config = LoraConfig::new(2, 4.0, &targets);
    let adapter = Adapter::fresh(config, &bundle.model, 5).unwrap();
    for (name, tensor) in adapter.parameters() {
        if name.contains("lora_B") {
            let _ = tch::no_grad(|| tensor.shallow_clone().fill_(0.3));
        }
    }
    let folder = dir.path().join("adapter");
    adapter.save(&folder).unwrap();
    let set = format!("model.adapter={:?}", folder.display().to_string());
    let with = sampled(dir.path(), "with", &[&set]);
    let without = sampled(dir.path(), "without", &[]);
    assert_ne!(outputs(&with), outputs(&without));
    let (with, without) = (&with[0].sampling, &without[0].sampling);
    assert_eq!(with.model_fingerprint, without.model_fingerprint);
    assert_eq!(with.adapter, Some(folder.display().to_string()));
    assert_eq!(with.adapter_fingerprint.as_ref().map(String::len), Some(64));
}

#[test]
fn bad_prompts_are_named_with_their_rows_or_left_out_and_counted() {
    let dir = prepared();
    let data = dir.path().join("data");
    let whole = fs::read(data.join("green.png")).unwrap();
    fs::write(data.join("green.png"), &whole[..whole.len() / 2]).unwrap();
    let mut rows = prompts();
    rows[3].turns[0] = candor_data::Turn::human(format!("<image>\n{}", "wall ".repeat(130)));
    candor_data::formats::llava::write(&data.join("prompts.json"), &rows).unwrap();

    let sets = ["data.on_bad_row=\"skip\""];
    let rows = sampled(dir.path(), "skip", &sets);
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["row-0-0", "row-2-2", "row-0-5", "text-6"]);
    let result = fs::read_to_string(dir.path().join("skip/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(
        (
            &result["n_prompts"],
            &result["n_skipped"],
            &result["skipped"]
        ),
        (
            &serde_json::json!(4),
            &serde_json::json!(3),
            &serde_json::json!({"too_long": 1, "unreadable_image": 2})
        )
    );
    let skipped = fs::read_to_string(dir.path().join("skip/skipped.jsonl")).unwrap();
    let skipped: Vec<serde_json::Value> = skipped
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: Vec<_> = skipped.iter().map(|row| row["row"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(3), Some(4)]);

    let stopped =
        |out| run(&recipe(dir.path(), out, &[]), &launch(false), Device::Cpu).unwrap_err();
    let message = stopped("long").to_string();
    for part in [
        "prompts.json: row 3 (id \"row-3\"), field `conversations`",
        "(4 of them its image)",
        "128 positions",
        "sampling.max_new_tokens = 6",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    let mut rows = prompts();
    rows.remove(3);
    candor_data::formats::llava::write(&data.join("prompts.json"), &rows).unwrap();
    let message = stopped("damaged").to_string();
    for part in [
        "prompts.json: row 1 (id \"row-1\"), field `image`",
        "green.png",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn prompts_that_cannot_be_answered_are_named() {
    let dir = prepared();
    let refuse = |sets: &[&str]| {
        let recipe = recipe(dir.path(), "out", sets);
        let error = run(&recipe, &launch(false), Device::Cpu).unwrap_err();
        assert!(!dir.path().join("out/resolved.toml").exists());
        error.to_string()
    };
    let message = refuse(&["prompts.count=8"]);
    for part in ["prompts.json", "7 prompts", "prompts.count = 8"] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    let message = refuse(&["prompts.skip=7"]);
    assert!(message.contains("prompts.skip = 7"), "{message}");
    let message = refuse(&["sampling.max_new_tokens=120"]);
    for part in [
        "prompts.json",
        "row 0",
        "128 positions",
        "lower sampling.max_new_tokens",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    fs::remove_file(dir.path().join("data/green.png")).unwrap();
    let recipe = recipe(dir.path(), "out", &[]);
    let message = run(&recipe, &launch(false), Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(message.contains("green.png"), "{message}");
}
