//! The list of sources in a recipe: what each is called, how much of an epoch it has, and its files.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use candor_data::formats::ImageNames;
use candor_data::formats::folder::Split;
use candor_data::mixture::Share;
use candor_data::sources::{PromptOn, Reasoning, VqaOptions};
use candor_recipe::Reader;

/// What `path` is, of all formats alike.
const FILE: &str = "The file; of \"llava\" and \"messages\" it may be a folder with the files of a set (docs/formats.md).";

/// One entry of a recipe's list of sources.
#[derive(Debug, Clone)]
pub struct SourceRecipe {
    /// Name, distinct within the recipe.
    pub name: String,
    /// How much of an epoch it has.
    pub share: Share,
    /// Which of the assistant's turns are trained on.
    pub train_on: TrainOn,
    /// Which files are meant where a folder has such of several splits.
    pub split: Split,
    /// Where its rows are.
    pub files: Files,
}

/// Which of the assistant's turns are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainOn {
    /// All of them.
    EveryTurn,
    /// The last one; those before it are read and not learned.
    LastTurn,
}

/// The files of a source, by format.
#[derive(Debug, Clone)]
pub enum Files {
    /// LLaVA conversations.
    Llava(PathBuf),
    /// TRL conversations.
    Messages(PathBuf),
    /// VQA-v2.
    VqaV2 {
        /// Questions JSON.
        questions: PathBuf,
        /// Annotations JSON.
        annotations: PathBuf,
        /// How questions become conversations.
        options: VqaOptions,
    },
    /// A-OKVQA.
    AOkvqa {
        /// The questions.
        path: PathBuf,
        /// How image numbers become file names.
        images: ImageNames,
        /// Whether the reason stands before the answer (chain of thought, for the policy's start) or after it.
        reasoning: Reasoning,
    },
    /// Flickr30k token file.
    Flickr30k(PathBuf),
}

impl SourceRecipe {
    /// Asks the recipe for the list of sources under `key` whose texts are read; their paths are relative to `root`.
    pub fn read_all(recipe: &mut Reader, key: &str, root: &Path) -> Vec<Self> {
        Self::read(recipe, key, root, |_, _| TrainOn::EveryTurn)
    }

    /// As [`SourceRecipe::read_all`], of conversations that are trained on.
    pub fn read_trained(recipe: &mut Reader, key: &str, root: &Path) -> Vec<Self> {
        Self::read(recipe, key, root, |recipe, element| {
            read_train_on(
                recipe,
                element,
                "Which answers of a conversation are learned: all of them, or the last one, before which the others are only read.",
            )
        })
    }

    fn read(
        recipe: &mut Reader,
        key: &str,
        root: &Path,
        train_on: impl Fn(&mut Reader, &str) -> TrainOn,
    ) -> Vec<Self> {
        let elements = recipe
            .tables(key, "The files that are read, one table each.")
            .required();
        elements
            .iter()
            .map(|element| {
                let name = read_name(recipe, element);
                let share = read_share(recipe, element);
                let train_on = train_on(recipe, element);
                let files = read_files(recipe, element, root);
                Self {
                    name,
                    share,
                    train_on,
                    split: Split::Train,
                    files,
                }
            })
            .collect()
    }

    /// As [`SourceRecipe::read_all`], of conversations that are all looked at and not trained on.
    pub fn read_held_out(recipe: &mut Reader, key: &str, root: &Path) -> Vec<Self> {
        let elements = recipe
            .tables(key, "The files of held-out conversations, one table each.")
            .required();
        elements
            .iter()
            .map(|element| Self {
                name: read_name(recipe, element),
                share: Share::All,
                train_on: read_train_on(
                    recipe,
                    element,
                    "Which answers of a conversation the held-out loss is over: all of them, or the last one alone.",
                ),
                split: Split::HeldOut,
                files: read_files(recipe, element, root),
            })
            .collect()
    }
}

