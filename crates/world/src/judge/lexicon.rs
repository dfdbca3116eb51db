//! The words the judge knows. The texts of the world use a part of them; a policy may find others.

use crate::kind::{Colour, Group, Kind, Size};
use crate::theme::Theme;

/// What a noun is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A kind of the world.
    Kind(Kind),
    /// A family of kinds.
    Group(Group),
    /// Something that no image of the world has; the number is its place in the list of such nouns.
    Foreign(usize),
}

impl Subject {
    /// The kind, if it is one.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Kind(kind) => Some(kind),
            Self::Group(_) | Self::Foreign(_) => None,
        }
    }
}

/// Nouns of things that no image shows: naming one is a hallucination. Parts of the backgrounds (sky,
/// water, sand, road, wall, window, bed …) are not among them and make no claim.
const FOREIGN: [&str; 36] = [
    "person",
    "people",
    "man",
    "men",
    "woman",
    "women",
    "boy",
    "girl",
    "child",
    "children",
    "baby",
    "horse",
    "cow",
    "sheep",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "bus",
    "truck",
    "train",
    "airplane",
    "plane",
    "motorcycle",
    "bench",
    "backpack",
    "pizza",
    "apple",
    "banana",
    "bottle",
    "fork",
    "knife",
    "spoon",
    "laptop",
    "phone",
    "television",
];

/// What a word can be to the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A noun; the flag is true for a plural.
    Noun(Subject, bool),
    /// A colour.
    Colour(Colour),
    /// A size; comparatives count as the size they point to.
    Size(Size),
    /// "larger", "bigger".
    Larger,
    /// "smaller".
    Smaller,
    /// "one", "two" …, digits; never zero.
    Number(usize),
    /// "left", "right", "top", "bottom" and their like.
    Left,
    /// See [`Word::Left`].
    Right,
    /// See [`Word::Left`].
    Top,
    /// See [`Word::Left`].
    Bottom,
    /// A theme.
    Theme(Theme),
    /// "yes".
    Yes,
    /// "no", "zero", "none": a verdict or a negation, which the position decides.
    No,
    /// "not", "without", "isn't" …: always a negation.
    Not,
    /// "is", "are", "was", "looks".
    Copula,
    /// "it", "they".
    Pronoun,
    /// "a", "an".
    Article,
    /// "the", "this", "there", "i": after a comma or "and", begins a new clause.
    Opener,
    /// "but", "however": ends a negation.
    But,
    /// "and".
    And,
    /// "of".
    Of,
    /// Anything else.
    Other,
}

/// Looks up a lower-case word.
#[must_use]
pub(crate) fn look_up(word: &str) -> Word {
    noun(word)
        .or_else(|| quality(word))
        .unwrap_or_else(|| function_word(word))
}

fn noun(word: &str) -> Option<Word> {
    for kind in Kind::ALL {
        if word == kind.name() {
            return Some(Word::Noun(Subject::Kind(kind), false));
        }
        if word == kind.plural() {
            return Some(Word::Noun(Subject::Kind(kind), true));
        }
    }
    for group in Group::ALL {
        if word == group.name() || word == group.plural() {
            return Some(Word::Noun(Subject::Group(group), word == group.plural()));
        }
    }
    synonym(word).or_else(|| foreign(word))
}

fn synonym(word: &str) -> Option<Word> {
    let (kind, singulars): (Kind, &[&str]) = match word.trim_end_matches('s') {
        "bicycle" | "cycle" => (Kind::Bike, &["bicycle", "cycle"]),
        "puppy" | "puppie" | "doggy" => (Kind::Dog, &["puppy", "doggy"]),
        "kitten" | "kitty" | "kittie" => (Kind::Cat, &["kitten", "kitty"]),
        "mug" => (Kind::Cup, &["mug"]),
        "ship" | "sailboat" => (Kind::Boat, &["ship", "sailboat"]),
        "parasol" => (Kind::Umbrella, &["parasol"]),
        "automobile" => (Kind::Car, &["automobile"]),
        "football" | "basketball" => (Kind::Ball, &["football", "basketball"]),
        "seagull" | "gull" => (Kind::Bird, &["seagull", "gull"]),
        "fishe" => (Kind::Fish, &[]),
        "notebook" => (Kind::Book, &["notebook"]),
        _ => return None,
    };
    Some(Word::Noun(Subject::Kind(kind), !singulars.contains(&word)))
}

fn foreign(word: &str) -> Option<Word> {
    let at = |word: &str| FOREIGN.iter().position(|noun| *noun == word);
    if let Some(index) = at(word) {
        return Some(Word::Noun(Subject::Foreign(index), false));
    }
    let index = at(word.strip_suffix('s')?)?;
    Some(Word::Noun(Subject::Foreign(index), true))
}

fn quality(word: &str) -> Option<Word> {
    if let Some(colour) = Colour::ALL.into_iter().find(|colour| colour.name() == word) {
        return Some(Word::Colour(colour));
    }
    if let Some(theme) = Theme::ALL.into_iter().find(|theme| theme.name() == word) {
        return Some(Word::Theme(theme));
    }
    Some(match word {
        "violet" => Word::Colour(Colour::Purple),
        "harbour" | "port" => Word::Theme(Theme::Harbor),
        "seaside" => Word::Theme(Theme::Beach),
        "small" | "little" | "tiny" => Word::Size(Size::Small),
        "large" | "big" | "huge" => Word::Size(Size::Large),
        "larger" | "bigger" | "largest" | "biggest" => Word::Larger,
        "smaller" | "smallest" => Word::Smaller,
        "one" | "1" | "single" => Word::Number(1),
        "two" | "2" => Word::Number(2),
        "three" | "3" => Word::Number(3),
        "four" | "4" => Word::Number(4),
        "five" | "5" => Word::Number(5),
        "six" | "6" => Word::Number(6),
        "left" => Word::Left,
        "right" => Word::Right,
        "top" | "upper" => Word::Top,
        "bottom" | "lower" => Word::Bottom,
        _ => return None,
    })
}

fn function_word(word: &str) -> Word {
    match word {
        "yes" | "yeah" | "yep" | "true" => Word::Yes,
        "no" | "nope" | "zero" | "0" | "none" | "nothing" | "false" => Word::No,
        "not" | "without" | "isn't" | "aren't" | "don't" | "doesn't" | "cannot" | "can't"
        | "neither" | "nor" | "never" | "wasn't" | "lacks" => Word::Not,
        "is" | "are" | "was" | "were" | "looks" | "be" => Word::Copula,
        "it" | "they" | "its" | "both" => Word::Pronoun,
        "a" | "an" | "another" | "any" => Word::Article,
        "the" | "this" | "that" | "there" | "i" | "we" => Word::Opener,
        "but" | "however" | "though" | "although" | "while" => Word::But,
        "and" => Word::And,
        "of" => Word::Of,
        _ => Word::Other,
    }
}
