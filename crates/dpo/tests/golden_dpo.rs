//! The losses, and ten steps of training by three of them, against PyTorch, transformers and PEFT.
//!
//! `parity/fixtures/dpo.py` computed the losses in f64 by their definitions (`parity/fixtures/preference.py`), as candor does:
//! 1e-11 is a few hundred units in the last place of the largest numbers. It trained with every answer by itself and
//! without padding; here the answers of a comparison share their prompt and pairs go through the model together.
//!
//! Tolerances of the steps, and why these. The golden file's metadata has how far `PyTorch`'s own f32 numbers are from its f64
//! ones (`float32_noise`): 5e-6 for log-probabilities of size 40, 3e-6 for gradients, 8e-7 for parameters after ten steps.
//! Two orders of summation differ by about as much, and 1e-5 leaves room for another CPU's kernels. Parameters move by up to
//! 2e-3 a step, so 5e-6 is a four-hundredth of one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::image::ImageProcessor;
use candor_dpo::answers::Answers;
use candor_dpo::loss::{Context, Spoilt as SpoiltLogprobs, divergence};
use candor_dpo::objective::Update;
use candor_dpo::policy::{Policy, columns};
use candor_dpo::rows::Row;
use candor_dpo::spoilt::Spoilt;
use candor_dpo::{Counting, Logprobs, Loss, Objective};
use candor_model::{
    Activations, Adapter, Bundle, ImageFeatures, Template, Tokenizer, Vlm, tensor_file,
};
use candor_run::Ranks;
use candor_train::{AdamW, AdamWConfig, ParamGroup};
use tch::{Device, Kind, Tensor};

const EXACT: f64 = 1e-11;
const STEPS: f64 = 1e-5;
const PARAMETERS: f64 = 5e-6;

const N_STEPS: i64 = 10;
const LR: f64 = 2e-3;
const MAX_NORM: f64 = 1.0;
const BETA: f64 = 0.3;

type Golden = BTreeMap<String, Tensor>;

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn open(file: &str) -> Golden {
    tensor_file::read(&golden_folder().join(file)).expect("a golden file")
}

/// Fails where the difference, relative to the largest expected entry or to 1, is above `tolerance`; prints a line of the
/// parity table.
fn close(case: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size(), "{case}");
    let double = |t: &Tensor| t.detach().to_kind(Kind::Double);
    let largest = |t: &Tensor| t.abs().max().double_value(&[]);
    let absolute = largest(&(double(found) - double(expected)));
    // NaN compares as false everywhere, so it would pass any test that asks "too far?".
    assert!(absolute.is_finite(), "{case}: not a number");
    let relative = absolute / largest(&double(expected)).max(1.0);
    println!("parity: dpo: {case} max_abs={absolute:.1e} rel={relative:.1e}");
    assert!(relative <= tolerance, "{case}: differ by {absolute}");
}

fn logprobs(rows: &Tensor, with_spoilt: bool) -> Logprobs {
    Logprobs {
        chosen: rows.get(0),
        rejected: rows.get(1),
        spoilt: with_spoilt.then(|| SpoiltLogprobs {
            chosen: rows.get(2),
            shown: rows.get(2).ones_like(),
        }),
        desirable: None,
        severity: None,
    }
}

