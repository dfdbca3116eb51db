//! The recipe of the grounding stage.

use std::path::{Path, PathBuf};

use candor_data::mixture::Share;
use candor_recipe::{Reader, Resolved};
use candor_train::SessionRecipe;
use candor_train::stage_fields::{IMAGES, ROOT};

use super::family::FreshModel;
use crate::SftError;
use crate::recipe::SourceRecipe;

/// Everything the grounding stage needs to know.
#[derive(Debug, Clone)]
pub struct GroundRecipe {
    /// Optimizer and run folder.
    pub session: SessionRecipe,
    /// The model to create.
    pub model: FreshModel,
    /// Most entries the tokenizer may have.
    pub max_vocab: usize,
    /// Texts that the tokenizer is trained on.
    pub texts: Vec<SourceRecipe>,
    /// Image folder.
    pub images: PathBuf,
    /// COCO instances file.
    pub instances: PathBuf,
    /// Images per update.
    pub batch_images: usize,
    /// Updates.
    pub n_steps: u64,
    /// Images that are held out to measure what the tower sees.
    pub n_held_out: usize,
    /// The recipe as it is run.
    pub resolved: Resolved,
}

impl GroundRecipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, SftError> {
        Self::read(Reader::open(path, sets)?)
    }

    /// Reads a recipe that is already in memory.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn read(mut recipe: Reader) -> Result<Self, SftError> {
        let session = SessionRecipe::read(&mut recipe);
        let model = FreshModel::read(&mut recipe);
        let max_vocab = recipe
            .usize("tokenizer.max_vocab", "Entries of the tokenizer at most.")
            .within(300..=1_000_000)
            .required();
        let root = recipe.path("data.root", ROOT).required();
        let texts = SourceRecipe::read_all(&mut recipe, "tokenizer.sources", &root);
        if texts.iter().any(|source| source.share != Share::All) {
            let remedy = "leave them out: a tokenizer is trained on every row";
            recipe.mistake(
                "tokenizer.sources",
                "a source has a count or a weight",
                remedy,
            );
        }
        let images = root.join(recipe.path("data.images", IMAGES).required());
        let instances = root.join(
            recipe
                .path("data.instances", "COCO instances: which objects are where.")
                .required(),
        );
        let batch_images = recipe
            .usize("data.batch_images", "Images of an update.")
            .positive()
            .required();
        let n_held_out = recipe
            .usize(
                "data.n_held_out",
                "Images on which it is measured what the tower sees.",
            )
            .required();
        let n_steps = recipe
            .u64("run.steps", "How many updates the run has.")
            .positive()
            .required();
        let resolved = recipe.finish()?;
        let Some(model) = model else {
            unreachable!("what is not there was a mistake")
        };
        Ok(Self {
            session,
            model,
            max_vocab,
            texts,
            images,
            instances,
            batch_images,
            n_steps,
            n_held_out,
            resolved,
        })
    }
}
