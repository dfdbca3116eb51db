//! The pair loss, and three steps of training on pairs that begin alike, against PyTorch, transformers and PEFT.
//!
//! `parity/fixtures/reward.py` ran every sequence by itself and without padding; here the two of a pair share
//! their beginning and pairs go through the model together, so this is also a test of `candor_model::shared`.
//!
//! Tolerances, and why these. The golden file's metadata has how far PyTorch's own f32 numbers are from its f64
//! ones (`float32_noise`): 1e-6 for scores of size 2, 3e-6 for gradients up to 1, 3e-7 for parameters. Two
//! orders of summation differ by about as much. 1e-5 leaves room for another CPU's kernels in scores, losses and
//! gradients. Adam divides a gradient by its own size, so where one is near zero, rounding decides the direction
//! of a whole learning rate, 3e-3; the script makes sure that no gradient is that near (the noisiest is off by
//! 0.4 %), and 5e-6 for parameters is a six-hundredth of one step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_model::shared::{ReadAt, SharedBatch, SharedPrefix};
use candor_model::{Activations, Adapter, Features, ScalarHead, Vlm, tensor_file};
use candor_reward::loss::{Share, against_zero, centering, pair_loss};
use candor_testing::golden::Updates;
use candor_train::{AdamW, AdamWConfig, ParamGroup};
use tch::{Device, Kind, Tensor};

const SCORES: f64 = 1e-5;
const GRADIENTS: f64 = 1e-5;
const PARAMETERS: f64 = 5e-6;

const N_STEPS: usize = 3;
const LR: f64 = 3e-3;
const MAX_NORM: f64 = 1.0;
const CENTERING_COEF: f64 = 0.05;
const PAD: i64 = 0;

type Golden = BTreeMap<String, Tensor>;

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn open(file: &str) -> Golden {
    tensor_file::read(&golden_folder().join(file)).expect("a golden file")
}

/// Everything in f32 with sums of up to 64 terms: a few units in the last place of the loss.
#[test]
fn the_pair_loss_and_its_gradients() {
    let golden = open("pair_loss.safetensors");
    let cases: Vec<&str> = golden
        .keys()
        .filter_map(|name| name.strip_suffix(".loss"))
        .collect();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let part = |name: &str| &golden[&format!("{case}.{name}")];
        let [chosen, rejected] =
            ["chosen", "rejected"].map(|name| part(name).copy().set_requires_grad(true));
        let coef = part("centering_coef").double_value(&[]);
        let loss = pair_loss(&chosen, &rejected, coef);
        loss.backward();
        let mut compared = Updates::new(format!("pair loss {case}"));
        compared.close(0, "loss", &loss, part("loss"), 1e-6);
        for (name, scores) in [("grad_chosen", chosen), ("grad_rejected", rejected)] {
            compared.close(0, "gradients", &scores.grad(), part(name), 1e-6);
        }
        compared.report();
    }
}

/// PyTorch's binary cross-entropy with logits is the pair loss of rated answers against a score of 0.
#[test]
fn the_loss_of_rated_answers_and_its_gradients() {
    let golden = open("rated.safetensors");
    let cases: Vec<&str> = golden
        .keys()
        .filter_map(|name| name.strip_suffix(".loss"))
        .collect();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let part = |name: &str| &golden[&format!("{case}.{name}")];
        let scores = part("scores").copy().set_requires_grad(true);
        let pairs = against_zero(&scores, part("desirable"));
        let loss = pair_loss(&pairs.select(1, 0), &pairs.select(1, 1), 0.0);
        loss.backward();
        let mut compared = Updates::new(format!("rated {case}"));
        compared.close(0, "loss", &loss, part("loss"), 1e-6);
        compared.close(0, "gradients", &scores.grad(), part("grad"), 1e-6);
        compared.report();
    }
}

/// Some of the pairs, with the features of their images in order, if they have any.
struct Pass {
    batch: SharedBatch,
    features: Option<Features>,
    n_pairs: usize,
}

