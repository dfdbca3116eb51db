//! Terms by rule: what is read in a response by the readers of the benchmarks.
//!
//! | kind | number | applies to |
//! |---|---|---|
//! | `letter` | 1 if [`choice::read`] finds the right letter, else 0 | `caption_type` 2 to 5 |
//! | `yes_no` | 1 if [`yes_no::read`] finds the right one, else 0 | `caption_type` 6 and 7 |
//! | `exact` | 1 if response and data set's answer are equal but for case, blanks, and marks around them, else 0 | prompts with an answer |
//! | `objects` | precision or F1 of the objects that are mentioned | prompts of `caption_type` 1 about an image |
//! | `tokens` | tokens / `per` | all |
//!
//! The texts of options stand in the question's own words, so `letter` reads letters alone. Where a letter, yes or no is the answer,
//! `objects` says nothing: it would pay for objects that nobody asked about.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candor_data::{AnswerType, sha256};

use super::Answered;
use super::recipe::{ObjectMeasure, ObjectsRecipe, Source};
use crate::benchmarks::own::plain;
use crate::objects::Annotations;
use crate::{JudgeError, choice, yes_no};

/// A rule, opened.
#[derive(Debug)]
pub(super) enum Rule {
    Letter,
    YesNo,
    Exact,
    Objects {
        annotations: Annotations,
        measure: ObjectMeasure,
        files: Vec<PathBuf>,
    },
    Tokens(f64),
}

/// What a rule was told of the prompts that it is to judge.
#[derive(Debug, Default)]
pub(super) struct Told {
    n_prompts: usize,
    /// Whether it applies to one of them.
    applies: bool,
    /// How many show an image that nothing is known of.
    n_unknown: usize,
    /// The first such image.
    unknown: Option<String>,
}

impl Rule {
    /// Reads the files of a rule.
    pub(super) fn open(source: &Source) -> Result<Self, JudgeError> {
        Ok(match source {
            Source::Letter => Self::Letter,
            Source::YesNo => Self::YesNo,
            Source::Objects(recipe) => Self::objects(recipe)?,
            Source::Tokens(per) => Self::Tokens(*per),
            _ => Self::Exact,
        })
    }

    fn objects(recipe: &ObjectsRecipe) -> Result<Self, JudgeError> {
        let (instances, captions) = (&recipe.instances, recipe.captions.as_deref());
        let files = [instances, &recipe.synonyms].into_iter();
        Ok(Self::Objects {
            annotations: Annotations::read(instances, captions, &recipe.synonyms)?,
            measure: recipe.measure,
            files: files.chain(&recipe.captions).cloned().collect(),
        })
    }

