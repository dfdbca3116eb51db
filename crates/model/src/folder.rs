//! A model folder before its weights are read: its format, what it describes, and where its tower is.

use std::path::{Path, PathBuf};

use candor_data::image::{Fit, ImageProcessor, PixelBounds};
use candor_weights::Checkpoint;
use serde_json::Value;

use crate::checkpoint_format::original::{self, Original};
use crate::checkpoint_format::{self, CheckpointFormat};
use crate::store::Store;
use crate::tokenizer::read_if_there;
use crate::{ModelConfig, ModelError, ProjectorKind, Template, VisionConfig, hub, names, peft};

/// Files that hold a projector alone; the first that exists counts.
const PROJECTORS: [&str; 2] = ["mm_projector.safetensors", "mm_projector.bin"];

/// Files that say what is done to images: alone, and with all else that a model reads by.
const PROCESSORS: [&str; 2] = ["preprocessor_config.json", "processor_config.json"];

/// What is known of a model from its configuration.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    path: PathBuf,
    checkpoint_format: CheckpointFormat,
    config: ModelConfig,
    /// The CLIP folder of an original LLaVA, where one was found.
    tower: Option<PathBuf>,
    /// How an original LLaVA makes images square.
    fit: Option<Fit>,
    /// What bounds images otherwise than its own files.
    pixels: PixelBounds,
    /// What a model that is being joined of parts does not have in its decoder's folder.
    joined: Option<Joined>,
}

/// What makes a decoder's folder a LLaVA's.
#[derive(Debug, Clone)]
struct Joined {
    projector: PathBuf,
    template: Template,
}

/// The parts of a model that is to be joined.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// Folder of a LLaMA.
    pub decoder: &'a Path,
    /// Folder of a CLIP.
    pub tower: &'a Path,
    /// File of a projector.
    pub projector: &'a Path,
    /// Its kind.
    pub kind: ProjectorKind,
    /// How images are made square.
    pub fit: Fit,
}

/// The header of a tensor of a model folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name, as candor spells it.
    pub name: String,
    /// The file it is in.
    pub file: PathBuf,
    /// The type of its elements, as safetensors spells it.
    pub dtype: String,
    /// Bytes that it takes in the file.
    pub n_bytes: u64,
}

impl ModelFolder {
    /// Finds a model: a folder, or `org/name` in the cache of Hugging Face ([`hub::find`]).
    ///
    /// # Errors
    /// There is none or an adapter in its place, its configuration is damaged or describes what candor does not compute, or
    /// the tower of an original LLaVA is not there.
    pub fn find(name: &Path) -> Result<Self, ModelError> {
        Self::find_with_tower(name, None)
    }

    /// The same with the tower of an original LLaVA from elsewhere: a folder, or a name in the cache.
    ///
    /// # Errors
    /// As [`ModelFolder::find`], or the model brings its own tower.
    pub fn find_with_tower(name: &Path, tower: Option<&Path>) -> Result<Self, ModelError> {
        let path = hub::find(name)?;
        if peft::is_adapter(&path) {
            return Err(peft::alone(&path));
        }
        let config_path = path.join("config.json");
        let (checkpoint_format, config) = checkpoint_format::read(&config_path)?;
        let refuse = |problem: String| ModelError::Config {
            path: config_path.clone(),
            problem,
            remedy: "correct the field or export the model again",
        };
        let (config, tower, fit) = match (checkpoint_format, tower) {
            (CheckpointFormat::HuggingFace, None) => {
                let config = ModelConfig::of_json(&config).map_err(refuse)?;
                (config, None, None)
            }
            (CheckpointFormat::HuggingFace, Some(tower)) => {
                let tower = tower.display();
                return Err(refuse(format!(
                    "has a tower of its own, and is to be given {tower}"
                )));
            }
            (CheckpointFormat::Original, tower) => {
                let original = Original::of(&config).map_err(refuse)?;
                let (vision, tower) = find_tower(&path, &original, tower)?;
                let fit = if original.pads().map_err(refuse)? {
                    Fit::Pad
                } else {
                    Fit::CenterCrop
                };
                let config = original.with_tower(&config, vision).map_err(refuse)?;
                (config.into(), tower, Some(fit))
            }
        };
        config.check().map_err(refuse)?;
        Ok(Self {
            path,
            checkpoint_format,
            config,
            tower,
            fit,
            pixels: PixelBounds::default(),
            joined: None,
        })
    }

    /// The same with other bounds of images than its own files have.
    #[must_use]
    pub fn with_pixels(self, pixels: PixelBounds) -> Self {
        Self { pixels, ..self }
    }

