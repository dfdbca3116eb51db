//! Reading golden files and comparing with them; each comparison prints one line of the parity table.
//!
//! Tolerances, and why these. Transformers' own float32 logits are 3e-6 to 3e-5 away from its float64 ones
//! on these models (`logits_float32_noise` in the golden files), and two orders of summation differ by about
//! as much: 1e-4 leaves room for another CPU's kernels and none for a mistake, whose effect is of the size of
//! the logits (1 to 4). Gradients pass through every layer twice, so they are compared relative to the
//! largest entry of the same tensor, at 1e-3.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::image::ImageSize;
use candor_model::sample::{Batch, Sample};
use candor_model::{Adapter, Decoding, Features, Query, Response, Vlm, generate, tensor_file};
use tch::{Device, Kind, Tensor};

/// Largest absolute difference of logits, features and log-probabilities.
pub const ABSOLUTE: f64 = 1e-4;
/// Largest relative difference of losses and gradients.
pub const RELATIVE: f64 = 1e-3;

/// What LLaVA's and Qwen's fixtures fill ended rows with.
const PADS: [i64; 2] = [0, 290];
/// No id: nothing ends a response before its length does.
pub const NEVER: i64 = -1;
/// Tokens that `parity/fixtures/llava.py` generates.
pub const N_NEW_TOKENS: usize = 24;

/// The tensors of one golden file.
pub struct Golden {
    tensors: BTreeMap<String, Tensor>,
}

impl Golden {
    pub fn open(folder: &Path, file: &str) -> Self {
        let tensors = tensor_file::read(&folder.join(file)).expect("a golden file");
        Self { tensors }
    }

    /// The same tensors on a device.
    pub fn on(&self, device: Device) -> Self {
        let moved = self.tensors.iter();
        let tensors = moved.map(|(name, tensor)| (name.clone(), tensor.to_device(device)));
        Self {
            tensors: tensors.collect(),
        }
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("the golden file has no `{name}`"))
    }

    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Rows of a `[batch, len]` i64 tensor where the attention mask says that a token is real.
    pub fn real_rows(&self, name: &str) -> Vec<Vec<i64>> {
        let (values, mask) = (rows(self.get(name)), rows(self.get("attention_mask")));
        let real = |(row, mask): (Vec<i64>, Vec<i64>)| {
            row.into_iter()
                .zip(mask)
                .filter(|&(_, real)| real == 1)
                .map(|(value, _)| value)
                .collect()
        };
        values.into_iter().zip(mask).map(real).collect()
    }

    /// The batch as candor builds it from unpadded samples. It must be the batch that transformers was given.
    pub fn batch(&self) -> Batch {
        let batch = padded_right(self);
        assert_eq!(&batch.ids, self.get("input_ids"), "padding differs");
        batch
    }

    /// Names and values of the gradients.
    pub fn gradients(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix("grad.")?, tensor)))
    }
}

/// What transformers of today calls a tensor of an adapter.
pub fn peft_name(case: &str, name: &str) -> String {
    let (deep, projector, tower) = if case.starts_with("qwen/") {
        (
            "model.visual.deepstack_merger_list.",
            "model.visual.merger.",
            "model.visual.",
        )
    } else {
        ("", "model.multi_modal_projector.", "")
    };
    let spelled = [
        ("language_model.model.", "model.language_model."),
        ("vision_tower.vision_model.", "model.vision_tower."),
        ("vision_tower.", tower),
        ("multi_modal_projector.deepstack.", deep),
        ("multi_modal_projector.", projector),
    ];
    let renamed = spelled.into_iter().find_map(|(here, there)| {
        let rest = name.strip_prefix(here)?;
        Some(format!("base_model.model.{there}{rest}"))
    });
    renamed.expect("a name of decoder, projector or tower")
}

pub fn golden_folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(case)
}

/// The features of all images of a golden file, one by one: of sizes of their own, in views, or of one size.
pub fn features(model: &Vlm, golden: &Golden) -> Vec<Features> {
    let own = (0..).map_while(|at| golden.find(&format!("picture.{at}")));
    let own = own.map(|image| model.image_features(&image.unsqueeze(0)));
    let views = (0..).map_while(|at| golden.find(&format!("views.{at}")));
    let views = views.enumerate().map(|(at, views)| match views.size()[0] {
        1 => model.image_features(views),
        _ => model.view_features(&views.unsqueeze(0), own_size(golden, at)),
    });
    let each: Vec<Features> = own.chain(views).collect();
    match golden.find("pixel_values") {
        Some(pixels) if each.is_empty() => {
            let all = model.image_features(pixels);
            (0..all.n_images()).map(|at| all.image(at)).collect()
        }
        _ => each,
    }
}

