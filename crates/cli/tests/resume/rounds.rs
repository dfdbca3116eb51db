//! `rounds`: killed inside a round and between two of them, by each of those who can compare answers.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use candor_data::formats::candidates::{self, Candidate};
use candor_data::formats::preference_log;
use candor_data::{Preference, Side, Turn};

use crate::preferences::{rewarded, with_own_recipe};
use crate::rewards::body;
#[cfg(unix)]
use crate::runs::signalled;
use crate::runs::{assert_same, candor, metrics, refused, run, run_with_kills, sets};

/// Rounds whose answers are compared as these settings say.
fn arguments(out: &str, label: &[(&str, &str)]) -> Vec<String> {
    [with_own_recipe("rounds", out), sets(label)].concat()
}

/// Rounds whose answers the reward model compares, with the facts.
pub fn by_reward(out: &str) -> Vec<String> {
    let label = [
        ("label.by", "reward"),
        ("label.reward", "reward"),
        ("label.facts", "world/facts/image_to_caption.json"),
    ];
    arguments(out, &label)
}

/// What a round computes but for the rows of its answers, which name the folder of the policy.
pub const RESULTS: [&str; 11] = [
    "metrics.jsonl",
    "result.json",
    "round-1/labels.json",
    "round-1/labels/preferences.json",
    "round-1/dpo/metrics.jsonl",
    "round-1/dpo/adapter/adapter_model.safetensors",
    "round-2/labels/preferences.json",
    "round-2/labels/best.json",
    "round-2/dpo/reference.json",
    "round-2/dpo/held_out.jsonl",
    "round-2/dpo/adapter/adapter_model.safetensors",
];

#[test]
fn rounds_killed_inside_and_between_end_in_the_same_bytes_and_no_finished_one_runs_again() {
    let folder = rewarded();
    run(candor(folder).args(by_reward("rounds")));
    let lines = metrics(folder, "rounds");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        assert_eq!(line["n_prompts"], 10);
        assert!(line["best_score_mean"].as_f64() > line["score_mean"].as_f64());
    }
    // The second round answers with the policy of the first, and asks other prompts.
    let rows = |round: &str| {
        let path = folder.join("rounds").join(round).join("candidates.jsonl");
        candidates::read(&path).unwrap()
    };
    let [first, second] = ["round-1/sample-1", "round-2/sample-1"].map(rows);
    assert_eq!((first[0].sampling.index, second[0].sampling.index), (0, 10));
    assert_eq!(first[0].sampling.adapter, None);
    let policy = Some("rounds/round-1/dpo/adapter");
    assert_eq!(second[0].sampling.adapter.as_deref(), policy);

    let kills = run_with_kills(folder, &by_reward("rounds-killed"), 31, 200);
    assert!(
        kills > 0,
        "the run was never killed after something was done"
    );
    assert_same(folder, "rounds", "rounds-killed", &RESULTS);
    #[cfg(unix)]
    {
        let arguments = by_reward("rounds-stopped");
        let output = signalled(folder, &arguments, "TERM");
        assert_eq!(output.status.code(), Some(143), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("continue with: "), "{said}");
        run(candor(folder).args(arguments).arg("--resume"));
        assert_same(folder, "rounds", "rounds-stopped", &RESULTS);
    }

    let again = refused(candor(folder).args(by_reward("rounds")));
    assert!(again.contains("already holds a run"), "{again}");
    let mut other = by_reward("rounds");
    other.extend(sets(&[("dpo.beta", "0.3")]));
    let other = refused(candor(folder).args(other).arg("--resume"));
    assert!(other.contains("dpo.beta: 0.2 -> 0.3"), "{other}");

    // All prompts in every round, and one round more: what a finished one began with is not needed any more.
    let mut whole = by_reward("rounds-killed");
    whole.extend(sets(&[("rounds.n", "3")]));
    let few = refused(
        candor(folder)
            .args(&whole)
            .args(["--resume", "--set", "rounds.n=99"]),
    );
    assert!(
        few.contains("99 rounds of rounds.prompts = 10 ask 990"),
        "{few}"
    );
    let sampled = folder.join("rounds-killed/round-1/sample-1/candidates.jsonl");
    fs::remove_file(&sampled).unwrap();
    run(candor(folder).args(&whole).arg("--resume"));
    assert_eq!(metrics(folder, "rounds-killed").len(), 3);
    let notes = fs::read_to_string(folder.join("rounds-killed/resumed.jsonl")).unwrap();
    let note: serde_json::Value = serde_json::from_str(notes.lines().last().unwrap()).unwrap();
    let changes = serde_json::json!({"rounds.n": {"from": 2, "to": 3}});
    assert_eq!(note["step"], 2);
    assert_eq!(note["changes"], changes);
    assert!(!sampled.exists());
    assert_same(folder, "rounds", "rounds-killed", &RESULTS[2..]);
}

