//! A folder with images, prompts, facts, a tiny model that can say yes and no, and a reward model that likes yes.

use std::fs;
use std::path::Path;

use candor_data::formats::{captions, ppo_prompts};
use candor_data::{AnswerType, Choice, Conversation, FactBook, Facts, Prompt, Turn};
use candor_model::sample::{Batch, Sample};
use candor_model::{Adapter, Bundle, ImageFeatures, LoraConfig, ScalarHead, TARGETS, Template};
use candor_recipe::Reader;
use candor_reward::scorer::Base;
use candor_reward::{CaptionOrder, Judged, Pooling, RewardPrompt, Wording};
use candor_rl::{RlError, RlRecipe, run};
use candor_run::Outcome;
use candor_testing::files::lines;
use candor_testing::images::{COLOURS, walls};
use candor_testing::model::TinyModel;
use candor_testing::run::launch;
use candor_train::{AdamW, AdamWConfig, ParamGroup};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

pub const GOOD: &str = "Yes, it is.";
pub const BAD: &str = "No, it is not.";
pub const SCORE_MEAN: f64 = 0.5;
pub const SCORE_STD: f64 = 2.0;

pub const RECIPE: &str = r#"
seed = 5
[run]
out = "out"
steps = 6
checkpoint_every = 4
keep_checkpoints = 2
snapshot_every = 3
samples_per_step = 3
[model]
base = "model"
policy_init = "policy-init"
reward = "reward"
activations = "keep"
[data]
root = "data"
images = "."
prompts = "prompts.json"
facts = "facts.json"
max_query_tokens = 40
[batch]
rollout_batch = 16
mini_batch = 8
micro_batch = 4
inner_epochs = 2
[sampling]
temperature = 1.0
max_new_tokens = 8
batch_rows = 16
pass_rows = 5
[score]
normalise = "held_out"
no_eos_penalty = 1.0
length_penalty = 0.0
length_scale_tokens = 8.0
symbolic_coef = 0.0
yes_reward = "symmetric"
position = "last_token"
reward_scale = 1.0
[kl]
coef = 0.05
estimator = "k1"
[advantages]
gamma = 1.0
gae_lambda = 1.0
[whiten]
advantages = true
rewards = false
[loss]
clip_range = 0.2
value_clip_range = 0.2
value_coef = 0.1
entropy_coef = 0.0
average_over = "real_tokens_of_mini_batch"
[guard]
max_kl = 100.0
min_response_tokens = 1.0
[quirks]
misalign_dropped_queries = false
cut_at_question_mark = false
shuffle_captions = false
drop_partial_mini_batch = false
[optimizer]
learning_rate = 1e-2
schedule = "cosine"
warmup_steps = 0
beta1 = 0.9
beta2 = 0.999
eps = 1e-8
weight_decay = 0.0
max_grad_norm = 1.0
"#;

/// Prompts of every type about three walls.
pub fn prompts() -> Vec<Prompt> {
    let mut rows = Vec::new();
    for (i, (colour, _)) in COLOURS[..3].iter().enumerate() {
        let other = COLOURS[(i + 1) % 3].0;
        let asked = [
            ("What color is the wall?".to_owned(), AnswerType::General),
            (format!("Is the wall {colour}?"), AnswerType::Yes),
            (format!("Is the wall {other}?"), AnswerType::No),
            (
                "Which? A. red B. green C. blue D. none".to_owned(),
                AnswerType::Option(Choice::ALL[i]),
            ),
        ];
        for (question, answer_type) in asked {
            rows.push(Prompt {
                conversation: Conversation {
                    id: format!("{colour}-{}", answer_type.caption_type()),
                    image: Some(format!("{colour}.png")),
                    turns: vec![
                        Turn::human(format!("<image>\n{question}")),
                        Turn::gpt("not looked at"),
                    ],
                },
                answer_type,
                length_bonus: 1.0,
            });
        }
    }
    rows
}

pub fn facts() -> FactBook {
    let mut book = FactBook::new();
    for (colour, _) in &COLOURS[..3] {
        let entry = book.entry(format!("{colour}.png"));
        entry.captions = vec![
            format!("It is a {colour} wall."),
            "The wall is large.".to_owned(),
        ];
        entry.rationale = vec![format!("All of it is {colour}.")];
    }
    book
}

