//! Messages of a request as turns of a conversation.
//!
//! The parts of a message stand in their order, one a line, with `<image>` for each image. A chat template of the model's
//! own decides what becomes of that order; for the built-in formats, whose models were trained so, images stand first.

use candor_data::{Speaker, Turn};
use serde_json::Value;

use super::fields::{Fields, expected, list, text};
use super::refusal::Refusal;

/// What stands in a turn where an image goes.
const IMAGE: &str = "<image>";
/// Messages of a request.
const MAX_MESSAGES: usize = 1024;
/// Images of a request.
const MAX_IMAGES: usize = 16;

/// An image of a request that has not been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageLink {
    /// The field that it stands in.
    pub place: String,
    /// A `data:` URL, or an address.
    pub url: String,
}

/// A conversation as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Messages {
    /// The system sentence; the template's own if absent.
    pub system: Option<String>,
    /// Alternating turns, a human one first.
    pub turns: Vec<Turn>,
    /// In the order of their places in the turns.
    pub images: Vec<ImageLink>,
}

impl Messages {
    /// Reads the messages, of which `last` speaks last.
    pub(crate) fn read(value: Value, last: Speaker) -> Result<Self, Refusal> {
        let messages = list(value, "messages")?;
        if messages.len() > MAX_MESSAGES {
            let found = messages.len();
            let message =
                format!("`messages` has {found} entries, expected at most {MAX_MESSAGES}");
            return Err(Refusal::field("messages", message));
        }
        let mut read = Self::default();
        for (at, message) in messages.into_iter().enumerate() {
            read.push(Fields::of(message, format!("messages[{at}]"))?, at)?;
        }
        let speaks = read.turns.last().map(|turn| turn.from);
        if speaks != Some(last) {
            let role = role_of(last);
            return Err(Refusal::field(
                "messages",
                format!("`messages` must end with a message of the role `{role}`"),
            ));
        }
        if read.images.len() > MAX_IMAGES {
            let found = read.images.len();
            let message = format!("`messages` shows {found} images, expected at most {MAX_IMAGES}");
            return Err(Refusal::field("messages", message));
        }
        Ok(read)
    }

    /// Refuses words that the model's tokenizer reads as tokens of its template, of which `specials` are all: who writes them
    /// would speak for another role. Of the turns the first `n_turns` are looked at; the places of images in them are no words of
    /// a message.
    pub(crate) fn check_words(&self, n_turns: usize, specials: &[String]) -> Result<(), Refusal> {
        let turns = self.turns[..n_turns].iter().map(|turn| &turn.value);
        // Every message is the system's or a turn.
        for (at, words) in self.system.iter().chain(turns).enumerate() {
            let specials = specials.iter().filter(|special| *special != IMAGE);
            only_words(words, &format!("messages[{at}].content"), specials)?;
        }
        Ok(())
    }

    /// Puts the images of every turn before its words.
    pub(crate) fn put_images_first(&mut self) {
        for turn in &mut self.turns {
            let lines = turn.value.split('\n');
            let (images, words): (Vec<&str>, Vec<&str>) = lines.partition(|line| *line == IMAGE);
            let places = format!("{IMAGE}\n").repeat(images.len());
            turn.value = format!("{places}{}", words.join("\n").trim());
        }
    }

