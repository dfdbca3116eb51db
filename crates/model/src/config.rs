//! What a `config.json` says, whatever the family.

use std::path::Path;

use candor_data::image::{Colours, Fitted, ImageSize, NativeProcessor, PixelBounds};
use serde::Serialize;
use serde_json::Value;

use crate::names::{self, Names};
use crate::qwen::Generation;
use crate::{
    DecoderSizes, LlavaConfig, LlavaKind, ModelError, QwenConfig, TextConfig, Tokenizer, TowerSizes,
};

/// The largest size of anything: far above any model, it keeps a hostile file from asking for terabytes or
/// overflowing products.
pub(crate) const LIMIT: i64 = 1 << 24;
/// The most blocks, and the longest side of an image.
pub(crate) const FEW: i64 = 1 << 12;

/// Whether each field is between 1 and its limit; the message names the first that is not.
pub(crate) fn check_limits<'a>(
    fields: impl IntoIterator<Item = (&'a str, i64, i64)>,
) -> Result<(), String> {
    let mut fields = fields.into_iter();
    match fields.find(|(_, value, limit)| !(1..=*limit).contains(value)) {
        None => Ok(()),
        Some((field, value, limit)) => Err(format!(
            "`{field}` is {value}, which is not between 1 and {limit}"
        )),
    }
}

/// Whether each field is a multiple of the one beside it, which is positive; the message names the first that is not.
pub(crate) fn check_multiples<'a>(
    fields: impl IntoIterator<Item = (&'a str, i64, &'a str, i64)>,
) -> Result<(), String> {
    let mut fields = fields.into_iter();
    match fields.find(|(_, whole, _, part)| whole % part != 0) {
        None => Ok(()),
        Some((field, whole, part_field, part)) => Err(format!(
            "`{field}` is {whole}, which `{part_field}` = {part} does not divide"
        )),
    }
}

/// The image that plans reckon with where images have their own sizes: the usual photograph of COCO.
pub const USUAL_IMAGE: ImageSize = ImageSize {
    width: 640,
    height: 480,
};

/// The configuration of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ModelConfig {
    /// LLaVA, LLaVA-1.5, LLaVA-NeXT and LLaVA-OneVision.
    Llava(LlavaConfig),
    /// Qwen2-VL, Qwen2.5-VL and Qwen3-VL.
    Qwen(QwenConfig),
}

impl From<LlavaConfig> for ModelConfig {
    fn from(config: LlavaConfig) -> Self {
        Self::Llava(config)
    }
}

impl From<QwenConfig> for ModelConfig {
    fn from(config: QwenConfig) -> Self {
        Self::Qwen(config)
    }
}

impl ModelConfig {
    /// The model that the `config.json` of a Hugging Face folder describes.
    ///
    /// # Errors
    /// A field is missing, has another type than it should, or asks for what candor does not compute.
    pub fn of_json(config: &str) -> Result<Self, String> {
        let mut value: Value = serde_json::from_str(config).map_err(|e| e.to_string())?;
        let [index, id] = ["image_token_index", "image_token_id"].map(|field| &value[field]);
        let both = !index.is_null() && !id.is_null();
        if both && index != id {
            return Err(format!(
                "`image_token_index` is {index} and `image_token_id` is {id}, two names of one id"
            ));
        }
        let model_type = value["model_type"].as_str().unwrap_or_default();
        if Generation::of(model_type).is_some() {
            return Ok(Self::Qwen(QwenConfig::of_json(config)?));
        }
        let one_name = match value.as_object_mut() {
            Some(fields) if both => {
                fields.remove("image_token_id");
                Some(value.to_string())
            }
            _ => None,
        };
        let config = one_name.as_deref().unwrap_or(config);
        Ok(Self::Llava(LlavaConfig::of_json(config)?))
    }

    /// The same for a model that knows the words of this tokenizer.
    #[must_use]
    pub fn with_words(self, tokenizer: &Tokenizer) -> Self {
        match self {
            Self::Llava(c) => {
                let n_words = tokenizer.vocab_size() as i64;
                Self::Llava(c.with_words(n_words, tokenizer.image))
            }
            Self::Qwen(c) => Self::Qwen(c.with_words(tokenizer)),
        }
    }

