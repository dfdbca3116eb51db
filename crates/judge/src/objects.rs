//! Objects that a text mentions, by a table of synonyms: CHAIR on COCO.
//!
//! The table is the file that CHAIR publishes: a line for each kind of object, its name first, then other
//! words for it, with commas between them. Words are compared in lower case and in the singular; of several
//! terms at one place the longest counts, so a hot dog is no dog. A term of several words lives between two signs of
//! punctuation: "It looks hot. Dogs rest" has a dog ([`phrases`]). Departures from the official script: its
//! tables of double words are covered by the synonyms alone, and its tagger for plurals by a few rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use candor_data::formats::coco;
use candor_data::formats::text::{self, Format};

use crate::JudgeError;
use crate::phrases::phrases;

/// A table of synonyms.
pub(crate) const FORMAT: Format = Format {
    name: "Synonyms",
    expected: "lines of words with commas between them",
};

/// Words for kinds of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonyms {
    /// Term, as words in the singular, to the kind's name.
    terms: HashMap<Vec<String>, String>,
    longest: usize,
}

impl Synonyms {
    /// Reads a table.
    ///
    /// # Errors
    /// The file cannot be read, or a term stands for two kinds.
    pub fn read(path: &Path) -> Result<Self, JudgeError> {
        Self::parse(path, &text::read(path, &FORMAT)?)
    }

    /// Parses the text of a table.
    ///
    /// # Errors
    /// A term stands for two kinds.
    pub fn parse(path: &Path, text: &str) -> Result<Self, JudgeError> {
        let terms = table(path, text)?;
        let longest = terms.keys().map(Vec::len).max().unwrap_or_default();
        Ok(Self { terms, longest })
    }

    /// The kinds that a text mentions.
    #[must_use]
    pub fn mentioned(&self, text: &str) -> BTreeSet<String> {
        let mut kinds = BTreeSet::new();
        for words in words(text) {
            let mut at = 0;
            while at < words.len() {
                let longest = self.longest.min(words.len() - at);
                let found = (1..=longest)
                    .rev()
                    .find_map(|n| Some((n, self.terms.get(&words[at..at + n])?)));
                at += found.map_or(1, |(n, _)| n);
                kinds.extend(found.map(|(_, kind)| kind.clone()));
            }
        }
        kinds
    }
}

/// The terms of a table, as words in the singular, and the name of the kind that each stands for.
///
/// # Errors
/// A term stands for two kinds.
pub(crate) fn table(path: &Path, text: &str) -> Result<HashMap<Vec<String>, String>, JudgeError> {
    let mut terms: HashMap<Vec<String>, String> = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        let listed: Vec<&str> = line
            .split(',')
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .collect();
        let Some(kind) = listed.first() else { continue };
        for term in &listed {
            let words = words(term).concat();
            let before = terms.insert(words, (*kind).to_owned());
            if before.is_some_and(|before| before != **kind) {
                let problem = format!("line {}: {term:?} stands for another kind already", i + 1);
                return Err(JudgeError::unfit(path, problem, "keep it in one line"));
            }
        }
    }
    Ok(terms)
}

/// What is in each image by COCO's boxes and, where there are any, by what people said of it.
pub(crate) fn present(
    instances: &coco::Instances,
    captions: Option<&coco::Captions>,
    mentioned: impl Fn(&str) -> BTreeSet<String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let captions = captions.map(coco::Captions::by_file).unwrap_or_default();
    let of_image = |(image, objects): (&str, Vec<&str>)| {
        let boxes = objects.into_iter().map(str::to_owned);
        let people = captions.get(image).into_iter().flatten();
        let told = people.flat_map(|caption| mentioned(caption));
        (image.to_owned(), boxes.chain(told).collect())
    };
    instances
        .objects_by_file()
        .into_iter()
        .map(of_image)
        .collect()
}

/// What is in each image, and the words for it.
#[derive(Debug)]
pub(crate) struct Annotations {
    present: BTreeMap<String, BTreeSet<String>>,
    synonyms: Synonyms,
}

/// The objects that a text mentions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Kinds that are mentioned.
    pub mentioned: usize,
    /// Those of them that are not there.
    pub hallucinated: Vec<String>,
    /// Kinds that are there.
    pub present: usize,
}

impl Annotations {
    /// Reads COCO instances, captions and a table of synonyms.
    pub(crate) fn read(
        instances: &Path,
        captions: Option<&Path>,
        synonyms: &Path,
    ) -> Result<Self, JudgeError> {
        let synonyms = Synonyms::read(synonyms)?;
        let instances = coco::read_instances(instances)?;
        let captions = captions.map(coco::read_captions).transpose()?;
        let mentioned = |text: &str| synonyms.mentioned(text);
        Ok(Self {
            present: present(&instances, captions.as_ref(), mentioned),
            synonyms,
        })
    }

