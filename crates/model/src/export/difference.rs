//! What merging changes: an adapter beside its base, and the merged model, asked the same.
//!
//! The terms that can be switched on and off are computed beside their layers. What an adapter changes elsewhere takes effect
//! in the opened base's own weights, in memory, so that of those layers no rounding shows, only that they are the right ones.
//!
//! In exact arithmetic both are one. What differs is the rounding of the merged weights to the type that is written,
//! which for bf16 has eight bits, and the order of sums.

use std::path::Path;

use candor_data::{Conversation, Turn};
use tch::{Device, Kind, Tensor};

use super::tensors::merged as with_term;
use crate::image_tokens::ImageTokens;
use crate::llama::decoder::{EMBEDDING, HEAD};
use crate::peft::PeftFolder;
use crate::peft::paths::{is_of_vision, slot_of};
use crate::sample::{Sample, SampleRules};
use crate::{Adapter, Bundle, ModelError, ModelFolder, Vlm};

const QUESTION: &str =
    "<image>\nDescribe everything that can be seen in this picture, and where it is.";

/// Logits of one prompt with a grey image, compared at every position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The largest difference.
    pub largest: f64,
    /// The largest logit of the unmerged model, for scale.
    pub logit: f64,
    /// Type of the weights and the arithmetic.
    pub kind: Kind,
}

/// The logits of a merged model.
///
/// # Shapes
/// → `[1, len, vocab]` f64.
pub(super) fn merged(folder: &Path, device: Device, kind: Kind) -> Result<Tensor, ModelError> {
    logits(&Bundle::open(folder, device, kind)?, None, None)
}

/// Opens what was merged, and compares with the logits after it.
pub(super) fn measure(
    base: &ModelFolder,
    peft: &PeftFolder,
    merged: &Tensor,
    device: Device,
    kind: Kind,
) -> Result<Difference, ModelError> {
    let unmerged = {
        let bundle = Bundle::load(base.clone(), device, kind)?;
        let adapter = Adapter::of_fitting(peft, &bundle.model)?;
        let head = change_outside_blocks(&bundle.model, peft)?;
        logits(&bundle, Some(&adapter), head.as_ref())?
    };
    // A format may have given the placeholder a row.
    let merged = merged.narrow(-1, 0, unmerged.size()[2]);
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    Ok(Difference {
        largest: largest(&(merged - &unmerged)),
        logit: largest(&unmerged),
        kind,
    })
}

/// Changes what the adapter changes besides terms that can be switched on and off. Returns the output layer where it is the
/// embedding in the base, since the adapter may change one and not the other.
///
/// # Shapes
/// → `[vocab, width]`.
fn change_outside_blocks(model: &Vlm, peft: &PeftFolder) -> Result<Option<Tensor>, ModelError> {
    let tied = model.config().tied();
    let changed = |name: &str, tensor: &Tensor| -> Result<Option<Tensor>, ModelError> {
        let whole = peft.whole_tensor(name, tied)?;
        let whole = whole.map(|whole| whole.to_device(tensor.device()));
        let layer = name.strip_suffix(".weight");
        let layer = layer.filter(|layer| slot_of(layer).is_none() && !is_of_vision(layer));
        let Some(term) = layer.and_then(|layer| peft.terms().get(layer)) else {
            return Ok(whole);
        };
        let halves = peft.halves(term)?;
        let halves = halves.map(|half| half.to_device(tensor.device()));
        let weight = whole.unwrap_or_else(|| tensor.shallow_clone());
        Ok(Some(with_term(&weight, term, &halves)))
    };
    let mut head = None;
    if tied && let Some(embedding) = model.parameters().get(EMBEDDING) {
        let own = changed(HEAD, embedding)?.unwrap_or_else(|| embedding.copy());
        head = Some(own.to_kind(embedding.kind()));
    }
    for (name, tensor) in model.parameters() {
        if let Some(changed) = changed(name, tensor)? {
            tensor.shallow_clone().copy_(&changed);
        }
    }
    Ok(head)
}

/// # Shapes
/// `head`: `[vocab, width]`, in the place of the model's output layer → `[1, len, vocab]` f64.
fn logits(
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    head: Option<&Tensor>,
) -> Result<Tensor, ModelError> {
    let conversation = Conversation {
        id: "merging".to_owned(),
        image: Some("grey".to_owned()),
        turns: vec![Turn::human(QUESTION)],
    };
    let model = &bundle.model;
    let side = model.config().tower_sizes().image_size;
    let options = (model.decoder().kind(), model.device());
    let grey = Tensor::zeros([1, 3, side, side], options);
    let features = tch::no_grad(|| model.image_features(&grey));
    let rules = SampleRules {
        images: ImageTokens::Each(features.n_tokens()),
        ..bundle.rules(usize::MAX, Path::new(""))
    };
    let sample = Sample::new(&conversation, rules)?;
    tch::no_grad(|| {
        let ids = Tensor::from_slice(&sample.ids)
            .unsqueeze(0)
            .to_device(model.device());
        let hidden = model.hidden(&model.embed(&ids, Some(&features), adapter), adapter);
        let logits = match head {
            Some(head) => hidden.linear::<&Tensor>(head, None),
            None => model.decoder().logits(&hidden),
        };
        Ok(logits.to_kind(Kind::Double))
    })
}
