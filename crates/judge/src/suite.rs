//! Suites: benchmarks that are reported together, and where their files are looked for in one folder of data.
//!
//! [`Suite::Paper`] is what the paper of Factually Augmented RLHF (arXiv 2309.14525) reports, and CHAIR, which it does not;
//! [`Suite::Hallucination`] is what papers on hallucination report today. A benchmark whose files are not there has no
//! numbers and a reason ([`NotMeasured`]). [`tables`] are its numbers, with those that others published ([`published`]).

pub mod best;
pub mod published;
pub mod tables;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::benchmark::Benchmark;
use crate::benchmarks::Files;

pub use tables::SuiteFound;

/// Benchmarks that are reported together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suite {
    /// Those of the paper, and CHAIR.
    #[serde(rename = "paper")]
    Paper,
    /// Those of papers on hallucination as of 2026.
    #[serde(rename = "2026")]
    Hallucination,
}

/// A benchmark of a suite in a folder of data.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// Its files, or which of them are missing and where they come from.
    pub files: Result<Files, String>,
}

/// A benchmark of a suite that has no numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotMeasured {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// The run that lacks it; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Why, and what to do.
    pub reason: String,
}

impl NotMeasured {
    /// In words, on one line or as many as the reason has.
    #[must_use]
    pub fn told(&self) -> String {
        let of = self
            .run
            .as_ref()
            .map_or_else(String::new, |run| format!(" of {run}"));
        format!("{}{of}: {}", self.benchmark.label(), self.reason)
    }
}

/// A benchmark, and its files by their paths within the folder of data.
struct Part {
    benchmark: Benchmark,
    questions: &'static [&'static str],
    references: Option<&'static str>,
    context: Option<&'static str>,
    synonyms: Option<&'static str>,
    /// Words that are like each other, which are taken where they are there.
    alike: Option<&'static str>,
    /// Folder of the images, where they are not in the questions' file.
    images: Option<&'static str>,
    /// How many questions are customary, where not all are.
    limit: Option<usize>,
    /// Where the files come from.
    origin: &'static str,
}

/// A part without files.
const EMPTY: Part = Part {
    benchmark: Benchmark::Own,
    questions: &[],
    references: None,
    context: None,
    synonyms: None,
    alike: None,
    images: None,
    limit: None,
    origin: "",
};

const MMHAL: Part = Part {
    benchmark: Benchmark::Mmhal,
    questions: &["mmhal_bench/response_template.json"],
    images: Some("mmhal_bench/images"),
    origin: "response_template.json is in the data set Shengcao1006/MMHal-Bench on huggingface.co, and its images, too, which \
             keep the last part of their address as a name",
    ..EMPTY
};

const POPE: Part = Part {
    benchmark: Benchmark::Pope,
    questions: &[
        "pope/coco_pope_random.jsonl",
        "pope/coco_pope_popular.jsonl",
        "pope/coco_pope_adversarial.jsonl",
    ],
    images: Some("coco/val2014"),
    origin: "the questions are output/coco/coco_pope_*.json of github.com/AoiDragon/POPE, saved as .jsonl; the images are \
             COCO's val2014.zip of cocodataset.org",
    ..EMPTY
};

const LLAVA_BENCH: Part = Part {
    benchmark: Benchmark::LlavaBench,
    questions: &["llava_bench_coco/qa90_questions.jsonl"],
    references: Some("llava_bench_coco/qa90_gpt4_answer.jsonl"),
    context: Some("llava_bench_coco/caps_boxes_coco2014_val_80.jsonl"),
    images: Some("llava_bench_coco/images"),
    origin: "questions and answers of GPT-4 are in playground/data/coco2014_val_qa_eval, captions and boxes in \
             llava/eval/table of github.com/haotian-liu/LLaVA; the images are of COCO's val2014, named as the questions name them",
    ..EMPTY
};

const MMBENCH: Part = Part {
    benchmark: Benchmark::Mmbench,
    questions: &["mmbench/mmbench_dev.tsv"],
    origin: "the table of the English dev split is linked in github.com/open-compass/MMBench; it holds its images",
    ..EMPTY
};