    /// What bounds images otherwise than its own files.
    #[must_use]
    pub fn pixels(&self) -> PixelBounds {
        self.pixels
    }

    /// A decoder that sees through a tower and a projector: an original LLaVA, of which no configuration tells yet.
    ///
    /// # Errors
    /// A folder is not there, is no LLaMA or no CLIP, or describes what candor does not compute.
    pub(crate) fn of_parts(parts: Parts<'_>) -> Result<Self, ModelError> {
        let path = hub::find(parts.decoder)?;
        if peft::is_adapter(&path) {
            return Err(ModelError::Config {
                path: path.join(peft::CONFIG),
                problem: "is an adapter's, and a decoder is needed".to_owned(),
                remedy: peft::MERGE,
            });
        }
        let config_path = path.join("config.json");
        let refuse = |problem: String| ModelError::Config {
            path: config_path.clone(),
            problem,
            remedy: "give the folder of a LLaMA or Vicuna",
        };
        let config = checkpoint_format::decoder(&config_path)?;
        let tower = hub::find(parts.tower)?;
        let vision = described_tower(&tower)?;
        let mut config = Original::default()
            .with_tower(&config, vision)
            .map_err(refuse)?;
        config.mm_projector_type = parts.kind;
        config.check().map_err(refuse)?;
        Ok(Self {
            path,
            checkpoint_format: CheckpointFormat::Original,
            config: config.into(),
            tower: Some(tower),
            fit: Some(parts.fit),
            pixels: PixelBounds::default(),
            joined: Some(Joined {
                projector: parts.projector.to_owned(),
                template: Template::vicuna_v1(),
            }),
        })
    }

    /// Whether it is being joined of parts, so that the decoder's folder describes the decoder alone.
    pub(crate) fn is_joined(&self) -> bool {
        self.joined.is_some()
    }