    /// SHA-256 of what its files say.
    pub(super) fn fingerprint(&self) -> Result<Option<String>, JudgeError> {
        let Self::Objects { files, .. } = self else {
            return Ok(None);
        };
        let hashes = files.iter().map(|file| sha256::of_file(file));
        let hashes = hashes.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(sha256::of(hashes.join("\n"))))
    }

    /// Notes a prompt that it is to judge.
    pub(super) fn tell(&self, told: &mut Told, prompt: &Answered<'_>) {
        told.n_prompts += 1;
        told.applies = told.applies || self.of(prompt).is_some();
        if let Self::Objects { annotations, .. } = self
            && prompt.answer_type == AnswerType::General
            && let Some(image) = prompt.image.filter(|image| !annotations.knows(image))
        {
            told.n_unknown += 1;
            told.unknown.get_or_insert_with(|| image.to_owned());
        }
    }

    /// Whether it applies to some prompt that it was told of, and knows the image of every one.
    pub(super) fn check(&self, name: &str, told: &Told) -> Result<(), JudgeError> {
        if let (Self::Objects { files, .. }, Some(first)) = (self, &told.unknown) {
            return Err(JudgeError::unfit(
                &files[0],
                format!(
                    "it has nothing on {first}, nor on {} more images of prompts, which reward {name:?} is about",
                    told.n_unknown - 1
                ),
                "add them (an image without objects needs its entry in `images` alone), or drop the prompts",
            ));
        }
        if told.applies {
            return Ok(());
        }
        Err(JudgeError::Reward {
            term: name.to_owned(),
            problem: format!("it applies to none of the {} prompts", told.n_prompts),
            remedy: format!("it needs {}; add such prompts or remove it", self.needs()),
        })
    }

    /// What a prompt must have.
    fn needs(&self) -> &'static str {
        match self {
            Self::Letter => "prompts of caption_type 2 to 5",
            Self::YesNo => "prompts of caption_type 6 or 7",
            Self::Exact => "prompts that are followed by an answer",
            Self::Objects { .. } => "prompts of caption_type 1 about an image",
            Self::Tokens(_) => "a prompt",
        }
    }

    /// The number for a response; `None` where it does not apply.
    pub(super) fn of(&self, response: &Answered<'_>) -> Option<f64> {
        match self {
            Self::Letter => match response.answer_type {
                AnswerType::Option(right) => {
                    let letters = ('A'..='D').map(|letter| (letter, String::new()));
                    let options: BTreeMap<char, String> = letters.collect();
                    Some(one(
                        choice::read(response.answer, &options) == Some(right.letter())
                    ))
                }
                _ => None,
            },
            Self::YesNo => {
                let truth = match response.answer_type {
                    AnswerType::Yes => true,
                    AnswerType::No => false,
                    _ => return None,
                };
                Some(one(yes_no::read(response.answer) == Some(truth)))
            }
            Self::Exact => response
                .reference
                .map(|truth| one(plain(response.answer) == plain(truth))),
            Self::Objects {
                annotations,
                measure,
                ..
            } if response.answer_type == AnswerType::General => {
                let found = annotations.found(response.image?, response.answer)?;
                let right = (found.mentioned - found.hallucinated.len()) as f64;
                let (part, whole) = match measure {
                    ObjectMeasure::Precision => (right, found.mentioned),
                    ObjectMeasure::F1 => (2.0 * right, found.mentioned + found.present),
                };
                Some(if whole == 0 { 1.0 } else { part / whole as f64 })
            }
            Self::Objects { .. } => None,
            Self::Tokens(per) => Some(response.n_tokens as f64 / per),
        }
    }
}