    /// Whether anything is told of an image.
    pub(crate) fn knows(&self, image: &str) -> bool {
        self.present.contains_key(image)
    }

    /// The objects that a text about an image mentions; `None` where nothing is told of the image.
    pub(crate) fn found(&self, image: &str, text: &str) -> Option<Found> {
        let present = self.present.get(image)?;
        let mentioned = self.synonyms.mentioned(text);
        Some(Found {
            hallucinated: mentioned.difference(present).cloned().collect(),
            mentioned: mentioned.len(),
            present: present.len(),
        })
    }
}

/// Words in the singular, in stretches that no punctuation parts.
pub(crate) fn words(text: &str) -> Vec<Vec<String>> {
    let of_phrase = |words: Vec<String>| words.iter().map(|word| singular(word)).collect();
    phrases(text).into_iter().map(of_phrase).collect()
}

/// Words in the singular that end as if they spoke of men.
const NO_MEN: [&str; 6] = [
    "abdomen", "acumen", "ramen", "regimen", "specimen", "stamen",
];

/// A word in the singular, as far as its end tells. Both the table and the text go through this, so what
/// it gets wrong alike does no harm.
pub(crate) fn singular(word: &str) -> String {
    let irregular = match word {
        "people" => "person",
        "men" => "man",
        "women" => "woman",
        "children" => "child",
        "mice" => "mouse",
        "geese" => "goose",
        "knives" => "knife",
        "wolves" => "wolf",
        "calves" => "calf",
        "buses" | "busses" => "bus",
        "potatoes" => "potato",
        "tomatoes" => "tomato",
        "mangoes" => "mango",
        "buffaloes" => "buffalo",
        "taxis" => "taxi",
        _ => "",
    };
    if !irregular.is_empty() {
        return irregular.to_owned();
    }
    let without = |end: &str, more: &str| Some(format!("{}{more}", word.strip_suffix(end)?));
    let longer = word.chars().count() > 4;
    let found = if word.ends_with("men") && longer && !NO_MEN.contains(&word) {
        // Firemen, policemen, businesswomen.
        without("men", "man")
    } else if word.ends_with("ies") && longer {
        without("ies", "y")
    } else if ["sses", "shes", "ches", "xes"]
        .iter()
        .any(|end| word.ends_with(end))
    {
        without("es", "")
    } else if ["ss", "us", "is"].iter().any(|end| word.ends_with(end)) || word.len() < 3 {
        None
    } else {
        without("s", "")
    };
    found.unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "person, man, woman, child\ndog, puppy\nhot dog, hotdog\nbus\nsheep, lamb\n\
                         skis, ski\nwine glass\ncup\ndonut, doughnut\nknife\ncouch, sofa\ndining table, table\n";

    fn mentioned(text: &str) -> Vec<String> {
        let table = Synonyms::parse(Path::new("synonyms.txt"), TABLE).unwrap();
        table.mentioned(text).into_iter().collect()
    }

    #[test]
    fn words_are_found_in_any_number_and_the_longest_term_counts() {
        for (text, expected) in [
            ("Two women and a CHILD.", vec!["person"]),
            ("A man eats hot dogs", vec!["hot dog", "person"]),
            ("Puppies on buses", vec!["bus", "dog"]),
            (
                "hotdog, doughnuts; knives",
                vec!["donut", "hot dog", "knife"],
            ),
            (
                "Wine glasses and cups on a table",
                vec!["cup", "dining table", "wine glass"],
            ),
            ("She skis; one ski.", vec!["skis"]),
            ("Sheep and lambs", vec!["sheep"]),
            ("tables", vec!["dining table"]),
            ("It looks hot. Dogs rest", vec!["dog"]),
            ("hot, dog", vec!["dog"]),
            ("It is hot\nDogs", vec!["dog"]),
            ("hot (dogs)", vec!["dog"]),
            ("A hot-dog!", vec!["hot dog"]),
            ("a **hot** dog", vec!["hot dog"]),
            (
                "They drink wine: glasses, dining. Table",
                vec!["dining table"],
            ),
            ("cupboard, doggerel", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(mentioned(text), expected, "{text}");
        }
    }

    #[test]
    fn irregular_plurals_find_their_singular() {
        for (word, expected) in [
            ("taxis", "taxi"),
            ("policemen", "policeman"),
            ("gentlemen", "gentleman"),
            ("servicemen", "serviceman"),
            ("policewomen", "policewoman"),
            ("men", "man"),
            ("women", "woman"),
            ("specimen", "specimen"),
            ("specimens", "specimen"),
            ("tennis", "tennis"),
            ("skis", "skis"),
            ("omen", "omen"),
        ] {
            assert_eq!(singular(word), expected, "{word}");
        }
    }

    #[test]
    fn a_word_for_two_kinds_is_refused() {
        let error = Synonyms::parse(Path::new("s.txt"), "dog, pet\ncat, pet\n").unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("line 2") && message.contains("pet"),
            "{message}"
        );
    }
}
