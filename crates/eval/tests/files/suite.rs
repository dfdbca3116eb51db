//! A suite over two models: what is there is measured, what is not is named, and an interrupted suite goes on.

use std::fmt::Write as _;
use std::path::Path;

use candor_data::image::PixelBounds;
use candor_eval::suite::{SuiteMeasured, SuiteModel, SuiteRun, run};
use candor_judge::Benchmark;
use candor_judge::score::JudgeSession;
use candor_judge::settings::Templates;
use candor_judge::suite::{NotMeasured, Suite};
use candor_run::StopSignal;
use candor_testing::files::{assert_same, files};
use candor_testing::images::paint;
use candor_train::BasePrecision;
use tch::Device;
use tempfile::TempDir;

use crate::candidate::{Constant, model};

/// POPE's splits about three images, two questions of MMHal-Bench, and a table of MMBench that is none.
fn data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    for name in ["pope", "mmhal_bench/images", "mmbench", "coco/val2014"] {
        std::fs::create_dir_all(data.join(name)).unwrap();
    }
    for n in 0..3_u8 {
        for within in ["coco/val2014", "mmhal_bench/images"] {
            paint(
                &data.join(within).join(format!("{n}.png")),
                [24, 16],
                [80 * n, 40, 40],
            );
        }
    }
    for (k, split) in ["random", "popular", "adversarial"].iter().enumerate() {
        let mut text = String::new();
        for n in 0..3 {
            for (id, (thing, label)) in [("bus", "yes"), (["dog", "cup", "tree"][k], "no")]
                .iter()
                .enumerate()
            {
                let id = 2 * n + id;
                writeln!(
                    text,
                    r#"{{"question_id":{id},"image":"{n}.png","text":"Is there a {thing} in the image?","label":"{label}"}}"#
                )
                .unwrap();
            }
        }
        std::fs::write(data.join(format!("pope/coco_pope_{split}.jsonl")), text).unwrap();
    }
    let question = |n: usize| {
        format!(
            r#"{{"question_type":"other","question_topic":"t","image_id":"m{n}","image_src":"https://example.com/a/{n}.png","image_content":["Bus"],"question":"Is it red?","gt_answer":"Yes","model_answer":""}}"#
        )
    };
    let questions = format!("[{},\n{}]", question(0), question(1));
    std::fs::write(data.join("mmhal_bench/response_template.json"), questions).unwrap();
    std::fs::write(data.join("mmbench/mmbench_dev.tsv"), "no\ttable\n").unwrap();
    folder
}

fn suite_run(data: &Path, models: &[(&str, &Path)], out: &Path) -> SuiteRun {
    let model = |(name, folder): &(&str, &Path)| SuiteModel {
        name: (*name).to_owned(),
        model: (*folder).to_owned(),
        adapter: None,
        precision: BasePrecision::F32,
    };
    SuiteRun {
        suite: Suite::Paper,
        models: models.iter().map(model).collect(),
        data: data.to_owned(),
        limit: None,
        pixels: PixelBounds::default(),
        max_new_tokens: 4,
        batch_rows: 4,
        seed: 0,
        out: out.to_owned(),
    }
}

fn measured(suite_run: &SuiteRun, reply: Option<&'static str>) -> SuiteMeasured {
    let judge = reply.map(Constant::saying);
    let (templates, quiet) = (Templates::default(), |_: usize| ());
    let session = judge.as_ref().map(|judge| JudgeSession {
        judge,
        templates: &templates,
        progress: &quiet,
    });
    let stop = StopSignal::detached();
    run(suite_run, session.as_ref(), &stop, Device::Cpu, &|_| ()).unwrap()
}

fn missing(found: &SuiteMeasured) -> Vec<(Benchmark, Option<&str>)> {
    let of = found.not_measured.iter();
    of.map(|missing| (missing.benchmark, missing.run.as_deref()))
        .collect()
}