#[test]
fn every_loss_and_its_gradients() {
    let golden = open("losses.safetensors");
    let sigmoid = |beta, label_smoothing| Loss::Sigmoid {
        beta,
        label_smoothing,
    };
    let cases = [
        ("sigmoid", sigmoid(0.1, 0.0)),
        ("smoothed", sigmoid(0.5, 0.2)),
        ("ipo", Loss::Ipo { beta: 0.25 }),
        (
            "simpo",
            Loss::SimPo {
                beta: 2.0,
                gamma: 1.4,
                label_smoothing: 0.1,
            },
        ),
        ("orpo", Loss::Orpo { beta: 0.4 }),
        (
            "kto",
            Loss::Kto {
                beta: 0.2,
                desirable: 1.0,
                undesirable: 1.5,
            },
        ),
        ("image", sigmoid(0.3, 0.0)),
        ("anchor", sigmoid(0.3, 0.0)),
    ];
    assert_eq!(golden.len(), 4 * cases.len());
    for (case, loss) in cases {
        let part = |name: &str| &golden[&format!("{case}.{name}")];
        let policy = part("policy").copy().set_requires_grad(true);
        let has_reference = loss.has_reference();
        let of_image = case == "image";
        let reference = logprobs(part("reference"), of_image);
        let context = Context {
            divergence: 0.75,
            anchor: (case == "anchor").then_some(0.5),
        };
        let reference = Some(&reference).filter(|_| has_reference);
        let terms = loss.terms(&logprobs(&policy, of_image), reference, context);
        let found = match case {
            "image" => terms.image.unwrap(),
            "anchor" => terms.anchor.unwrap(),
            _ => terms.preference,
        };
        found.sum(Kind::Double).backward();
        close(&format!("{case} loss"), &found, part("loss"), EXACT);
        close(
            &format!("{case} gradients"),
            &policy.grad(),
            part("grad"),
            EXACT,
        );
    }
}

/// Rated answers cost in KTO what the two of a comparison do, of which the golden losses are the means. `parity/run trl` gives
/// the same numbers to TRL's trainer as answers with labels.
#[test]
fn rated_answers_cost_what_those_of_comparisons_do() {
    let golden = open("losses.safetensors");
    let part = |name: &str| &golden[&format!("kto.{name}")];
    let policy = part("policy").copy().set_requires_grad(true);
    let n = policy.size()[1];
    // The good ones, then the bad ones.
    let rated = |rows: &Tensor| {
        let answers = Tensor::cat(&[rows.get(0), rows.get(1)], 0);
        Logprobs {
            chosen: answers.shallow_clone(),
            desirable: Some(Tensor::cat(
                &[rows.get(0).ones_like(), rows.get(1).zeros_like()],
                0,
            )),
            rejected: answers,
            spoilt: None,
            severity: None,
        }
    };
    let loss = Loss::Kto {
        beta: 0.2,
        desirable: 1.0,
        undesirable: 1.5,
    };
    let context = Context {
        divergence: 0.75,
        anchor: None,
    };
    let terms = loss.terms(&rated(&policy), Some(&rated(part("reference"))), context);
    let [good, bad] = [0, n].map(|start| terms.preference.narrow(0, start, n));
    let of_comparisons = (good + bad) / 2.0;
    of_comparisons.sum(Kind::Double).backward();
    close("kto, rated: loss", &of_comparisons, part("loss"), EXACT);
    close("kto, rated: gradients", &policy.grad(), part("grad"), EXACT);
}

/// The base with its images, the adapter, and the comparisons.
struct Given {
    bundle: Bundle,
    adapter: Adapter,
    features: ImageFeatures,
    spoilt: Spoilt,
    rows: Vec<Row>,
    ranks: Ranks,
}

impl Given {
    fn open(counting: Counting) -> Self {
        let folder = golden_folder();
        let base = folder.join("../../../model/tests/golden/llava_mha");
        let bundle = Bundle {
            model: Vlm::open(&base, Device::Cpu, Kind::Float).expect("the checkpoint opens"),
            tokenizer: Tokenizer::open(&folder.join("tokenizer.json")).expect("it opens"),
            template: Template::vicuna_v1(),
            processor: ImageProcessor::clip(24),
        };
        bundle.model.set_trainable(|_| false);
        let adapter = Adapter::open(&folder.join("policy"), &bundle.model).expect("it opens");
        adapter.set_trainable(true);
        let golden = open("rows.safetensors");
        let names = (0..3).map(|n| format!("{n}.png"));
        let features =
            ImageFeatures::encode(&bundle, &folder.join("images"), names, |_, _| ()).unwrap();
        let spoilt = images(&golden, "spoilt");
        Self {
            bundle,
            adapter,
            features,
            spoilt: Spoilt::Shown(spoilt),
            rows: rows(&golden, counting),
            ranks: Ranks::alone(),
        }
    }

