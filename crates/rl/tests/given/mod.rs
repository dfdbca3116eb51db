//! What the golden updates start from: a tiny model with its adapters, queries, responses and scores.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use candor_data::image::ImageProcessor;
use candor_data::{AnswerType, Conversation, Facts};
use candor_model::{
    Adapter, Bundle, ImageFeatures, Response, ScalarHead, Template, TokenRuns, Tokenizer, Vlm,
};
use candor_rl::critic::CriticBase;
use candor_rl::passes::{PolicyReader, ValueReader};
use candor_rl::prompts::PromptRow;
use candor_rl::rollout::Rollout;
use candor_rl::scoring::{ModelScore, Score};
use candor_rl::shaping::Terminal;
use candor_testing::golden::Golden;
use tch::{Device, Kind, Tensor};

/// Where the golden files are.
pub fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

const TEMPERATURE: f64 = 0.8;

/// The base with its images and all adapters.
pub struct Models {
    pub bundle: Bundle,
    pub features: ImageFeatures,
    pub policy: Adapter,
    pub reference: Adapter,
    pub value: Adapter,
    pub head: ScalarHead,
}

impl Models {
    pub fn open(golden: &Golden) -> Self {
        let folder = golden_folder();
        let base = folder.join("../../../model/tests/golden/llava_mha");
        let model = Vlm::open(&base, Device::Cpu, Kind::Float).expect("the checkpoint opens");
        model.set_trainable(|_| false);
        let [policy, reference, value] = ["policy", "reference", "value"]
            .map(|name| Adapter::open(&folder.join(name), &model).expect("the adapter opens"));
        let head = folder.join("value_head.safetensors");
        let head = ScalarHead::open(&head, &model).expect("the head opens");
        policy.set_trainable(true);
        value.set_trainable(true);
        head.set_trainable(true);
        let side = model.config().tower_sizes().image_size as u32;
        let bundle = Bundle {
            model,
            tokenizer: Tokenizer::open(&folder.join("tokenizer.json")).expect("it opens"),
            template: Template::vicuna_v1(),
            processor: ImageProcessor::clip(side),
        };
        assert_eq!(bundle.tokenizer.image, bundle.model.config().image_token());
        let names = golden.whole_numbers("image").into_iter().filter_map(image);
        let features = ImageFeatures::encode(&bundle, &folder.join("images"), names, |_, _| ())
            .expect("the images are encoded");
        Self {
            bundle,
            features,
            policy,
            reference,
            value,
            head,
        }
    }

    pub fn policy_reader<'a>(&'a self, adapter: &'a Adapter) -> PolicyReader<'a> {
        PolicyReader {
            bundle: &self.bundle,
            adapter,
            features: &self.features,
            temperature: TEMPERATURE,
        }
    }

    pub fn value_reader(&self, padded_to: Option<usize>) -> ValueReader<'_> {
        ValueReader {
            base: CriticBase::Reward,
            bundle: &self.bundle,
            adapter: &self.value,
            head: &self.head,
            features: &self.features,
            padded_to,
        }
    }

    /// What is trained, by part, in the order in which the golden files have it: by name, and the head's weight
    /// before its bias.
    pub fn trained(&self) -> [(&'static str, Vec<(String, Tensor)>); 3] {
        let named = |adapter: &Adapter| {
            let parameters = adapter.parameters().iter();
            parameters
                .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
                .collect()
        };
        let head = self.head.parameters().iter();
        let mut head: Vec<(String, Tensor)> = head
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .collect();
        head.sort_by_key(|(name, _)| name.ends_with("bias"));
        [
            ("policy", named(&self.policy)),
            ("value", named(&self.value)),
            ("value_head", head),
        ]
    }

    /// One vector for each part, of `what` of every tensor.
    pub fn flat(&self, what: fn(&Tensor) -> Tensor) -> [(&'static str, Tensor); 3] {
        self.trained().map(|(part, tensors)| {
            let flat: Vec<Tensor> = tensors
                .iter()
                .map(|(_, t)| what(t).detach().flatten(0, -1))
                .collect();
            (part, Tensor::cat(&flat, 0))
        })
    }
}

/// The file of an image, of which the golden file has the index, or -1 for none.
fn image(index: i64) -> Option<String> {
    (index >= 0).then(|| format!("{index}.png"))
}

pub fn prompts(golden: &Golden) -> Vec<PromptRow> {
    golden
        .rows("queries", "n_query")
        .into_iter()
        .zip(golden.whole_numbers("image"))
        .enumerate()
        .map(|(row, (query, index))| PromptRow {
            id: row.to_string(),
            conversation: Conversation {
                id: row.to_string(),
                image: image(index),
                turns: Vec::new(),
            },
            query: TokenRuns::of(&query),
            value_query: TokenRuns::of(&query),
            facts: Facts::default(),
            answer_type: AnswerType::General,
            length_bonus: 1.0,
            reference: None,
        })
        .collect()
}

/// The golden responses with the log-probabilities that they come with.
pub fn rollouts<'p>(golden: &Golden, case: &Golden, prompts: &'p [PromptRow]) -> Vec<Rollout<'p>> {
    let logprobs = Vec::<Vec<f32>>::try_from(case.get("old_logprobs")).expect("a matrix of f32");
    let responses = golden.rows("responses", "n_response").into_iter();
    responses
        .zip(logprobs)
        .zip(prompts)
        .map(|((ids, mut logprobs), prompt)| {
            logprobs.truncate(ids.len());
            let finished = ids.last() == Some(&2);
            Rollout {
                prompt,
                sample: 0,
                response: Response {
                    ids,
                    logprobs,
                    finished,
                },
                text: String::new(),
                facts: Facts::default(),
            }
        })
        .collect()
}

pub fn scores(golden: &Golden) -> Vec<Score> {
    let score = |total: f64| Score {
        model: Some(ModelScore {
            raw: total,
            normalised: total,
            sentences: Vec::new(),
        }),
        correctness: 0.0,
        terms: Vec::new(),
        terminal: Terminal {
            no_eos_penalty: 0.0,
            length_penalty: 0.0,
            symbolic: 0.0,
            total,
        },
        segments: Vec::new(),
    };
    golden.numbers("terminal").into_iter().map(score).collect()
}
