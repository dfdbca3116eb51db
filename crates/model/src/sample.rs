//! From a conversation to token ids and labels, and from samples to a batch.
//!
//! Here the host checks what the device must be able to trust: the placeholders of an image are as many as
//! its features, and no sequence is longer than allowed.

mod packed;

use candor_data::rows::{Reason, RowFault};
use candor_data::{Conversation, shown};
use tch::{Device, Tensor};

use crate::ModelError;
pub use crate::continuations::Continuations;
use crate::image_tokens::ImageTokens;
use crate::plain_words::plain_turns;
use crate::template::{Rendered, Template};
use crate::tokenizer::{IMAGE, Tokenizer};
use crate::transfer::together;

/// Label of positions that are not trained on.
pub const IGNORE: i64 = -100;

/// A tokenised conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Which conversation this is.
    pub id: String,
    /// The images, where there are any ([`candor_data::shown`]).
    pub image: Option<String>,
    /// Token ids, one placeholder for each token of an image.
    pub ids: Vec<i64>,
    /// The id itself where the assistant speaks, [`IGNORE`] elsewhere; not shifted.
    pub labels: Vec<i64>,
}

/// Samples of one pass, padded on the right.
#[derive(Debug)]
pub struct Batch {
    /// `[batch, len]` i64.
    pub ids: Tensor,
    /// Flat indices into `[batch · len]` of the positions whose next token is trained on, `[n_targets]` i64.
    pub positions: Tensor,
    /// The tokens that come next at those positions, `[n_targets]` i64.
    pub targets: Tensor,
}

/// What [`Sample::new`] needs to know of a model.
#[derive(Debug, Clone, Copy)]
pub struct SampleRules<'a> {
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// How turns become text.
    pub template: &'a Template,
    /// Tokens that images take.
    pub images: ImageTokens<'a>,
    /// Longest sequence allowed.
    pub max_tokens: usize,
}

impl SampleRules<'_> {
    /// Renders a conversation in whose turns the spellings of special tokens are words like others, but for `<image>`.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render(self, conversation: &Conversation) -> Result<Rendered, ModelError> {
        match plain_turns(conversation, self.tokenizer) {
            Some(plain) => self.template.render(&plain),
            None => self.template.render(conversation),
        }
    }
}

impl Sample {
    /// Tokenises a conversation.
    ///
    /// # Errors
    /// The template refuses the conversation, the text names more or fewer images than there are, or the sequence is
    /// too long.
    pub fn new(conversation: &Conversation, rules: SampleRules<'_>) -> Result<Self, ModelError> {
        Self::of_rendered(conversation, &rules.render(conversation)?, rules)
    }