fn read_name(recipe: &mut Reader, element: &str) -> String {
    let meaning = "A name for messages, distinct within the recipe.";
    recipe
        .string(&format!("{element}.name"), meaning)
        .required()
}

/// How much of an epoch a source has.
fn read_share(recipe: &mut Reader, element: &str) -> Share {
    let count = recipe
            .usize(&format!("{element}.count"), "Conversations that an epoch takes of this source; not together with `weight`. Without either, every row is taken once.")
            .positive()
            .optional();
    let weight = recipe
        .f64(
            &format!("{element}.weight"),
            "Share of an epoch that this source has, relative to the other weights.",
        )
        .positive()
        .optional();
    if count.is_some() && weight.is_some() {
        let remedy = "keep one of them; without either, every row is taken once";
        recipe.mistake(
            &format!("{element}.weight"),
            "there is a count as well",
            remedy,
        );
    }
    match (count, weight) {
        (Some(count), _) => Share::Count(count),
        (None, Some(weight)) => Share::Weight(weight),
        (None, None) => Share::All,
    }
}

fn read_train_on(recipe: &mut Reader, element: &str, meaning: &'static str) -> TrainOn {
    recipe
        .one_of(
            &format!("{element}.train_on"),
            &[
                ("every_turn", TrainOn::EveryTurn),
                ("last_turn", TrainOn::LastTurn),
            ],
            meaning,
        )
        .or(TrainOn::EveryTurn, "\"every_turn\"")
}

/// Where the rows of a source are.
fn read_files(recipe: &mut Reader, element: &str, root: &Path) -> Files {
    let formats = [
        ("llava", 0),
        ("vqa_v2", 1),
        ("a_okvqa", 2),
        ("flickr30k", 3),
        ("messages", 4),
    ];
    let format = recipe
        .one_of(
            &format!("{element}.format"),
            &formats,
            "What the file is (docs/formats.md).",
        )
        .required();
    let mut path = |field: &str, meaning| {
        root.join(
            recipe
                .path(&format!("{element}.{field}"), meaning)
                .required(),
        )
    };
    match format {
        0 => Files::Llava(path("path", FILE)),
        4 => Files::Messages(path("path", FILE)),
        1 => Files::VqaV2 {
            questions: path("questions", "The file of questions."),
            annotations: path("annotations", "The file of answers."),
            options: VqaOptions {
                images: image_names(recipe, element),
                prompt_on: recipe
                    .one_of(
                        &format!("{element}.prompt_on"),
                        &[
                            ("first_turn", PromptOn::FirstTurn),
                            ("every_turn", PromptOn::EveryTurn),
                        ],
                        "Which questions ask for a single word or phrase.",
                    )
                    .required(),
                max_questions: NonZeroUsize::new(
                    recipe
                        .usize(
                            &format!("{element}.max_questions"),
                            "Questions about an image that become one conversation, at most.",
                        )
                        .positive()
                        .required(),
                )
                .unwrap_or(NonZeroUsize::MIN),
            },
        },
        2 => Files::AOkvqa {
            path: path("path", FILE),
            images: image_names(recipe, element),
            reasoning: recipe
                .one_of(
                    &format!("{element}.reasoning"),
                    &[("after", Reasoning::After), ("before", Reasoning::Before)],
                    "Where the rationale stands: after the answer, or before it.",
                )
                .required(),
        },
        _ => Files::Flickr30k(path("path", FILE)),
    }
}

/// How image numbers become file names, from a pattern such as `COCO_train2014_{:012}.jpg`.
fn image_names(recipe: &mut Reader, element: &str) -> ImageNames {
    let key = format!("{element}.image_name");
    let meaning =
        "How the number of an image becomes its file name: \"COCO_train2014_{:012}.jpg\".";
    let pattern = recipe.string(&key, meaning).required();
    ImageNames::from_pattern(&pattern).unwrap_or_else(|| {
        recipe.mistake(
            &key,
            format!("found {pattern:?}"),
            "write a pattern such as \"{:012}.jpg\"",
        );
        ImageNames::coco_2017()
    })
}
