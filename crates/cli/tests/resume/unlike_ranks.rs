//! Ranks on machines that are not alike: what would change the result is refused by all of them, and what would not is nothing
//! to them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::{env, fs};

use candor_torch_ext::libtorch;

use crate::fine_tuning::RESULTS;
use crate::ranks::{free_port, has_stepped, on_ranks, rank, said, sft};
use crate::runs::{assert_same, candor, prepared, run, sets};

/// How two ranks end that meet at this port.
fn ended(ranks: [Command; 2]) -> [Output; 2] {
    let ranks = ranks.map(|mut rank| rank.spawn().unwrap());
    ranks.map(|rank| rank.wait_with_output().unwrap())
}

/// Two ranks of a command.
fn both(folder: &Path, port: u16, arguments: &[String]) -> [Command; 2] {
    [0, 1].map(|n| rank(folder, [n, 2], port, arguments))
}

#[test]
fn ranks_that_would_compute_other_bits_refuse_to_run() {
    let folder = prepared();
    let arguments = on_ranks(sft("sft-unlike"), 2);
    let threads = "what computes is a CPU with threads: 1 on rank 0 and a CPU with threads: 2 on rank 1; give all ranks";
    let mut unlike = vec![("OMP_NUM_THREADS", "2", threads)];
    // What libtorch calls it where it uses none but the least that a processor has.
    if ["DEFAULT", "NO AVX"].contains(&libtorch::cpu_capability().as_str()) {
        eprintln!("skipped: this processor has no instructions that another one could lack");
    } else {
        // As on a processor without these.
        let instructions = "the instructions of the processor is ";
        unlike.push(("ATEN_CPU_CAPABILITY", "default", instructions));
    }
    for (name, value, words) in unlike {
        let mut ranks = both(folder, free_port(), &arguments);
        ranks[1].env(name, value);
        for output in ended(ranks) {
            assert_eq!(output.status.code(), Some(2), "{}", said(&output));
            assert!(said(&output).contains(words), "{}", said(&output));
        }
    }
    assert!(!folder.join("sft-unlike/resolved.toml").exists());
}

/// The library of `clock.c`; none where there is no compiler.
fn clock(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resume/clock.c");
    let mut compiler = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-shared", "-fPIC", "-O1", source, "-o"]);
    match compiler.arg(&library).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        ended => {
            let ended = ended.unwrap();
            assert!(ended.status.success(), "{}", said(&ended));
            Some(library)
        }
    }
}

/// The second at which a run was started, by the clock of its first rank: TensorBoard's file is named by it.
fn started_at(folder: &Path) -> u64 {
    let names = fs::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().into_owned()
    });
    let secs = names.filter_map(|name| {
        let rest = name.strip_prefix("events.out.tfevents.")?;
        rest.split_once('.')?.0.parse().ok()
    });
    secs.max().unwrap()
}

/// A command whose clock is a day ahead.
fn a_day_ahead<'a>(command: &'a mut Command, clock: &Path) -> &'a mut Command {
    command.env("LD_PRELOAD", clock).env("CLOCK_AHEAD", "86400")
}

#[test]
fn clocks_that_are_apart_are_nothing_to_ranks() {
    let folder = prepared();
    let Some(clock) = clock(folder) else {
        eprintln!("skipped: no C compiler, which CC names or is called cc");
        return;
    };
    let read = |date: &mut Command| {
        let output = date.arg("+%s").output().unwrap();
        let secs = String::from_utf8(output.stdout).unwrap();
        secs.trim().parse::<u64>().unwrap()
    };
    let now = read(&mut Command::new("date"));
    let ahead = read(a_day_ahead(&mut Command::new("date"), &clock));
    assert!(ahead >= now + 86400, "{ahead} against {now}");

    let arguments = |out: &str| {
        let timeout = ["--rank-timeout", "120"].map(str::to_owned);
        [on_ranks(sft(out), 2), timeout.to_vec()].concat()
    };
    run(candor(folder).args(arguments("sft-one-clock")));
    let mut ranks = both(folder, free_port(), &arguments("sft-clocks"));
    a_day_ahead(&mut ranks[0], &clock);
    for output in ended(ranks) {
        assert!(output.status.success(), "{}", said(&output));
    }
    let at = ["sft-one-clock", "sft-clocks"].map(|out| started_at(&folder.join(out)));
    assert!(at[1] >= now + 86400 && at[0] < now + 86400, "{at:?}");
    assert_same(folder, "sft-one-clock", "sft-clocks", &RESULTS);
}

/// The second job's first rank finds the port taken, and its other one a store that is not its own.
#[test]
fn a_second_job_at_the_port_of_a_first_one_ends_and_the_first_goes_on() {
    let folder = prepared();
    let long = sets(&[("run.steps", "2000")]);
    let of = |out: &str, secs: &str| {
        let timeout = ["--rank-timeout", secs].map(str::to_owned);
        [
            on_ranks([sft(out), long.clone()].concat(), 2),
            timeout.to_vec(),
        ]
        .concat()
    };
    let port = free_port();
    let first = both(folder, port, &of("sft-port-first", "120"));
    let mut first = first.map(|mut rank| rank.spawn().unwrap());
    let metrics = folder.join("sft-port-first/metrics.jsonl");
    assert!(has_stepped(&metrics, &mut first));
    let second = of("sft-port-second", "5");
    let [taken, foreign] = ended(both(folder, port, &second));
    assert_eq!(taken.status.code(), Some(2), "{}", said(&taken));
    assert!(said(&taken).contains("EADDRINUSE"), "{}", said(&taken));
    assert!(!foreign.status.success(), "{}", said(&foreign));
    assert!(!folder.join("sft-port-second/resolved.toml").exists());
    assert!(has_stepped(&metrics, &mut first));
    let [zero, one] = first.each_ref().map(Child::id);
    run(Command::new("sh").args(["-c", &format!("kill -TERM {zero} {one}")]));
    for output in first.map(|rank| rank.wait_with_output().unwrap()) {
        assert_eq!(output.status.code(), Some(143), "{}", said(&output));
    }
}