    /// Tokenises a conversation that was rendered already by [`SampleRules::render`], and possibly given more words at its end.
    ///
    /// # Errors
    /// As [`Sample::new`].
    pub fn of_rendered(
        conversation: &Conversation,
        rendered: &Rendered,
        rules: SampleRules<'_>,
    ) -> Result<Self, ModelError> {
        let refuse = |reason, found: String, remedy: &'static str| ModelError::Row {
            sample: conversation.id.clone(),
            fault: Box::new(RowFault::new(reason, "conversations", found, remedy)),
        };
        if let Some((found, remedy)) = stray_word(conversation, rules.tokenizer) {
            return Err(refuse(Reason::PlaceholderCount, found, remedy));
        }
        let encoded = rules.tokenizer.encode(&rendered.text)?;
        let image = rules.tokenizer.image;
        let names = conversation.image.as_deref().into_iter();
        let names: Vec<&str> = names.flat_map(shown::names).collect();
        if names.len() > 1 && rules.images.differ_among_several() {
            return Err(refuse(
                Reason::Template,
                format!("the row has {} images", names.len()),
                "use rows of one image: this model sees an image among several otherwise than alone, which rows of data do not",
            ));
        }
        let n_tokens: Vec<usize> =
            (names.into_iter().map(|name| rules.images.of(name))).collect::<Result<_, _>>()?;
        // Placeholders without a word between them belong together.
        let runs = || {
            encoded
                .ids
                .chunk_by(|&left, &right| left == image && right == image)
        };
        // Some tools write the placeholder as often as the image has tokens: that is one image.
        let mut n_images = 0;
        let in_runs = runs().map(|run| {
            let images = match run {
                [id, ..] if *id != image => 0,
                run if n_tokens.get(n_images) == Some(&run.len()) => 1,
                run => run.len(),
            };
            n_images += images;
            images
        });
        let in_runs: Vec<usize> = in_runs.collect();
        let expected = n_tokens.len();
        if n_images != expected {
            let remedy = if expected > 1 {
                "write `<image>` once for each image of the row, in their order"
            } else {
                "write `<image>` once in the first human turn of a row with an image, and nowhere else"
            };
            return Err(refuse(
                Reason::PlaceholderCount,
                format!(
                    "the text holds {n_images} `<image>` placeholders, but the row has {expected} images"
                ),
                remedy,
            ));
        }
        let marks = rules.tokenizer.image_marks();
        let one_image = |n_tokens: usize| {
            let placeholders = std::iter::repeat_n(image, n_tokens);
            let before = marks.map(|[before, _]| before).into_iter();
            before
                .chain(placeholders)
                .chain(marks.map(|[_, after]| after))
        };
        let of_images: usize = n_tokens.iter().sum();
        let mut ids = Vec::with_capacity(encoded.ids.len() + of_images);
        let mut labels = Vec::with_capacity(ids.capacity());
        let mut spans = encoded.spans.iter();
        let mut left = n_tokens.iter();
        for (run, images) in runs().zip(in_runs) {
            for &n_tokens in left.by_ref().take(images) {
                ids.extend(one_image(n_tokens));
            }
            labels.resize(ids.len(), IGNORE);
            // An image is never trained on; what is left is a single token.
            let Some(&(start, end)) = spans.nth(run.len() - 1).filter(|_| images == 0) else {
                continue;
            };
            let said = |&(from, to): &(usize, usize)| start >= from && end <= to;
            let said = rendered.assistant.iter().any(said);
            ids.push(run[0]);
            labels.push(if said { run[0] } else { IGNORE });
        }
        if ids.len() > rules.max_tokens {
            let of_image = match (of_images, expected) {
                (0, _) => String::new(),
                (n, 1) => format!(" ({n} of them its image)"),
                (n, _) => format!(" ({n} of them its images)"),
            };
            return Err(refuse(
                Reason::TooLong,
                format!(
                    "{} tokens{of_image} are more than the {} allowed",
                    ids.len(),
                    rules.max_tokens
                ),
                "raise data.max_tokens, or shorten or remove the row",
            ));
        }
        Ok(Self {
            id: conversation.id.clone(),
            image: conversation.image.clone(),
            ids,
            labels,
        })
    }

    /// Tokens that are trained on.
    #[must_use]
    pub fn n_targets(&self) -> usize {
        self.labels.iter().skip(1).filter(|&&l| l != IGNORE).count()
    }
}

/// A word that stands for images or videos where no text may have it, and what to do about it.
fn stray_word(
    conversation: &Conversation,
    tokenizer: &Tokenizer,
) -> Option<(String, &'static str)> {
    // A template of another family writes the placeholder for `<image>`; one that is written out stands for nothing.
    let placeholder = tokenizer.placeholder();
    let mut turns = conversation.turns.iter();
    if placeholder != IMAGE && turns.any(|turn| turn.value.contains(placeholder)) {
        return Some((
            format!("the text holds `{placeholder}`, which is the template's to write"),
            "write `<image>` once in the first human turn of a row with an image, and take out the other",
        ));
    }
    let mut turns = conversation.turns.iter();
    let video = turns.find_map(|turn| tokenizer.video_in(&turn.value))?;
    Some((
        format!("the text holds `{video}`, and videos are not shown to models"),
        "take out the rows about videos",
    ))
}

impl Batch {
    /// Pads samples to the longest of them.
    #[must_use]
    pub fn new(samples: &[&Sample], pad: i64, device: Device) -> Self {
        let len = samples.iter().map(|s| s.ids.len()).max().unwrap_or(0);
        let mut ids = vec![pad; samples.len() * len];
        let (mut positions, mut targets) = (Vec::new(), Vec::new());
        for (row, sample) in samples.iter().enumerate() {
            let start = row * len;
            ids[start..start + sample.ids.len()].copy_from_slice(&sample.ids);
            for (at, &label) in sample.labels.iter().enumerate().skip(1) {
                if label != IGNORE {
                    positions.push((start + at - 1) as i64);
                    targets.push(label);
                }
            }
        }
        let shape = [samples.len() as i64, len as i64];
        let [ids, positions, targets] = together(
            [
                Tensor::from_slice(&ids).reshape(shape),
                Tensor::from_slice(&positions),
                Tensor::from_slice(&targets),
            ],
            device,
        );
        Self {
            ids,
            positions,
            targets,
        }
    }

    /// Hidden states at the positions that are trained on.
    ///
    /// # Shapes
    /// `hidden`: `[batch, len, width]` → `[n_targets, width]`.
    pub fn at_positions(&self, hidden: &Tensor) -> Tensor {
        hidden.flatten(0, 1).index_select(0, &self.positions)
    }
}
