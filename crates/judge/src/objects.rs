//! Objects that a text mentions, by a table of synonyms: CHAIR on COCO.
//!
//! The table is the file that CHAIR publishes: a line for each kind of object, its name first, then other
//! words for it, with commas between them. Words are compared in lower case and in the singular. Two words that are
//! read as one come first: a baby elephant is no person, a train track no train. Of several terms at one place the
//! longest counts, so a hot dog is no dog. A term of several words lives between two signs of
//! punctuation: "It looks hot. Dogs rest" has a dog ([`phrases`]). COCO's categories go through the table, too.
//!
//! # Reference
//! `utils/chair.py` of CHAIR (arXiv 1809.02156). Departures: a library puts its words into the singular, here a few rules do;
//! and any term of the table is found as a whole, where the script knows the terms of two words that it lists. With the
//! published table both come to the same kinds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candor_data::formats::coco;
use candor_data::formats::text::{self, Format};
use candor_data::image_key::coco_number;

use crate::JudgeError;
use crate::double_words;
use crate::phrases::phrases;

/// A table of synonyms.
const FORMAT: Format = Format {
    name: "Synonyms",
    expected: "lines of words with commas between them",
};

/// Words for kinds of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonyms {
    /// The file.
    path: PathBuf,
    /// Term, its words in the singular with a blank between them, to the kind's name.
    kinds: HashMap<String, String>,
    /// Words of the longest term.
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
        let (mut kinds, mut longest) = (HashMap::new(), 0_usize);
        for (i, line) in text.lines().enumerate() {
            let listed: Vec<&str> = line
                .split(',')
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .collect();
            let Some(kind) = listed.first() else { continue };
            for term in &listed {
                let words = words(term).concat();
                longest = longest.max(words.len());
                let before: Option<String> = kinds.insert(words.join(" "), (*kind).to_owned());
                if before.is_some_and(|before| before != **kind) {
                    let problem =
                        format!("line {}: {term:?} stands for another kind already", i + 1);
                    return Err(JudgeError::unfit(path, problem, "keep it in one line"));
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            kinds,
            longest,
        })
    }

    /// The kinds that a text mentions.
    #[must_use]
    pub fn mentioned(&self, text: &str) -> BTreeSet<String> {
        let mut said = Vec::new();
        for words in words(text) {
            let mut rest = words.as_slice();
            while !rest.is_empty() {
                let (n, term) = self.term(rest);
                said.push(term);
                rest = &rest[n..];
            }
        }
        double_words::without_toilet_seats(&mut said);
        let kinds = said.iter().filter_map(|term| self.kind(term));
        kinds.map(str::to_owned).collect()
    }

    /// How many of the words at the beginning are read together, and what they are read as.
    fn term(&self, words: &[String]) -> (usize, String) {
        if let Some(word) = double_words::read_as(words) {
            return (2, word.to_owned());
        }
        let lengths = (2..=self.longest.min(words.len())).rev();
        let mut terms = lengths.map(|n| (n, words[..n].join(" ")));
        terms
            .find(|(_, term)| self.kinds.contains_key(term))
            .unwrap_or_else(|| (1, words[0].clone()))
    }

    /// The kind that a term stands for, whose words are in the singular.
    pub(crate) fn kind(&self, term: &str) -> Option<&str> {
        self.kinds.get(term).map(String::as_str)
    }

    /// The kind that one of COCO's categories stands for.
    ///
    /// # Errors
    /// No line of the table has it.
    pub(crate) fn kind_of_category(&self, name: &str) -> Result<&str, JudgeError> {
        self.kind(&words(name).concat().join(" ")).ok_or_else(|| {
            let problem = format!("no line of it has COCO's category {name:?}");
            JudgeError::unfit(&self.path, problem, "give the whole table of synonyms")
        })
    }
}