#[test]
fn what_is_there_is_measured_the_rest_is_named_and_a_judge_may_come_later() {
    let (data, first, second) = (data(), model(1), model(2));
    let dir = tempfile::tempdir().unwrap();
    let models = [("first", first.path()), ("second", second.path())];
    let suite_run = suite_run(data.path(), &models, dir.path());
    let found = measured(&suite_run, None);
    assert_eq!(
        missing(&found),
        [
            (Benchmark::Mmhal, Some("first")),
            (Benchmark::Mmhal, Some("second")),
            (Benchmark::LlavaBench, None),
            (Benchmark::Mmbench, None),
            (Benchmark::Chair, None),
        ]
    );
    let reasons: Vec<String> = found.not_measured.iter().map(NotMeasured::told).collect();
    for (reason, parts) in reasons.iter().zip([
        &["MMHal-Bench of first", "--judge", "mmhal"][..],
        &["of second"],
        &["LLaVA-Bench: ", "qa90_questions.jsonl", "haotian-liu"],
        &["MMBench: ", "mmbench_dev.tsv"],
        &["CHAIR: ", "instances_val2014.json", "LisaAnne"],
    ]) {
        assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
    }
    // Three splits of six questions, and groups of both runs.
    for (run, name) in found.runs.iter().zip(["first", "second"]) {
        assert_eq!(run.name, name);
        assert_eq!(run.verdicts.keys().collect::<Vec<_>>(), [&Benchmark::Pope]);
        assert_eq!(run.verdicts[&Benchmark::Pope].len(), 18);
        let f1 = run.results.as_ref().unwrap().figure(Benchmark::Pope, "f1");
        assert_eq!(f1.unwrap().groups.len(), 3);
    }
    let without_judge = files(dir.path());
    let found = measured(&suite_run, Some("Nonsense.\nRating: 1"));
    assert_eq!(found.not_measured.len(), 3);
    for run in &found.runs {
        let score = run
            .results
            .as_ref()
            .unwrap()
            .figure(Benchmark::Mmhal, "score");
        assert_eq!(score.unwrap().value, Some(1.0));
    }
    // What was answered and scored stands.
    let with_judge = files(dir.path());
    for (name, bytes) in &without_judge {
        assert!(with_judge[name] == *bytes, "{name}");
    }
    assert!(with_judge.contains_key("runs/second/mmhal/results.json"));
    // Nothing is answered again, or words that no model said would be gone.
    let log = dir.path().join("runs/first/pope/answers.log");
    let text = std::fs::read_to_string(&log).unwrap();
    let reworded = text.replacen("\"text\":\"", "\"text\":\"Yes, kept. ", 1);
    assert_ne!(reworded, text);
    std::fs::write(&log, reworded).unwrap();
    let found = measured(&suite_run, Some("Nonsense.\nRating: 1"));
    let mut verdicts = found.runs[0].verdicts[&Benchmark::Pope].iter();
    assert!(verdicts.any(|verdict| verdict.answer.starts_with("Yes, kept.")));
}

#[test]
fn an_interrupted_suite_goes_on_to_the_same_bytes_and_another_model_is_refused() {
    let (data, first, second) = (data(), model(1), model(2));
    let dir = tempfile::tempdir().unwrap();
    let models = [("first", first.path()), ("second", second.path())];
    let of = suite_run(data.path(), &models, dir.path());
    let reply = Some("Rating: 5");
    let whole = measured(&of, reply);
    let expected = files(dir.path());

    let stop = StopSignal::detached();
    stop.request();
    let log = "runs/first/pope/answers.log";
    std::fs::write(
        dir.path().join(log),
        &expected[log][..expected[log].len() / 2],
    )
    .unwrap();
    assert_eq!(run(&of, None, &stop, Device::Cpu, &|_| ()), None);
    std::fs::remove_dir_all(dir.path().join("runs/second/pope")).unwrap();
    std::fs::remove_dir_all(dir.path().join("runs/first/mmhal/verdicts")).unwrap();
    assert_eq!(measured(&of, reply), whole);
    assert_same(&files(dir.path()), &expected);

    // Another seed draws other intervals, and the answers, which are greedy, stand.
    let reseeded = SuiteRun {
        seed: 5,
        ..of.clone()
    };
    let found = measured(&reseeded, reply);
    assert_eq!(missing(&found), missing(&whole));
    let f1 = |found: &SuiteMeasured| {
        let results = found.runs[0].results.clone().unwrap();
        results.figure(Benchmark::Pope, "f1").unwrap().value
    };
    assert_eq!(f1(&found), f1(&whole));
    assert_eq!(files(dir.path())[log], expected[log]);

    // Answers of another model under the same name are not taken for its own; the other model's stand.
    let swapped = [("first", second.path()), ("second", second.path())];
    let found = measured(&suite_run(data.path(), &swapped, dir.path()), reply);
    let refused: Vec<&NotMeasured> = found
        .not_measured
        .iter()
        .filter(|missing| missing.run.is_some())
        .collect();
    assert_eq!(refused.len(), 2);
    for missing in refused {
        assert_eq!(missing.run.as_deref(), Some("first"));
        assert!(
            missing.reason.contains("the model was another"),
            "{}",
            missing.reason
        );
    }
    assert!(found.runs[0].verdicts.is_empty());
    assert_eq!(found.runs[1], whole.runs[1]);
}

#[test]
fn a_model_that_does_not_open_keeps_no_other_from_being_measured() {
    let (data, whole, empty) = (data(), model(1), tempfile::tempdir().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let models = [
        ("first", whole.path()),
        ("empty", empty.path()),
        ("last", whole.path()),
    ];
    let suite_run = suite_run(data.path(), &models, dir.path());
    let found = measured(&suite_run, Some("Rating: 5"));
    let of_runs: Vec<&NotMeasured> = found
        .not_measured
        .iter()
        .filter(|missing| missing.run.is_some())
        .collect();
    let benchmarks: Vec<Benchmark> = of_runs.iter().map(|missing| missing.benchmark).collect();
    assert_eq!(benchmarks, [Benchmark::Mmhal, Benchmark::Pope]);
    for missing in of_runs {
        assert_eq!(missing.run.as_deref(), Some("empty"));
        let place = empty.path().display().to_string();
        assert!(missing.reason.contains(&place), "{}", missing.reason);
    }
    assert!(found.runs[1].verdicts.is_empty());
    for run in [&found.runs[0], &found.runs[2]] {
        assert_eq!(run.verdicts.len(), 2);
    }
}
