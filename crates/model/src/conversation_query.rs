//! A conversation with its images as a prompt to answer.

use std::path::Path;

use candor_data::image::{Fitted, ImageLimits, ImageProcessor, decode_bytes};
use candor_data::{Conversation, DataError, Turn};

use crate::image_features::encode;
use crate::{Bundle, Features, ModelError, Query, Template};

/// What errors call the conversation.
pub(crate) const CHAT: &str = "chat";

/// An image that a conversation shows, fitted and not yet seen by the tower. It is made on any thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownImage {
    /// What it is called; images with one name are the same.
    pub name: String,
    /// Where it is the only one.
    alone: Fitted,
    /// Where it is one of several, if that is something else.
    among: Option<Fitted>,
}

impl ShownImage {
    /// Decodes the JPEG, PNG or WebP in `bytes`; `place` names it in messages.
    ///
    /// # Errors
    /// It is damaged, over the limits, or of a size that the model does not take.
    pub fn decode(
        name: String,
        place: &Path,
        bytes: &[u8],
        limits: &ImageLimits,
        processor: &ImageProcessor,
    ) -> Result<Self, DataError> {
        let image = decode_bytes(place, bytes, limits)?;
        let alone = processor.fit(&image);
        Ok(Self {
            name,
            alone: alone.map_err(|misshapen| misshapen.at(place))?,
            among: processor.fit_among(&image),
        })
    }

    /// As it is seen, `is_one_of_several` or not.
    pub(crate) fn fitted(self, is_one_of_several: bool) -> Fitted {
        match self.among {
            Some(among) if is_one_of_several => among,
            _ => self.alone,
        }
    }
}

/// A prompt of turns that end in a human one, with `<image>` for each image in its place. `template` is the bundle's, with
/// whatever system sentence.
///
/// # Errors
/// A turn holds a placeholder that no image belongs to, the template refuses the turns, or they leave no room for an
/// answer.
pub fn conversation_query(
    bundle: &Bundle,
    template: &Template,
    turns: &[Turn],
    images: Vec<ShownImage>,
) -> Result<Query, ModelError> {
    let several = images.len() > 1;
    let names: Vec<String> = images.iter().map(|image| image.name.clone()).collect();
    let fitted = images.into_iter().map(|image| image.fitted(several));
    let fitted: Vec<Fitted> = fitted.collect();
    let features = tch::no_grad(|| encode(bundle, &fitted));
    Ok(Query {
        ids: conversation_ids(bundle, template, turns, &features)?,
        features: Features::cat(&features),
        image: (!names.is_empty()).then(|| names.join(" ")),
    })
}

/// The token ids of a conversation, one placeholder for each image patch.
pub(crate) fn conversation_ids(
    bundle: &Bundle,
    template: &Template,
    turns: &[Turn],
    images: &[Features],
) -> Result<Vec<i64>, ModelError> {
    let conversation = Conversation {
        id: CHAT.to_owned(),
        image: (!images.is_empty()).then(|| CHAT.to_owned()),
        turns: turns.to_vec(),
    };
    let tokenizer = &bundle.tokenizer;
    let asked = turns.last();
    if let Some(video) = asked.and_then(|turn| tokenizer.video_in(&turn.value)) {
        let problem = format!("the question holds `{video}`, and videos are not shown to models");
        return Err(refuse(problem, "leave the word out of what you write"));
    }
    let text = template.render(&conversation)?.text;
    let encoded = tokenizer.encode(&text)?.ids;
    let n_places = encoded.iter().filter(|&&id| id == tokenizer.image).count();
    if n_places != images.len() {
        let problem = format!(
            "the conversation has {n_places} places for images, but {} were shown",
            images.len()
        );
        let remedy = "leave the word `<image>` out of what you write, and use a template that keeps all turns";
        return Err(refuse(problem, remedy));
    }
    let mut images = images.iter();
    let spread = |id: i64| {
        let image = (id == tokenizer.image).then(|| images.next()).flatten();
        std::iter::repeat_n(id, image.map_or(1, Features::n_tokens))
    };
    let ids: Vec<i64> = encoded.into_iter().flat_map(spread).collect();
    let positions = bundle.model.n_positions();
    if ids.len() >= positions {
        let problem = format!(
            "{} tokens leave no room for an answer in the model's {positions} positions",
            ids.len()
        );
        return Err(refuse(problem, "begin a new conversation, or ask for less"));
    }
    Ok(ids)
}

fn refuse(problem: String, remedy: &'static str) -> ModelError {
    ModelError::Prompt {
        sample: CHAT.to_owned(),
        problem,
        remedy,
    }
}
