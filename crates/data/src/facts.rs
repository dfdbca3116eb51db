//! What is known to be true of an image: shown to the reward model and to judges, never to the policy.
//!
//! The public file `image_to_caption.json` holds captions and, under `aok_` keys, rationales. The correct
//! option belongs to a question and not to an image, so it comes from the prompt
//! ([`FactBook::for_prompt`]); objects may come from COCO instances.

use std::collections::BTreeMap;

use crate::prompt::{AnswerType, Choice};
use crate::shown;

/// The facts of one image, or of one question about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Captions written by people.
    pub captions: Vec<String>,
    /// Why the correct option of a multiple-choice question is correct.
    pub rationale: Vec<String>,
    /// The correct option, for a multiple-choice question.
    pub correct_option: Option<Choice>,
    /// Names of the objects in the image.
    pub objects: Vec<String>,
}

impl Facts {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Facts by image file name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FactBook {
    images: BTreeMap<String, Facts>,
}

impl FactBook {
    /// A book that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything known about `image`.
    #[must_use]
    pub fn get(&self, image: &str) -> Option<&Facts> {
        self.images.get(image)
    }

    /// The facts of `image`, to be filled in.
    pub fn entry(&mut self, image: impl Into<String>) -> &mut Facts {
        self.images.entry(image.into()).or_default()
    }

    /// The facts that a prompt about `image` with this answer type may be judged by: rationale and correct
    /// option for a multiple-choice question, captions and objects for anything else. Of several images
    /// ([`crate::shown`]), those of one after the other.
    ///
    /// # Reference
    /// A–D items look up the `aok_` key, which holds rationales; all others the plain key.
    #[must_use]
    pub fn for_prompt(&self, image: &str, answer_type: AnswerType) -> Facts {
        let mut known = Facts::default();
        for facts in shown::names(image).filter_map(|name| self.images.get(name)) {
            known.captions.extend_from_slice(&facts.captions);
            known.rationale.extend_from_slice(&facts.rationale);
            known.objects.extend_from_slice(&facts.objects);
        }
        match answer_type {
            AnswerType::Option(choice) => Facts {
                rationale: known.rationale,
                correct_option: Some(choice),
                ..Facts::default()
            },
            AnswerType::General | AnswerType::No | AnswerType::Yes => Facts {
                captions: known.captions,
                objects: known.objects,
                ..Facts::default()
            },
        }
    }

    /// All images and their facts, by file name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Facts)> {
        self.images
            .iter()
            .map(|(image, facts)| (image.as_str(), facts))
    }

    /// Number of images something is known of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether nothing is known of any image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_choice_prompt_sees_the_rationale_and_its_own_option() {
        let mut book = FactBook::new();
        let facts = book.entry("a.jpg");
        facts.captions = vec!["a dog".into()];
        facts.rationale = vec!["dogs bark".into()];
        facts.objects = vec!["dog".into()];

        let option = book.for_prompt("a.jpg", AnswerType::Option(Choice::C));
        assert_eq!(option.rationale, ["dogs bark"]);
        assert_eq!(option.correct_option, Some(Choice::C));
        assert!(option.captions.is_empty() && option.objects.is_empty());

        let general = book.for_prompt("a.jpg", AnswerType::Yes);
        assert_eq!(general.captions, ["a dog"]);
        assert_eq!(general.objects, ["dog"]);
        assert!(general.rationale.is_empty() && general.correct_option.is_none());

        assert!(book.for_prompt("b.jpg", AnswerType::General).is_empty());
    }
}
