//! Object-HalBench's rule of objects: which words of a text, or of objects that somebody extracted from one, stand for kinds of
//! COCO's.
//!
//! The table is the one that CHAIR and Object-HalBench publish: a line for each kind, its name first, then other words for it. Two words
//! that stand together and are a term, or are read as one ([`crate::double_words`]), are read before single ones.
//!
//! # Reference
//! The official script (RLAIF-V, `eval_gpt_obj_halbench.py`) lemmatises the words of a text with WordNet and those of an object with
//! spaCy; here both, and the table, are put into the singular by a few rules ([`objects::singular`]). Of an object of several words the
//! script takes the nouns that stand together, told by spaCy's tagger; here such an object counts where it is a term as a whole or holds
//! one of two words. Punctuation parts words ([`crate::phrases`]).

use std::path::Path;

use crate::final_part::without_reasoning;
use crate::objects::{self, Synonyms};
use crate::{JudgeError, double_words};

/// The words for kinds of objects.
#[derive(Debug)]
pub(crate) struct Terms(Synonyms);

/// Words that are read as one.
enum Piece<'a> {
    /// Two of them, as what they are read as.
    Pair(String),
    /// One, as it is.
    Word(&'a str),
}

impl Terms {
    /// Reads a table.
    ///
    /// # Errors
    /// The file cannot be read, or a term stands for two kinds.
    pub(crate) fn read(path: &Path) -> Result<Self, JudgeError> {
        Synonyms::read(path).map(Self)
    }

    /// The kind that a word stands for.
    pub(crate) fn kind(&self, word: &str) -> Option<&str> {
        self.0.kind(word)
    }

    /// The kind that one of COCO's categories stands for.
    ///
    /// # Errors
    /// No line of the table has it.
    pub(crate) fn kind_of_category(&self, name: &str) -> Result<&str, JudgeError> {
        self.0.kind_of_category(name)
    }

    /// The words of a stretch in pieces: two that are read together, or one.
    fn pieces<'a>(&self, words: &'a [String]) -> Vec<Piece<'a>> {
        let (mut pieces, mut rest) = (Vec::new(), words);
        while let Some(word) = rest.first() {
            let pair = self.pair(rest);
            let n = if pair.is_some() { 2 } else { 1 };
            rest = &rest[n..];
            pieces.push(pair.map_or(Piece::Word(word), Piece::Pair));
        }
        pieces
    }

    /// What the first two words are read as, where they are read together.
    fn pair(&self, words: &[String]) -> Option<String> {
        if let Some(word) = double_words::read_as(words) {
            return Some(word.to_owned());
        }
        let both = words.get(..2)?.join(" ");
        self.kind(&both).is_some().then_some(both)
    }

    /// The terms of a text in their order, each as often as it is said.
    pub(crate) fn in_text(&self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for words in objects::words(text) {
            for piece in self.pieces(&words) {
                found.push(match piece {
                    Piece::Pair(word) => word,
                    Piece::Word(word) => word.to_owned(),
                });
            }
        }
        self.terms(found)
    }

    /// The terms of objects that somebody extracted from a text, each once.
    pub(crate) fn in_objects(&self, objects: &[String]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for object in objects {
            let words = words(object);
            let pieces = self.pieces(&words).into_iter();
            let pairs = pieces.filter_map(|piece| match piece {
                Piece::Pair(read_as) => Some(read_as),
                Piece::Word(_) => None,
            });
            let mut of_two: Vec<String> = pairs.collect();
            if of_two.is_empty() {
                of_two.push(words.join(" "));
            }
            for word in of_two {
                if !found.contains(&word) {
                    found.push(word);
                }
            }
        }
        self.terms(found)
    }

    /// Those of the words that stand for a kind; a seat beside a toilet is the toilet's.
    fn terms(&self, mut words: Vec<String>) -> Vec<String> {
        double_words::without_toilet_seats(&mut words);
        words.retain(|word| self.kind(word).is_some());
        words
    }
}

/// The words of a term or an object in the singular.
fn words(term: &str) -> Vec<String> {
    objects::words(term).concat()
}

