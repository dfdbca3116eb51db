//! Runs on several ranks end in the bytes of a run on one, however many they are; and what keeps ranks from running together is
//! said.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::Duration;

use crate::blocks::WITH_CHECKPOINT;
use crate::fine_tuning::{RESULTS, sft_sets};
use crate::preferences::{rewarded, sample_arguments, with_own_recipe};
use crate::reinforcement::{RESULTS as RL_RESULTS, judged};
use crate::runs::{assert_same, candor, ground_sets, prepared, recipe, refused, run, sets};

/// The command on so many ranks, with four lanes.
pub fn on_ranks(mut arguments: Vec<String>, n: usize) -> Vec<String> {
    arguments.extend(sets(&[("run.lanes", "4")]));
    arguments.extend(["--ranks".to_owned(), n.to_string()]);
    arguments
}

/// Runs a command on one, two, three and four ranks and compares what they wrote.
fn same_on_any_number(folder: &Path, arguments: impl Fn(&str) -> Vec<String>, results: &[&str]) {
    let name = |n: usize| format!("{}-ranks-{n}", arguments("x")[0]);
    for n in 1..=4 {
        run(candor(folder).args(on_ranks(arguments(&name(n)), n)));
        assert_same(folder, &name(1), &name(n), results);
        says_who_waited(folder, &name(n), n);
    }
}

/// The line of every step says how long ranks waited and for which of them; on one rank there is nothing to say.
fn says_who_waited(folder: &Path, out: &str, n_ranks: usize) {
    let text = fs::read_to_string(folder.join(out).join("timings.jsonl")).unwrap();
    assert!(!text.is_empty(), "{out}");
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let (secs, slowest) = (line["wait_secs"].as_f64(), line["slowest_rank"].as_u64());
        if n_ranks == 1 {
            assert_eq!((secs, slowest), (None, None), "{line}");
        } else {
            assert!(secs.is_some_and(|secs| secs > 0.0), "{line}");
            assert!(slowest.is_some_and(|rank| rank < n_ranks as u64), "{line}");
        }
    }
}

pub fn sft(out: &str) -> Vec<String> {
    let short = sets(&[("run.steps", "6")]);
    [
        vec!["sft".to_owned(), recipe("1-sft.toml")],
        sft_sets(out),
        short,
    ]
    .concat()
}

#[test]
fn grounding_is_the_same_on_any_number_of_ranks() {
    let arguments = |out: &str| {
        let short = sets(&[("run.steps", "6")]);
        let words = vec!["ground".to_owned(), recipe("0-ground.toml")];
        [words, ground_sets(out), short].concat()
    };
    let results = ["result.json", RESULTS[0], RESULTS[1], RESULTS[2]];
    same_on_any_number(prepared(), arguments, &results);
}

#[test]
fn full_fine_tuning_is_the_same_on_any_number_of_ranks() {
    let folder = prepared();
    // Eight passes an update, two a lane; on three ranks one of them has two lanes.
    let passes = |out: &str| [sft(out), sets(&[("data.micro_batch", "2")])].concat();
    same_on_any_number(folder, passes, &RESULTS);
    // Shared out, gradients and states are the same, and so are checkpoints.
    let sharded = |out: &str, n: usize, more: &[(&str, &str)]| {
        let shard = sets(&[("run.shard", "\"zero2\"")]);
        let words = [passes(out), shard, sets(more)].concat();
        run(candor(folder).args(on_ranks(words, n)));
    };
    for n in [2, 3] {
        let out = format!("sft-sharded-{n}");
        sharded(&out, n, &[]);
        assert_same(folder, "sft-ranks-1", &out, &WITH_CHECKPOINT);
    }
    // With masters, which one rank has.
    let bf16 = [("model.base_precision", "\"bf16\"")];
    sharded("sft-sharded-bf16-1", 1, &bf16);
    sharded("sft-sharded-bf16-3", 3, &bf16);
    assert_same(
        folder,
        "sft-sharded-bf16-1",
        "sft-sharded-bf16-3",
        &WITH_CHECKPOINT,
    );
    // Lanes are summed apart, so they are not the same as one.
    run(candor(folder).args(passes("sft-one-lane")));
    let weights = |out: &str| fs::read(folder.join(out).join(RESULTS[1])).unwrap();
    assert!(weights("sft-one-lane") != weights("sft-ranks-1"));
}

#[test]
fn a_reward_model_is_the_same_on_any_number_of_ranks() {
    let arguments = |out: &str| {
        let small = sets(&[("data.micro_batch", "2"), ("run.epochs", "2")]);
        [with_own_recipe("reward", out), small].concat()
    };
    let results = [
        "metrics.jsonl",
        "adapter/adapter_model.safetensors",
        "reward_head.safetensors",
        "held_out.jsonl",
        "result.json",
    ];
    same_on_any_number(rewarded(), arguments, &results);
}

