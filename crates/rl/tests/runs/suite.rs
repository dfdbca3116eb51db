//! Benchmarks by which a run measures itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candor_eval::answer::{Ask, Generator};
use candor_model::{Adapter, Bundle, ImageFeatures};
use candor_rl::run;
use candor_run::{Outcome, Ranks, StopSignal};
use candor_testing::files::{json, lines};
use candor_testing::images::COLOURS;
use candor_testing::pope::{self, SPLITS};
use candor_testing::run::launch;
use serde_json::Value;
use tch::{Device, Kind};

use crate::fixture::{finished, prepared, recipe, try_run};
use crate::resume::files;

/// POPE about the three walls: two questions a wall, the second of which is another in each split.
fn bench(dir: &Path) {
    pope::write(&dir.join("bench"), |split| {
        let asked = COLOURS[..3].iter().enumerate().map(|(n, (colour, _))| {
            let other = ["large", "none", COLOURS[(n + 1) % 3].0][split];
            [(*colour, "yes"), (other, "no")].map(|(word, label)| {
                let question = format!("Is the wall {word}?");
                [format!("{colour}.png"), question, label.to_owned()]
            })
        });
        asked.flatten().collect()
    });
}

/// One question of MMHal-Bench beside POPE, whose answers take a judge.
fn ask_mmhal(dir: &Path) {
    let folder = dir.join("bench/mmhal_bench");
    fs::create_dir_all(folder.join("images")).unwrap();
    let green = dir.join("bench/coco/val2014/green.png");
    fs::copy(green, folder.join("images/0.png")).unwrap();
    let question = r#"[{"question_type":"other","question_topic":"t","image_id":"m","image_src":"https://example.com/0.png","image_content":["Wall"],"question":"Is it red?","gt_answer":"No","model_answer":""}]"#;
    fs::write(folder.join("response_template.json"), question).unwrap();
}

/// What a recipe says of that question.
const JUDGED: [&str; 2] = ["suite.benchmarks=[\"mmhal\"]", "suite.best=\"mmhal.score\""];

/// The address of a judge that answers everything with this status and this text, and how often it was asked.
fn judge(status: u16, said: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut request = BufReader::new(&stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                // The head ends with an empty line.
                if request.read_line(&mut line).unwrap() <= 2 {
                    break;
                }
                if let Some(n) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = n.trim().parse().unwrap();
                }
            }
            request.read_exact(&mut vec![0; length]).unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let reply = serde_json::json!({
                "choices": [{"message": {"content": said}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            });
            let reply = reply.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                reply.len()
            );
            (&stream).write_all((head + &reply).as_bytes()).unwrap();
        }
    });
    (url, asked)
}

/// The settings of a judge with a cache of its own, as a recipe names them.
fn judged_at(dir: &Path, name: &str, url: &str) -> String {
    let file = dir.join(format!("{name}.toml"));
    let template = dir.join("prompt.txt").display().to_string();
    let settings = format!(
        "cache = \"{name}-replies.jsonl\"\n[endpoint]\nurl = {url:?}\nmodel = \"m\"\n[request]\ntemperature = 0.0\n\
         max_tokens = 20\nsamples = 1\nimages = false\n[templates]\nmmhal = {template:?}\n"
    );
    fs::write(&file, settings).unwrap();
    format!("suite.judge={:?}", file.display().to_string())
}

/// Four questions of each split after steps 2, 4 and 6, of which copies are kept as well.
fn with_suite<'a>(data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let suite = [
        data,
        "run.snapshot_every=2",
        "suite.every=2",
        "suite.benchmarks=[\"pope\"]",
        "suite.limit=4",
        "suite.best=\"pope.accuracy\"",
        "suite.max_new_tokens=4",
    ];
    [&suite, more].concat()
}

fn data(dir: &Path) -> String {
    format!("suite.data={:?}", dir.join("bench").display().to_string())
}