/// What is in each image by COCO's boxes and, where there are any, by what people said of it. `kind` is that of one of COCO's
/// categories.
///
/// # Errors
/// A category has no kind.
pub(crate) fn present(
    instances: &coco::Instances,
    captions: Option<&coco::Captions>,
    kind: impl Fn(&str) -> Result<String, JudgeError>,
    mentioned: impl Fn(&str) -> BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<String>>, JudgeError> {
    let captions = captions.map(coco::Captions::by_file).unwrap_or_default();
    let mut all = BTreeMap::new();
    for (image, objects) in instances.objects_by_file() {
        let mut kinds = BTreeSet::new();
        let categories: BTreeSet<&str> = objects.into_iter().collect();
        for category in categories {
            kinds.insert(kind(category)?);
        }
        for caption in captions.get(image).into_iter().flatten() {
            kinds.extend(mentioned(caption));
        }
        all.insert(image.to_owned(), kinds);
    }
    Ok(all)
}

/// What is in each image, and the words for it.
#[derive(Debug)]
pub(crate) struct Annotations {
    present: BTreeMap<String, BTreeSet<String>>,
    /// The file names of COCO's images by their numbers: sets name them with folders, or with the name of a set before the number.
    by_number: BTreeMap<String, String>,
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
        let kind = |name: &str| synonyms.kind_of_category(name).map(str::to_owned);
        let mentioned = |text: &str| synonyms.mentioned(text);
        let present = present(&instances, captions.as_ref(), kind, mentioned)?;
        let number = |name: &String| Some((coco_number(name)?.to_owned(), name.clone()));
        Ok(Self {
            by_number: present.keys().filter_map(number).collect(),
            present,
            synonyms,
        })
    }

    /// What is in an image, found by its name or else by COCO's number; `None` where nothing is told of it.
    fn present_in(&self, image: &str) -> Option<&BTreeSet<String>> {
        let by_number = || self.present.get(self.by_number.get(coco_number(image)?)?);
        self.present.get(image).or_else(by_number)
    }

    /// Whether anything is told of an image.
    pub(crate) fn knows(&self, image: &str) -> bool {
        self.present_in(image).is_some()
    }

    /// The objects that a text about an image mentions; `None` where nothing is told of the image.
    pub(crate) fn found(&self, image: &str, text: &str) -> Option<Found> {
        let present = self.present_in(image)?;
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

    /// Words of the published table.
    const OF_PAIRS: &str = "person, adult, baby, passenger, pitcher\nelephant\ngiraffe\nairplane, jet\ntrain\ntie, bow, bow tie\n\
                            chair, seat, stool\ntoilet, urinal\nbaseball bat\noven, stove, stove top oven\nplate\n";

    fn by(table: &str, text: &str) -> Vec<String> {
        let table = Synonyms::parse(Path::new("synonyms.txt"), table).unwrap();
        table.mentioned(text).into_iter().collect()
    }

    fn mentioned(text: &str) -> Vec<String> {
        by(TABLE, text)
    }

    #[test]
    fn two_words_that_are_read_as_one_are_no_other_objects() {
        for (text, expected) in [
            ("a baby elephant", &["elephant"][..]),
            ("Baby elephants", &["elephant"]),
            ("an adult giraffe", &["giraffe"]),
            ("a passenger train", &["train"]),
            ("a passenger jet", &["airplane"]),
            ("snow on a train track", &[]),
            ("train tracks, and a train", &["train"]),
            ("a pitcher at home plate", &["person"]),
            ("a bow tie", &["tie"]),
            ("a toilet seat; the seat of the toilet", &["toilet"]),
            ("The toilet is white. It has no seat", &["toilet"]),
            ("a toilet and a stool", &["chair", "toilet"]),
            ("a urinal and a seat", &["chair", "toilet"]),
            ("a stove top oven", &["oven"]),
            // Signs part words here too, and these words say nothing of what follows.
            ("a baby, elephants", &["elephant", "person"]),
            ("the baby and an adult on the train", &["person", "train"]),
            ("a baby", &["person"]),
        ] {
            assert_eq!(by(OF_PAIRS, text), expected, "{text}");
        }
    }

    #[test]
    fn categories_are_kinds_by_the_table() {
        let table = Synonyms::parse(Path::new("words.txt"), "sofa, couch\ndining table\n").unwrap();
        assert_eq!(table.kind_of_category("couch").unwrap(), "sofa");
        assert_eq!(
            table.kind_of_category("dining table").unwrap(),
            "dining table"
        );
        let message = table.kind_of_category("spoon").unwrap_err().to_string();
        assert!(
            message.contains("words.txt") && message.contains("\"spoon\""),
            "{message}"
        );
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
