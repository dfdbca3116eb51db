//! Runs on several ranks of which one dies, or cannot write: they end in the bytes of an undisturbed run, on however many ranks
//! they go on.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use candor_data::random;

use crate::fine_tuning::RESULTS;
use crate::preferences::{rewarded, with_own_recipe};
use crate::ranks::{free_port, has_stepped, on_ranks, rank, said, sft};
use crate::reinforcement::{RESULTS as RL_RESULTS, judged};
use crate::rounds::{RESULTS as ROUNDS_RESULTS, by_reward};
use crate::runs::{assert_same, candor, prepared, run, sets};

/// Runs on some ranks, kills one of them at random, resumes on another number of ranks, and so on, until each of some kinds of starts
/// has had so many in which a killed rank left others alone. `arguments` are those of a start of a kind.
///
/// A rank dies in the third step that it sees, at a moment of a step as long as the one before. So a start takes four steps of the run
/// at most, however fast they are: the two in between, the one in which the rank dies, and one that a resume may write again.
fn killed_and_resumed(
    folder: &Path,
    arguments: &dyn Fn(&str, usize) -> Vec<String>,
    out: &str,
    [n_kinds, n_kills]: [usize; 2],
    seed: u64,
) {
    let metrics = folder.join(out).join("metrics.jsonl");
    let share = |purpose, start| random::uniform(seed, purpose, &[start]);
    let draw = |purpose, start, n: usize| (share(purpose, start) * n as f64) as usize;
    let wanted = n_kinds * n_kills;
    let (mut n_left, mut start) = (0, 0);
    // A start in which nobody was left alone is followed by another one of its kind.
    while n_left < wanted && start < 3 * wanted as u64 {
        let world = 2 + draw("test.world", start, 3);
        let mut words = on_ranks(arguments(out, n_left % n_kinds), world);
        if folder.join(out).join("resolved.toml").exists() {
            words.push("--resume".to_owned());
        }
        let port = free_port();
        let begin = |n| rank(folder, [n, world], port, &words).spawn().unwrap();
        let mut ranks: Vec<Child> = (0..world).map(begin).collect();
        let mut step = Duration::ZERO;
        let has_stepped_twice = (0..2).all(|_| {
            let since = Instant::now();
            let has_stepped = has_stepped(&metrics, &mut ranks);
            step = since.elapsed();
            has_stepped
        });
        if has_stepped_twice {
            std::thread::sleep(step.mul_f64(share("test.kill", start)));
            ranks[draw("test.rank", start, world)].kill().unwrap();
        }
        let outputs = ranks
            .into_iter()
            .map(|rank| rank.wait_with_output().unwrap());
        let mut codes = Vec::new();
        for output in outputs {
            let code = output.status.code();
            // Killed, left alone by who was killed, or done.
            assert!(
                [None, Some(75), Some(0)].contains(&code),
                "{}",
                said(&output)
            );
            codes.push(code);
        }
        n_left += usize::from(codes.contains(&None) && codes.contains(&Some(75)));
        start += 1;
    }
    assert_eq!(n_left, wanted, "the run was done before enough ranks died");
    let world = 1 + draw("test.world", start, 2);
    let mut last = on_ranks(arguments(out, 0), world);
    last.push("--resume".to_owned());
    run(candor(folder).args(last));
}

#[test]
fn sft_goes_on_from_a_dead_rank_on_other_numbers_of_ranks() {
    let folder = prepared();
    // After each death something else is shared out: nothing, the optimizer, or the weights of blocks too.
    let arguments = |out: &str, kind: usize| {
        let shard = ["\"none\"", "\"zero2\"", "\"zero3\""][kind];
        let long = sets(&[
            ("model.activations", "\"recompute\""),
            ("data.micro_batch", "4"),
            ("run.checkpoint_every", "1"),
            ("run.steps", "60"),
            ("run.shard", shard),
        ]);
        [sft(out), long].concat()
    };
    let (whole, killed) = ("sft-undisturbed-ranks", "sft-ranks-killed");
    run(candor(folder).args(on_ranks(arguments(whole, 0), 1)));
    killed_and_resumed(folder, &arguments, killed, [3, 3], 1);
    assert_same(folder, whole, killed, &RESULTS);
}