/// What the copy of a step answers to what was asked then, and the share that is right by POPE's rule.
fn by_hand(dir: &Path, step: u64) -> f64 {
    let (out, images) = (dir.join("measured"), dir.join("bench/coco/val2014"));
    let bundle = Bundle::open(&dir.join("model"), Device::Cpu, Kind::Float).unwrap();
    let copy = out.join(format!("adapters/step-{step}"));
    let adapter = Adapter::open(&copy, &bundle.model).unwrap();
    let names = COLOURS[..3].iter().map(|(name, _)| format!("{name}.png"));
    let features = ImageFeatures::encode(&bundle, &images, names, |_, _| ()).unwrap();
    let generator = Generator {
        bundle: &bundle,
        adapter: Some(&adapter),
        features: &features,
        batch_rows: 1,
        max_new_tokens: 4,
        ranks: &Ranks::alone(),
    };
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let (mut n_right, mut n) = (0, 0);
    for split in SPLITS {
        let answered = format!("suite/step-{step}/pope/answers/pope_{split}.jsonl");
        let answered = lines(&out.join(answered));
        let questions = lines(&dir.join(format!("bench/pope/coco_pope_{split}.jsonl")));
        assert_eq!(answered.len(), 4);
        let asks: Vec<Ask> = answered
            .iter()
            .map(|row| Ask {
                id: text(row, "id"),
                image: text(row, "image"),
                text: text(row, "question"),
            })
            .collect();
        let signal = StopSignal::detached();
        let answers = generator.answer(&asks, &signal, |_| ()).unwrap().unwrap();
        for ((row, answer), question) in answered.iter().zip(answers).zip(questions) {
            assert!(text(row, "question").starts_with(&text(&question, "text")));
            assert_eq!(text(row, "answer"), answer.text);
            let sentence = answer.text.split('.').next().unwrap().replace(',', "");
            let mut words = sentence.split_whitespace();
            let is_no = words.any(|word| ["No", "no", "not"].contains(&word));
            n_right += u32::from(is_no == (question["label"] == "no"));
            n += 1;
        }
    }
    f64::from(n_right) / f64::from(n)
}

#[test]
fn the_numbers_are_those_of_the_copies_and_the_best_step_is_kept() {
    let folder = prepared();
    let dir = folder.path();
    bench(dir);
    let plain = finished(dir, "plain", &["run.snapshot_every=2"]);
    let measured = finished(dir, "measured", &with_suite(&data(dir), &[]));
    let out = dir.join("measured");
    let mut best: Option<(u64, f64)> = None;
    for (mut line, plain) in measured.into_iter().zip(plain) {
        let suite = line.as_object_mut().unwrap().remove("suite");
        assert_eq!(line, plain, "measuring changed what is trained");
        let step = line["step"].as_u64().unwrap();
        assert_eq!(suite.is_some(), step.is_multiple_of(2), "step {step}");
        let Some(suite) = suite else { continue };
        let accuracy = by_hand(dir, step);
        assert_eq!(suite["pope"]["accuracy"].as_f64(), Some(accuracy));
        let results = json(&out.join(format!("suite/step-{step}/pope/results.json")));
        assert_eq!(results["benchmarks"]["pope"]["n"], 12);
        assert_eq!(results["benchmarks"]["pope"]["limit"], 4);
        if best.is_none_or(|(_, value)| accuracy > value) {
            best = Some((step, accuracy));
        }
    }
    let (step, value) = best.unwrap();
    let expected = serde_json::json!({
        "by": "pope.accuracy", "step": step, "value": value, "weights": "best/adapter",
    });
    assert_eq!(json(&out.join("best.json")), expected);
    let weights = |run: &str, place: &str| {
        fs::read(dir.join(run).join(place).join("adapter_model.safetensors")).unwrap()
    };
    let copy = format!("adapters/step-{step}");
    assert!(weights("measured", "best/adapter") == weights("measured", &copy));
    for place in ["adapter", "adapters/step-2", "adapters/step-6"] {
        assert!(weights("measured", place) == weights("plain", place));
    }
    assert!(weights("measured", "adapters/step-2") != weights("measured", "adapters/step-6"));
}