    /// What people call the family.
    #[must_use]
    pub fn family(&self) -> &'static str {
        match self {
            Self::Llava(c) => c.kind().name(),
            Self::Qwen(c) => c.generation.name(),
        }
    }

    /// The class of transformers that it is.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Llava(c) => c.kind().class(),
            Self::Qwen(c) => c.generation.class(),
        }
    }

    /// The configuration, where it is a LLaVA's.
    #[must_use]
    pub fn llava(&self) -> Option<&LlavaConfig> {
        match self {
            Self::Llava(c) => Some(c),
            Self::Qwen(_) => None,
        }
    }

    /// What Hugging Face's files call its tensors.
    pub(crate) fn names(&self) -> &'static Names {
        match self {
            Self::Llava(_) => &names::HUGGING_FACE,
            Self::Qwen(_) => &names::QWEN,
        }
    }

    /// The decoder.
    pub(crate) fn text(&self) -> &TextConfig {
        match self {
            Self::Llava(c) => &c.text_config,
            Self::Qwen(c) => &c.text,
        }
    }

    /// Id of the placeholder that stands for each token of an image.
    #[must_use]
    pub fn image_token(&self) -> i64 {
        match self {
            Self::Llava(c) => c.image_token_index,
            Self::Qwen(c) => c.image_token_id,
        }
    }

    /// Tokens of an image of this size, which is that of [`candor_data::image::ImageProcessor::size_of`]; of a family that
    /// makes all images alike, the size does not matter.
    #[must_use]
    pub fn n_image_tokens(&self, size: ImageSize) -> usize {
        match self {
            Self::Llava(c) => c.n_tokens_of(size) as usize,
            Self::Qwen(c) => {
                let [rows, columns] = c.vision.grid([size.height, size.width].map(i64::from));
                (rows * columns) as usize
            }
        }
    }

    /// Tokens of an image that has been fitted.
    pub(crate) fn n_tokens_of_fitted(&self, image: &Fitted) -> usize {
        match (self, image.own) {
            // A family that sees tiles writes a new line after an image without any.
            (Self::Llava(c), None) if c.kind() != LlavaKind::Plain => c.n_view_rows() as usize + 1,
            (_, own) => self.n_image_tokens(own.unwrap_or(image.size)),
        }
    }

    /// What [`USUAL_IMAGE`] is fitted to within bounds, if there are any.
    #[must_use]
    pub fn usual_image(&self, bounds: PixelBounds) -> ImageSize {
        let c = match self {
            Self::Qwen(c) if !bounds.is_none() => &c.vision,
            Self::Llava(_) | Self::Qwen(_) => return USUAL_IMAGE,
        };
        let bounded = NativeProcessor {
            patch_size: c.patch_size as u32,
            merge_size: c.merge_size as u32,
            temporal_patch_size: c.temporal_patch_size as u32,
            min_pixels: bounds.min.unwrap_or(1),
            max_pixels: bounds.max.unwrap_or(PixelBounds::MOST),
            colours: Colours::CLIP,
        };
        bounded.size_of(USUAL_IMAGE).unwrap_or(USUAL_IMAGE)
    }

    /// Pixels of the square that one token of an image covers, along a side.
    #[must_use]
    pub fn token_side(&self) -> i64 {
        match self {
            Self::Llava(c) => c.vision_config.patch_size,
            Self::Qwen(c) => c.vision.token_side(),
        }
    }

    /// Rows of features of such an image.
    #[must_use]
    pub fn n_feature_rows(&self, size: ImageSize) -> usize {
        match self {
            Self::Llava(c) => c.n_rows_of(size) as usize,
            Self::Qwen(c) => self.n_image_tokens(size) * c.vision.merge_size.pow(2) as usize,
        }
    }

    /// Patches of the images that the tower takes of such an image.
    #[must_use]
    pub fn n_patches(&self, size: ImageSize) -> usize {
        match self {
            Self::Llava(c) => (c.n_views_of(size) * c.n_view_rows()) as usize,
            Self::Qwen(_) => self.n_feature_rows(size),
        }
    }

    /// Numbers in such a row.
    #[must_use]
    pub fn feature_width(&self) -> i64 {
        match self {
            Self::Llava(c) => c.feature_width(),
            Self::Qwen(c) => c.vision.feature_width(),
        }
    }

    /// Whether an image takes as many tokens as its own size asks for.
    #[must_use]
    pub fn sizes_differ(&self) -> bool {
        self.n_tokens_of_all().is_none()
    }

    /// Tokens of any image, where all take as many.
    pub(crate) fn n_tokens_of_all(&self) -> Option<usize> {
        match self {
            Self::Llava(c) if c.kind() == LlavaKind::Plain => Some(c.n_view_rows() as usize),
            Self::Llava(_) | Self::Qwen(_) => None,
        }
    }

    /// Sizes of the decoder.
    #[must_use]
    pub fn decoder_sizes(&self) -> DecoderSizes {
        self.text().sizes()
    }

    /// Sizes of the tower.
    #[must_use]
    pub fn tower_sizes(&self) -> TowerSizes {
        match self {
            Self::Llava(c) => c.tower_sizes(),
            Self::Qwen(c) => c.vision.sizes(),
        }
    }

    /// All that the configuration says of what the tower gives of an image, for fingerprints.
    #[must_use]
    pub fn tower_settings(&self) -> String {
        match self {
            Self::Llava(c) => {
                let tiles = (&c.image_grid_pinpoints, &c.vision_aspect_ratio);
                let read = (&c.vision_feature_layer, c.vision_feature_select_strategy);
                format!("{:?}", (&c.model_type, &c.vision_config, read, tiles))
            }
            Self::Qwen(c) => format!("{:?}", (c.generation, &c.vision)),
        }
    }

    /// Tokens that one sequence may have.
    #[must_use]
    pub fn n_positions(&self) -> usize {
        self.text().max_position_embeddings as usize
    }

    /// Whether the output layer is the embedding.
    #[must_use]
    pub fn tied(&self) -> bool {
        match self {
            Self::Llava(c) => c.tied(),
            Self::Qwen(c) => c.text.tie_word_embeddings,
        }
    }

    /// Says that the output layer is not the embedding.
    pub(crate) fn untie(&mut self) {
        match self {
            Self::Llava(c) => c.untie(),
            Self::Qwen(c) => c.untie(),
        }
    }

    /// Gives embedding and output layer so many rows more.
    pub(crate) fn add_rows(&mut self, n: i64) {
        match self {
            Self::Llava(c) => c.text_config.vocab_size += n,
            Self::Qwen(c) => c.text.vocab_size += n,
        }
    }

    /// Whether the sizes fit together; the message says which do not.
    ///
    /// # Errors
    /// Names the fields and what is wrong between them.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Llava(c) => c.check(),
            Self::Qwen(c) => c.check(),
        }
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ModelError> {
        match self {
            Self::Llava(c) => c.write(path),
            Self::Qwen(c) => c.write(path),
        }
    }
}