#[test]
fn dpo_is_the_same_on_any_number_of_ranks() {
    let arguments = |out: &str| {
        let small = sets(&[("data.micro_batch", "2"), ("run.epochs", "2")]);
        [with_own_recipe("dpo", out), small].concat()
    };
    let results = [
        "metrics.jsonl",
        "reference.json",
        "adapter/adapter_model.safetensors",
        "held_out.jsonl",
        "result.json",
    ];
    let folder = rewarded();
    same_on_any_number(folder, arguments, &results);
    let shard = sets(&[("run.shard", "\"zero2\"")]);
    let sharded = [arguments("dpo-sharded"), shard].concat();
    run(candor(folder).args(on_ranks(sharded, 3)));
    assert_same(folder, "dpo-ranks-1", "dpo-sharded", &results);
}

#[test]
fn ppo_is_the_same_on_any_number_of_ranks() {
    let arguments = |out: &str| {
        let small = sets(&[("batch.micro_batch", "1")]);
        [with_own_recipe("rl", out), small].concat()
    };
    same_on_any_number(judged(), arguments, &RL_RESULTS);
}

/// A process that rewards by the length of the answer.
const LENGTH: &str = r#"
while IFS= read -r line; do
    n=${line#*:}; n=${n%%,*}
    answer=${line#*\"answer\":\"}; answer=${answer%%\"*}
    echo "{\"n\": $n, \"reward\": ${#answer}}"
done
"#;

#[test]
fn a_process_that_rewards_is_asked_by_the_first_rank_alone() {
    let folder = judged();
    fs::write(folder.join("length.sh"), LENGTH).unwrap();
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resume/rules.toml");
    let [one, two] = [1, 2].map(|n| {
        let out = format!("rl-process-ranks-{n}");
        let term = format!(
            "[{{name = \"mine\", kind = \"command\", weight = 0.1, command = [\"sh\", \"length.sh\"], cache = \"{out}.jsonl\"}}]"
        );
        let small = sets(&[
            ("run.out", out.as_str()),
            ("run.steps", "4"),
            ("batch.micro_batch", "1"),
            ("rewards", term.as_str()),
        ]);
        let words = ["rl", own].map(str::to_owned).to_vec();
        run(candor(folder).args(on_ranks([words, small].concat(), n)));
        out
    });
    let results = ["metrics.jsonl", "adapter/adapter_model.safetensors"];
    assert_same(folder, &one, &two, &results);
    let kept = |out: &str| fs::read(folder.join(format!("{out}.jsonl"))).unwrap();
    assert!(kept(&one) == kept(&two) && !kept(&one).is_empty());
}

#[test]
fn sampling_and_evaluation_are_the_same_on_any_number_of_ranks() {
    let folder = rewarded();
    let results = ["candidates.jsonl", "metrics.jsonl", "result.json"];
    for n in [2, 3] {
        let out = format!("sample-ranks-{n}");
        let mut arguments = sample_arguments(&out);
        arguments.extend(["--ranks".to_owned(), n.to_string()]);
        run(candor(folder).args(arguments));
        assert_same(folder, "sample", &out, &results);
    }
    for n in [1, 2] {
        let out = format!("eval-ranks-{n}");
        let mut arguments = vec!["eval".to_owned(), recipe("6-eval.toml")];
        arguments.extend(sets(&[
            ("data.root", "world"),
            ("model.base", "talker/model"),
            ("run.out", &out),
            ("run.benchmarks", "[\"pope\"]"),
            ("answers.max_new_tokens", "4"),
            ("answers.batch_rows", "16"),
        ]));
        arguments.extend(["--ranks".to_owned(), n.to_string()]);
        run(candor(folder).args(arguments));
    }
    let results = ["answers/pope_random.jsonl", "verdicts/pope.jsonl"];
    assert_same(folder, "eval-ranks-1", "eval-ranks-2", &results);
}

#[test]
fn evaluation_refuses_ranks_with_other_models() {
    let folder = rewarded();
    // The same words of the recipe, and another file in the model's folder.
    let elsewhere = folder.join("elsewhere-eval");
    run(Command::new("sh").args([
        "-c",
        &format!(
            "mkdir -p {0} && cd {0} && ln -sf ../world . && cp -r ../talker . && echo >> talker/model/tokenizer.json",
            elsewhere.display()
        ),
    ]));
    let mut arguments = vec!["eval".to_owned(), recipe("6-eval.toml")];
    arguments.extend(sets(&[
        ("data.root", "world"),
        ("model.base", "talker/model"),
        ("run.out", "eval-differ"),
        ("run.benchmarks", "[\"pope\"]"),
    ]));
    let port = free_port();
    let ranks = [(folder, 0), (&elsewhere, 1)]
        .map(|(folder, n)| rank(folder, [n, 2], port, &arguments).spawn().unwrap());
    for output in ranks.map(|rank| rank.wait_with_output().unwrap()) {
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("model is "), "{}", said(&output));
    }
    assert!(!folder.join("eval-differ").exists());
}

/// A free port, as whoever starts ranks by hand has to find one.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A rank as torchrun would start it.
pub fn rank(folder: &Path, place: [usize; 2], port: u16, arguments: &[String]) -> Command {
    let [rank, world] = place;
    let mut command = candor(folder);
    command
        .args(arguments)
        .env("RANK", rank.to_string())
        .env("LOCAL_RANK", rank.to_string())
        .env("WORLD_SIZE", world.to_string())
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string());
    command
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until a run has written a line of metrics; whether it did before one of its processes ended.
pub fn has_stepped(metrics: &Path, ranks: &mut [Child]) -> bool {
    let before = fs::metadata(metrics).map_or(0, |m| m.len());
    loop {
        if fs::metadata(metrics).map_or(0, |m| m.len()) > before {
            return true;
        }
        if ranks
            .iter_mut()
            .any(|rank| rank.try_wait().unwrap().is_some())
        {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How two ranks that are started by hand end.
fn two_ranks(folder: &Path, arguments: [&[String]; 2]) -> [Output; 2] {
    let port = free_port();
    let ranks = [0, 1].map(|n| rank(folder, [n, 2], port, arguments[n]).spawn().unwrap());
    ranks.map(|rank| rank.wait_with_output().unwrap())
}

#[test]
fn ranks_with_other_recipes_or_data_refuse_to_run() {
    let folder = prepared();
    let same = on_ranks(sft("sft-differ"), 2);
    let other = [same.clone(), sets(&[("seed", "7"), ("run.steps", "9")])].concat();
    for output in two_ranks(folder, [&same, &other]) {
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        for words in [
            "run.steps is 6 on rank 0 and 9 on rank 1",
            "seed is 0 on rank 0 and 7 on rank 1",
            "start all ranks with the same recipe",
        ] {
            assert!(said(&output).contains(words), "{}", said(&output));
        }
    }
    assert!(!folder.join("sft-differ/resolved.toml").exists());
    // The same words of the recipe, and another file behind one of them.
    let elsewhere = folder.join("elsewhere");
    run(Command::new("sh").args([
        "-c",
        &format!(
            "mkdir -p {0} && cd {0} && ln -sf ../ground . && cp -r ../world . && sed -i 's/ a / the /' world/sft/descriptions.json",
            elsewhere.display()
        ),
    ]));
    let port = free_port();
    let ranks = [(folder, 0), (&elsewhere, 1)]
        .map(|(folder, n)| rank(folder, [n, 2], port, &same).spawn().unwrap());
    for output in ranks.map(|rank| rank.wait_with_output().unwrap()) {
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(
            said(&output).contains("training data is"),
            "{}",
            said(&output)
        );
        assert!(
            !said(&output).contains("base model is"),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn more_ranks_than_lanes_are_refused() {
    let mut arguments = sft("sft-many");
    arguments.extend(["--ranks".to_owned(), "2".to_owned()]);
    let said = refused(candor(prepared()).args(&arguments));
    assert!(
        said.contains("2 ranks cannot share run.lanes = 1: write run.lanes = 2"),
        "{said}"
    );
    assert!(
        // Whichever ends first.
        [0, 1]
            .iter()
            .any(|rank| said.contains(&format!("candor: rank {rank} failed with exit code 2"))),
        "{said}"
    );
}

/// Each of the processes would do all of the work and write into one folder.
#[test]
fn commands_that_share_nothing_are_not_started_as_ranks() {
    let folder = prepared();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<String>>();
    for (name, line) in [
        (
            "eval score",
            "eval score --benchmark pope --questions q.jsonl --answers a.jsonl --out alone",
        ),
        ("demo", "demo --quick --out alone"),
    ] {
        let said = refused(&mut rank(folder, [1, 2], 1, &words(line)));
        for words in [
            format!("`candor {name}` is not shared").as_str(),
            "2 processes",
            "start it once",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let mut of_slurm = candor(folder);
        of_slurm.args(words(line)).env("SLURM_STEP_NUM_TASKS", "3");
        let said = refused(&mut of_slurm);
        assert!(said.contains("3 processes"), "{said}");
    }
    assert!(!folder.join("alone").exists());
}

#[test]
fn a_port_that_is_taken_is_said_by_the_rank_that_wants_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let arguments = on_ranks(sft("sft-port"), 2);
    let said = refused(&mut rank(prepared(), [0, 2], port, &arguments));
    assert!(
        said.contains(&format!("store at 127.0.0.1:{port}, cannot join")),
        "{said}"
    );
    assert!(
        said.contains("EADDRINUSE") && said.contains("MASTER_PORT"),
        "{said}"
    );
}

#[test]
fn a_rank_that_hangs_ends_the_others_after_the_time_out() {
    let folder = prepared();
    let mut arguments = on_ranks(sft("sft-hangs"), 2);
    arguments.extend(sets(&[("run.steps", "2000")]));
    arguments.extend(["--rank-timeout", "15"].map(str::to_owned));
    let port = free_port();
    let mut ranks: Vec<Child> = (0..2)
        .map(|n| rank(folder, [n, 2], port, &arguments).spawn().unwrap())
        .collect();
    assert!(has_stepped(
        &folder.join("sft-hangs/metrics.jsonl"),
        &mut ranks
    ));
    run(Command::new("sh").args(["-c", &format!("kill -STOP {}", ranks[1].id())]));
    let mut hangs = ranks.remove(1);
    let output = ranks.remove(0).wait_with_output().unwrap();
    hangs.kill().unwrap();
    hangs.wait().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", said(&output));
    assert!(
        said(&output).contains("another rank has ended or hangs"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_second_run_in_the_folder_is_refused_on_ranks_too() {
    let folder = prepared();
    let mut arguments = on_ranks(sft("sft-taken"), 2);
    arguments.extend(sets(&[("run.steps", "2000")]));
    let mut first = [candor(folder).args(&arguments).spawn().unwrap()];
    assert!(has_stepped(
        &folder.join("sft-taken/metrics.jsonl"),
        &mut first
    ));
    let refusal = refused(candor(folder).args(&arguments));
    assert!(
        refusal.contains("sft-taken is in use by process"),
        "{refusal}"
    );
    let [first] = first;
    run(Command::new("sh").args(["-c", &format!("kill -TERM {}", first.id())]));
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", said(&output));
}

#[test]
fn whoever_starts_ranks_hands_on_signals_and_ends_all_when_one_dies() {
    let folder = prepared();
    let mut arguments = on_ranks(sft("sft-launched"), 3);
    arguments.extend(sets(&[
        ("run.steps", "60"),
        ("run.checkpoint_every", "100"),
    ]));
    let metrics = folder.join("sft-launched/metrics.jsonl");
    // As in the script of a SLURM job of three tasks, which runs once.
    let mut script = candor(folder);
    script.args(&arguments).envs([
        ("SLURM_PROCID", "0"),
        ("SLURM_LOCALID", "0"),
        ("SLURM_NTASKS", "3"),
    ]);
    let mut launched = [script.spawn().unwrap()];
    assert!(has_stepped(&metrics, &mut launched));
    let [stopped] = launched;
    run(Command::new("sh").args(["-c", &format!("kill -INT {}", stopped.id())]));
    let output = stopped.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(
        said(&output).contains("--ranks 3 --resume"),
        "{}",
        said(&output)
    );

    arguments.push("--resume".to_owned());
    let mut launched = [candor(folder).args(&arguments).spawn().unwrap()];
    assert!(has_stepped(&metrics, &mut launched));
    let [launched] = launched;
    let children = format!("/proc/{0}/task/{0}/children", launched.id());
    let children = fs::read_to_string(children).unwrap();
    let victim = children.split_whitespace().nth(1).unwrap().to_owned();
    run(Command::new("sh").args(["-c", &format!("kill -KILL {victim}")]));
    let output = launched.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(137), "{}", said(&output));
    assert!(
        said(&output).contains("candor: rank 1 was ended by signal 9"),
        "{}",
        said(&output)
    );
    for child in children.split_whitespace() {
        assert!(
            !Path::new(&format!("/proc/{child}")).exists(),
            "rank {child} lives on"
        );
    }
    run(candor(folder).args(&arguments));
    let mut undisturbed = on_ranks(sft("sft-not-launched"), 1);
    undisturbed.extend(sets(&[
        ("run.steps", "60"),
        ("run.checkpoint_every", "100"),
    ]));
    run(candor(folder).args(&undisturbed));
    assert_same(folder, "sft-not-launched", "sft-launched", &RESULTS);
}