    /// How turns become text.
    ///
    /// # Errors
    /// No file says it, or the one that does is damaged.
    pub(crate) fn template(&self) -> Result<Template, ModelError> {
        match &self.joined {
            Some(joined) => Ok(joined.template.clone()),
            None => Template::of_folder(&self.path),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is written down.
    #[must_use]
    pub fn checkpoint_format(&self) -> CheckpointFormat {
        self.checkpoint_format
    }

    /// What it describes, in the words of Hugging Face whatever the format is.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The CLIP folder of an original LLaVA.
    #[must_use]
    pub fn tower(&self) -> Option<&Path> {
        self.tower.as_deref()
    }

    /// With the placeholder's id that the tokenizer has. The original format leaves it to its code, and in the other
    /// the configuration's own counts.
    #[must_use]
    pub(crate) fn with_image_token(mut self, id: i64) -> Self {
        if let (CheckpointFormat::Original, ModelConfig::Llava(config)) =
            (self.checkpoint_format, &mut self.config)
        {
            config.image_token_index = id;
        }
        self
    }

    /// What is done to images.
    ///
    /// # Errors
    /// The file that says so is missing or damaged, or asks for what candor does not do.
    pub fn processor(&self) -> Result<ImageProcessor, ModelError> {
        let file = self.processor_file()?;
        let side = self.config.tower_sizes().image_size;
        let processor = match (file, self.fit) {
            (Some(file), _) => ImageProcessor::from_file(&file)?,
            // The original has no such file, and takes CLIP's from the tower.
            (None, Some(_)) => ImageProcessor::clip(u32::try_from(side).unwrap_or(u32::MAX)),
            (None, None) => ImageProcessor::from_file(&self.path.join(PROCESSORS[0]))?,
        };
        let processor = match self.fit {
            Some(fit) => processor.with_fit(fit),
            None => processor,
        };
        let within = processor.within(self.pixels);
        within.map_err(|problem| ModelError::Config {
            path: self.path.clone(),
            problem,
            remedy: "leave both out, or give bounds to a model that sees images near their own size, such as Qwen-VL",
        })
    }

    /// The file that says what is done to images, where there is one.
    ///
    /// # Errors
    /// A file that may say it is damaged.
    pub(crate) fn processor_file(&self) -> Result<Option<PathBuf>, ModelError> {
        let folders = self.tower.iter().chain([&self.path]);
        let mut files = folders.map(|folder| processor_file(folder));
        files.find_map(Result::transpose).transpose()
    }

    /// What its weights are, by their headers.
    ///
    /// # Errors
    /// There are none, or a file is damaged.
    pub fn stored(&self) -> Result<Vec<Stored>, ModelError> {
        let store = self.store()?;
        let stored = store.headers().map(|(name, entry, file)| Stored {
            name: name.to_owned(),
            file,
            dtype: entry.dtype().to_string(),
            n_bytes: entry.n_bytes(),
        });
        Ok(stored.collect())
    }

    /// All its tensors, none of them read yet.
    pub(crate) fn store(&self) -> Result<Store, ModelError> {
        let names = match self.checkpoint_format {
            CheckpointFormat::HuggingFace => self.config.names(),
            CheckpointFormat::Original => &names::ORIGINAL,
        };
        let mut store = Store::new(Checkpoint::open(&self.path)?, names)?;
        // A tower that was trained along is in the checkpoint, and counts.
        if let Some(tower) = &self.tower
            && !store.has_any("vision_tower.")
        {
            store.add(Checkpoint::open(tower)?, &names::CLIP)?;
        }
        if let Some(projector) = self.projector_file()
            && !store.has_any("multi_modal_projector.")
        {
            store.add(Checkpoint::open(projector)?, &names::PROJECTOR)?;
        }
        Ok(store)
    }

    /// The file that holds the projector alone, as the original LLaVA's first stage writes it beside the weights.
    fn projector_file(&self) -> Option<PathBuf> {
        match &self.joined {
            Some(joined) => Some(joined.projector.clone()),
            None if self.checkpoint_format == CheckpointFormat::Original => {
                projector_in(&self.path)
            }
            None => None,
        }
    }
}

/// The file in a folder that says what is done to images. transformers 5 writes one for the whole processor, leaves an older one
/// for images alone beside it as it was, and reads the new one.
fn processor_file(folder: &Path) -> Result<Option<PathBuf>, ModelError> {
    let [of_images, of_all] = PROCESSORS.map(|name| folder.join(name));
    let said: Value = read_if_there(&of_all)?;
    if said["image_processor"].is_object() {
        return Ok(Some(of_all));
    }
    Ok([of_images, of_all].into_iter().find(|file| file.exists()))
}

/// The file in a folder that holds a projector alone.
pub(crate) fn projector_in(folder: &Path) -> Option<PathBuf> {
    let mut files = PROJECTORS.iter().map(|name| folder.join(name));
    files.find(|file| file.is_file())
}

/// The tower of an original LLaVA and its folder. Where none is found, the tower may still be well known and its weights
/// in the checkpoint.
fn find_tower(
    model: &Path,
    original: &Original,
    given: Option<&Path>,
) -> Result<(VisionConfig, Option<PathBuf>), ModelError> {
    let named = original
        .mm_vision_tower
        .as_deref()
        .filter(|name| !name.is_empty());
    let places = match (given, named) {
        (Some(given), _) => vec![given.to_owned()],
        (None, Some(name)) => places(model, name),
        (None, None) => Vec::new(),
    };
    let found = places.iter().find_map(|place| hub::find(place).ok());
    let Some(folder) = found else {
        let known = named
            .filter(|_| given.is_none())
            .and_then(original::known_tower);
        // The weights can only be in the checkpoint, where the store will look for them.
        return known.map(|tower| (tower, None)).ok_or_else(|| {
            let places: Vec<_> = places
                .iter()
                .map(|place| place.display().to_string())
                .collect();
            ModelError::NoModel {
                name: format!(
                    "{}: vision tower {:?}",
                    model.display(),
                    named.unwrap_or_default()
                ),
                looked_in: places.join(", "),
                remedy: "put the CLIP folder beside the model's, download it, or say where it is"
                    .to_owned(),
            }
        });
    };
    Ok((described_tower(&folder)?, Some(folder)))
}

/// The tower that the `config.json` of a CLIP folder describes.
fn described_tower(folder: &Path) -> Result<VisionConfig, ModelError> {
    let path = folder.join("config.json");
    let config = checkpoint_format::json(&path)?;
    original::tower(&config).map_err(|problem| ModelError::Config {
        path,
        problem,
        remedy: "the vision tower has to be a CLIP of transformers",
    })
}

/// Where a tower may be that a configuration calls `name`, which on another machine may have been a path: in the
/// model's folder, beside it, at that path, in the cache.
fn places(model: &Path, name: &str) -> Vec<PathBuf> {
    let name = Path::new(name);
    let mut places = Vec::new();
    if let Some(last) = name.file_name() {
        let beside = model.canonicalize().ok();
        let beside = beside.as_deref().and_then(Path::parent);
        for folder in [Some(model), beside].into_iter().flatten() {
            places.push(folder.join(last));
            if name.is_relative() {
                places.push(folder.join(name));
            }
        }
    }
    places.push(name.to_owned());
    places
}
