//! Messages of a chat, whose content may be a text or a list of parts, and the image among them.

use serde::Deserialize;

use super::refuse;
use crate::conversation::{IMAGE_PLACEHOLDER, Turn};
use crate::formats::table::Fault;
use crate::shown;

/// A text, or a conversation.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of messages")]
pub(super) enum Text {
    Plain(String),
    Messages(Vec<Message>),
}

impl Text {
    /// Messages; a plain text is one of this role.
    pub(super) fn messages(self, role: &str) -> Vec<Message> {
        match self {
            Self::Messages(messages) => messages,
            Self::Plain(text) => vec![Message {
                role: role.to_owned(),
                content: Content::Plain(text),
            }],
        }
    }
}

#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Message {
    pub role: String,
    pub content: Content,
}

#[derive(Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a text or a list of parts with a `type`"
)]
pub(super) enum Content {
    Plain(String),
    Parts(Vec<Part>),
}

/// A part of a message. OpenAI's clients write `image_url`, others `image`, `path` or `url`.
#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    image: Option<Name>,
    #[serde(default)]
    path: Option<Name>,
    #[serde(default)]
    url: Option<Name>,
    #[serde(default)]
    image_url: Option<Name>,
}

impl Part {
    fn is_image(&self) -> bool {
        matches!(self.kind.as_str(), "image" | "image_url")
    }

    fn take_name(&mut self) -> Option<Name> {
        let names = [
            &mut self.image,
            &mut self.path,
            &mut self.url,
            &mut self.image_url,
        ];
        names.into_iter().find_map(Option::take)
    }
}

/// The name of an image: a text, or an object that has it.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected the file name of an image")]
pub(super) enum Name {
    Plain(String),
    Inside {
        #[serde(default)]
        path: Option<String>,
        #[serde(default)]
        url: Option<String>,
    },
}

impl Name {
    fn text(self) -> Result<String, Fault> {
        let name = match self {
            Self::Plain(name) => Some(name),
            Self::Inside { path, url } => path.or(url),
        };
        let Some(name) = name else {
            return refuse("images", "found an image without the name of its file");
        };
        if name.starts_with("data:") {
            let found = "found an image written out as a data: URL, expected the name of its file";
            return refuse("images", found);
        }
        Ok(name)
    }
}

/// The names of images, in a list or alone.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the file names of images")]
pub(super) enum Names {
    One(Name),
    Many(Vec<Name>),
}

impl Names {
    pub(super) fn list(self) -> Vec<Result<String, Fault>> {
        let names = match self {
            Self::One(name) => vec![name],
            Self::Many(names) => names,
        };
        names.into_iter().map(Name::text).collect()
    }
}

impl Content {
    /// The text, with a placeholder for each image on a line of its own, as LLaVA has it. Where there are blanks between
    /// images and words already, they are all that there is.
    pub(super) fn text(&self) -> Result<String, Fault> {
        let parts = match self {
            Self::Plain(text) => return Ok(text.clone()),
            Self::Parts(parts) => parts,
        };
        let texts = parts
            .iter()
            .map(|part| match (part.kind.as_str(), &part.text) {
                _ if part.is_image() => Ok(IMAGE_PLACEHOLDER),
                ("text", Some(text)) => Ok(text.as_str()),
                (kind, _) => refuse(
                    "content",
                    format!("found a part of type {kind:?} without text, expected text and image"),
                ),
            });
        let texts = texts.collect::<Result<Vec<_>, Fault>>()?;
        let is_spaced =
            (1..parts.len()).any(|i| match [parts[i - 1].is_image(), parts[i].is_image()] {
                [true, false] => texts[i].starts_with(char::is_whitespace),
                [false, true] => texts[i - 1].ends_with(char::is_whitespace),
                _ => false,
            });
        let mut joined = String::new();
        for (i, text) in texts.into_iter().enumerate() {
            let beside_image = i > 0 && (parts[i - 1].is_image() || parts[i].is_image());
            if i > 0 && !(is_spaced && beside_image) {
                joined.push('\n');
            }
            joined.push_str(text);
        }
        Ok(joined)
    }

    fn parts_mut(&mut self) -> &mut [Part] {
        match self {
            Self::Plain(_) => &mut [],
            Self::Parts(parts) => parts,
        }
    }
}

/// The images of a row whose own fields name `names`, and places for them among the messages where they have none. Where each
/// place is a part with a name, the parts say which image is where.
pub(super) fn place_image(
    prompt: &mut [Message],
    names: Vec<String>,
) -> Result<Option<String>, Fault> {
    let parts = prompt
        .iter_mut()
        .flat_map(|message| message.content.parts_mut());
    let mut of_parts = Vec::new();
    for name in parts.filter_map(Part::take_name) {
        of_parts.push(name.text()?);
    }
    let texts = prompt.iter().map(|message| message.content.text());
    let texts = texts.collect::<Result<Vec<_>, Fault>>()?;
    let n_places = texts.iter().map(|text| text.matches(IMAGE_PLACEHOLDER));
    let n_places: usize = n_places.map(Iterator::count).sum();
    let names = if !of_parts.is_empty() && of_parts.len() == n_places {
        in_order(&names, of_parts)?
    } else {
        with_those_of_parts(names, of_parts)
    };
    let places = format!("{IMAGE_PLACEHOLDER}\n").repeat(names.len());
    let image = shown::together(&names).map_err(|found| ("images".to_owned(), found))?;
    if image.is_some() && !texts.iter().any(|text| text.contains(IMAGE_PLACEHOLDER)) {
        let of_user = || {
            prompt
                .iter()
                .enumerate()
                .filter(|(_, message)| message.role == "user")
        };
        let plain = of_user().find(|(_, message)| matches!(message.content, Content::Plain(_)));
        if let Some((at, _)) = plain.or_else(|| of_user().next()) {
            prompt[at].content = Content::Plain(places + &texts[at]);
        }
    }
    Ok(image)
}

/// The names that all places have, in their order; those of the row's own fields, if there are any, are to be the same.
fn in_order(of_row: &[String], of_parts: Vec<String>) -> Result<Vec<String>, Fault> {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    if of_row.is_empty() || sorted(of_row) == sorted(&of_parts) {
        return Ok(of_parts);
    }
    refuse(
        "images",
        format!("found {of_row:?}, but {of_parts:?} in the parts of messages"),
    )
}

/// The names of a row's own fields, then those that only a part has: some write a name into the part and into the row.
fn with_those_of_parts(mut names: Vec<String>, of_parts: Vec<String>) -> Vec<String> {
    for name in of_parts {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The turns of messages; what the system says belongs to the human turn after it.
pub(super) fn turns(messages: &[Message]) -> Result<Vec<Turn>, Fault> {
    const NO_PLACE: &str = "found a system message with no user's after it";
    let mut turns: Vec<Turn> = Vec::new();
    let mut before = String::new();
    for message in messages {
        let text = message.content.text()?;
        match message.role.as_str() {
            "system" if text.is_empty() => {}
            "system" => before += &(text + "\n\n"),
            "assistant" if !before.is_empty() => return refuse("prompt", NO_PLACE),
            "user" => turns.push(Turn::human(std::mem::take(&mut before) + &text)),
            "assistant" => turns.push(Turn::gpt(text)),
            role => {
                return refuse(
                    "prompt",
                    format!("found the role {role:?}, expected system, user and assistant"),
                );
            }
        }
    }
    if !before.is_empty() {
        return refuse("prompt", NO_PLACE);
    }
    Ok(turns)
}
