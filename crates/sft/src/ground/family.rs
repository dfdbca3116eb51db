//! A model that starts from nothing, of each family that can be made so: its sizes, and what it reads and sees through.
//!
//! Whatever the family, images are squares, and the tower is asked about the squares of a grid that the decoder gets a token of
//! each: patches of a LLaVA, and of a Qwen-VL the patches of a token together, as its merger takes them. A Qwen-VL's patches
//! come token by token, the tokens row by row, so that in both families the rows of features of one token stand beside each
//! other, and tokens are in reading order.

use std::path::PathBuf;

use candor_data::image::{
    Colours, Fitted, ImageLimits, ImageProcessor, ImageSize, NativeProcessor, load_batch,
};
use candor_model::image_features::pixels;
use candor_model::{Bundle, ModelConfig, ModelError, SpecialTokens, Template, Tokenizer, Vlm};
use candor_recipe::Reader;
use tch::{Device, Tensor};

use super::sizes;
use crate::SftError;

/// A family of which a model can be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// LLaVA-1.5.
    Llava,
    /// Qwen2.5-VL.
    Qwen25Vl,
    /// Qwen3-VL.
    Qwen3Vl,
}

impl Family {
    fn read(recipe: &mut Reader) -> Self {
        recipe
            .one_of(
                "model.family",
                &[
                    ("llava", Self::Llava),
                    ("qwen2_5_vl", Self::Qwen25Vl),
                    ("qwen3_vl", Self::Qwen3Vl),
                ],
                "What the model is built as.",
            )
            .or(Self::Llava, "\"llava\"")
    }

    fn special_tokens(self) -> SpecialTokens {
        match self {
            Self::Llava => SpecialTokens::Llava,
            Self::Qwen25Vl | Self::Qwen3Vl => SpecialTokens::QwenVl,
        }
    }

    fn template(self, system: String) -> Result<Template, ModelError> {
        match self {
            Self::Llava => Ok(Template::VicunaV1 { system }),
            Self::Qwen25Vl | Self::Qwen3Vl => Template::qwen_vl(&system),
        }
    }
}

/// A model that is to be made.
#[derive(Debug, Clone)]
pub struct FreshModel {
    /// Its sizes. Words and the image token follow from the tokenizer.
    pub config: ModelConfig,
    /// How turns become text.
    pub template: Template,
    /// Pixels of an image's side.
    pub image_size: u32,
    family: Family,
}

impl FreshModel {
    /// Asks a recipe for it; none after a mistake.
    pub(super) fn read(recipe: &mut Reader) -> Option<Self> {
        let family = Family::read(recipe);
        let (config, image_size) = sizes::read(recipe, family);
        let system = recipe
            .string(
                "model.system",
                "The system sentence of the template; may be empty.",
            )
            .required();
        let config = config.and_then(|config| config.check().map(|()| config));
        if let Err(problem) = &config {
            recipe.mistake("model", problem, "choose sizes that fit together");
        }
        let template = family.template(system);
        if let Err(problem) = &template {
            recipe.mistake("model.system", problem.to_string(), "write another one");
        }
        Some(Self {
            config: config.ok()?,
            template: template.ok()?,
            image_size: u32::try_from(image_size).ok()?,
            family,
        })
    }

    /// Tokens along a side of an image: as many squares as the tower is asked about.
    #[must_use]
    pub fn grid(&self) -> usize {
        (i64::from(self.image_size) / self.config.token_side()) as usize
    }

    /// Patches of an image.
    #[must_use]
    pub fn n_patches(&self) -> usize {
        self.config.n_patches(self.square())
    }

    /// Numbers that the tower's last layer gives of a token.
    pub(super) fn width(&self) -> i64 {
        let square = self.square();
        let rows = self.config.n_feature_rows(square) / self.config.n_image_tokens(square);
        self.config.tower_sizes().width * rows as i64
    }

    /// Whether an image becomes square by padding; else it is stretched.
    pub(super) fn pads(&self) -> bool {
        self.family == Family::Llava
    }

    fn square(&self) -> ImageSize {
        ImageSize {
            width: self.image_size,
            height: self.image_size,
        }
    }

    fn processor(&self) -> ImageProcessor {
        match &self.config {
            ModelConfig::Llava(_) => ImageProcessor::clip(self.image_size),
            ModelConfig::Qwen(config) => {
                // Not the square alone: a side comes from the root of a bound, which rounding may take beyond a whole number of
                // tokens, and then the image would be a token larger or smaller.
                let n_pixels = self.image_size.saturating_pow(2);
                let room = self.config.token_side() as u32;
                ImageProcessor::Native(NativeProcessor {
                    patch_size: config.vision.patch_size as u32,
                    merge_size: config.vision.merge_size as u32,
                    temporal_patch_size: config.vision.temporal_patch_size as u32,
                    min_pixels: n_pixels.saturating_sub(room),
                    max_pixels: n_pixels.saturating_add(room),
                    colours: Colours::CLIP,
                })
            }
        }
    }