/// What was preferred and what was not.
fn chosen(row: &Preference) -> [&str; 2] {
    let [first, second] = row.outputs.each_ref().map(String::as_str);
    match row.preferred().unwrap() {
        Side::First => [first, second],
        Side::Second => [second, first],
    }
}

fn log(folder: &Path, out: &str) -> Vec<Preference> {
    let path = folder
        .join(out)
        .join("round-1/labels/preferences.log.jsonl");
    preference_log::read(&path).unwrap()
}

#[test]
fn rules_set_the_best_answer_to_a_prompt_against_the_worst() {
    let folder = rewarded();
    let rule = "[{name = \"short\", kind = \"tokens\", weight = -1.0, per = 10.0}]";
    let label = [
        ("label.by", "rules"),
        ("rewards", rule),
        ("rounds.prompts", "18"),
        ("rounds.reference", "first"),
    ];
    run(candor(folder).args(arguments("rounds-rules", &label)));
    let mut tokens: HashMap<(String, String), usize> = HashMap::new();
    let mut of_prompt: HashMap<String, Vec<usize>> = HashMap::new();
    let mut lengths_of_all: HashMap<(Option<String>, Vec<Turn>, String), usize> = HashMap::new();
    for file in ["sample-1", "sample-2"] {
        let path = format!("rounds-rules/round-1/{file}/candidates.jsonl");
        for row in candidates::read(&folder.join(path)).unwrap() {
            let sampling = &row.sampling;
            let lengths = sampling.n_tokens.iter().zip(&sampling.finished);
            for (text, (n, finished)) in row.outputs.iter().zip(lengths) {
                // An answer that was cut is not looked at.
                if !finished {
                    continue;
                }
                let text = text.trim().to_owned();
                // The token that ends an answer is one of it.
                let n = n + 1;
                let prompt = (row.image.clone(), row.turns.clone(), text.clone());
                lengths_of_all.entry(prompt).or_insert(n);
                let n = *tokens.entry((row.id.clone(), text)).or_insert(n);
                of_prompt.entry(row.id.clone()).or_default().push(n);
            }
        }
    }
    // The second round goes on from the first one's weights, and its reference is the recipe's model.
    let second = folder.join("rounds-rules/round-2/dpo");
    let resolved = fs::read_to_string(second.join("resolved.toml")).unwrap();
    assert!(resolved.contains("[model.lora]"), "{resolved}");
    let from = fs::read_to_string(second.join("init_from.json")).unwrap();
    assert!(from.contains("rounds-rules/round-1/dpo"), "{from}");
    let rows = log(folder, "rounds-rules");
    assert!(!rows.is_empty());
    for row in &rows {
        let of = |text: &str| tokens[&(row.id.clone(), text.to_owned())];
        let [better, worse] = chosen(row).map(of);
        let all = &of_prompt[&row.id];
        let ends = (all.iter().min(), all.iter().max());
        assert_eq!((Some(&better), Some(&worse)), ends, "{}", row.id);
        assert!(better < worse);
    }
    let first = &metrics(folder, "rounds-rules")[0];
    assert_eq!(first["n_preferences"], rows.len());
    let n_tokens: usize = lengths_of_all.values().sum();
    let mean = -(n_tokens as f64) / 10.0 / lengths_of_all.len() as f64;
    let found = first["score_mean"].as_f64().unwrap();
    assert!((found - mean).abs() < 1e-9, "{found} against {mean}");

    // Killed where the second round begins to learn, and again where it has not noted which weights it begins with.
    let files = [
        "metrics.jsonl",
        "result.json",
        "round-2/labels/preferences.json",
        "round-2/dpo/metrics.jsonl",
        "round-2/dpo/reference.json",
        "round-2/dpo/adapter/adapter_model.safetensors",
    ];
    let bytes = || files.map(|file| fs::read(folder.join("rounds-rules").join(file)).unwrap());
    let before = bytes();
    let resume = [arguments("rounds-rules", &label), vec!["--resume".into()]].concat();
    fs::remove_dir_all(folder.join("rounds-rules/round-2")).unwrap();
    let mut child = candor(folder).args(&resume).spawn().unwrap();
    while !second.join("resolved.toml").exists() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the run ended before it learned");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    run(candor(folder).args(&resume));
    assert!(bytes() == before, "killed as it began to learn");
    for entry in fs::read_dir(&second).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else if !path.ends_with("resolved.toml") {
            fs::remove_file(path).unwrap();
        }
    }
    run(candor(folder).args(&resume));
    assert!(
        bytes() == before,
        "killed before it noted what it begins with"
    );
}

