//! `ground` and `sft`, killed, interrupted, and with other numbers of threads.

#[cfg(unix)]
use crate::runs::signalled;
use crate::runs::{assert_same, candor, ground_sets, prepared, recipe, run, run_with_kills, sets};

pub fn sft_sets(out: &str) -> Vec<String> {
    sft_sets_of("30", out)
}

fn sft_sets_of(steps: &str, out: &str) -> Vec<String> {
    sets(&[
        ("data.root", "world"),
        ("model.base", "ground/model"),
        ("run.out", out),
        ("run.steps", steps),
        ("run.checkpoint_every", "3"),
        ("data.batch", "16"),
        ("data.micro_batch", "8"),
        ("data.epoch_rows", "160"),
    ])
}

pub const RESULTS: [&str; 3] = [
    "metrics.jsonl",
    "model/model.safetensors",
    "model/tokenizer.json",
];

#[test]
fn sft_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = prepared();
    let arguments =
        |out: &str| [vec!["sft".to_owned(), recipe("1-sft.toml")], sft_sets(out)].concat();
    run(candor(folder).args(arguments("sft-whole")));
    let kills = run_with_kills(folder, &arguments("sft-killed"), 11, 400);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    assert_same(folder, "sft-whole", "sft-killed", &RESULTS);
}

#[test]
fn lora_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = prepared();
    let arguments = |out: &str| {
        let lora = sets(&[
            ("model.tune", "\"lora\""),
            (
                "model.lora",
                "{ r = 2, alpha = 4.0, targets = [\"q_proj\", \"up_proj\", \"tower\"] }",
            ),
            ("model.activations", "\"recompute\""),
        ]);
        [
            vec!["sft".to_owned(), recipe("1-sft.toml")],
            sft_sets(out),
            lora,
        ]
        .concat()
    };
    run(candor(folder).args(arguments("lora-whole")));
    let kills = run_with_kills(folder, &arguments("lora-killed"), 7, 400);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    let results = [
        "metrics.jsonl",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
    ];
    assert_same(folder, "lora-whole", "lora-killed", &results);
}

/// A checkpoint holds the masters, of which a resumed run rounds its weights anew.
#[test]
fn full_tuning_in_bf16_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = prepared();
    let arguments = |out: &str| {
        let bf16 = sets(&[("model.base_precision", "bf16"), ("run.steps", "12")]);
        [
            vec!["sft".to_owned(), recipe("1-sft.toml")],
            sft_sets(out),
            bf16,
        ]
        .concat()
    };
    run(candor(folder).args(arguments("bf16-whole")));
    let kills = run_with_kills(folder, &arguments("bf16-killed"), 19, 400);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    assert_same(folder, "bf16-whole", "bf16-killed", &RESULTS);
}

#[test]
fn grounding_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = prepared();
    let arguments = [
        vec!["ground".to_owned(), recipe("0-ground.toml")],
        ground_sets("ground-killed"),
    ]
    .concat();
    let kills = run_with_kills(folder, &arguments, 3, 200);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    assert_same(folder, "ground", "ground-killed", &RESULTS);
}

#[test]
fn the_number_of_loader_threads_changes_nothing() {
    let folder = prepared();
    for (out, threads) in [("threads-1", "1"), ("threads-5", "5")] {
        let mut command = candor(folder);
        command
            .env("RAYON_NUM_THREADS", threads)
            .args(["sft", &recipe("1-sft.toml")])
            .args(sft_sets(out));
        run(&mut command);
    }
    assert_same(folder, "threads-1", "threads-5", &RESULTS);
}

#[cfg(unix)]
#[test]
fn a_signal_checkpoints_prints_the_command_to_resume_and_is_no_success() {
    let folder = prepared();
    // Long enough that the signals come in the middle, however busy the machine is.
    let mut arguments = vec!["sft".to_owned(), recipe("1-sft.toml")];
    arguments.extend(sft_sets_of("150", "sft-stopped"));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let output = signalled(folder, &arguments, signal);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.contains("--resume") && !said.contains("candor: "),
            "{said}"
        );
        if code == 130 {
            arguments.push("--resume".to_owned());
        }
    }
    run(candor(folder).args(&arguments));
    run(candor(folder)
        .args(["sft", &recipe("1-sft.toml")])
        .args(sft_sets_of("150", "sft-undisturbed")));
    assert_same(folder, "sft-stopped", "sft-undisturbed", &RESULTS);
}