#[test]
fn ppo_goes_on_from_a_dead_rank_on_other_numbers_of_ranks() {
    let folder = judged();
    let arguments = |out: &str, _: usize| {
        let every = sets(&[("run.checkpoint_every", "1"), ("batch.micro_batch", "1")]);
        [with_own_recipe("rl", out), every].concat()
    };
    run(candor(folder).args(on_ranks(arguments("rl-undisturbed-ranks", 0), 1)));
    killed_and_resumed(folder, &arguments, "rl-ranks-killed", [1, 2], 3);
    assert_same(
        folder,
        "rl-undisturbed-ranks",
        "rl-ranks-killed",
        &RL_RESULTS,
    );
}

/// Compares runs on one rank, on two, and on two of which one dies after the first step and that goes on with three.
fn same_after_a_death(folder: &Path, name: &str, arguments: &[String], results: &[&str]) {
    let of = |what: &str, n: usize| {
        let out = format!("{name}-{what}");
        let every = sets(&[("run.out", out.as_str()), ("run.checkpoint_every", "1")]);
        on_ranks([arguments, &every[..]].concat(), n)
    };
    run(candor(folder).args(of("one", 1)));
    run(candor(folder).args(of("two", 2)));
    let port = free_port();
    let start = |n: usize| rank(folder, [n, 2], port, &of("dead", 2)).spawn().unwrap();
    let mut ranks = [0, 1].map(start);
    let metrics = folder.join(format!("{name}-dead/metrics.jsonl"));
    assert!(has_stepped(&metrics, &mut ranks));
    ranks[1].kill().unwrap();
    let codes = ranks.map(|rank| rank.wait_with_output().unwrap().status.code());
    assert_eq!(codes, [Some(75), None]);
    run(candor(folder).args(of("dead", 3)).arg("--resume"));
    for other in ["two", "dead"] {
        assert_same(
            folder,
            &format!("{name}-one"),
            &format!("{name}-{other}"),
            results,
        );
    }
}

#[test]
fn lora_is_the_same_on_ranks_and_after_a_death() {
    let lora = sets(&[
        ("model.tune", "\"lora\""),
        (
            "model.lora",
            "{ r = 2, alpha = 4.0, targets = [\"q_proj\", \"up_proj\"] }",
        ),
        ("data.micro_batch", "2"),
        ("run.steps", "12"),
    ]);
    let arguments = [sft("x"), lora].concat();
    let results = ["metrics.jsonl", "adapter/adapter_model.safetensors"];
    same_after_a_death(prepared(), "lora-ranks", &arguments, &results);
}

#[test]
fn grpo_is_the_same_on_ranks_and_after_a_death() {
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resume/rules.toml");
    let grpo = sets(&[
        ("algorithm", "grpo"),
        ("advantages.scale", "group"),
        ("advantages.leave_out_flat", "false"),
        ("model.reward", "reward"),
        ("batch.micro_batch", "1"),
        ("run.steps", "4"),
    ]);
    let arguments = [["rl", recipe].map(str::to_owned).to_vec(), grpo].concat();
    let results = [
        "metrics.jsonl",
        "result.json",
        "adapter/adapter_model.safetensors",
        "samples/step-4.jsonl",
    ];
    same_after_a_death(judged(), "grpo-ranks", &arguments, &results);
}

/// Three chunks of prompts a run, of which each rank answers its own; the death is after the first round.
#[test]
fn rounds_are_the_same_on_ranks_and_after_a_death() {
    let small = sets(&[("run.chunk", "4")]);
    let arguments = [by_reward("x"), small].concat();
    same_after_a_death(rewarded(), "rounds-ranks", &arguments, &ROUNDS_RESULTS);
}

/// The same process, whose files can have so many blocks of 512 bytes: a write beyond fails as on a full disk.
fn on_a_full_disk(rank: &Command, n_blocks: u32) -> Command {
    let script = format!("trap '' XFSZ; ulimit -f {n_blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(rank.get_program());
    command.args(rank.get_args());
    let envs = rank
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    command.envs(envs);
    command.current_dir(rank.get_current_dir().unwrap());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped());
    command
}