/// The base, the trained parts, and the pairs in passes.
struct Training {
    model: Vlm,
    adapter: Adapter,
    head: ScalarHead,
    passes: Vec<Pass>,
}

impl Training {
    fn open(golden: &Golden, pairs_per_pass: usize) -> Self {
        let base = golden_folder().join("../../../model/tests/golden/llava_mha");
        let model = Vlm::open(&base, Device::Cpu, Kind::Float).expect("the checkpoint opens");
        let adapter =
            Adapter::open(&golden_folder().join("reward"), &model).expect("the adapter opens");
        let head = ScalarHead::open(&golden_folder().join("head.safetensors"), &model)
            .expect("the head opens");
        model.set_trainable(|_| false);
        adapter.set_trainable(true);
        head.set_trainable(true);
        let features = model.image_features(&golden["pixel_values"]);
        let passes = pairs(golden)
            .chunks(pairs_per_pass)
            .map(|pairs| pass(pairs, &features))
            .collect();
        Self {
            model,
            adapter,
            head,
            passes,
        }
    }

    /// Scores of all sequences, the chosen and the rejected one of each pair beside each other.
    fn scores(&self) -> Tensor {
        let scores: Vec<Tensor> = self
            .passes
            .iter()
            .map(|pass| self.scores_of(pass))
            .collect();
        Tensor::cat(&scores, 0)
    }

    fn scores_of(&self, pass: &Pass) -> Tensor {
        let features = pass.features.as_ref();
        let hidden = tch::no_grad(|| {
            self.model
                .hidden_shared(&pass.batch, features, Some(&self.adapter))
        });
        self.head.forward(&hidden).detach()
    }

    /// Forward and backward of every pass; the loss.
    fn backward(&self, activations: Activations) -> Tensor {
        let (chosen, rejected) = columns(&self.scores());
        let share = Share {
            n_batch: self.passes.iter().map(|pass| pass.n_pairs).sum(),
            centering_coef: CENTERING_COEF,
            sign: (self.passes.len() > 1)
                .then(|| centering(&chosen, &rejected).sign().double_value(&[])),
        };
        let one = |pass: &Pass| {
            self.model.backward_shared(
                &pass.batch,
                pass.features.as_ref(),
                Some(&self.adapter),
                activations,
                |hidden| {
                    let (chosen, rejected) = columns(&self.head.forward(hidden));
                    let loss = share.of(&chosen, &rejected);
                    let value = loss.detach();
                    (loss, value)
                },
            )
        };
        self.passes.iter().map(one).sum()
    }

    fn trained(&self) -> Vec<(String, Tensor)> {
        let adapter = self.adapter.parameters().iter();
        let head = self.head.parameters().iter();
        adapter
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .chain(head.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())))
            .collect()
    }

    /// Adapter and head as the golden file has them, one vector each, of `part` of every tensor.
    fn flat(&self, part: impl Fn(&Tensor) -> Tensor) -> [Tensor; 2] {
        // Weight before bias, as PyTorch lists them.
        let mut head: Vec<&(String, Tensor)> = self.head.parameters().iter().collect();
        head.sort_by_key(|(name, _)| name.ends_with("bias"));
        let adapter = self.adapter.parameters().values().map(&part);
        let head = head.iter().map(|(_, tensor)| part(tensor));
        let join = |parts: Vec<Tensor>| {
            let flat: Vec<Tensor> = parts.iter().map(|t| t.detach().flatten(0, -1)).collect();
            Tensor::cat(&flat, 0)
        };
        [join(adapter.collect()), join(head.collect())]
    }
}

/// One pass over some pairs, whose `image` is the index of their row in `features`.
fn pass(pairs: &[SharedPrefix], features: &Features) -> Pass {
    let shown: Vec<Features> = pairs
        .iter()
        .filter_map(|pair| pair.image.as_ref()?.parse().ok())
        .map(|at| features.image(at))
        .collect();
    Pass {
        batch: SharedBatch::new(&pairs.iter().collect::<Vec<_>>(), PAD, Device::Cpu),
        features: Features::cat(&shown),
        n_pairs: pairs.len(),
    }
}

