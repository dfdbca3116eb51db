//! The questions of the micro-world: what they ask, how they are worded, and how a wording is read back.
//!
//! Training and evaluation use the same wordings, and everything downstream knows only the text, so the
//! judge reads the question from it as well ([`Question::parse`]).

use candor_data::prompt::Choice;

use crate::kind::{Colour, Group, Kind};
use crate::text::with_article;

/// The wordings of [`Question::Describe`].
pub const DESCRIBE: [&str; 4] = [
    "Describe the image in detail.",
    "Describe the image.",
    "What is in the image?",
    "What do you see in the image?",
];

/// What a question asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// For everything that is there.
    Describe,
    /// Whether there is an object of the kind, and of the colour where one is given.
    Exists(Kind, Option<Colour>),
    /// Whether the objects of the kind have the colour.
    IsColour(Kind, Colour),
    /// For the colour of the kind.
    Colour(Kind),
    /// For the number of the kind.
    Count(Kind),
    /// For the place of the kind.
    Place(Kind),
    /// For the theme.
    Theme,
    /// For the larger of two kinds.
    Larger(Kind, Kind),
    /// Whether there are more of the first than of the second.
    More(Kind, Kind),
    /// Whether the first is to the left of the second.
    LeftOf(Kind, Kind),
    /// For the object that has the colour.
    Coloured(Colour),
    /// For the objects of the group.
    Members(Group),
    /// For an object that is in the image; asked with options.
    InImage,
    /// A question with four options.
    Choice(Box<Question>, [String; 4]),
    /// A wording that is none of the above; answers are judged like descriptions.
    Open,
}

impl Question {
    /// The wording. [`Question::Describe`] has more than one ([`DESCRIBE`]); this is the first.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Describe | Self::Open => DESCRIBE[0].into(),
            Self::Exists(kind, colour) => {
                let noun = colour.map_or_else(
                    || kind.name().to_owned(),
                    |colour| format!("{colour} {kind}"),
                );
                format!("Is there {} in the image?", with_article(&noun))
            }
            Self::IsColour(kind, colour) => format!("Is the {kind} {colour}?"),
            Self::Colour(kind) => format!("What color is the {kind}?"),
            Self::Count(kind) => format!("How many {} are there in the image?", kind.plural()),
            Self::Place(kind) => format!("Where is the {kind}?"),
            Self::Theme => "What place is this?".into(),
            Self::Larger(a, b) => format!("Which is larger, the {a} or the {b}?"),
            Self::More(a, b) => format!("Are there more {} than {}?", a.plural(), b.plural()),
            Self::LeftOf(a, b) => format!("Is the {a} to the left of the {b}?"),
            Self::Coloured(colour) => format!("Which object is {colour}?"),
            Self::Members(group) => format!("Which objects are {}?", group.plural()),
            Self::InImage => "Which object is in the image?".into(),
            Self::Choice(ask, options) => {
                let lines = Choice::ALL.iter().zip(options);
                let lines = lines.map(|(choice, option)| format!("{}. {option}", choice.letter()));
                std::iter::once(ask.text())
                    .chain(lines)
                    .collect::<Vec<_>>()
                    .join("\n")
            }
        }
    }

    /// Whether a "yes" or a "no" answers it.
    #[must_use]
    pub fn is_yes_no(&self) -> bool {
        matches!(
            self,
            Self::Exists(..) | Self::IsColour(..) | Self::More(..) | Self::LeftOf(..)
        )
    }

    /// The kinds the question names.
    #[must_use]
    pub fn subjects(&self) -> Vec<Kind> {
        match self {
            Self::Exists(kind, _)
            | Self::IsColour(kind, _)
            | Self::Colour(kind)
            | Self::Count(kind)
            | Self::Place(kind) => vec![*kind],
            Self::Larger(a, b) | Self::More(a, b) | Self::LeftOf(a, b) => vec![*a, *b],
            Self::Choice(ask, _) => ask.subjects(),
            _ => Vec::new(),
        }
    }

    /// Reads a wording, with or without `<image>` and with whatever instruction follows the question.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.replace("<image>", " ");
        let (question, options) = split_options(&text);
        let words: Vec<String> = question
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let ask = Self::from_words(&words.iter().map(String::as_str).collect::<Vec<_>>());
        match options {
            Some(options) => Self::Choice(Box::new(ask), options),
            None => ask,
        }
    }

    fn from_words(words: &[&str]) -> Self {
        let kinds: Vec<Kind> = words.iter().filter_map(|word| kind_of(word)).collect();
        let colour = words.iter().find_map(|word| colour_of(word));
        let has = |word: &str| words.contains(&word);
        match (words, kinds.as_slice()) {
            (
                ["describe", ..]
                | ["what", "do", "you", "see", ..]
                | ["what", "is", "in", "the", "image", ..],
                _,
            ) => Self::Describe,
            (["is" | "are", "there", "more", ..] | ["are", "there", ..], [a, b]) if has("more") => {
                Self::More(*a, *b)
            }
            (["is" | "are", "there", ..], [kind]) => Self::Exists(*kind, colour),
            (["is" | "are", "the", ..], [a, b]) if has("left") => Self::LeftOf(*a, *b),
            (["is" | "are", "the", ..], [kind]) => {
                colour.map_or(Self::Open, |colour| Self::IsColour(*kind, colour))
            }
            (["what", "color" | "colour", ..], [kind]) => Self::Colour(*kind),
            (["how", "many", ..], [kind]) => Self::Count(*kind),
            (["where", "is" | "are", ..], [kind]) => Self::Place(*kind),
            (["what", "place", ..] | ["where", "is", "this", ..], []) => Self::Theme,
            (["which", "is", "larger", ..], [a, b]) => Self::Larger(*a, *b),
            (["which", "object", "is", "in", ..], []) => Self::InImage,
            (["which", "object" | "objects", ..], []) => Self::which(words, colour),
            _ => Self::Open,
        }
    }

    fn which(words: &[&str], colour: Option<Colour>) -> Self {
        let group = Group::ALL.into_iter().find(|group| {
            words
                .iter()
                .any(|w| *w == group.plural() || *w == group.name())
        });
        match (group, colour) {
            (Some(group), _) => Self::Members(group),
            (None, Some(colour)) => Self::Coloured(colour),
            (None, None) => Self::Open,
        }
    }
}