/// A query with a response.
pub fn answered(prompt: &Prompt, response: &str) -> Conversation {
    let mut conversation = prompt.conversation.clone();
    conversation.turns.truncate(1);
    conversation.turns.push(Turn::gpt(response));
    conversation
}

/// An untrained model.
pub fn bundle(seed: u64) -> Bundle {
    sized(seed, 320, 32)
}

/// An untrained model of a decoder of this width, whose tokenizer has so many tokens at most.
pub fn sized(seed: u64, max_vocab: usize, width: i64) -> Bundle {
    let template = Template::VicunaV1 {
        system: String::new(),
    };
    let prompts = prompts();
    let texts = prompts.iter().flat_map(|prompt| {
        let book = facts();
        let known = book
            .get(prompt.conversation.image.as_deref().unwrap())
            .unwrap();
        let lines = known.captions.iter().chain(&known.rationale).cloned();
        let said =
            [GOOD, BAD].map(|answer| template.render(&answered(prompt, answer)).unwrap().text);
        said.into_iter().chain(lines).collect::<Vec<_>>()
    });
    TinyModel {
        texts: texts.collect(),
        max_vocab,
        seed,
        system: "",
        width,
        n_positions: 128,
        feature_layer: -2,
        ..TinyModel::default()
    }
    .bundle()
}

pub fn features(bundle: &Bundle, folder: &Path) -> ImageFeatures {
    let names = COLOURS[..3].iter().map(|(name, _)| format!("{name}.png"));
    ImageFeatures::encode(bundle, folder, names, |_, _| ()).unwrap()
}

/// Teaches the decoder to answer anything by yes or by no, one as likely as the other.
fn teach(bundle: &Bundle, features: &ImageFeatures) {
    let samples: Vec<Sample> = prompts()
        .iter()
        .flat_map(|p| [GOOD, BAD].map(|answer| answered(p, answer)))
        .map(|row| Sample::new(&row, bundle.rules(128, Path::new(""))).unwrap())
        .collect();
    let samples: Vec<&Sample> = samples.iter().collect();
    let batch = Batch::new(&samples, bundle.tokenizer.pad, Device::Cpu);
    let images = features.of(samples.iter().filter_map(|s| s.image.as_deref()));
    let trained = bundle
        .model
        .set_trainable(|name| name.starts_with("language_model."));
    let config = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let mut optimizer = AdamW::new(config, ParamGroup::all(trained, 1.0)).unwrap();
    for _ in 0..60 {
        optimizer.zero_grad();
        let hidden = bundle
            .model
            .hidden(&bundle.model.embed(&batch.ids, images.as_ref(), None), None);
        let logits = bundle.model.decoder().logits(&batch.at_positions(&hidden));
        logits.cross_entropy_for_logits(&batch.targets).backward();
        let _ = optimizer.clip_grad_norm(1.0);
        optimizer.step(5e-3);
    }
    bundle.model.set_trainable(|_| false);
}

fn fresh_adapter(bundle: &Bundle, seed: u64) -> Adapter {
    let targets = TARGETS.map(str::to_owned);
    Adapter::fresh(LoraConfig::new(4, 8.0, &targets), &bundle.model, seed).unwrap()
}

/// Writes a reward model whose head points from no to yes: scores are about 2 for a yes and about −2 for a no.
pub fn write_reward_model(folder: &Path, bundle: &Bundle, base: &Path, features: &ImageFeatures) {
    let text = "{facts}\nIs it?";
    let wording = Wording {
        prompt: RewardPrompt::parse(Path::new("p"), text).unwrap(),
        bullet: "- ".to_owned(),
        caption_order: CaptionOrder::File,
        pooling: Pooling::LastToken,
    };
    let mean = |answer: &str| -> Tensor {
        let states: Vec<Tensor> = prompts()
            .iter()
            .map(|prompt| last_state(bundle, &wording, features, prompt, answer))
            .collect();
        Tensor::stack(&states, 0).mean_dim([0].as_slice(), false, Kind::Float)
    };
    let (good, bad) = (mean(GOOD), mean(BAD));
    let towards = &good - &bad;
    let weight = &towards * 4.0 / towards.square().sum(Kind::Float);
    let bias = -(weight.dot(&((good + bad) / 2.0))).double_value(&[]);
    let head = ScalarHead::zeros(&bundle.model).unwrap();
    for (name, tensor) in head.parameters() {
        tch::no_grad(|| {
            let mut tensor = tensor.shallow_clone();
            if name.ends_with("bias") {
                let _ = tensor.fill_(bias);
            } else {
                tensor.copy_(&weight.unsqueeze(0));
            }
        });
    }
    fresh_adapter(bundle, 8)
        .save(&folder.join("adapter"))
        .unwrap();
    head.save(&folder.join("reward_head.safetensors")).unwrap();
    fs::write(folder.join("prompt.txt"), text).unwrap();
    let description = serde_json::json!({
        "base": Base::of(base, bundle),
        "bullet": "- ",
        "caption_shuffle_seed": null,
        "max_tokens": 120,
        "pooling": Pooling::LastToken,
        "score_mean": SCORE_MEAN,
        "score_std": SCORE_STD,
    });
    fs::write(folder.join("reward_model.json"), description.to_string()).unwrap();
}

