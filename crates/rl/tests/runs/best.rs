//! Best of n by a reward model that likes a yes.

use std::fs;
use std::path::{Path, PathBuf};

use candor_data::formats::candidates::{self, Candidate, Sampling};
use candor_data::formats::{llava, preference};
use candor_data::{Side, Turn};
use candor_reward::{BestOfN, best_of_n};
use candor_run::Ranks;
use candor_testing::ranks::on_threads;
use candor_train::{BasePrecision, set_tf32, tf32};
use tch::Device;

use crate::fixture::{BAD, GOOD, prepared, prompts};

/// A row for each of `n` prompts, with these two answers; of more than there are, the questions have a number at their end.
fn write(path: &Path, seed: u64, outputs: [&str; 2], n: usize) {
    let all = prompts();
    let asked = (0..n).map(|index| (index, &all[index % all.len()].conversation));
    let question = |index: usize, asked: &Turn| {
        let number = (index >= all.len()).then(|| format!(" {index}"));
        Turn::human(asked.value.clone() + &number.unwrap_or_default())
    };
    let rows: Vec<Candidate> = asked
        .map(|(index, conversation)| Candidate {
            id: format!("{}-{index}", conversation.id),
            image: conversation.image.clone(),
            turns: vec![question(index, &conversation.turns[0])],
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

/// What chooses among the answers of these files.
fn plan(folder: &Path, files: &[&str], out: &str) -> BestOfN {
    let at = |name: &str| folder.join(name);
    BestOfN {
        candidates: files.iter().map(|file| at(file)).collect::<Vec<PathBuf>>(),
        reward: at("reward"),
        base_precision: BasePrecision::F32,
        images: at("data"),
        facts: Some(at("data/facts.json")),
        out: at(out),
        pass_rows: 3,
    }
}

/// 70 prompts are three chunks, of 32, 32 and 6.
#[test]
fn ranks_score_what_one_would_and_choose_the_same() {
    let dir = prepared();
    let at = |name: &str| dir.path().join(name);
    write(&at("many.jsonl"), 0, [BAD, GOOD], 70);
    let alone = plan(dir.path(), &["many.jsonl"], "alone");
    let one = best_of_n(&alone, Device::Cpu, &Ranks::alone(), |_, _| ()).unwrap();
    assert_eq!((one.n_prompts, one.n_answers), (70, 140));
    let files = [
        "scores.jsonl",
        "best.json",
        "preferences.json",
        "result.json",
    ];
    let bytes = |plan: &BestOfN| files.map(|file| fs::read(plan.out.join(file)).unwrap());
    for world in [2, 3] {
        let shared = plan(dir.path(), &["many.jsonl"], &format!("of-{world}"));
        // Once all is computed, and once the first rank has it.
        for _ in 0..2 {
            let found = on_threads(world, |ranks| {
                best_of_n(&shared, Device::Cpu, &ranks, |_, _| ()).unwrap()
            });
            assert_eq!(found, vec![one.clone(); world]);
            assert!(bytes(&shared) == bytes(&alone), "{world} ranks");
        }
    }
}

#[test]
fn the_best_and_the_worst_of_all_files_are_chosen_and_scored_once() {
    let dir = prepared();
    let at = |name: &str| dir.path().join(name);
    write(&at("one.jsonl"), 0, [BAD, BAD], 4);
    write(&at("two.jsonl"), 1, [" No, it is not. ", GOOD], 4);
    let plan = |files: &[&str], out: &str| plan(dir.path(), files, out);
    let chosen = |plan: &BestOfN| best_of_n(plan, Device::Cpu, &Ranks::alone(), |_, _| ()).unwrap();
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
    let message = best_of_n(
        &plan(&["one.jsonl"], "run"),
        Device::Cpu,
        &Ranks::alone(),
        |_, _| (),
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("the folder of a run"), "{message}");
    assert!(!at("run/scores.jsonl").exists());
    let untold = BestOfN {
        facts: None,
        ..plan(&["one.jsonl"], "untold")
    };
    let message = best_of_n(&untold, Device::Cpu, &Ranks::alone(), |_, _| ())
        .unwrap_err()
        .to_string();
    assert!(message.contains("give --facts"), "{message}");
}