/// The size of an image before it was cut into views.
fn own_size(golden: &Golden, at: usize) -> ImageSize {
    let [height, width] = rows(golden.get("image_sizes"))[at][..] else {
        panic!("a height and a width");
    };
    ImageSize {
        width: width as u32,
        height: height as u32,
    }
}

/// The prompts of `generate.safetensors` without their padding, each with the features of its own images.
pub fn queries(model: &Vlm, golden: &Golden) -> Vec<Query> {
    let mut images = features(model, golden).into_iter();
    let image = model.config().image_token();
    let rows = golden.real_rows("input_ids").into_iter();
    let queries = rows.map(|ids| {
        let mut left = ids.iter().filter(|&&id| id == image).count();
        let mut own = Vec::new();
        while left > 0 {
            let image = images.next().expect("an image for each span");
            left -= image.n_tokens();
            own.push(image);
        }
        Query {
            ids,
            features: Features::cat(&own),
            image: None,
        }
    });
    queries.collect()
}

/// The most likely responses; `eos` may be [`NEVER`].
pub fn greedy(
    model: &Vlm,
    adapter: Option<&Adapter>,
    queries: &[Query],
    batch_rows: usize,
    eos: i64,
) -> Vec<Response> {
    let decoding = Decoding {
        max_new_tokens: N_NEW_TOKENS,
        temperature: 0.0,
        top_p: 1.0,
        ends: eos.into(),
    };
    generate(model, adapter, queries, 1, batch_rows, decoding, |_, _| {
        unreachable!("greedy decoding draws nothing")
    })
    .expect("finite logits")
}

/// Compares ids exactly and log-probabilities to [`ABSOLUTE`].
pub fn assert_responses(case: &str, what: &str, found: &[Response], golden: &Golden, part: &str) {
    let ids = rows(golden.get(&format!("{part}.new_ids")));
    let logprobs =
        Vec::<Vec<f64>>::try_from(golden.get(&format!("{part}.logprobs"))).expect("a matrix");
    assert_eq!(found.len(), ids.len());
    let mut worst = 0.0_f64;
    for (row, response) in found.iter().enumerate() {
        let len = response.ids.len();
        assert_eq!(response.ids, ids[row][..len], "{case}: {what}, row {row}");
        assert!(
            ids[row][len..].iter().all(|id| PADS.contains(id)),
            "{case}: {what}, row {row} ends too early"
        );
        assert_eq!(response.logprobs.len(), len);
        for (found, expected) in response.logprobs.iter().zip(&logprobs[row]) {
            worst = worst.max((f64::from(*found) - expected).abs());
        }
    }
    report(case, &format!("{what}: ids identical; logprobs"), worst);
    assert!(
        worst <= ABSOLUTE,
        "{case}: {what}: log-probabilities differ by {worst}"
    );
}

pub fn open_model(case: &str) -> Vlm {
    Vlm::open(&golden_folder(case), Device::Cpu, Kind::Float).expect("the checkpoint opens")
}

/// A `[batch, len]` i64 tensor as rows.
pub fn rows(tensor: &Tensor) -> Vec<Vec<i64>> {
    Vec::<Vec<i64>>::try_from(tensor).expect("a matrix of i64")
}

/// Largest absolute difference, and the same relative to the largest expected entry.
pub fn difference(found: &Tensor, expected: &Tensor) -> (f64, f64) {
    assert_eq!(found.size(), expected.size());
    let largest = |t: &Tensor| t.to_kind(Kind::Double).abs().max().double_value(&[]);
    let absolute = largest(&(found.detach() - expected));
    // NaN compares as false everywhere, so it would pass any test that asks "too far?".
    assert!(absolute.is_finite(), "not a number");
    (
        absolute,
        absolute / largest(expected).max(f64::MIN_POSITIVE),
    )
}

/// Prints a line of the parity table and fails beyond [`ABSOLUTE`].
pub fn assert_absolute(case: &str, what: &str, found: &Tensor, expected: &Tensor) {
    let (absolute, relative) = difference(found, expected);
    report_relative(case, what, absolute, relative);
    assert!(absolute <= ABSOLUTE, "{case}: {what} differs by {absolute}");
}

