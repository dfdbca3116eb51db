//! Where the benchmarks of a data folder lie, as `candor world write` lays it out.

use candor_judge::Benchmark;

/// POPE's splits, by their place in the names of its files.
pub(crate) const SPLITS: [&str; 3] = ["random", "popular", "adversarial"];

/// Where a benchmark lies in the folder `eval` of a data folder.
pub(crate) struct Layout {
    /// Which one.
    pub benchmark: Benchmark,
    /// Questions; those of POPE are where the recipe says.
    pub questions: &'static str,
    /// Answers of the reference.
    pub references: Option<&'static str>,
    /// Whether the exact judge scores it.
    pub needs_truth: bool,
}

/// Those that the micro-world has.
pub(crate) const LAYOUTS: [Layout; 4] = [
    Layout {
        benchmark: Benchmark::Mmhal,
        questions: "mmhal.json",
        references: None,
        needs_truth: true,
    },
    Layout {
        benchmark: Benchmark::Pope,
        questions: "",
        references: None,
        needs_truth: false,
    },
    Layout {
        benchmark: Benchmark::LlavaBench,
        questions: "llava_bench/questions.jsonl",
        references: Some("llava_bench/answers.jsonl"),
        needs_truth: true,
    },
    Layout {
        benchmark: Benchmark::Chair,
        questions: "chair_instances.json",
        references: None,
        needs_truth: true,
    },
];

/// The benchmarks that a recipe can name.
pub(crate) fn benchmarks() -> impl Iterator<Item = Benchmark> {
    LAYOUTS.iter().map(|layout| layout.benchmark)
}
