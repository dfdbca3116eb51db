//! Which of AMBER's words a description says, and what follows from each.
//!
//! # Reference
//! Two habits of the official script make its Cover and Cog other than one would think, and are numbers of their own here:
//! a word that is said covers one entry alone, the first that it goes with or is, so that "leaf" may cover the tree that
//! stands before the leaf in the list; and an entry that stands twice in the list counts twice and is covered once. In
//! candor's own numbers a word covers itself, or else all that it goes with, and entries count once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candor_data::formats::amber::{self as format, Annotation, Truth};

use crate::JudgeError;
use crate::objects::singular;
use crate::phrases::phrases;

/// Words that are said of anything, and never flagged: `safe_words.txt`.
const SAFE: [&str; 9] = [
    "orange",
    "snack",
    "line",
    "camera",
    "light",
    "shoe",
    "sign",
    "range",
    "individual",
];

/// AMBER's list of words.
pub(crate) struct Words {
    /// Words that go with a word.
    relations: BTreeMap<String, Vec<String>>,
    /// All of them, by their lower case.
    known: BTreeMap<String, String>,
    /// Pairs of words that are like each other.
    similar: BTreeSet<(String, String)>,
}

/// What a description says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// Words of the list that are said, each as often as it is.
    pub mentions: usize,
    /// Those that are not there.
    pub flagged: Vec<String>,
    /// How much of what is there is said, of how much.
    pub cover: [usize; 2],
    /// How much of what people make up is said, of how much.
    pub cog: [usize; 2],
    /// The first as the official script counts.
    pub cover_official: [usize; 2],
    /// The second as the official script counts.
    pub cog_official: [usize; 2],
}

impl Words {
    /// Reads the words that go with each other, and those that are like each other.
    pub(crate) fn read(relations: &Path, similar: Option<&Path>) -> Result<Self, JudgeError> {
        let relations = format::read_words(relations)?;
        let similar = similar.map(format::read_words).transpose()?;
        Ok(Self::new(relations, &similar.unwrap_or_default()))
    }

    fn new(
        relations: BTreeMap<String, Vec<String>>,
        similar: &BTreeMap<String, Vec<String>>,
    ) -> Self {
        let all = relations
            .iter()
            .flat_map(|(word, with)| [word].into_iter().chain(with));
        let known = all
            .map(|word| (word.to_lowercase(), word.clone()))
            .collect();
        let pairs = similar.iter().flat_map(|(word, others)| {
            others
                .iter()
                .flat_map(|other| [(word.clone(), other.clone()), (other.clone(), word.clone())])
        });
        Self {
            similar: pairs.collect(),
            relations,
            known,
        }
    }

    /// Refuses annotations with a word that the list lacks.
    pub(crate) fn check(&self, path: &Path, annotations: &[Annotation]) -> Result<(), JudgeError> {
        for row in annotations {
            if let Truth::Words { truth, hallu } = &row.truth {
                let unknown = truth.iter().chain(hallu);
                if let Some(word) = unknown
                    .into_iter()
                    .find(|word| !self.relations.contains_key(*word))
                {
                    return Err(JudgeError::unfit(
                        path,
                        format!(
                            "annotation {} has the word {word:?}, which --references lacks",
                            row.id
                        ),
                        "give the relation.json of the same release",
                    ));
                }
            }
        }
        Ok(())
    }

    /// The words of the list that a text says, in its order.
    fn said(&self, text: &str) -> Vec<&str> {
        let words = phrases(text).into_iter().flatten();
        words
            .filter_map(|word| {
                let known = self.known.get(&word);
                known.or_else(|| self.known.get(&singular(&word)))
            })
            .map(String::as_str)
            .collect()
    }

    fn is_like(&self, word: &str, other: &str) -> bool {
        word == other || self.similar.contains(&(word.to_owned(), other.to_owned()))
    }

