//! A run that was cut off goes on to the bytes of one that was not; what does not belong together is refused.

use std::path::Path;

use candor_eval::files::{EvalRun, answer};
use candor_judge::Benchmark;
use candor_run::{Ranks, StopSignal};
use candor_testing::files::files;
use candor_testing::ranks::on_threads;
use tch::Device;

use crate::candidate::{ask, eval_run, model};
use crate::own_images::{images, own_questions};

fn of(model: &Path, folder: &Path, out: &Path) -> EvalRun {
    let mut eval_run = eval_run(
        Benchmark::Own,
        model,
        vec![own_questions(folder)],
        &images(),
        out,
    );
    eval_run.batch_rows = 8;
    eval_run
}

#[test]
fn a_log_that_is_cut_anywhere_is_continued_to_the_same_bytes() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    let eval_run = of(model.path(), dir.path(), &out);
    ask(&eval_run).unwrap();
    let expected = files(&out);
    let log = &expected["answers.log"];
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        ["answers.log", "answers/own.jsonl"]
    );
    for cut in 0..12 {
        let length = log.len() * cut / 11;
        std::fs::remove_dir_all(out.join("answers")).unwrap();
        std::fs::write(out.join("answers.log"), &log[..length]).unwrap();
        ask(&eval_run).unwrap();
        assert!(files(&out) == expected, "cut at {length}");
    }
}

#[test]
fn a_run_that_was_asked_to_stop_goes_on_later() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let (whole, stopped) = (dir.path().join("whole"), dir.path().join("stopped"));
    ask(&of(model.path(), dir.path(), &whole)).unwrap();
    let eval_run = of(model.path(), dir.path(), &stopped);
    let stop = StopSignal::detached();
    stop.request();
    assert!(
        answer(&eval_run, None, &stop, Device::Cpu, &Ranks::alone())
            .unwrap()
            .is_none()
    );
    assert!(!stopped.join("answers").exists());
    ask(&eval_run).unwrap();
    assert_eq!(files(&stopped), files(&whole));
}

/// Where an image has more questions than a batch has room for, its batches are one rank's.
#[test]
fn ranks_write_what_one_writes() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let written = |world: usize, batch_rows: usize| {
        let out = dir.path().join(format!("{world}-{batch_rows}"));
        let eval_run = EvalRun {
            batch_rows,
            ..of(model.path(), dir.path(), &out)
        };
        let wrote = on_threads(world, |ranks| {
            tch::set_num_threads(1);
            let stop = StopSignal::detached();
            let answered = answer(&eval_run, None, &stop, Device::Cpu, &ranks);
            answered.unwrap().is_some()
        });
        let first_alone = (0..world).map(|rank| rank == 0);
        assert!(first_alone.eq(wrote));
        files(&out)
    };
    for batch_rows in [1, 3] {
        let one = written(1, batch_rows);
        for world in [2, 3] {
            assert!(written(world, batch_rows) == one, "{world} ranks");
        }
    }
}

#[test]
fn answers_of_another_run_are_not_continued() {
    let (first, second) = (model(1), model(2));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let eval_run = of(first.path(), dir.path(), &out);
    ask(&eval_run).unwrap();
    let refused = |change: &dyn Fn(&mut EvalRun), expected: &str| {
        let mut other = eval_run.clone();
        change(&mut other);
        let message = ask(&other).unwrap_err().to_string();
        assert!(
            message.contains(expected) && message.contains("another --out"),
            "{message}"
        );
    };
    refused(
        &|s| s.model = second.path().to_owned(),
        "the model was another",
    );
    refused(
        &|s| s.instruction = Some(String::new()),
        "a question or prompt was another",
    );
    refused(
        &|s| s.files.limit = Some(3),
        "a question or prompt was another",
    );
    refused(&|s| s.temperature = 0.5, "the temperature was");
    refused(&|s| s.max_new_tokens = 5, "the longest answer was");
    refused(&|s| s.batch_rows = 9, "the batch size was");
    // The same model elsewhere is the same model.
    let moved = dir.path().join("moved");
    std::fs::rename(first.path(), &moved).unwrap();
    let mut other = eval_run.clone();
    other.model = moved;
    ask(&other).unwrap();
}

#[test]
fn a_damaged_log_is_named_by_its_line() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    let eval_run = of(model.path(), dir.path(), &out);
    ask(&eval_run).unwrap();
    let path = out.join("answers.log");
    let log = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let damaged = |lines: &[&str], expected: &str| {
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let message = ask(&eval_run).unwrap_err().to_string();
        assert!(
            message.contains(expected) && message.contains("answered again"),
            "{message}"
        );
    };
    damaged(&["rubbish", lines[1]], "line 1: damaged");
    damaged(&[lines[0], &lines[1][..40], lines[2]], "line 2: damaged");
    damaged(
        &[lines[0], lines[2]],
        "line 2: damaged (answers to other prompts",
    );
    let more = [lines.as_slice(), &[lines[1]]].concat();
    damaged(&more, "answers to other prompts");
}

#[test]
fn what_cannot_be_asked_is_refused_before_the_first_answer() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    let mut eval_run = of(model.path(), dir.path(), &out);
    let some = tempfile::tempdir().unwrap();
    for name in crate::own_images::names(2) {
        std::fs::copy(images().join(&name), some.path().join(&name)).unwrap();
    }
    eval_run.images = some.path().to_owned();
    let message = ask(&eval_run).unwrap_err().to_string();
    let names = crate::own_images::names(5);
    let missing = names[2..].iter().map(String::as_str);
    // Each of them, and who asks about it.
    for part in missing.chain([
        "3 of 5 images",
        "\"2-0\"",
        "\"3-0\"",
        "\"4-0\"",
        "image folder",
        "own.jsonl",
    ]) {
        assert!(message.contains(part), "{part}: {message}");
    }
    let question = "word ".repeat(2000);
    let row = format!(
        "{{\"id\":\"long\",\"image\":\"{}\",\"question\":\"{question}\",\"rule\":\"judge\"}}\n",
        crate::own_images::names(1)[0]
    );
    let questions = dir.path().join("long.jsonl");
    std::fs::write(&questions, row).unwrap();
    eval_run.images = images();
    eval_run.files.questions = vec![questions];
    let message = ask(&eval_run).unwrap_err().to_string();
    assert!(
        message.contains("long") && message.contains("tokens"),
        "{message}"
    );
    assert!(!out.exists());
}

#[test]
fn all_damaged_images_are_told_at_once_with_their_questions() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    let mut eval_run = of(model.path(), dir.path(), &out);
    let some = tempfile::tempdir().unwrap();
    let names = crate::own_images::names(5);
    for name in &names {
        std::fs::copy(images().join(name), some.path().join(name)).unwrap();
    }
    for name in [&names[1], &names[4]] {
        let whole = std::fs::read(images().join(name)).unwrap();
        std::fs::write(some.path().join(name), &whole[..20]).unwrap();
    }
    eval_run.images = some.path().to_owned();
    let message = ask(&eval_run).unwrap_err().to_string();
    for part in [
        "2 of 5 images",
        &names[1],
        "\"1-0\"",
        &names[4],
        "\"4-0\"",
        "own.jsonl",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains(&names[0]), "{message}");
    // With whole images the same command answers everything.
    eval_run.images = images();
    ask(&eval_run).unwrap();
}
