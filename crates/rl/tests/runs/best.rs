//! Best of n by a reward model that likes a yes.

use std::fs;
use std::path::{Path, PathBuf};

use candor_data::formats::candidates::{self, Candidate, Sampling};
use candor_data::formats::{llava, preference};
use candor_data::{Side, Turn};
use candor_reward::{BestOfN, best_of_n};
use candor_train::{BasePrecision, set_tf32, tf32};
use tch::Device;

use crate::fixture::{BAD, GOOD, prepared, prompts};

/// A row for each of the first prompts, with these two answers.
fn write(path: &Path, seed: u64, outputs: [&str; 2]) {
    let asked = prompts().into_iter().enumerate().take(4);
    let rows: Vec<Candidate> = asked
        .map(|(index, prompt)| Candidate {
            id: format!("{}-{index}", prompt.conversation.id),
            image: prompt.conversation.image,
            turns: vec![prompt.conversation.turns[0].clone()],
            original_answer: None,
            outputs: outputs.map(str::to_owned),
            sampling: Sampling {
                model: "model".to_owned(),
                model_fingerprint: "m".to_owned(),
                adapter: None,
                adapter_fingerprint: None,
                seed,
                temperature: 1.0,
                top_p: 1.0,
                max_new_tokens: 16,
                batch_rows: 2,
                chunk: 4,
                index: index as u64,
                finished: [true; 2],
                n_tokens: [4; 2],
            },
        })
        .collect();
    candidates::write(path, &rows).unwrap();
}

#[test]
fn the_best_and_the_worst_of_all_files_are_chosen_and_scored_once() {
    let dir = prepared();
    let at = |name: &str| dir.path().join(name);
    write(&at("one.jsonl"), 0, [BAD, BAD]);
    write(&at("two.jsonl"), 1, [" No, it is not. ", GOOD]);
    let plan = |files: &[&str], out: &str| BestOfN {
        candidates: files.iter().map(|file| at(file)).collect::<Vec<PathBuf>>(),
        reward: at("reward"),
        base_precision: BasePrecision::F32,
        images: at("data"),
        facts: Some(at("data/facts.json")),
        out: at(out),
        pass_rows: 3,
    };
    let chosen = |plan: &BestOfN| best_of_n(plan, Device::Cpu, |_, _| ()).unwrap();
    let both = plan(&["one.jsonl", "two.jsonl"], "both");
    // As a run that learned before in this process may have left it.
    set_tf32(true);
    let summary = chosen(&both);
    assert!(!tf32());
    assert_eq!(
        (summary.n_prompts, summary.n_answers, summary.n_equal),
        (4, 8, 0)
    );
    assert!(
        summary.best_score_mean > summary.score_mean + 1.0,
        "{summary:?}"
    );
    let best = llava::read(&at("both/best.json")).unwrap();
    assert!(best.iter().all(|row| row.turns[1] == Turn::gpt(GOOD)));
    let preferences = preference::read(&at("both/preferences.json")).unwrap();
    assert_eq!(preferences.len(), 4);
    for row in &preferences {
        assert_eq!(
            (&row.outputs, row.preferred()),
            (&[BAD, GOOD].map(str::to_owned), Some(Side::Second))
        );
    }
    let scores = fs::read(at("both/scores.jsonl")).unwrap();
    let files = ["best.json", "preferences.json", "result.json"];
    let before = files.map(|file| fs::read(at("both").join(file)).unwrap());
    assert_eq!(chosen(&both), summary);
    assert_eq!(fs::read(at("both/scores.jsonl")).unwrap(), scores);
    assert!(before == files.map(|file| fs::read(at("both").join(file)).unwrap()));

    // Into the same folder: what the run before found is not this one's.
    let summary = chosen(&plan(&["one.jsonl"], "both"));
    assert_eq!((summary.n_answers, summary.n_equal), (4, 4));
    for file in ["preferences.json", "preferences.log.jsonl"] {
        assert!(!at("both").join(file).exists(), "{file}");
    }
    fs::create_dir(at("run")).unwrap();
    fs::write(at("run/resolved.toml"), "").unwrap();
    let message = best_of_n(&plan(&["one.jsonl"], "run"), Device::Cpu, |_, _| ())
        .unwrap_err()
        .to_string();
    assert!(message.contains("the folder of a run"), "{message}");
    assert!(!at("run/scores.jsonl").exists());
    let untold = BestOfN {
        facts: None,
        ..plan(&["one.jsonl"], "untold")
    };
    let message = best_of_n(&untold, Device::Cpu, |_, _| ())
        .unwrap_err()
        .to_string();
    assert!(message.contains("give --facts"), "{message}");
}