    /// The model with a tokenizer trained on these texts.
    ///
    /// # Errors
    /// The texts are too few to train on.
    pub(super) fn build(
        &self,
        texts: impl Iterator<Item = String> + Send,
        max_vocab: usize,
        seed: u64,
        device: Device,
    ) -> Result<Bundle, ModelError> {
        let tokenizer = Tokenizer::train_with(self.family.special_tokens(), texts, max_vocab)?;
        let config = self.config.clone().with_words(&tokenizer);
        Ok(Bundle {
            model: Vlm::fresh(config, seed, device)?,
            tokenizer,
            template: self.template.clone(),
            processor: self.processor(),
        })
    }

    /// What the tower's last layer gives of images, token by token.
    ///
    /// # Shapes
    /// → `[n_images, n_tokens, n]`, of a token all that its rows of features have.
    ///
    /// # Errors
    /// An image is missing or damaged, or of a shape that is not the square which the tower is asked about.
    pub(super) fn look(&self, bundle: &Bundle, paths: &[PathBuf]) -> Result<Tensor, SftError> {
        let fitted = load_batch(paths, &bundle.processor, &ImageLimits::default())?;
        let square = self.square();
        if let Some((path, image)) = paths.iter().zip(&fitted).find(|(_, i)| i.size != square) {
            return Err(SftError::Unfit {
                path: path.clone(),
                problem: format!(
                    "is seen in {} x {} pixels, and what is where is asked of {} x {}",
                    image.size.width, image.size.height, square.width, square.height
                ),
                remedy: "crop the image to a square, or pad it",
            });
        }
        Ok(self.look_at(bundle, &fitted))
    }

    fn look_at(&self, bundle: &Bundle, fitted: &[Fitted]) -> Tensor {
        let seen = bundle.model.image_features(&pixels(bundle, fitted.iter()));
        let n_tokens = self.grid().pow(2) as i64;
        // Beside it stands what a Qwen3-VL hands on of earlier layers.
        let last = seen.rows().narrow(1, 0, self.config.tower_sizes().width);
        last.reshape([fitted.len() as i64, n_tokens, -1])
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_data::formats::coco::{Category, Image, Instance, Instances};
    use tch::Kind;

    use super::super::labels::GroundTruth;
    use super::*;

    const SIZES: &str = r#"
[model]
system = ""
[model.vision]
image_size = 64
width = 16
mlp_width = 32
layers = 4
heads = 2
[model.text]
width = 24
mlp_width = 48
layers = 2
heads = 2
kv_heads = 1
max_positions = 256
"#;

    const FAMILIES: [&[&str]; 3] = [
        &[
            "model.vision.patch_size=16",
            "model.vision.feature_layer=-2",
        ],
        &[
            "model.family=qwen2_5_vl",
            "model.vision.patch_size=8",
            "model.vision.feature_layer=-1",
            "model.vision.window_size=32",
            "model.vision.whole_every=2",
            "model.text.rope_theta=30",
        ],
        &[
            "model.family=qwen3_vl",
            "model.vision.patch_size=8",
            "model.vision.feature_layer=-1",
            "model.vision.deep_blocks=1",
            "model.text.rope_theta=100",
        ],
    ];

    fn read(sets: &[&str]) -> Result<FreshModel, String> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let mut recipe = Reader::parse("r.toml", SIZES, &sets);
        let model = FreshModel::read(&mut recipe);
        recipe.finish().map_err(|error| error.to_string())?;
        Ok(model.unwrap())
    }

    /// A grey image with a bright cell, if there is one; the cells are 4 rows of 4.
    fn drawn(bright: Option<[usize; 2]>) -> Fitted {
        let mut bytes = vec![100; 3 * 64 * 64];
        if let Some([row, column]) = bright {
            for (at, byte) in bytes.iter_mut().enumerate() {
                let (y, x) = (at / 64 % 64, at % 64);
                if [y / 16, x / 16] == [row, column] {
                    *byte = 230;
                }
            }
        }
        let side = ImageSize {
            width: 64,
            height: 64,
        };
        Fitted {
            size: side,
            own: None,
            bytes,
        }
    }