const CHAIR: Part = Part {
    benchmark: Benchmark::Chair,
    questions: &["coco/annotations/instances_val2014.json"],
    context: Some("coco/annotations/captions_val2014.json"),
    synonyms: Some("coco/synonyms.txt"),
    images: Some("coco/val2014"),
    limit: Some(500),
    origin: "annotations and images are COCO's annotations_trainval2014.zip and val2014.zip of cocodataset.org, the words are \
             data/synonyms.txt of github.com/LisaAnne/Hallucination",
    ..EMPTY
};

const AMBER: Part = Part {
    benchmark: Benchmark::Amber,
    questions: &["amber/data/query/query_all.json"],
    references: Some("amber/data/relation.json"),
    context: Some("amber/data/annotations.json"),
    alike: Some("amber/similar.json"),
    images: Some("amber/image"),
    origin: "clone github.com/junyangwang0410/AMBER as amber; its README links the images",
    ..EMPTY
};

const OBJECT_HAL_BENCH: Part = Part {
    benchmark: Benchmark::ObjectHalBench,
    questions: &["object_hal_bench/obj_halbench_300_with_image.jsonl"],
    references: Some("object_hal_bench/instances.json"),
    context: Some("object_hal_bench/captions.json"),
    synonyms: Some("object_hal_bench/synonyms_refine.txt"),
    origin: "questions and words are in eval of github.com/RLHF-V/RLAIF-V; instances.json and captions.json are COCO's \
             annotations of 2014 that have the 300 images, of both sets put together if need be",
    ..EMPTY
};

const HALLUSION_BENCH: Part = Part {
    benchmark: Benchmark::HallusionBench,
    questions: &["hallusion_bench/HallusionBench.json"],
    images: Some("hallusion_bench/hallusion_bench"),
    origin: "clone github.com/tianyi-lab/HallusionBench as hallusion_bench; its README links hallusion_bench.zip",
    ..EMPTY
};

const MME: Part = Part {
    benchmark: Benchmark::Mme,
    questions: &[
        "mme/existence.txt",
        "mme/count.txt",
        "mme/position.txt",
        "mme/color.txt",
    ],
    images: Some("mme"),
    origin: "the questions are in Your_Results of its tool, the images in folders of the tasks' names; both are asked for as the \
             branch Evaluation of github.com/BradyFU/Awesome-Multimodal-Large-Language-Models says",
    ..EMPTY
};

/// The benchmarks that any suite has, each once.
#[must_use]
pub fn benchmarks() -> Vec<Benchmark> {
    let mut all = Vec::new();
    for part in all_parts() {
        if !all.contains(&part.benchmark) {
            all.push(part.benchmark);
        }
    }
    all
}

/// A benchmark that a suite has with its files in the folder `data`, of which at most the first `limit` questions of each are
/// taken; `None` of one that no suite has.
#[must_use]
pub fn entry(benchmark: Benchmark, data: &Path, limit: Option<usize>) -> Option<Entry> {
    let part = all_parts().find(|part| part.benchmark == benchmark)?;
    Some(part.entry(data, limit))
}

fn all_parts() -> impl Iterator<Item = &'static Part> {
    let suites = [Suite::Paper, Suite::Hallucination];
    suites.into_iter().flat_map(Suite::parts)
}

impl Suite {
    /// Its name on the command line and in files.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Hallucination => "2026",
        }
    }

    fn parts(self) -> &'static [Part] {
        match self {
            Self::Paper => &[MMHAL, POPE, LLAVA_BENCH, MMBENCH, CHAIR],
            Self::Hallucination => &[AMBER, OBJECT_HAL_BENCH, HALLUSION_BENCH, MME, POPE, MMHAL],
        }
    }

    /// Its benchmarks, in the order in which they are reported.
    pub fn benchmarks(self) -> impl Iterator<Item = Benchmark> {
        self.parts().iter().map(|part| part.benchmark)
    }

    /// How many questions of a file of `benchmark` are customary, where not all are.
    pub(crate) fn customary(self, benchmark: Benchmark) -> Option<usize> {
        let mut parts = self.parts().iter();
        parts.find(|part| part.benchmark == benchmark)?.limit
    }

    /// Its benchmarks with their files in the folder `data`; of each at most the first `limit` questions of a file.
    #[must_use]
    pub fn entries(self, data: &Path, limit: Option<usize>) -> Vec<Entry> {
        let parts = self.parts().iter();
        parts.map(|part| part.entry(data, limit)).collect()
    }
}