    fn policy(&self, objective: &Objective) -> Policy<'_> {
        Policy {
            bundle: &self.bundle,
            adapter: Some(&self.adapter),
            features: &self.features,
            spoilt: objective.image_negative.map(|_| &self.spoilt),
            mean: objective.counting.mean,
            ranks: &self.ranks,
        }
    }

    /// A part of every trained tensor, in one vector.
    fn flat(&self, part: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let parts = self.adapter.parameters().values();
        let parts: Vec<Tensor> = parts
            .map(|tensor| part(tensor).detach().flatten(0, -1))
            .collect();
        Tensor::cat(&parts, 0)
    }
}

fn images(golden: &Golden, name: &str) -> Vec<Option<String>> {
    let numbers = Vec::<i64>::try_from(&golden[name]).unwrap().into_iter();
    numbers
        .map(|n| (n >= 0).then(|| format!("{n}.png")))
        .collect()
}

/// The comparisons, each with the next one's answers as mismatched ones.
fn rows(golden: &Golden, counting: Counting) -> Vec<Row> {
    let cut = |ids: &str, lens: &str| -> Vec<Vec<i64>> {
        let ids = Vec::<Vec<i64>>::try_from(&golden[ids]).unwrap().into_iter();
        let lens = Vec::<i64>::try_from(&golden[lens]).unwrap();
        ids.zip(lens)
            .map(|(row, len)| row[..len as usize].to_vec())
            .collect()
    };
    let (prompts, answers) = (cut("prompts", "n_prompt"), cut("answers", "n_answer"));
    let images = images(golden, "image");
    let n = prompts.len();
    let put = |prompt: usize, answered: usize| {
        let both = [&answers[2 * answered][..], &answers[2 * answered + 1][..]];
        Answers::new(
            "golden",
            &prompts[prompt],
            both,
            images[prompt].clone(),
            counting,
        )
        .unwrap()
    };
    let row = |i: usize| {
        let texts = ["chosen".to_owned(), "rejected".to_owned()];
        Row {
            number: i,
            mismatched: Some(put(i, (i + 1) % n)),
            ..Row::new(i.to_string(), texts, put(i, i))
        }
    };
    (0..n).map(row).collect()
}

fn objective(case: &str) -> Objective {
    let plain = Objective {
        loss: Loss::Sigmoid {
            beta: BETA,
            label_smoothing: 0.0,
        },
        counting: Counting {
            mean: false,
            changed_weight: None,
            common_beginning: true,
        },
        sft_weight: 0.0,
        anchor: None,
        image_negative: None,
        severity: false,
    };
    match case {
        "plain" => plain,
        "dense" => Objective {
            loss: Loss::Sigmoid {
                beta: BETA,
                label_smoothing: 0.1,
            },
            counting: Counting {
                mean: true,
                changed_weight: Some(5.0),
                common_beginning: false,
            },
            sft_weight: 0.2,
            anchor: Some(0.5),
            image_negative: Some(candor_dpo::ImageNegative::Other),
            severity: false,
        },
        _ => Objective {
            loss: Loss::Kto {
                beta: BETA,
                desirable: 1.0,
                undesirable: 1.3,
            },
            ..plain
        },
    }
}