    fn push(&mut self, mut message: Fields, at: usize) -> Result<(), Refusal> {
        let role_path = message.path("role");
        let role = text(message.required("role")?, &role_path)?;
        message.pass_over(&["name"]);
        message.neutral("tool_calls", is_empty, "there are no tools")?;
        message.neutral("refusal", |_| false, "leave it out")?;
        let content_path = message.path("content");
        let content = message.required("content")?;
        message.end()?;
        let parts = parts(content, &content_path)?;
        let words: Vec<&str> = parts.iter().filter_map(Part::words).collect();
        let words = words.join("\n");
        if words.contains(IMAGE) {
            let message = format!(
                "`{content_path}` holds `{IMAGE}`, which stands for an image; leave the word out"
            );
            return Err(Refusal::field(content_path, message));
        }
        let speaker = match role.as_str() {
            "system" | "developer" => {
                if at > 0 {
                    let message =
                        format!("`{role_path}`: only the first message may be the system's");
                    return Err(Refusal::field(role_path, message));
                }
                no_images(&parts, &role)?;
                self.system = Some(words);
                return Ok(());
            }
            "user" => Speaker::Human,
            "assistant" => Speaker::Gpt,
            _ => {
                let message = format!(
                    "`{role_path}` is none of `system`, `developer`, `user` and `assistant`; there are no tools"
                );
                return Err(Refusal::field(role_path, message));
            }
        };
        let expected = if self.turns.len().is_multiple_of(2) {
            Speaker::Human
        } else {
            Speaker::Gpt
        };
        if speaker != expected {
            let role = role_of(expected);
            let message = format!(
                "`{role_path}`: user and assistant take turns, and it is the turn of `{role}`; join messages that \
                 follow each other"
            );
            return Err(Refusal::field(role_path, message));
        }
        if speaker == Speaker::Gpt {
            no_images(&parts, &role)?;
            self.turns.push(Turn::gpt(words.trim()));
            return Ok(());
        }
        if words.trim().is_empty() {
            let message = format!("`{content_path}` has no words; ask something");
            return Err(Refusal::field(content_path, message));
        }
        let lines = parts.iter().map(|part| part.words().unwrap_or(IMAGE));
        let lines: Vec<&str> = lines.collect();
        self.turns.push(Turn::human(lines.join("\n").trim()));
        self.images
            .extend(parts.into_iter().filter_map(Part::image));
        Ok(())
    }
}

/// A part of a content.
enum Part {
    Words(String),
    Image(ImageLink),
}

impl Part {
    fn words(&self) -> Option<&str> {
        match self {
            Self::Words(words) => Some(words),
            Self::Image(_) => None,
        }
    }

    fn image(self) -> Option<ImageLink> {
        match self {
            Self::Words(_) => None,
            Self::Image(image) => Some(image),
        }
    }
}

/// Refuses a text that holds one of `specials`.
pub(crate) fn only_words<'a>(
    words: &str,
    path: &str,
    specials: impl IntoIterator<Item = &'a String>,
) -> Result<(), Refusal> {
    let mut specials = specials.into_iter();
    let Some(special) = specials.find(|special| words.contains(special.as_str())) else {
        return Ok(());
    };
    let message = format!(
        "`{path}` holds `{special}`, which the model reads as a sign of its own and not as words; leave it out"
    );
    Err(Refusal::field(path, message))
}

fn role_of(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::Human => "user",
        Speaker::Gpt => "assistant",
    }
}

pub(crate) fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn no_images(parts: &[Part], role: &str) -> Result<(), Refusal> {
    for part in parts {
        if let Part::Image(ImageLink { place, .. }) = part {
            let message = format!("`{place}`: only a user shows images, not `{role}`");
            return Err(Refusal::field(place, message));
        }
    }
    Ok(())
}