/// What the reward model is told of a prompt.
pub fn shown(prompt: &Prompt) -> Facts {
    let image = prompt.conversation.image.as_deref().unwrap();
    Facts {
        correct_option: None,
        ..facts().for_prompt(image, prompt.answer_type)
    }
}

fn last_state(
    bundle: &Bundle,
    wording: &Wording,
    features: &ImageFeatures,
    prompt: &Prompt,
    answer: &str,
) -> Tensor {
    let image = prompt.conversation.image.as_deref().unwrap();
    let shown = shown(prompt);
    let judged = Judged {
        id: "x",
        conversation: &answered(prompt, answer),
        facts: &shown,
    };
    let worded = wording
        .put(judged, "x", bundle.rules(128, Path::new("")))
        .unwrap();
    let ids = Tensor::from_slice(&worded.ids).unsqueeze(0);
    let embedded = bundle
        .model
        .embed(&ids, features.of([image]).as_ref(), None);
    tch::no_grad(|| {
        bundle
            .model
            .hidden(&embedded, None)
            .select(1, -1)
            .squeeze_dim(0)
    })
}

/// A folder with everything that a run reads.
pub fn prepared() -> tempfile::TempDir {
    // Threads gain nothing on matrices this small, and tests run side by side.
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    walls(&data);
    ppo_prompts::write(&data.join("prompts.json"), &prompts()).unwrap();
    captions::write(&data.join("facts.json"), &facts()).unwrap();
    let bundle = bundle(1);
    let features = features(&bundle, &data);
    teach(&bundle, &features);
    let base = dir.path().join("model");
    bundle.save(&base).unwrap();
    fresh_adapter(&bundle, 7)
        .save(&dir.path().join("policy-init"))
        .unwrap();
    write_reward_model(&dir.path().join("reward"), &bundle, &base, &features);
    dir
}

/// Puts a reward model in the place of `prepared`'s whose base, which this returns, has another tokenizer and another width.
pub fn judged_by_another(dir: &Path) -> Bundle {
    let own = dir.join("own-model");
    let other = sized(2, 340, 48);
    assert!(!other.tokenizer.same_as(&bundle(1).tokenizer));
    other.save(&own).unwrap();
    let seen = features(&other, &dir.join("data"));
    write_reward_model(&dir.join("reward"), &other, &own, &seen);
    other
}

pub fn recipe(dir: &Path, out: &str, sets: &[&str]) -> RlRecipe {
    recipe_of(RECIPE, dir, out, sets)
}

pub fn recipe_of(text: &str, dir: &Path, out: &str, sets: &[&str]) -> RlRecipe {
    let paths = [
        ("run.out", out),
        ("model.base", "model"),
        ("model.policy_init", "policy-init"),
        ("model.reward", "reward"),
        ("data.root", "data"),
    ];
    let sets = candor_testing::run::sets(dir, &paths, sets);
    RlRecipe::read(Reader::parse("ppo.toml", text, &sets)).unwrap()
}

pub fn try_run(dir: &Path, out: &str, sets: &[&str]) -> Result<Outcome, RlError> {
    run(&recipe(dir, out, sets), &launch(false), Device::Cpu)
}

/// A whole run; returns its metrics.
pub fn finished(dir: &Path, out: &str, sets: &[&str]) -> Vec<Value> {
    assert_eq!(try_run(dir, out, sets).unwrap(), Outcome::Finished);
    lines(&dir.join(out).join("metrics.jsonl"))
}