    /// What a text says of an image in which `truth` is there and `hallu` is not.
    pub(crate) fn found(&self, text: &str, truth: &[String], hallu: &[String]) -> Found {
        let (mut there, mut made_up) = (Entries::new(self, truth), Entries::new(self, hallu));
        let mut found = Found::default();
        for word in self.said(text) {
            found.mentions += 1;
            if SAFE.contains(&word) {
                continue;
            }
            if there.is_said(|entry| entry == word) {
                continue;
            }
            made_up.is_said(|entry| entry == word);
            made_up.is_said(|entry| self.is_like(word, entry));
            if !there.is_said(|entry| self.is_like(word, entry)) {
                found.flagged.push(word.to_owned());
            }
        }
        (found.cover, found.cover_official) = there.counts();
        (found.cog, found.cog_official) = made_up.counts();
        found
    }
}

/// The entries of one list of an annotation.
struct Entries<'a> {
    list: &'a [String],
    /// The words that go with each entry, entry by entry, then the entries themselves; each with the entry's place.
    words: Vec<(&'a str, usize)>,
    /// Entries that the official script takes to be said.
    official: BTreeSet<usize>,
    /// Entries that are said.
    said: BTreeSet<&'a str>,
}

impl<'a> Entries<'a> {
    fn new(words: &'a Words, list: &'a [String]) -> Self {
        let with = list.iter().enumerate().flat_map(|(place, entry)| {
            let with = words.relations.get(entry).into_iter().flatten();
            with.map(move |word| (word.as_str(), place))
        });
        let own = list
            .iter()
            .enumerate()
            .map(|(place, entry)| (entry.as_str(), place));
        Self {
            words: with.chain(own).collect(),
            list,
            official: BTreeSet::new(),
            said: BTreeSet::new(),
        }
    }

    /// Notes what a word covers, and says whether it covers anything.
    fn is_said(&mut self, fits: impl Fn(&str) -> bool) -> bool {
        let first = self.words.iter().find(|(word, _)| fits(word));
        let Some(&(_, place)) = first else {
            return false;
        };
        self.official.insert(place);
        let own: Vec<&'a str> = self
            .list
            .iter()
            .map(String::as_str)
            .filter(|entry| fits(entry))
            .collect();
        if own.is_empty() {
            let all = self.words.iter().filter(|(word, _)| fits(word));
            let all: Vec<usize> = all.map(|&(_, place)| place).collect();
            self.said
                .extend(all.into_iter().map(|place| self.list[place].as_str()));
        } else {
            self.said.extend(own);
        }
        true
    }

    /// Entries that are said, of how many: candor's and the official way.
    fn counts(&self) -> ([usize; 2], [usize; 2]) {
        let distinct: BTreeSet<&String> = self.list.iter().collect();
        (
            [self.said.len(), distinct.len()],
            [self.official.len(), self.list.len()],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let relations = [
            ("tree", &["leaf", "bush"][..]),
            ("leaf", &[]),
            ("ship", &["boat"]),
            ("dog", &[]),
            ("puppy", &[]),
            ("light", &[]),
        ];
        let relations = relations.map(|(word, with)| {
            (
                word.to_owned(),
                with.iter().map(|word| (*word).to_owned()).collect(),
            )
        });
        let similar = BTreeMap::from([("puppy".to_owned(), vec!["dog".to_owned()])]);
        Words::new(relations.into(), &similar)
    }

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_leaf_is_no_tree_but_officially_it_is() {
        let found = words().found("A leaf.", &list(&["tree", "leaf", "ship", "ship"]), &[]);
        assert_eq!((found.mentions, found.flagged.len()), (1, 0));
        assert_eq!((found.cover, found.cover_official), ([1, 3], [1, 4]));
        // Both ways count one; a bush and a leaf are two to us, and one tree officially.
        let found = words().found("Leaf, bushes", &list(&["tree", "leaf"]), &[]);
        assert_eq!((found.cover, found.cover_official), ([2, 2], [1, 2]));
    }

    #[test]
    fn what_is_not_there_is_flagged_unless_it_is_like_something_or_said_of_anything() {
        let found = words().found(
            "Dogs, puppy, light and boats",
            &list(&["puppy"]),
            &list(&["ship"]),
        );
        assert_eq!(found.mentions, 4);
        assert_eq!(found.flagged, ["boat"]);
        assert_eq!((found.cover, found.cog), ([1, 1], [1, 1]));
    }
}
