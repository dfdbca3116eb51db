//! Whether the parts of a model folder fit together, asked before any weight is loaded.
//!
//! Every stage opens its models through [`crate::Bundle`], which asks here first: a tokenizer of another model, a tower
//! of another size or a template that shows an image twice would otherwise come out as nonsense, after minutes of
//! loading or days of training. All that is found is said at once.

use std::fmt;
use std::path::{Path, PathBuf};

use candor_data::image::{ImageProcessor, ImageSize};
use serde::Deserialize;

use crate::llama::decoder::HEAD;
use crate::mismatch::Mismatches;
use crate::tensor_specs::tensor_specs;
use crate::tokenizer::{BOS, read_if_there};
use crate::{
    FeatureSelect, LlavaKind, ModelConfig, ModelError, QwenConfig, Reading, Template,
    generation_config,
};

mod example;

pub use example::{Example, check_answers_end};

/// Two parts that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file at fault.
    pub path: PathBuf,
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: &'static str,
}

/// All that does not fit in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// Parts.
    pub parts: Vec<Problem>,
    /// Weights, which do not fit the configuration.
    pub weights: Option<Mismatches>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, found) = (self.path.display(), &self.found);
        write!(f, "{path}: {found} ({})", self.remedy)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.parts.iter().map(ToString::to_string).collect();
        if let Some(weights) = &self.weights {
            let weights = weights.to_string();
            let remedy = "config.json and weights must come from the same export of a LLaVA";
            lines.push(format!("{} ({remedy})", weights.trim_end()));
        }
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Asks everything.
///
/// # Errors
/// All that does not fit, or a file that cannot be read.
pub fn check(reading: &Reading) -> Result<(), ModelError> {
    let mut report = Report {
        folder: reading.folder.path(),
        problems: Vec::new(),
    };
    report.vocabulary(reading);
    report.pixels(reading);
    report.placeholders(reading)?;
    report.template(reading);
    let parts = report.problems;
    let weights = weights(reading)?;
    if parts.is_empty() && weights.is_none() {
        return Ok(());
    }
    Err(ModelError::Preflight(Problems { parts, weights }))
}

/// What of the weights does not fit the configuration: the tower's positions, either end of the projector, and the rest.
fn weights(reading: &Reading) -> Result<Option<Mismatches>, ModelError> {
    let config = reading.config();
    // Exporters that do not know of ties store the head beside the embedding it is tied to.
    let spare = config.tied().then_some(HEAD);
    let mismatches = reading.folder.store()?.unfit(&tensor_specs(config), spare);
    Ok((!mismatches.is_empty()).then_some(Mismatches(mismatches)))
}

/// What of `processor_config.json` decides how many tokens transformers makes of an image.
#[derive(Debug, Default, Deserialize)]
struct ProcessorFile {
    patch_size: Option<i64>,
    vision_feature_select_strategy: Option<FeatureSelect>,
    num_additional_image_tokens: Option<i64>,
    num_image_tokens: Option<i64>,
}

/// The same of `config.json`.
#[derive(Debug, Default, Deserialize)]
struct ConfigFile {
    image_seq_length: Option<i64>,
}

/// The path of a file of the folder; what is a path already stays what it is.
fn within(folder: &Path, path: &Path) -> PathBuf {
    if path.starts_with(folder) {
        return path.to_owned();
    }
    folder.join(path)
}