impl Part {
    fn entry(&self, data: &Path, limit: Option<usize>) -> Entry {
        Entry {
            benchmark: self.benchmark,
            files: self.files(data, limit),
        }
    }

    fn files(&self, data: &Path, limit: Option<usize>) -> Result<Files, String> {
        let more = [self.references, self.context, self.synonyms];
        let needed = self
            .questions
            .iter()
            .copied()
            .chain(more.into_iter().flatten());
        let file = needed.filter(|name| !data.join(name).is_file());
        let folder = self.images.filter(|name| !data.join(name).is_dir());
        let missing: Vec<String> = file
            .chain(folder)
            .map(|name| data.join(name).display().to_string())
            .collect();
        if !missing.is_empty() {
            return Err(format!("put there {}: {}", missing.join(", "), self.origin));
        }
        let within = |name: Option<&str>| name.map(|name| data.join(name));
        let alike = within(self.alike).filter(|path| path.is_file());
        Ok(Files {
            questions: self.questions.iter().map(|name| data.join(name)).collect(),
            references: within(self.references),
            context: within(self.context),
            synonyms: within(self.synonyms).or(alike),
            images: Some(within(self.images).unwrap_or_else(|| data.to_owned())),
            limit: self.limit.into_iter().chain(limit).min(),
            truth: None,
        })
    }
}

/// The folder of a run's benchmark within that of a suite.
#[must_use]
pub fn folder(out: &Path, run: &str, benchmark: Benchmark) -> PathBuf {
    out.join("runs").join(run).join(benchmark.about().argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(data: &Path, name: &str) {
        let path = data.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn files_are_found_in_their_places_and_missing_ones_are_named_with_their_origin() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        for split in ["random", "popular", "adversarial"] {
            put(data, &format!("pope/coco_pope_{split}.jsonl"));
        }
        std::fs::create_dir_all(data.join("coco/val2014")).unwrap();
        for name in ["instances_val2014.json", "captions_val2014.json"] {
            put(data, &format!("coco/annotations/{name}"));
        }
        let found = Suite::Paper.entries(data, Some(7));
        let labels: Vec<&str> = found.iter().map(|entry| entry.benchmark.key()).collect();
        assert_eq!(labels, ["mmhal", "pope", "llava_bench", "mmbench", "chair"]);
        let pope = found[1].files.as_ref().unwrap();
        assert_eq!(pope.questions.len(), 3);
        assert_eq!(
            (pope.limit, &pope.images),
            (Some(7), &Some(data.join("coco/val2014")))
        );
        let missing = found[4].files.as_ref().unwrap_err();
        assert!(
            missing.contains("coco/synonyms.txt")
                && missing.contains("LisaAnne")
                && !missing.contains("instances"),
            "{missing}"
        );
        // The same benchmark by itself, whichever suite it is of.
        let alone = entry(Benchmark::Chair, data, None).unwrap().files;
        assert_eq!(&alone.unwrap_err(), missing);
        assert!(entry(Benchmark::Amber, data, None).is_some());
        assert!(entry(Benchmark::Own, data, None).is_none());
        let keys: Vec<&str> = benchmarks().into_iter().map(Benchmark::key).collect();
        assert_eq!(keys[..5], labels);
        assert_eq!(
            keys[5..],
            ["amber", "object_hal_bench", "hallusion_bench", "mme"]
        );
        put(data, "coco/synonyms.txt");
        let limit = |given| {
            let found = Suite::Paper.entries(data, given);
            found[4].files.as_ref().unwrap().limit
        };
        assert_eq!(
            [limit(None), limit(Some(9)), limit(Some(900))],
            [Some(500), Some(9), Some(500)]
        );
    }

    #[test]
    fn what_is_taken_only_where_it_is_there_is_not_missed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["query/query_all.json", "relation.json", "annotations.json"] {
            put(dir.path(), &format!("amber/data/{name}"));
        }
        std::fs::create_dir_all(dir.path().join("amber/image")).unwrap();
        let synonyms = || {
            let found = Suite::Hallucination.entries(dir.path(), None);
            found[0].files.as_ref().unwrap().synonyms.clone()
        };
        assert_eq!(synonyms(), None);
        put(dir.path(), "amber/similar.json");
        assert_eq!(synonyms(), Some(dir.path().join("amber/similar.json")));
    }
}