fn one(right: bool) -> f64 {
    f64::from(u8::from(right))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use candor_data::Choice;

    use super::*;

    fn response(answer: &str, answer_type: AnswerType) -> Answered<'_> {
        Answered {
            id: "1",
            image: Some("a.jpg"),
            question: "Q?",
            answer,
            facts: &[],
            reference: Some("Red Bus"),
            answer_type,
            n_tokens: 30,
        }
    }

    #[test]
    fn right_answers_earn_one_and_others_nothing() {
        let b = AnswerType::Option(Choice::B);
        let (yes, no, general) = (AnswerType::Yes, AnswerType::No, AnswerType::General);
        for (rule, answer, answer_type, expected) in [
            (Rule::Letter, "B", b, Some(1.0)),
            (Rule::Letter, "The answer is **B**.", b, Some(1.0)),
            (Rule::Letter, "A. not B either", b, Some(0.0)),
            (Rule::Letter, "I cannot tell", b, Some(0.0)),
            (Rule::Letter, "B", yes, None),
            (Rule::YesNo, "Yes, there is.", yes, Some(1.0)),
            (Rule::YesNo, "There is no dog", yes, Some(0.0)),
            (Rule::YesNo, "There is no dog", no, Some(1.0)),
            (Rule::YesNo, "Perhaps", no, Some(0.0)),
            (Rule::YesNo, "Yes", general, None),
            (Rule::Exact, " red  bus. ", general, Some(1.0)),
            (Rule::Exact, "a red bus", general, Some(0.0)),
            (Rule::Tokens(20.0), "any", general, Some(1.5)),
        ] {
            let found = rule.of(&response(answer, answer_type));
            assert_eq!(found, expected, "{rule:?} of {answer:?}");
        }
        let alone = Answered {
            reference: None,
            ..response("Red Bus", general)
        };
        assert_eq!(Rule::Exact.of(&alone), None);
        let message = refused(&Rule::Exact, "match", &alone);
        assert!(
            message.contains("\"match\"") && message.contains("none of the 1 prompts"),
            "{message}"
        );
    }

    /// What is said of a rule that is to judge this prompt alone.
    fn refused(rule: &Rule, name: &str, prompt: &Answered<'_>) -> String {
        let mut told = Told::default();
        rule.tell(&mut told, prompt);
        rule.check(name, &told).unwrap_err().to_string()
    }

    const INSTANCES: &str = r#"{"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9},
        {"id": 2, "file_name": "b.jpg", "width": 9, "height": 9}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 3, "bbox": [0, 0, 4, 4], "area": 16.0, "iscrowd": 0}],
        "categories": [{"id": 3, "name": "dog", "supercategory": "animal"}]}"#;

    #[test]
    fn objects_are_counted_as_chair_counts_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("instances.json"), INSTANCES).unwrap();
        fs::write(at("synonyms.txt"), "dog, puppy\ncat\nperson, man\n").unwrap();
        let captions = r#"{"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
            "annotations": [{"id": 7, "image_id": 1, "caption": "A man with a dog."}]}"#;
        fs::write(at("captions.json"), captions).unwrap();
        let rule = |measure, captions| {
            Rule::open(&Source::Objects(ObjectsRecipe {
                instances: at("instances.json"),
                captions,
                synonyms: at("synonyms.txt"),
                measure,
            }))
            .unwrap()
        };
        let (precision, f1) = (ObjectMeasure::Precision, ObjectMeasure::F1);
        let answer = "Two puppies, a dog and a cat.";
        for (rule, answer, expected) in [
            // Dog is there and cat is not.
            (rule(precision, None), answer, 0.5),
            // 2 · 1 / (2 mentioned + 1 there).
            (rule(f1, None), answer, 2.0 / 3.0),
            // 2 · 1 / (2 mentioned + 2 there).
            (rule(f1, Some(at("captions.json"))), answer, 0.5),
            (rule(precision, None), "It is sunny.", 1.0),
            (rule(f1, None), "It is sunny.", 0.0),
            (rule(f1, None), "A cat.", 0.0),
        ] {
            let found = rule.of(&response(answer, AnswerType::General)).unwrap();
            assert!((found - expected).abs() < 1e-15, "{answer}: {found}");
        }
        let other = Answered {
            image: Some("c.jpg"),
            ..response("", AnswerType::General)
        };
        let message = refused(&rule(f1, None), "objects", &other);
        for part in ["instances.json", "c.jpg", "\"objects\""] {
            assert!(message.contains(part), "{message}");
        }
        let without = Answered {
            image: Some("b.jpg"),
            ..response("It is sunny.", AnswerType::General)
        };
        assert_eq!(rule(f1, None).of(&without), Some(1.0));

        // One image by all the names that sets have for it, and another one's number.
        let numbered = INSTANCES.replace("a.jpg", "000000000009.jpg");
        fs::write(at("instances.json"), numbered).unwrap();
        for (image, expected) in [
            ("000000000009.jpg", Some(1.0)),
            ("coco/train2017/000000000009.jpg", Some(1.0)),
            ("COCO_train2014_000000000009.jpg", Some(1.0)),
            ("000000000010.jpg", None),
            ("a.jpg", None),
        ] {
            let named = Answered {
                image: Some(image),
                ..response("A dog.", AnswerType::General)
            };
            assert_eq!(rule(f1, None).of(&named), expected, "{image}");
        }
        fs::write(at("instances.json"), INSTANCES).unwrap();

        // What answers by a letter, yes or no is not paid for its objects, and its image need not be known.
        let of = |answer, answer_type| rule(f1, None).of(&response(answer, answer_type));
        assert_eq!(of("A dog.", AnswerType::General), Some(1.0));
        let decided = [
            ("Yes. A dog.", AnswerType::Yes),
            ("No. A dog.", AnswerType::No),
            ("B. A dog.", AnswerType::Option(Choice::B)),
        ];
        for (answer, answer_type) in decided {
            assert_eq!(of(answer, answer_type), None, "{answer}");
        }
        let other = Answered {
            image: Some("c.jpg"),
            ..response("", AnswerType::Yes)
        };
        let message = refused(&rule(f1, None), "objects", &other);
        assert!(message.contains("none of the 1 prompts"), "{message}");
    }
}