/// Chosen and rejected scores.
fn columns(scores: &Tensor) -> (Tensor, Tensor) {
    let pairs = scores.reshape([-1, 2]);
    (pairs.select(1, 0), pairs.select(1, 1))
}

/// The golden sequences two by two, split where they part.
fn pairs(golden: &Golden) -> Vec<SharedPrefix> {
    let ids = Vec::<Vec<i64>>::try_from(&golden["ids"]).expect("a matrix");
    let lens = Vec::<i64>::try_from(&golden["n_tokens"]).expect("a vector");
    let images = Vec::<i64>::try_from(&golden["image"]).expect("a vector");
    let sequences: Vec<ReadAt<'_>> = ids
        .iter()
        .zip(lens)
        .map(|(row, len)| ReadAt::last(&row[..len as usize]))
        .collect();
    sequences
        .chunks(2)
        .zip(images)
        .map(|(pair, image)| {
            let image = (image >= 0).then(|| image.to_string());
            SharedPrefix::of("golden", pair, image).expect("they begin alike")
        })
        .collect()
}

fn check(pairs_per_pass: usize, activations: Activations) {
    let golden = open("steps.safetensors");
    let training = Training::open(&golden, pairs_per_pass);
    let config = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let mut optimizer =
        AdamW::new(config, ParamGroup::all(training.trained(), 1.0)).expect("trainable");
    let mut compared = Updates::new(format!(
        "reward model, {pairs_per_pass} a pass, {activations:?}"
    ));
    compared.close(0, "scores", &training.scores(), &golden["scores.0"], SCORES);
    for step in 1..=N_STEPS {
        optimizer.zero_grad();
        let at = step as i64 - 1;
        let loss = training.backward(activations);
        compared.close(step, "losses", &loss, &golden["loss"].get(at), SCORES);
        if step == 1 {
            let [adapter, head] = training.flat(Tensor::grad);
            compared.close(step, "gradients", &adapter, &golden["gradients"], GRADIENTS);
            let expected = &golden["head_gradients"];
            compared.close(step, "gradients of the head", &head, expected, GRADIENTS);
        }
        let norm = Tensor::from(optimizer.clip_grad_norm(MAX_NORM));
        compared.close(
            step,
            "gradient norms",
            &norm,
            &golden["norm"].get(at),
            GRADIENTS,
        );
        optimizer.step(LR);
        let [adapter, head] = training.flat(Tensor::shallow_clone);
        let expected = |name: &str| &golden[&format!("{name}.{step}")];
        compared.close(
            step,
            "parameters",
            &adapter,
            expected("parameters"),
            PARAMETERS,
        );
        compared.close(step, "head", &head, expected("head"), PARAMETERS);
        compared.close(
            step,
            "scores",
            &training.scores(),
            expected("scores"),
            SCORES,
        );
    }
    compared.report();
}

#[test]
fn three_steps_follow_pytorch() {
    check(4, Activations::Keep);
}

#[test]
fn three_steps_follow_pytorch_when_activations_are_computed_again() {
    check(4, Activations::Recompute);
}

/// The third pair has no image, and passes a batch without any by itself.
#[test]
fn three_steps_follow_pytorch_in_passes() {
    check(2, Activations::Keep);
    check(1, Activations::Keep);
}

/// What the steps move is far more than what the tests allow.
#[test]
fn the_golden_steps_are_large_enough_to_mean_something() {
    let golden = open("steps.safetensors");
    let moved = |what: &str| {
        let difference = &golden[&format!("{what}.3")] - &golden[&format!("{what}.1")];
        difference.abs().max().double_value(&[])
    };
    assert!(moved("scores") > 0.5);
    assert!(moved("parameters") > 5e-3 && moved("head") > 5e-3);
}