/// The first rank writes all results, so the others need no room but for the rows that they read.
#[test]
fn a_full_disk_ends_all_ranks_and_the_run_goes_on_when_there_is_room() {
    let folder = prepared();
    let passes = sets(&[("data.micro_batch", "2")]);
    let of = |out: &str| on_ranks([sft(out), passes.clone()].concat(), 2);
    run(candor(folder).args(of("sft-room")));
    let port = free_port();
    // A mebibyte: enough for the tokenised rows, and not for the weights of a checkpoint.
    let first = on_a_full_disk(&rank(folder, [0, 2], port, &of("sft-full")), 2048);
    let ranks = [first, rank(folder, [1, 2], port, &of("sft-full"))];
    let ranks = ranks.map(|mut rank| rank.spawn().unwrap());
    let outputs = ranks.map(|rank| rank.wait_with_output().unwrap());
    let [first, second] = outputs.each_ref().map(said);
    assert_eq!(outputs[0].status.code(), Some(2), "{first}");
    for words in ["weights.safetensors", "File too large"] {
        assert!(first.contains(words), "{first}");
    }
    assert_eq!(outputs[1].status.code(), Some(75), "{second}");
    assert!(
        second.contains("another rank has ended or hangs"),
        "{second}"
    );
    assert!(!folder.join("sft-full/checkpoints/step-3").exists());
    let again = [of("sft-full"), vec!["--resume".to_owned()]].concat();
    let port = free_port();
    let second = on_a_full_disk(&rank(folder, [1, 2], port, &again), 2048);
    let ranks = [rank(folder, [0, 2], port, &again), second];
    for rank in ranks.map(|mut rank| rank.spawn().unwrap()) {
        let output = rank.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_same(folder, "sft-room", "sft-full", &RESULTS);
}

/// A launcher that ends all ranks when one has ended would end the first while it writes. Here it cannot write, and so the other one,
/// which has nothing to write, must hear of it.
#[test]
fn no_rank_of_a_run_that_is_stopped_ends_before_its_checkpoint_is_written() {
    let folder = prepared();
    let long = sets(&[("run.steps", "2000"), ("run.checkpoint_every", "2000")]);
    let arguments = on_ranks([sft("sft-ranks-stopped"), long].concat(), 2);
    let port = free_port();
    let start = |n: usize| rank(folder, [n, 2], port, &arguments).spawn().unwrap();
    let mut ranks = [0, 1].map(start);
    let out = folder.join("sft-ranks-stopped");
    assert!(has_stepped(&out.join("metrics.jsonl"), &mut ranks));
    let checkpoints = out.join("checkpoints");
    std::fs::remove_dir(&checkpoints).unwrap();
    std::fs::write(&checkpoints, "").unwrap();
    run(Command::new("sh").args(["-c", &format!("kill -TERM {}", ranks[1].id())]));
    let outputs = ranks.map(|rank| rank.wait_with_output().unwrap());
    let [first, second] = outputs.each_ref().map(said);
    assert_eq!(outputs[0].status.code(), Some(2), "{first}");
    assert!(first.contains("cannot create"), "{first}");
    assert_eq!(outputs[1].status.code(), Some(75), "{second}");
}

/// All ranks end by what the guard says. Whether the steps before are kept the first knows alone, and who says it has waited for that.
#[test]
fn ranks_that_the_guard_stops_wait_until_the_steps_before_are_kept() {
    let folder = judged();
    let short = sets(&[("run.steps", "3"), ("batch.micro_batch", "1")]);
    let arguments = on_ranks(
        [with_own_recipe("rl", "rl-ranks-guarded"), short].concat(),
        2,
    );
    run(candor(folder).args(&arguments));
    // The last step is done again, and no checkpoint of those before it can be written: a file is where its folder would be.
    let partial = folder.join("rl-ranks-guarded/checkpoints/.step-2.partial");
    std::fs::write(partial, "").unwrap();
    let strict = sets(&[
        ("guard.min_response_tokens", "1000.0"),
        ("run.checkpoint_every", "100"),
    ]);
    let again = [arguments, strict, vec!["--resume".to_owned()]].concat();
    let port = free_port();
    let start = |n: usize| rank(folder, [n, 2], port, &again).spawn().unwrap();
    let ranks = [0, 1].map(start);
    for output in ranks.map(|rank| rank.wait_with_output().unwrap()) {
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for words in [
            "fewer than guard.min_response_tokens",
            "none could be written",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }
}