/// The objects that a judge's reply lists: the last JSON list of texts in it, what it thinks in `<think>` left out. None where
/// there is no such list.
pub(crate) fn read_objects(reply: &str) -> Option<Vec<String>> {
    let reply = without_reasoning(reply);
    let mut lists = reply.match_indices('[').filter_map(|(at, _)| {
        let list = serde_json::Deserializer::from_str(&reply[at..]);
        list.into_iter::<Vec<String>>().next()?.ok()
    });
    // "You should return an empty JSON list ()" says the official prompt.
    lists
        .next_back()
        .or_else(|| (reply.trim() == "()").then(Vec::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of the published table.
    const TABLE: &str = "person, man, woman, rider, children, people\ndog, puppy\nhot dog\ncow, cattle, calf\n\
                         airplane, plane, jet\ntrain, locomotive\ntie, bow, bow tie\nchair, seat, stool\ntoilet, urinal\n\
                         wine glass\ndining table, table, desk\noven, stove, stove top oven\nskis, ski\nscissors\n";

    fn terms() -> Terms {
        Terms(Synonyms::parse(Path::new("synonyms.txt"), TABLE).unwrap())
    }

    #[test]
    fn words_of_a_text_count_as_often_as_they_are_said() {
        for (text, expected) in [
            ("A puppy and two dogs; a Dog.", "puppy|dog|dog"),
            ("She eats hot dogs", "hot dog"),
            ("It is hot. Dogs rest", "dog"),
            ("A baby cow and adult dogs", "cow|dog"),
            ("a passenger jet over train tracks", "jet"),
            ("He wears a bow tie at the home plate", "tie"),
            ("The seat of the toilet", "toilet"),
            ("A toilet seat, a stool", "toilet|stool"),
            ("a seat", "seat"),
            ("wine glasses on dining tables", "wine glass|dining table"),
            ("skis and scissors", "skis|scissor"),
            ("nothing here", ""),
        ] {
            let found = terms().in_text(text);
            let expected = expected.split('|').filter(|word| !word.is_empty());
            let expected: Vec<&str> = expected.collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn objects_that_were_extracted_count_once_and_as_wholes() {
        let found = |objects: &[&str]| {
            let objects: Vec<String> = objects.iter().map(|&o| o.to_owned()).collect();
            terms().in_objects(&objects)
        };
        // Two terms of one kind are two mentions, one term is one.
        assert_eq!(found(&["dog", "puppy", "Dogs"]), ["dog", "puppy"]);
        assert_eq!(found(&["hot dog stand", "baby cow"]), ["hot dog", "cow"]);
        // A tennis player is no term, and neither is a red dog.
        assert_eq!(found(&["dog rider", "red dog", "table"]), ["table"]);
        assert_eq!(found(&["stove top oven"]), ["stove top oven"]);
        assert_eq!(found(&["toilet", "seat"]), ["toilet"]);
        assert_eq!(terms().kind("puppy"), Some("dog"));
    }

    #[test]
    fn lists_are_read_out_of_replies() {
        for (reply, expected) in [
            (r#"["dog", "cat"]"#, Some(vec!["dog", "cat"])),
            ("Here:\n```json\n[\n  \"dog\"\n]\n```", Some(vec!["dog"])),
            (r#"In [1] I see: ["dog"] and so on"#, Some(vec!["dog"])),
            (r#"["dog"], or rather ["cat"]."#, Some(vec!["cat"])),
            ("[]", Some(vec![])),
            ("()", Some(vec![])),
            (r#"<think>["dog","cat"] but the cat"#, None),
            (r#"<think>["dog"]</think> Nothing."#, None),
            (r#"<think>["dog"]</think> ["cat"]"#, Some(vec!["cat"])),
            ("<think>None?</think>\n()", Some(vec![])),
            ("dog, cat", None),
            (r#"["dog", "#, None),
            ("[1, 2]", None),
            ("", None),
        ] {
            let expected =
                expected.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<String>>());
            assert_eq!(read_objects(reply), expected, "{reply}");
        }
    }

    #[test]
    fn a_term_of_two_kinds_is_refused() {
        let error = Synonyms::parse(Path::new("s.txt"), "dog, pet\ncat, pets\n").unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("line 2") && message.contains("pets"),
            "{message}"
        );
    }
}