struct Report<'a> {
    folder: &'a Path,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn add(&mut self, path: impl AsRef<Path>, found: String, remedy: &'static str) {
        self.problems.push(Problem {
            path: within(self.folder, path.as_ref()),
            found,
            remedy,
        });
    }

    /// Every id has a row in the embedding, and those of the image and of the ends of an answer are some.
    fn vocabulary(&mut self, reading: &Reading) {
        let (config, tokenizer) = (reading.config(), &reading.tokenizer);
        let (rows, ids) = (config.text().vocab_size, tokenizer.n_embedded() as i64);
        let remedy = "use the tokenizer of the same model";
        if ids > rows {
            let found = format!("{ids} token ids, but the embedding has {rows} rows");
            self.add("tokenizer.json", found, remedy);
        }
        if config.image_token() != tokenizer.image {
            let field = match config {
                ModelConfig::Llava(_) => "image_token_index",
                ModelConfig::Qwen(_) => "image_token_id",
            };
            let found = format!(
                "{field} is {}, but the tokenizer's `{}` is {}",
                config.image_token(),
                tokenizer.placeholder(),
                tokenizer.image
            );
            self.add("config.json", found, remedy);
        }
        let mut ends = tokenizer.ends.ids().into_iter();
        if let Some(unknown) = ends.find(|&id| tokenizer.name_of(id).is_none()) {
            let found = format!(
                "token {unknown} is to end an answer (eos_token_id), but the tokenizer has no such token"
            );
            self.add(generation_config::file_of(self.folder), found, remedy);
        }
    }

    /// Images come out in a size that the tower takes.
    fn pixels(&mut self, reading: &Reading) {
        let remedy = "use the processor of the same tower";
        let found = match (reading.config(), &reading.processor) {
            (ModelConfig::Llava(config), ImageProcessor::Anyres(anyres))
                if config.kind() != LlavaKind::Plain =>
            {
                if config.vision_config.image_size != i64::from(anyres.side) {
                    Some(format!(
                        "tiles of {} pixels, but the tower takes {}",
                        anyres.side, config.vision_config.image_size
                    ))
                } else if config.image_grid_pinpoints.as_ref() != Some(&anyres.pinpoints) {
                    let problem = "image_grid_pinpoints are others than those of config.json, and would make other tiles";
                    Some(problem.to_owned())
                } else {
                    None
                }
            }
            (ModelConfig::Llava(config), ImageProcessor::Square(square))
                if config.kind() == LlavaKind::Plain =>
            {
                let (side, pixels) = (config.vision_config.image_size, i64::from(square.side));
                (side != pixels)
                    .then(|| format!("images of {pixels} pixels, but the tower takes {side}"))
            }
            (ModelConfig::Qwen(config), ImageProcessor::Native(native)) => {
                let v = &config.vision;
                let takes = [v.patch_size, v.merge_size, v.temporal_patch_size];
                let makes = [
                    native.patch_size,
                    native.merge_size,
                    native.temporal_patch_size,
                ];
                let makes = makes.map(i64::from);
                (takes != makes).then(|| {
                    format!(
                        "patches of {} pixels, {} to a token's side and {} one after another, but the tower takes {}, {} and {}",
                        makes[0], makes[1], makes[2], takes[0], takes[1], takes[2]
                    )
                })
            }
            (config, processor) => {
                let makes = match processor {
                    ImageProcessor::Square(square) => format!("images of {} pixels", square.side),
                    ImageProcessor::Native(_) => "images near their own size".to_owned(),
                    ImageProcessor::Anyres(anyres) => {
                        format!("images in tiles of {} pixels", anyres.side)
                    }
                };
                let side = config.tower_sizes().image_size;
                let takes = match config {
                    ModelConfig::Llava(c) if c.kind() == LlavaKind::Plain => side.to_string(),
                    ModelConfig::Llava(_) => format!("them in tiles of {side}"),
                    ModelConfig::Qwen(_) => "them near their own size".to_owned(),
                };
                Some(format!("{makes}, but the tower takes {takes}"))
            }
        };
        if let Some(found) = found {
            let file = reading.folder.processor_file().ok().flatten();
            let name = file.as_deref().and_then(Path::file_name);
            let name = name.map_or(Path::new("preprocessor_config.json"), Path::new);
            self.add(name, found, remedy);
        }
    }

    /// What other files say of the number of an image's tokens is what the tower gives.
    fn placeholders(&mut self, reading: &Reading) -> Result<(), ModelError> {
        let Some(config) = reading.config().llava() else {
            return Ok(());
        };
        let n = config.n_view_rows();
        let c = &config.vision_config;
        let tower = format!(
            "the tower makes {n} of it ({} pixels in patches of {}, {})",
            c.image_size,
            c.patch_size,
            match config.vision_feature_select_strategy {
                FeatureSelect::Default => "without the class token",
                FeatureSelect::Full if c.has_class_token() => "with the class token",
                FeatureSelect::Full => "there is no class token",
            }
        );
        let kind = config.kind();
        let what = if kind == LlavaKind::Plain {
            "an image"
        } else {
            "a view of an image"
        };
        let remedy = "use the files of one export; transformers would put so many placeholders into a prompt";
        // Only LLaVA-OneVision has no such field.
        let said: ConfigFile = read_if_there(&self.folder.join("config.json"))?;
        if let Some(said) = said.image_seq_length.filter(|&said| said != n) {
            let found = format!("image_seq_length says {what} takes {said} tokens, but {tower}");
            self.add("config.json", found, remedy);
        }
        let processor: ProcessorFile = read_if_there(&self.folder.join("processor_config.json"))?;
        let side = match &reading.processor {
            ImageProcessor::Square(square) => square.side,
            ImageProcessor::Anyres(anyres) => anyres.side,
            ImageProcessor::Native(_) => return Ok(()),
        };
        let strategy = processor.vision_feature_select_strategy;
        let said = match (kind, processor.patch_size.filter(|&patch| patch > 0)) {
            // As `LlavaOnevisionProcessor` has it, ready counted.
            (LlavaKind::Onevision, _) => processor.num_image_tokens.map(|n| {
                let dropped = i64::from(strategy == Some(FeatureSelect::Default));
                (n.saturating_sub(dropped), "num_image_tokens".to_owned())
            }),
            (_, None) => None,
            (_, Some(patch)) => {
                // As `LlavaProcessor` counts; files that do not mention the class token mean it. `LlavaNextProcessor` would
                // not, and all of its files do.
                let dropped = strategy.unwrap_or_default() == FeatureSelect::Default;
                let additional = processor.num_additional_image_tokens.unwrap_or(1);
                let side = i64::from(side) / patch;
                // A file may say any number.
                let n = (side * side)
                    .saturating_add(additional)
                    .saturating_sub(i64::from(dropped));
                Some((n, format!("patch_size {patch}")))
            }
        };
        if let Some((said, by)) = said.filter(|&(said, _)| said != n) {
            let found = format!("counts {said} tokens for {what} ({by}), but {tower}");
            self.add("processor_config.json", found, remedy);
        }
        Ok(())
    }

    /// The example has one place for its image, begins once, and leaves room.
    fn template(&mut self, reading: &Reading) {
        let example = match Example::of(&reading.template, &reading.tokenizer) {
            Ok(example) => example,
            Err(error) => {
                let remedy = "correct the template, or put a template.json into the folder";
                return self.add(self.folder, error.to_string(), remedy);
            }
        };
        let (ids, tokenizer) = (&example.tokens.ids, &reading.tokenizer);
        let remedy = "put a template.json such as {\"kind\": \"vicuna_v1\", \"system\": \"…\"} into the folder, or use \
                      the tokenizer of the same model";
        // A token at the beginning that the vocabulary lacks is read as the letters that it is written with.
        if example.text.starts_with(BOS) && tokenizer.id(BOS).is_none() {
            let found =
                format!("the template begins a text with `{BOS}`, which the vocabulary lacks");
            self.add(self.folder, found, remedy);
        }
        let n_places = ids.iter().filter(|&&id| id == tokenizer.image).count();
        if n_places != 1 {
            let found = format!(
                "the template gives a conversation about one image {n_places} places for images: {:?}",
                example.text
            );
            self.add(self.folder, found, remedy);
        }
        if let (ModelConfig::Qwen(config), 1) = (reading.config(), n_places) {
            self.image_marks(config, ids, tokenizer.image);
        }
        if tokenizer
            .bos
            .is_some_and(|bos| ids.starts_with(&[bos, bos]))
        {
            let found = format!("the template begins a text twice: {:?}", example.text);
            self.add(self.folder, found, remedy);
        }
        if !example.said.contains(&true) {
            let found = format!(
                "no token of the template's text is the assistant's: {:?}",
                example.text
            );
            self.add(self.folder, found, remedy);
        }
        let config = reading.config();
        // Of an image of any size, one that takes few tokens.
        let side = config.tower_sizes().image_size as u32;
        let n_tokens = ids.len()
            + config.n_image_tokens(ImageSize {
                width: side,
                height: side,
            });
        let positions = config.text().max_position_embeddings;
        // Pretraining shows nothing but an image and its caption.
        if reading.template != Template::Plain && n_tokens as i64 > positions {
            let found = format!(
                "the decoder has {positions} positions, but an image and two short questions take {n_tokens} tokens"
            );
            let remedy = "use a model with more positions or larger patches";
            self.add("config.json", found, remedy);
        }
    }

    /// The only image of `ids` stands between the tokens that `config.json` names: so the model was trained, and by them
    /// others find images.
    fn image_marks(&mut self, config: &QwenConfig, ids: &[i64], image: i64) {
        let mut around = ids.split(|&id| id == image);
        let before = around.next().and_then(<[i64]>::last).copied();
        let after = around.next().and_then(<[i64]>::first).copied();
        let marks = config.image_marks().into_iter().zip([before, after]);
        for ((field, mark), found) in marks {
            let Some(mark) = mark.filter(|&mark| found != Some(mark)) else {
                continue;
            };
            let found = found.map_or_else(|| "nothing".to_owned(), |id| format!("token {id}"));
            let found = format!("{field} is {mark}, but the template puts {found} beside an image");
            let remedy = "use chat template, tokenizer and config.json of the same model";
            self.add("config.json", found, remedy);
        }
    }
}
