//! The recipe of the grounding stage.

use std::path::{Path, PathBuf};

use candor_data::mixture::Share;
use candor_model::{
    Activation, FeatureSelect, LlavaConfig, ProjectorKind, Template, TextConfig, VisionConfig,
};
use candor_train::stage_fields::{IMAGES, ROOT};
use candor_train::{Reader, Resolved, SessionRecipe};

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
            .usize("data.batch_images", "Pictures of an update.")
            .positive()
            .required();
        let n_held_out = recipe
            .usize(
                "data.n_held_out",
                "Pictures on which it is measured what the tower sees.",
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
    let vision_config = VisionConfig {
        model_type: "clip_vision_model".to_owned(),
        hidden_size: size("model.vision.width", "Width of the tower."),
        intermediate_size: size("model.vision.mlp_width", "Inner width of its MLPs."),
        num_hidden_layers: size("model.vision.layers", "Its blocks."),
        num_attention_heads: size("model.vision.heads", "Its attention heads."),
        image_size: size("model.vision.image_size", "Pixels of a picture's side."),
        patch_size: size("model.vision.patch_size", "Pixels of a patch's side."),
        layer_norm_eps: 1e-5,
        hidden_act: Activation::QuickGelu,
        projection_dim: 512,
    };
    let text_config = TextConfig {
        model_type: "llama".to_owned(),
        vocab_size: 1,
        hidden_size: size("model.text.width", "Width of the decoder."),
        intermediate_size: size("model.text.mlp_width", "Inner width of its MLPs."),
        num_hidden_layers: size("model.text.layers", "Its blocks."),
        num_attention_heads: size("model.text.heads", "Its attention heads."),
        num_key_value_heads: Some(size("model.text.kv_heads", "Heads of its keys and values.")),
        head_dim: None,
        rms_norm_eps: 1e-6,
        rope_theta: Some(10000.0),
        rope_parameters: None,
        rope_scaling: None,
        max_position_embeddings: size("model.text.max_positions", "Tokens that it can read."),
        tie_word_embeddings: false,
    };
    LlavaConfig {
        architectures: vec!["LlavaForConditionalGeneration".to_owned()],
        model_type: "llava".to_owned(),
        image_token_index: 0,
        projector_hidden_act: Activation::Gelu,
        mm_projector_type: ProjectorKind::Mlp,
        mm_use_im_start_end: false,
        multimodal_projector_bias: true,
        vision_feature_layer: recipe
            .i64(
                "model.vision.feature_layer",
                "The layer that features are taken from: -2 is the last but one.",
            )
            .required(),
        vision_feature_select_strategy: FeatureSelect::Default,
        tie_word_embeddings: false,
        text_config,
        vision_config,
    }
}
