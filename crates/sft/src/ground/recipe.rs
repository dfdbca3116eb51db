//! The recipe of the grounding stage.

use std::path::{Path, PathBuf};

use candor_data::mixture::Share;
use candor_model::{DecoderSizes, LlavaConfig, Template, TowerSizes};
use candor_recipe::{Reader, Resolved};
use candor_train::SessionRecipe;
use candor_train::stage_fields::{IMAGES, ROOT};

use crate::SftError;
use crate::recipe::SourceRecipe;

/// Everything the grounding stage needs to know.
#[derive(Debug, Clone)]
pub struct GroundRecipe {
    /// Optimizer and run folder.
    pub session: SessionRecipe,
    /// Sizes of the model to create. `vocab_size` and the image token follow from the tokenizer.
    pub model: LlavaConfig,
    /// How turns become text.
    pub template: Template,
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
        let model = read_model(&mut recipe);
        let template = Template::VicunaV1 {
            system: recipe
                .string(
                    "model.system",
                    "The system sentence of the template; may be empty.",
                )
                .required(),
        };
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
        if let Err(problem) = model.check() {
            recipe.mistake("model", problem, "choose sizes that fit together");
        }
        let resolved = recipe.finish()?;
        Ok(Self {
            session,
            model,
            template,
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

fn read_model(recipe: &mut Reader) -> LlavaConfig {
    let mut size = |key: &str, meaning| recipe.i64(key, meaning).within(1..=65536).required();
    let mut tower = TowerSizes {
        width: size("model.vision.width", "Width of the tower."),
        mlp_width: size("model.vision.mlp_width", "Inner width of its MLPs."),
        n_blocks: size("model.vision.layers", "Its blocks."),
        n_heads: size("model.vision.heads", "Its attention heads."),
        image_size: size("model.vision.image_size", "Pixels of an image's side."),
        patch_size: size("model.vision.patch_size", "Pixels of a patch's side."),
        feature_layer: 0,
    };
    let width = size("model.text.width", "Width of the decoder.");
    let mlp_width = size("model.text.mlp_width", "Inner width of its MLPs.");
    let n_blocks = size("model.text.layers", "Its blocks.");
    let n_heads = size("model.text.heads", "Its attention heads.");
    let decoder = DecoderSizes {
        width,
        mlp_width,
        n_blocks,
        n_heads,
        n_kv_heads: size("model.text.kv_heads", "Heads of its keys and values."),
        head_width: width / n_heads.max(1),
        n_words: 1,
        n_positions: size("model.text.max_positions", "Tokens that it can read."),
    };
    tower.feature_layer = recipe
        .i64(
            "model.vision.feature_layer",
            "The layer that features are taken from: -2 is the last but one.",
        )
        .required();
    LlavaConfig::of_sizes(&decoder, &tower)
}