/// The checkpoint is of step 4, and what was answered after it is there.
#[test]
fn a_run_that_was_killed_asks_nothing_again_and_ends_in_the_same_bytes() {
    let folder = prepared();
    let dir = folder.path();
    bench(dir);
    let data = data(dir);
    let sets = with_suite(&data, &[]);
    finished(dir, "out", &sets);
    let out = dir.join("out");
    let whole = files(&out);
    let log = out.join("suite/step-6/pope/answers.log");
    let told = fs::read_to_string(&log).unwrap();
    let resumed = |sets: &[&str]| -> BTreeMap<String, Vec<u8>> {
        let again = recipe(dir, "out", sets);
        let ended = run(&again, &launch(true), Device::Cpu).unwrap();
        assert_eq!(ended, Outcome::Finished);
        files(&out)
    };
    // Killed in the middle of a measurement, and after the best weights were written.
    fs::write(&log, &told.as_bytes()[..told.len() * 2 / 3]).unwrap();
    fs::remove_dir_all(out.join("suite/step-6/pope/verdicts")).unwrap();
    fs::remove_file(out.join("best.json")).unwrap();
    assert!(resumed(&sets) == whole);
    // A run whose best weights cannot be written is not finished.
    fs::remove_file(out.join("result.json")).unwrap();
    fs::remove_dir_all(out.join("best")).unwrap();
    fs::write(out.join("best"), "in the way").unwrap();
    run(&recipe(dir, "out", &sets), &launch(true), Device::Cpu).unwrap_err();
    assert!(!out.join("result.json").exists());
    fs::remove_file(out.join("best")).unwrap();
    assert!(resumed(&sets) == whole);
    // Words that no model said stay, so nothing is asked again.
    let reworded = told.replacen("\"text\":\"", "\"text\":\"Kept ", 1);
    assert_ne!(reworded, told);
    fs::write(&log, reworded).unwrap();
    resumed(&sets);
    assert!(fs::read_to_string(&log).unwrap().contains("Kept "));
    let answers = SPLITS.map(|split| {
        let answers = format!("suite/step-6/pope/answers/pope_{split}.jsonl");
        fs::read_to_string(out.join(answers)).unwrap()
    });
    assert!(answers.concat().contains("\"Kept "));
    // Answers of other weights make way.
    let key = "\"model_fingerprint\":\"";
    fs::write(&log, told.replacen(key, &format!("{key}0"), 1)).unwrap();
    assert!(resumed(&sets) == whole);

    // How many are answered together may be another number; what is asked, and of which files, may not.
    let more = with_suite(&data, &["suite.batch_rows=2"]);
    let adapter = "adapter/adapter_model.safetensors";
    assert!(resumed(&more)[adapter] == whole[adapter]);
    let refused = |sets: &[&str]| {
        let again = recipe(dir, "out", sets);
        run(&again, &launch(true), Device::Cpu)
            .unwrap_err()
            .to_string()
    };
    let said = refused(&with_suite(&data, &["suite.limit=3"]));
    assert!(said.contains("suite.limit"), "{said}");
    let file = dir.join("bench/pope/coco_pope_popular.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"no\"", "\"yes\"", 1)).unwrap();
    let said = refused(&sets);
    assert!(said.contains("began: suite;"), "{said}");
}

