//! Runs of ranks that share out the weights of blocks too end in the bytes of a run on one rank that shares out nothing.

use crate::fine_tuning::RESULTS;
use crate::ranks::{on_ranks, sft};
use crate::runs::{assert_same, candor, prepared, run, sets, suite};

/// What fine-tuning on ranks leaves behind, its last checkpoint among it.
pub const WITH_CHECKPOINT: [&str; 5] = [
    RESULTS[0],
    RESULTS[1],
    RESULTS[2],
    "checkpoints/step-6/weights.safetensors",
    "checkpoints/step-6/optimizer.safetensors",
];

/// Compares six steps of passes that recompute on one rank, and with the weights of blocks shared out on each of these numbers of ranks.
fn same_in_blocks(name: &str, more: &[(&str, &str)], numbers: &[usize], results: &[&str]) {
    let folder = prepared();
    let recomputed = |out: &str, n: usize, shard: &str| {
        let own = sets(&[("model.activations", "\"recompute\""), ("run.shard", shard)]);
        let words = [sft(out), sets(more), own].concat();
        run(candor(folder).args(on_ranks(words, n)));
    };
    let one = format!("sft-recomputed-{name}");
    recomputed(&one, 1, "\"none\"");
    for &n in numbers {
        let out = format!("sft-blocks-{name}-{n}");
        recomputed(&out, n, "\"zero3\"");
        assert_same(folder, &one, &out, results);
    }
}

/// Twenty rows in passes of four are five: the first of four lanes has two passes, and ranks of other lanes follow it through its second
/// one. Of three ranks two have no lane in the second round.
#[test]
fn weights_of_blocks_are_shared_out_where_lanes_are_not_of_one_length() {
    let passes = [("data.batch", "20"), ("data.micro_batch", "4")];
    same_in_blocks("f32", &passes, &[3, 4], &WITH_CHECKPOINT);
}

/// With masters, which one rank has, and held-out conversations and benchmarks, which all ranks look at with all weights.
#[test]
fn weights_of_blocks_in_bf16_are_shared_out_between_looks() {
    let more = [
        ("data.micro_batch", "2"),
        ("model.base_precision", "\"bf16\""),
        ("evaluation.every", "3"),
        ("evaluation.keep_best", "true"),
        (
            "evaluation.sources",
            "[{ name = \"seen\", format = \"llava\", path = \"sft/descriptions.json\" }]",
        ),
    ];
    let measured = [
        "result.json",
        "best.json",
        "best/model/model.safetensors",
        "checkpoints/step-6/kept.safetensors",
        "suite/step-3/pope/answers.log",
        "suite/step-6/pope/verdicts/pope.jsonl",
    ];
    let results = [&WITH_CHECKPOINT[..], &measured].concat();
    let more = [&more[..], &suite()].concat();
    same_in_blocks("bf16", &more, &[3], &results);
}