/// The kind a word of a question names.
fn kind_of(word: &str) -> Option<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| word == kind.name() || word == kind.plural())
}

fn colour_of(word: &str) -> Option<Colour> {
    Colour::ALL.into_iter().find(|colour| word == colour.name())
}

/// Splits "ask A. one B. two C. three D. four" (on lines or not) into the ask and the options.
fn split_options(text: &str) -> (&str, Option<[String; 4]>) {
    let mut cuts = Vec::with_capacity(4);
    let mut from = 0;
    for choice in Choice::ALL {
        let mark = format!("{}. ", choice.letter());
        let Some(at) = text[from..]
            .match_indices(&mark)
            .map(|(at, _)| from + at)
            .find(|&at| at == 0 || text[..at].ends_with(char::is_whitespace))
        else {
            return (text, None);
        };
        cuts.push((at, at + mark.len()));
        from = at + mark.len();
    }
    let option = |index: usize| {
        let end = cuts.get(index + 1).map_or(text.len(), |&(start, _)| start);
        // The last option ends with its line; an instruction may follow.
        let option = text[cuts[index].1..end].trim();
        option.lines().next().unwrap_or_default().trim().to_owned()
    };
    (
        &text[..cuts[0].0],
        Some([option(0), option(1), option(2), option(3)]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wording_is_read_back() {
        let mut all = vec![Question::Describe, Question::Theme, Question::InImage];
        for kind in Kind::ALL {
            all.extend([
                Question::Exists(kind, None),
                Question::Exists(kind, Some(Colour::Orange)),
                Question::IsColour(kind, Colour::Red),
                Question::Colour(kind),
                Question::Count(kind),
                Question::Place(kind),
            ]);
            for other in Kind::ALL.into_iter().filter(|&other| other != kind) {
                all.extend([
                    Question::Larger(kind, other),
                    Question::More(kind, other),
                    Question::LeftOf(kind, other),
                ]);
            }
        }
        all.extend(Colour::ALL.map(Question::Coloured));
        all.extend(Group::ALL.map(Question::Members));
        let options = ["top left", "red", "a dog", "two"].map(str::to_owned);
        all.push(Question::Choice(
            Box::new(Question::Colour(Kind::Dog)),
            options,
        ));
        for question in all {
            let text = question.text();
            assert_eq!(Question::parse(&text), question, "{text}");
            assert_eq!(Question::parse(&format!("<image>\n{text}")), question);
        }
        for text in DESCRIBE {
            assert_eq!(Question::parse(text), Question::Describe);
        }
    }

    #[test]
    fn an_instruction_after_the_question_changes_nothing() {
        assert_eq!(
            Question::parse(
                "Is there an umbrella in the image?\nAnswer the question using a single word or phrase."
            ),
            Question::Exists(Kind::Umbrella, None)
        );
        assert_eq!(Question::parse("Why is the sky blue?"), Question::Open);
        assert_eq!(Question::parse(""), Question::Open);
    }
}
