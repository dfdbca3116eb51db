//! What merging changes: an adapter beside its base, and the merged model, asked the same.
//!
//! In exact arithmetic both are one. What differs is the rounding of the merged weights to the type that is written,
//! which for bf16 has eight bits, and the order of sums.

use std::path::Path;

use candor_data::{Conversation, Turn};
use tch::{Device, Kind, Tensor};

use crate::peft::PeftFolder;
use crate::sample::Sample;
use crate::{Adapter, Bundle, ModelError, ModelFolder};

const QUESTION: &str =
    "<image>\nDescribe everything that can be seen in this picture, and where it is.";

/// Logits of one prompt with a grey picture, compared at every position.
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
    logits(&Bundle::open(folder, device, kind)?, None)
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
        let config = bundle.model.config();
        let adapter = Adapter::of_peft(peft, &config.text_config, device)?;
        logits(&bundle, Some(&adapter))?
    };
    // A dialect may have given the placeholder a row.
    let merged = merged.narrow(-1, 0, unmerged.size()[2]);
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    Ok(Difference {
        largest: largest(&(merged - &unmerged)),
        logit: largest(&unmerged),
        kind,
    })
}

/// # Shapes
/// → `[1, len, vocab]` f64.
fn logits(bundle: &Bundle, adapter: Option<&Adapter>) -> Result<Tensor, ModelError> {
    let conversation = Conversation {
        id: "merging".to_owned(),
        image: Some("grey".to_owned()),
        turns: vec![Turn::human(QUESTION)],
    };
    let sample = Sample::new(&conversation, bundle.rules(usize::MAX))?;
    let model = &bundle.model;
    let side = model.config().vision_config.image_size;
    tch::no_grad(|| {
        let options = (model.decoder().kind(), model.device());
        let features = model.image_features(&Tensor::zeros([1, 3, side, side], options));
        let ids = Tensor::from_slice(&sample.ids)
            .unsqueeze(0)
            .to_device(model.device());
        let hidden = model.hidden(&model.embed(&ids, Some(&features)), adapter);
        Ok(model.decoder().logits(&hidden).to_kind(Kind::Double))
    })
}
