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
    let config = bundle.model.config();
    let n_tokens = fitted.iter().map(|image| config.n_tokens_of_fitted(image));
    let n_tokens: Vec<usize> = n_tokens.collect();
    // Before the tower sees an image: all that may be refused is known without.
    let ids = conversation_ids(bundle, template, turns, &n_tokens)?;
    let features = tch::no_grad(|| encode(bundle, &fitted));
    Ok(Query {
        ids,
        features: Features::cat(&features),
        image: (!names.is_empty()).then(|| names.join(" ")),
    })
}

/// The token ids of a conversation, one placeholder for each token of an image; `images` are how many each has.
pub(crate) fn conversation_ids(
    bundle: &Bundle,
    template: &Template,
    turns: &[Turn],
    images: &[usize],
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
    let positions = bundle.model.n_positions();
    let no_room = |what: String| {
        let problem =
            format!("{what} leave no room for an answer in the model's {positions} positions");
        Err(refuse(problem, "begin a new conversation, or ask for less"))
    };
    let n_image_tokens: usize = images.iter().sum();
    if n_image_tokens >= positions {
        return no_room(format!("{n_image_tokens} tokens of images"));
    }
    let text = template.render(&conversation)?.text;
    let n_bytes = text.len();
    if tokenizer
        .most_bytes(positions)
        .is_some_and(|most| n_bytes > most)
    {
        return no_room(format!("{n_bytes} bytes of text"));
    }
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
        std::iter::repeat_n(id, image.copied().unwrap_or(1))
    };
    let ids: Vec<i64> = encoded.into_iter().flat_map(spread).collect();
    if ids.len() >= positions {
        return no_room(format!("{} tokens", ids.len()));
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

#[cfg(test)]
mod tests {
    use candor_data::image::ImageSize;
    use tch::{Device, Kind};

    use super::*;
    use crate::IMAGE;

    /// A Qwen2.5-VL of 512 positions, a token for each 28 × 28 pixels.
    fn bundle() -> Bundle {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/qwen/folders/published");
        Bundle::open(&folder, Device::Cpu, Kind::Float).unwrap()
    }

    /// Sixteen images of so many pixels a side, which have these bytes.
    fn asked(bundle: &Bundle, side: u32, bytes: &[u8], words: &str) -> Result<Query, String> {
        let alone = Fitted {
            size: ImageSize {
                width: side,
                height: side,
            },
            own: None,
            bytes: bytes.to_vec(),
        };
        let image = ShownImage {
            name: "x".to_owned(),
            alone,
            among: None,
        };
        let turns = [Turn::human(format!("{}{words}", IMAGE.repeat(16)))];
        let query = conversation_query(bundle, &bundle.template, &turns, vec![image; 16]);
        query.map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_never_fit_is_refused_before_the_tower_sees_it() {
        let bundle = bundle();
        // 128 by 128 tokens each; the tower would find no pixels.
        let message = asked(&bundle, 3584, &[], "Hi").unwrap_err();
        assert!(
            message.contains("262144 tokens of images leave no room") && message.contains("512"),
            "{message}"
        );
        // No token of its vocabulary stands for 100 bytes, and none is read to know that this does not fit.
        let message = asked(&bundle, 112, &[], &"x".repeat(200_000)).unwrap_err();
        assert!(message.contains("bytes of text leave no room"), "{message}");
        // 4 by 4 tokens each.
        let query = asked(&bundle, 112, &vec![0; 3 * 112 * 112], "Hi").unwrap();
        let image = bundle.tokenizer.image;
        let n_places = query.ids.iter().filter(|&&id| id == image).count();
        assert_eq!(n_places, 256);
        assert_eq!(query.features.unwrap().n_tokens(), 256);
    }
}