/// Ten steps of a case, `per_pass` comparisons at a time.
fn check(case: &str, per_pass: usize, activations: Activations) {
    let golden = open(&format!("steps_{case}.safetensors"));
    let objective = objective(case);
    let given = Given::open(objective.counting);
    let policy = given.policy(&objective);
    let all: Vec<&Row> = given.rows.iter().collect();
    let config = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let trained = given.adapter.parameters().iter();
    let trained = trained.map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
    let mut optimizer = AdamW::new(config, ParamGroup::all(trained.collect(), 1.0)).unwrap();

    let name = format!("{case}, {per_pass} a pass");
    let reference = policy.scores(&all, per_pass, |_, _| ()).unwrap();
    let of_reference = columns(&reference);
    let found = Tensor::stack(&[&of_reference.chosen, &of_reference.rejected], 0);
    close(
        &format!("{name}: reference"),
        &found,
        &golden["reference"],
        STEPS,
    );
    let mismatched = || policy.mismatched(&all, per_pass, |_, _| ()).unwrap();
    let of_mismatched = mismatched();
    for step in 1..=N_STEPS {
        optimizer.zero_grad();
        let update = Update {
            n_rows: all.len(),
            n_targets: all.iter().map(|row| row.n_targets()).sum(),
            divergence: match objective.loss {
                Loss::Kto { .. } => {
                    divergence(mismatched().as_flattened(), of_mismatched.as_flattened())
                }
                _ => 0.0,
            },
        };
        let mut loss = 0.0;
        for (pass, scored) in all.chunks(per_pass).zip(reference.chunks(per_pass)) {
            let reference = columns(scored);
            let cost = |policy: &Logprobs, nll: &Tensor| {
                let cost = objective.cost(policy, nll, Some(&reference), update);
                loss += cost.double_value(&[]);
                cost
            };
            policy.backward(pass, activations, cost).unwrap();
        }
        let at = |what: &str| golden[what].get(step - 1);
        close(
            &format!("{name}: loss {step}"),
            &Tensor::from(loss),
            &at("loss"),
            STEPS,
        );
        let divergence = Tensor::from(update.divergence);
        close(
            &format!("{name}: divergence {step}"),
            &divergence,
            &at("divergence"),
            STEPS,
        );
        if step == 1 {
            let found = given.flat(Tensor::grad);
            close(
                &format!("{name}: gradients"),
                &found,
                &golden["gradients"],
                STEPS,
            );
        }
        let norm = Tensor::from(optimizer.clip_grad_norm(MAX_NORM));
        close(&format!("{name}: norm {step}"), &norm, &at("norm"), STEPS);
        optimizer.step(LR);
        if let Some(expected) = golden.get(&format!("parameters.{step}")) {
            let found = given.flat(Tensor::shallow_clone);
            close(
                &format!("{name}: parameters {step}"),
                &found,
                expected,
                PARAMETERS,
            );
        }
    }
}

#[test]
fn ten_steps_of_dpo_follow_pytorch() {
    check("plain", 4, Activations::Keep);
    check("plain", 1, Activations::Recompute);
}

/// Mean log-probabilities in which changed tokens weigh more and the common beginning is left out, smoothed labels, spoilt
/// images, an anchor and the negative log-likelihood. The third comparison has no image, and passes a batch without any.
#[test]
fn ten_steps_with_everything_follow_pytorch() {
    check("dense", 4, Activations::Keep);
    check("dense", 1, Activations::Keep);
}

#[test]
fn ten_steps_of_kto_follow_pytorch() {
    check("kto", 2, Activations::Keep);
}

/// What the steps move is far more than what the tests allow, and the divergence is none that is cut to 0.
#[test]
fn the_golden_steps_are_large_enough_to_mean_something() {
    for case in ["plain", "dense", "kto"] {
        let golden = open(&format!("steps_{case}.safetensors"));
        let moved = (&golden["parameters.10"] - &golden["parameters.1"])
            .abs()
            .max();
        assert!(moved.double_value(&[]) > 5e-3, "{case}");
        assert!(
            golden["loss"].double_value(&[0]) - golden["loss"].double_value(&[9]) > 0.1,
            "{case}"
        );
    }
    let divergence = &open("steps_kto.safetensors")["divergence"];
    assert!(divergence.max().double_value(&[]) > 0.01, "{divergence:?}");
}