    /// Where the labels say that the object of each image is, which has the cell of its number.
    fn labelled(model: &FreshModel) -> Vec<usize> {
        let instances = Instances {
            images: (0..16)
                .map(|id| Image {
                    id,
                    file_name: format!("{id}.png"),
                    width: Some(224),
                    height: Some(224),
                })
                .collect(),
            categories: vec![Category {
                id: 1,
                name: "dog".to_owned(),
                supercategory: None,
            }],
            annotations: (0..16)
                .map(|id| Instance {
                    id,
                    image_id: id,
                    category_id: 1,
                    bbox: [(id % 4) as f64 * 56.0, (id / 4) as f64 * 56.0, 56.0, 56.0],
                    area: None,
                    iscrowd: None,
                    attributes: Vec::new(),
                })
                .collect(),
        };
        let path = Path::new("i.json");
        let truth = GroundTruth::new(&instances, path, model.grid(), model.pads()).unwrap();
        truth
            .images
            .iter()
            .map(|image| image.objects[0].0)
            .collect()
    }

    /// Lets no patch of the tower hear of another: what attention found out counts for nothing.
    fn see_each_patch_alone(bundle: &Bundle) {
        let ends = [".self_attn.out_proj.", ".attn.proj."];
        for (name, tensor) in bundle.model.parameters() {
            if name.starts_with("vision_tower.") && ends.iter().any(|end| name.contains(end)) {
                let _ = tch::no_grad(|| tensor.shallow_clone().zero_());
            }
        }
    }

    #[test]
    fn the_token_of_a_cell_is_the_one_that_is_asked_about_it() {
        for sets in FAMILIES {
            let model = read(sets).unwrap();
            let texts = (0..20).map(|_| "What is it? A red dog.".to_owned());
            let bundle = model.build(texts, 400, 3, Device::Cpu).unwrap();
            see_each_patch_alone(&bundle);
            let cells = (0..16).map(|cell| drawn(Some([cell / 4, cell % 4])));
            let images: Vec<Fitted> = std::iter::once(drawn(None)).chain(cells).collect();
            let seen = tch::no_grad(|| model.look_at(&bundle, &images));
            // Of a Qwen-VL four patches are asked about together.
            let n_patches = if sets.len() == 2 { 1 } else { 4 };
            assert_eq!(seen.size(), [17, 16, 16 * n_patches], "{sets:?}");
            let apart = (&seen - seen.narrow(0, 0, 1)).square();
            let apart = apart.sum_dim_intlist([2].as_slice(), false, Kind::Float);
            let most = apart.narrow(0, 1, 16).argmax(-1, false);
            // The bright cell changes its own token, and no other by more than rounding.
            let expected: Vec<i64> = (0..16).collect();
            assert_eq!(Vec::<i64>::try_from(most).unwrap(), expected, "{sets:?}");
            assert_eq!(labelled(&model), (0..16).collect::<Vec<_>>(), "{sets:?}");
        }
    }

    #[test]
    fn a_square_of_any_side_becomes_the_one_that_is_asked_about() {
        for (image_size, patch) in [(48, 8), (224, 14)] {
            let model = read(&[
                "model.family=qwen3_vl",
                &format!("model.vision.image_size={image_size}"),
                &format!("model.vision.patch_size={patch}"),
                "model.vision.feature_layer=-1",
                "model.vision.deep_blocks=1",
                "model.text.rope_theta=100",
            ]);
            let ImageProcessor::Native(processor) = model.unwrap().processor() else {
                panic!("images of a Qwen-VL keep their shape");
            };
            let square = |side| ImageSize {
                width: side,
                height: side,
            };
            for side in 1..1000 {
                let seen = processor.size_of(square(side)).unwrap();
                assert_eq!(seen, square(image_size), "{side}");
            }
        }
    }

    #[test]
    fn what_a_family_has_not_is_a_mistake() {
        let [llava, qwen25, qwen3] = FAMILIES;
        let refused = |sets: &[&str], more: &str, words: &str| {
            let message = read(&[sets, &[more]].concat()).unwrap_err();
            assert!(message.contains(words), "{message}");
        };
        refused(llava, "model.text.rope_theta=30", "rope_theta");
        refused(qwen3, "model.vision.window_size=32", "window_size");
        refused(qwen25, "model.vision.feature_layer=-2", "the last, -1");
        refused(qwen25, "model.vision.image_size=72", "images of 72 pixels");
        refused(
            qwen3,
            "model.vision.deep_blocks=4",
            "deepstack_visual_indexes",
        );
        refused(llava, "model.family=qwen2_vl", "qwen2_5_vl");
    }
}