/// The parts of a content, in their order.
fn parts(content: Value, path: &str) -> Result<Vec<Part>, Refusal> {
    let parts = match content {
        Value::String(text) => return Ok(vec![Part::Words(text)]),
        Value::Array(parts) => parts,
        other => return Err(expected(path, "text or a list of parts", &other)),
    };
    let mut read = Vec::with_capacity(parts.len());
    for (at, part) in parts.into_iter().enumerate() {
        let mut part = Fields::of(part, format!("{path}[{at}]"))?;
        let kind_path = part.path("type");
        let kind = text(part.required("type")?, &kind_path)?;
        match kind.as_str() {
            "text" => {
                let path = part.path("text");
                read.push(Part::Words(text(part.required("text")?, &path)?));
            }
            "image_url" => {
                let place = part.path("image_url");
                let mut link = Fields::of(part.required("image_url")?, place)?;
                let place = link.path("url");
                let url = text(link.required("url")?, &place)?;
                let whole = |detail: &Value| detail == "auto" || detail == "high";
                link.neutral(
                    "detail",
                    whole,
                    "the model sees an image as it was trained to",
                )?;
                link.end()?;
                read.push(Part::Image(ImageLink { place, url }));
            }
            _ => {
                return Err(Refusal::unsupported(
                    &kind_path,
                    format!(
                        "`{kind_path}` is neither `text` nor `image_url`, and nothing else is shown to the model"
                    ),
                ));
            }
        }
        part.end()?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_data::Conversation;
    use candor_model::Template;
    use serde_json::json;

    use super::*;

    fn refused(messages: Value, last: Speaker) -> (Option<String>, String) {
        let refusal = Messages::read(messages, last).unwrap_err();
        (refusal.param, refusal.message)
    }

    #[test]
    fn parts_stay_in_their_order_until_images_are_put_first() {
        let image =
            |name: &str| json!({"type": "image_url", "image_url": {"url": name, "detail": "auto"}});
        let word = |text: &str| json!({"type": "text", "text": text});
        let mut read = Messages::read(
            json!([
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [word("Two walls."), image("data:a"), image("data:b"), word("Which is red?")]},
                {"role": "assistant", "content": " The first. "},
                {"role": "user", "content": [image("data:c"), word(" And this? ")]},
            ]),
            Speaker::Human,
        )
        .unwrap();
        assert_eq!(read.system.as_deref(), Some("Be brief."));
        assert_eq!(
            read.turns[0].value,
            "Two walls.\n<image>\n<image>\nWhich is red?"
        );
        read.put_images_first();
        assert_eq!(
            read.turns,
            [
                Turn::human("<image>\n<image>\nTwo walls.\nWhich is red?"),
                Turn::gpt("The first."),
                Turn::human("<image>\nAnd this?"),
            ]
        );
        let places: Vec<&str> = read
            .images
            .iter()
            .map(|image| image.place.as_str())
            .collect();
        assert_eq!(
            places,
            [
                "messages[1].content[1].image_url.url",
                "messages[1].content[2].image_url.url",
                "messages[3].content[0].image_url.url",
            ]
        );
    }

    #[test]
    fn a_template_decides_where_images_stand_among_the_words() {
        let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
        let word = |text: &str| json!({"type": "text", "text": text});
        let content = [
            word("A:"),
            image("data:a"),
            word("B:"),
            image("data:b"),
            word("Which is red?"),
        ];
        let messages = json!([{"role": "user", "content": content}]);
        let read = Messages::read(messages, Speaker::Human).unwrap();
        let conversation = Conversation {
            id: "x".to_owned(),
            image: Some("x".to_owned()),
            turns: read.turns,
        };
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden");
        let rendered = |folder: &str| {
            let template = Template::of_folder(&golden.join(folder)).unwrap();
            template.render(&conversation).unwrap().text
        };
        let seen = "<|vision_start|><|image_pad|><|vision_end|>";
        let asked = format!("<|im_start|>user\nA:{seen}B:{seen}Which is red?<|im_end|>\n");
        let qwen = rendered("qwen/folders/published");
        assert!(qwen.contains(&asked), "{qwen}");
        let llava = rendered("dialects/hf_published_336");
        let asked = "USER: <image>\n<image>\nA: B: Which is red? ASSISTANT:";
        assert!(llava.ends_with(asked), "{llava}");
    }

    #[test]
    fn a_refusal_names_the_field() {
        let user = |content: Value| json!([{"role": "user", "content": content}]);
        let cases = [
            (json!("Hi"), "messages", "is text, expected a list"),
            (
                json!([]),
                "messages",
                "must end with a message of the role `user`",
            ),
            (json!(["Hi"]), "messages[0]", "is text, expected an object"),
            (json!([{"content": "Hi"}]), "messages[0].role", "is missing"),
            (
                json!([{"role": "user"}]),
                "messages[0].content",
                "is missing",
            ),
            (
                json!([{"role": "tool", "content": "Hi"}]),
                "messages[0].role",
                "none of",
            ),
            (
                json!([{"role": "assistant", "content": "Hi"}]),
                "messages[0].role",
                "the turn of `user`",
            ),
            (user(json!(" ")), "messages[0].content", "has no words"),
            (
                user(json!("an <image>")),
                "messages[0].content",
                "leave the word out",
            ),
            (
                user(json!(3)),
                "messages[0].content",
                "is 3, expected text or a list",
            ),
            (
                user(json!([{"type": "input_audio"}])),
                "messages[0].content[0].type",
                "neither",
            ),
            (
                user(json!([{"type": "text", "text": "Hi", "cache_control": {}}])),
                "messages[0].content[0].cache_control",
                "not known here",
            ),
            (
                user(
                    json!([{"type": "image_url", "image_url": {"url": "data:", "detail": "low"}}]),
                ),
                "messages[0].content[0].image_url.detail",
                "not supported",
            ),
            (
                json!([{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]),
                "messages[1].role",
                "only the first",
            ),
        ];
        for (messages, place, words) in cases {
            let (param, message) = refused(messages, Speaker::Human);
            assert_eq!(param.as_deref(), Some(place), "{message}");
            assert!(message.contains(words), "{words}: {message}");
        }
    }
}