/// Prints a line of the parity table and fails beyond [`RELATIVE`].
pub fn assert_relative(case: &str, what: &str, found: &Tensor, expected: &Tensor) {
    let (absolute, relative) = difference(found, expected);
    report_relative(case, what, absolute, relative);
    assert!(
        relative <= RELATIVE,
        "{case}: {what} differs by {relative} of its size"
    );
}

/// Compares the gradient of every trainable tensor; one line with the largest differences of all.
///
/// They come under the golden file's names, undefined where there is none. A tensor that the loss does not reach
/// must have no gradient here either. The bias of a key projection moves all scores of a row alike, so its
/// gradient is zero in exact arithmetic and rounding noise on both sides: it must be a hundred-thousandth of the
/// model's largest gradient at most.
pub fn assert_gradients(
    case: &str,
    what: &str,
    golden: &Golden,
    gradients: impl Iterator<Item = (String, Tensor)>,
) {
    let expected: BTreeMap<&str, &Tensor> = golden.gradients().collect();
    let largest = |t: &Tensor| t.abs().max().double_value(&[]);
    let noise = expected.values().map(|t| largest(t)).fold(0.0, f64::max) * 1e-5;
    let (mut worst_absolute, mut worst_relative, mut n_compared) = (0.0_f64, 0.0_f64, 0);
    for (name, gradient) in gradients {
        let Some(expected) = expected.get(name.as_str()) else {
            let reached = gradient.defined() && largest(&gradient) > 0.0;
            assert!(
                !reached,
                "{case}: `{name}` has a gradient, and has none in the reference"
            );
            continue;
        };
        assert!(gradient.defined(), "{case}: `{name}` has no gradient");
        n_compared += 1;
        let (absolute, relative) = difference(&gradient, expected);
        worst_absolute = worst_absolute.max(absolute);
        if name.starts_with("vision_tower") && name.ends_with("k_proj.bias") {
            assert!(
                largest(&gradient) <= noise && largest(expected) <= noise,
                "{case}: `{name}` is not noise"
            );
            continue;
        }
        assert!(
            relative <= RELATIVE,
            "{case}: the gradient of `{name}` differs by {relative} of its size"
        );
        worst_relative = worst_relative.max(relative);
    }
    assert_eq!(
        n_compared,
        expected.len(),
        "{case}: every gradient of the reference is compared"
    );
    report_relative(
        case,
        &format!("{what} of {n_compared} tensors"),
        worst_absolute,
        worst_relative,
    );
}

/// Prints a line of the parity table.
pub fn report_relative(case: &str, what: &str, absolute: f64, relative: f64) {
    println!("parity: {case} {what} max_abs={absolute:.1e} rel={relative:.1e}");
}

/// Prints a line of the parity table that has no scale to be relative to.
pub fn report(case: &str, what: &str, absolute: f64) {
    println!("parity: {case} {what} max_abs={absolute:.1e}");
}

/// Logits at real positions, `[n_real, vocab]`.
pub fn at_real_positions(golden: &Golden, logits: &Tensor) -> Tensor {
    let mask = golden.get("attention_mask").eq(1);
    logits
        .masked_select(&mask.unsqueeze(-1))
        .reshape([-1, logits.size()[2]])
}

/// The rows without their padding, padded on the right as candor does it.
pub fn padded_right(golden: &Golden) -> Batch {
    let rows = golden.real_rows("input_ids").into_iter();
    let samples: Vec<Sample> = rows
        .zip(golden.real_rows("labels"))
        .map(|(ids, labels)| Sample {
            id: "golden".to_owned(),
            image: None,
            ids,
            labels,
        })
        .collect();
    Batch::new(&samples.iter().collect::<Vec<_>>(), 0, Device::Cpu)
}

/// Logits of such a batch at the tokens that are real, `[n_real, vocab]`, row by row.
pub fn of_real_rows(golden: &Golden, logits: &Tensor) -> Tensor {
    let lens = golden
        .real_rows("input_ids")
        .into_iter()
        .map(|row| row.len() as i64);
    let rows: Vec<Tensor> = lens
        .enumerate()
        .map(|(row, len)| logits.get(row as i64).narrow(0, 0, len))
        .collect();
    Tensor::cat(&rows, 0)
}

/// Mean cross-entropy of the batch's targets given final hidden states, for a pass to go back from and to return.
pub fn loss(model: &Vlm, batch: &Batch, hidden: &Tensor) -> (Tensor, Tensor) {
    let logits = model.decoder().logits(&batch.at_positions(hidden));
    let loss = logits.cross_entropy_for_logits(&batch.targets);
    let value = loss.detach();
    (loss, value)
}
