//! The benchmarks that there are. Each is a file of `benchmarks/`, and a line here.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::benchmarks::object_hal_bench::closed as object_hal_bench_closed;
use crate::benchmarks::{
    About, Files, Task, amber, chair, hallusion_bench, llava_bench, mmbench, mme, mmhal,
    object_hal_bench, own, pope,
};
use crate::measure::{LENGTH, Measure};
use crate::outcome::ItemOutcome;
use crate::verdict::Verdict;
use crate::{JudgeError, settings};

macro_rules! benchmarks {
    ($($(#[$doc:meta])* $name:ident in $module:ident),* $(,)?) => {
        /// A benchmark.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Benchmark {
            $($(#[$doc])* $name),*
        }

        impl Benchmark {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What is known of it before its questions are read.
            #[must_use]
            pub fn about(self) -> &'static About {
                match self {
                    $(Self::$name => &$module::ABOUT),*
                }
            }
        }
    };
}

benchmarks! {
    /// MMHal-Bench.
    Mmhal in mmhal,
    /// POPE.
    Pope in pope,
    /// LLaVA-Bench.
    LlavaBench in llava_bench,
    /// MMBench.
    Mmbench in mmbench,
    /// CHAIR.
    Chair in chair,
    /// AMBER.
    Amber in amber,
    /// Object-HalBench.
    ObjectHalBench in object_hal_bench,
    /// Object-HalBench without a judge.
    ObjectHalBenchClosed in object_hal_bench_closed,
    /// HallusionBench.
    HallusionBench in hallusion_bench,
    /// MME's hallucination tasks.
    Mme in mme,
    /// A user's own questions.
    Own in own,
}

impl Benchmark {
    /// Its name in files.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.about().key
    }

    /// Its name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.about().label
    }

    /// Its numbers, the main one first, those of length last.
    pub fn measures(self) -> impl Iterator<Item = &'static Measure> {
        self.about().measures.iter().chain(&LENGTH)
    }

    /// What a verdict says of its answer.
    #[must_use]
    pub fn outcome(self, verdict: &Verdict) -> ItemOutcome {
        (self.about().outcome)(verdict)
    }

    /// The name of the answers file to a file of questions, within the folder of a run.
    #[must_use]
    pub fn answers_file(self, questions: &Path) -> String {
        let key = self.key();
        if self.about().has_splits {
            format!("answers/{key}_{}.jsonl", pope::split(questions))
        } else {
            format!("answers/{key}.jsonl")
        }
    }

    /// Reads its questions.
    ///
    /// # Errors
    /// A file is missing or damaged, or is one too many.
    pub fn open(
        self,
        files: &Files,
        templates: &settings::Templates,
    ) -> Result<Box<dyn Task>, JudgeError> {
        match files.questions.as_slice() {
            [] => Err(JudgeError::unfit(
                Path::new("--questions"),
                "no file is named",
                "give --questions",
            )),
            [_, second, ..] if !self.about().has_splits => {
                let several = Self::ALL.iter().filter(|other| other.about().has_splits);
                let several: Vec<&str> = several.map(|other| other.label()).collect();
                Err(JudgeError::unfit(
                    second,
                    format!("only {} has several files of questions", several.join(", ")),
                    "give one file of questions and one of answers",
                ))
            }
            _ => (self.about().open)(files, templates),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_in_files_are_the_keys_and_no_number_is_named_twice() {
        let keys: Vec<&str> = Benchmark::ALL.iter().map(|of| of.key()).collect();
        assert_eq!(
            keys,
            [
                "mmhal",
                "pope",
                "llava_bench",
                "mmbench",
                "chair",
                "amber",
                "object_hal_bench",
                "object_hal_bench_closed",
                "hallusion_bench",
                "mme",
                "own"
            ]
        );
        for benchmark in Benchmark::ALL {
            let written = serde_json::to_value(benchmark).unwrap();
            assert_eq!(written, benchmark.key());
            let names: Vec<&str> = benchmark.measures().map(|measure| measure.key).collect();
            let distinct: BTreeSet<&str> = names.iter().copied().collect();
            assert_eq!(names.len(), distinct.len(), "{names:?}");
            let beside = benchmark.about().beside;
            assert!(beside.is_none_or(|key| distinct.contains(key)));
        }
    }
}