#[test]
fn what_would_fail_at_a_later_step_is_said_before_the_first() {
    let folder = prepared();
    let dir = folder.path();
    bench(dir);
    let data = data(dir);
    let refused = |more: &[&str], parts: &[&str]| {
        let said = try_run(dir, "out", &with_suite(&data, more)).unwrap_err();
        let said = said.to_string();
        for part in parts {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(!dir.join("out/metrics.jsonl").exists());
    };
    let popular = dir.join("bench/pope/coco_pope_popular.jsonl");
    let text = fs::read_to_string(&popular).unwrap();
    fs::remove_file(&popular).unwrap();
    let both = "suite.benchmarks=[\"pope\", \"mme\"]";
    let parts = ["POPE: ", "coco_pope_popular.jsonl", "MME", "existence.txt"];
    refused(&[both], &parts);
    fs::write(&popular, &text).unwrap();
    // A question for which the model has no room.
    let long = "red ".repeat(200);
    fs::write(&popular, text.replacen("red?", &long, 1)).unwrap();
    refused(&[], &["POPE, sample `0`", "more than the 127 allowed"]);
    fs::write(&popular, &text).unwrap();
    let green = dir.join("bench/coco/val2014/green.png");
    let image = fs::read(&green).unwrap();
    fs::write(&green, "no image").unwrap();
    refused(&[], &["green.png", "coco_pope_random.jsonl"]);
    fs::write(&green, image).unwrap();
    ask_mmhal(dir);
    refused(&JUDGED, &["MMHal-Bench takes a judge", "suite.judge"]);
    finished(dir, "out", &with_suite(&data, &["run.steps=1"]));
}

/// The checkpoint is of step 4, and the replies about step 6 are in the judge's cache.
#[test]
fn a_judge_is_not_asked_again_and_another_prompt_of_it_is_refused() {
    let folder = prepared();
    let dir = folder.path();
    bench(dir);
    ask_mmhal(dir);
    let prompt = dir.join("prompt.txt");
    fs::write(&prompt, "{question} {reference} {answer}").unwrap();
    let (url, asked) = judge(200, "Rating: 3");
    let (data, named) = (data(dir), judged_at(dir, "judge", &url));
    let sets = with_suite(&data, &[JUDGED[0], JUDGED[1], &named]);
    let measured = finished(dir, "out", &sets);
    for line in &measured {
        let step = line["step"].as_u64().unwrap();
        let score = step.is_multiple_of(2).then_some(3.0);
        assert_eq!(line["suite"]["mmhal"]["score"].as_f64(), score, "{line}");
    }
    // Equally good steps: the first.
    let expected = serde_json::json!({
        "by": "mmhal.score", "step": 2, "value": 3.0, "weights": "best/adapter",
    });
    assert_eq!(json(&dir.join("out/best.json")), expected);
    let n_asked = asked.load(Ordering::SeqCst);
    assert!(n_asked > 0);
    let resumed = || run(&recipe(dir, "out", &sets), &launch(true), Device::Cpu);
    fs::remove_dir_all(dir.join("out/suite/step-6/mmhal/verdicts")).unwrap();
    assert_eq!(resumed().unwrap(), Outcome::Finished);
    assert_eq!(lines(&dir.join("out/metrics.jsonl")), measured);
    assert!(dir.join("out/suite/step-6/mmhal/verdicts").exists());
    assert_eq!(asked.load(Ordering::SeqCst), n_asked);
    fs::write(&prompt, "Be kind. {question} {reference} {answer}").unwrap();
    let said = resumed().unwrap_err().to_string();
    assert!(said.contains("began: judge of the suite;"), "{said}");
}

/// What is trained is what a run has that asks nobody.
#[test]
fn a_judge_that_refuses_ends_no_training() {
    let folder = prepared();
    let dir = folder.path();
    bench(dir);
    ask_mmhal(dir);
    fs::write(dir.join("prompt.txt"), "{question} {answer}").unwrap();
    let (url, asked) = judge(400, "too long");
    let (data, named) = (data(dir), judged_at(dir, "judge", &url));
    let both = "suite.benchmarks=[\"pope\", \"mmhal\"]";
    let sets = with_suite(&data, &[both, JUDGED[1], &named]);
    let measured = finished(dir, "out", &sets);
    assert!(asked.load(Ordering::SeqCst) >= 3);
    let plain = finished(dir, "plain", &["run.snapshot_every=2"]);
    for (mut line, plain) in measured.into_iter().zip(plain) {
        let suite = line.as_object_mut().unwrap().remove("suite");
        assert_eq!(line, plain);
        let step = line["step"].as_u64().unwrap();
        let Some(suite) = suite else {
            assert!(!step.is_multiple_of(2), "step {step}");
            continue;
        };
        let measured: Vec<&String> = suite.as_object().unwrap().keys().collect();
        assert_eq!(measured, ["pope"]);
        let of_step = dir.join(format!("out/suite/step-{step}/mmhal"));
        assert_eq!(lines(&of_step.join("answers.log")).len(), 2);
        assert!(!of_step.join("results.json").exists());
    }
    assert!(!dir.join("out/best.json").exists());
    assert!(dir.join("out/result.json").exists());
}