/// The length of a text as a request to the judge has it.
fn length(text: &str) -> usize {
    serde_json::to_string(text).unwrap().len()
}

/// A judge that likes what is short.
fn judge() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Some(asked) = body(&mut stream) else {
                continue;
            };
            let parts: Vec<&str> = asked.split("@@").collect();
            let word = match parts[1].len().cmp(&parts[2].len()) {
                std::cmp::Ordering::Less => "A",
                std::cmp::Ordering::Equal => "tie",
                std::cmp::Ordering::Greater => "B",
            };
            let said = format!("Fewer hallucinations: {word}\nMore helpful: {word}");
            let reply = serde_json::json!({
                "choices": [{"message": {"content": said}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            });
            let reply = reply.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                reply.len()
            );
            let _ = stream.write_all((head + &reply).as_bytes());
        }
    });
    url
}

#[test]
fn a_judge_compares_two_answers_at_a_time() {
    let folder = rewarded();
    let template = folder.join("shorter.txt");
    fs::write(&template, "{question}@@{answer}@@{other}@@").unwrap();
    let settings = format!(
        "cache = \"rounds-replies.jsonl\"\n[endpoint]\nurl = \"{}\"\nmodel = \"m\"\n[request]\ntemperature = 0.0\nmax_tokens = 20\n\
         samples = 1\nimages = false\n[templates]\npreference = {template:?}\n",
        judge()
    );
    fs::write(folder.join("rounds-judge.toml"), settings).unwrap();
    let label = [
        ("label.by", "judge"),
        ("label.judge", "rounds-judge.toml"),
        ("rounds.n", "1"),
    ];
    run(candor(folder).args(arguments("rounds-judge", &label)));
    let rows = log(folder, "rounds-judge");
    assert!(rows.len() > 10, "pairs of both runs: {}", rows.len());
    for row in &rows {
        let [better, worse] = chosen(row).map(length);
        assert!(better < worse, "{row:?}");
    }
}

#[test]
fn people_are_waited_for_by_name() {
    let folder = rewarded();
    let label = [
        ("label.by", "people"),
        ("rounds.n", "1"),
        ("rounds.answers", "4"),
    ];
    let arguments = arguments("rounds-people", &label);
    let waits = refused(candor(folder).args(&arguments));
    let file = "rounds-people/round-1/preferences.log.jsonl";
    for part in [
        "round 1 waits for people",
        "rounds-people/round-1/pairs.jsonl",
        file,
        "--resume",
    ] {
        assert!(waits.contains(part), "{part}: {waits}");
    }
    // Both runs answer the same prompts, and a file has each id once.
    let pairs = folder.join("rounds-people/round-1/pairs.jsonl");
    let pairs = candidates::read(&pairs).unwrap();
    let of_runs = ["sample-1", "sample-2"].map(|run| {
        let path = format!("rounds-people/round-1/{run}/candidates.jsonl");
        candidates::read(&folder.join(path)).unwrap()
    });
    // Of those of which neither answer was cut.
    let outputs = |rows: &[Candidate]| -> Vec<[String; 2]> {
        let whole = rows.iter().filter(|row| row.n_cut() == 0);
        whole.map(|row| row.outputs.clone()).collect()
    };
    assert!(pairs.iter().all(|row| row.n_cut() == 0));
    assert_eq!(outputs(&pairs), outputs(&of_runs.concat()));
    // What was said of other answers is not taken for what was said of these.
    fs::copy(
        folder.join("preferences/preferences.log.jsonl"),
        folder.join(file),
    )
    .unwrap();
    let other = refused(candor(folder).args(&arguments).arg("--resume"));
    assert!(other.contains("is not one of this round's"), "{other}");
    fs::remove_file(folder.join(file)).unwrap();
    run(candor(folder).args([
        "world",
        "annotate",
        "--world",
        "world",
        "--candidates",
        "rounds-people/round-1/pairs.jsonl",
        "--out",
        "rounds-people/round-1/preferences.json",
    ]));
    run(candor(folder).args(&arguments).arg("--resume"));
    let learned = folder.join("rounds-people/round-1/dpo");
    assert!(learned.join("adapter").exists());
    // As if the export had been written again before the learning began.
    fs::remove_dir_all(learned).unwrap();
    let text = fs::read_to_string(folder.join(file)).unwrap();
    let (_, fewer) = text.split_once('\n').unwrap();
    fs::write(folder.join(file), fewer).unwrap();
    let changed = refused(candor(folder).args(&arguments).arg("--resume"));
    assert!(changed.contains("it is not the file that"), "{changed}");
}
