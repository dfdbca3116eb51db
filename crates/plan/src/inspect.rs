//! What a model folder holds, from headers alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::image::{ImageSize, PixelBounds};
use candor_model::preflight::{self, Example};
use candor_model::{
    CheckpointFormat, ModelConfig, ModelError, Part, Reading, Template, peft, tensor_specs,
};
use serde::Serialize;

use crate::PlanError;
use crate::memory::Budget;
use crate::needs::{Need, needs};

/// What there is to say about a model folder.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The folder.
    pub folder: PathBuf,
    /// The adapter that was named, whose base this is.
    pub adapter: Option<PathBuf>,
    /// The folder of the tower, where it has one of its own.
    pub tower: Option<PathBuf>,
    /// How the checkpoint is written down.
    pub checkpoint_format: String,
    /// The sizes.
    pub config: ModelConfig,
    /// The files that hold weights, with their sizes.
    pub files: Vec<Kept>,
    /// Number of tensors and bytes by type, as the files have them.
    pub dtypes: BTreeMap<String, Kept>,
    /// Parameters of each part.
    pub parts: Vec<PartSize>,
    /// Parameters in all.
    pub n_parameters: u64,
    /// Ids that the tokenizer knows.
    pub n_token_ids: usize,
    /// The tokens that have a role.
    pub special_ids: Vec<SpecialId>,
    /// What the template is: `vicuna_v1`, `llama_2`, `chatml`, `qwen`, `plain`, `jinja`.
    pub template: &'static str,
    /// An example as the template renders it.
    pub example_text: String,
    /// Its tokens in order. The image's stands for as many as an image has.
    pub example_tokens: Vec<ExampleToken>,
    /// Tokens that an image takes.
    pub n_image_tokens: usize,
    /// Whether the template ends an answer with a token; training on one that does not is refused.
    pub answers_end: bool,
    /// What does not fit together; nothing where stages would open the folder.
    pub problems: Option<String>,
    /// Bytes that the features of 1000 images take in f32.
    pub features_of_1000_images_bytes: u64,
    /// What each stage takes.
    pub needs: Vec<Need>,
}

/// So much of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// How many tensors.
    pub n_tensors: usize,
    /// How many bytes.
    pub n_bytes: u64,
}

/// The size of a part of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartSize {
    /// The part.
    pub part: &'static str,
    /// Its parameters.
    pub n_parameters: u64,
}

/// A token with a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpecialId {
    /// What it does.
    pub role: &'static str,
    /// Its id.
    pub id: i64,
}

/// A token of the example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExampleToken {
    /// Its id.
    pub id: i64,
    /// The text it comes from.
    pub text: String,
    /// Its place in what the model reads.
    pub position: usize,
    /// Whether the assistant says it: whether it is trained on.
    pub said: bool,
}

/// Looks at a model folder, or at the base of an adapter; no weights are loaded.
///
/// # Errors
/// A file is missing or damaged. Parts that do not fit together are no error here, but what is reported.
pub fn inspect(folder: &Path) -> Result<Inspection, PlanError> {
    let (base, adapter) = peft::with_base(folder, None)?;
    let reading = Reading::open(&base)?;
    let checked = preflight::check(&reading);
    let example = match Example::of(&reading.template, &reading.tokenizer) {
        Ok(example) => example,
        // Said better by the check, if it found it too.
        Err(error) => return Err(checked.err().unwrap_or(error).into()),
    };
    let problems = match checked {
        Ok(()) => None,
        Err(ModelError::Preflight(problems)) => Some(problems.to_string()),
        Err(error) => return Err(error.into()),
    };
    let mut files: BTreeMap<String, Kept> = BTreeMap::new();
    let mut dtypes: BTreeMap<String, Kept> = BTreeMap::new();
    for tensor in reading.folder.stored()? {
        let name = tensor.file.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        add(&mut files, &name, tensor.n_bytes);
        add(&mut dtypes, &tensor.dtype, tensor.n_bytes);
    }
    let config = reading.config();
    let parts: Vec<PartSize> = Part::ALL
        .into_iter()
        .map(|part| {
            let of_part = tensor_specs(config).into_iter().filter(|t| t.part == part);
            PartSize {
                part: part.name(),
                n_parameters: of_part.map(|tensor| tensor.n_elements()).sum(),
            }
        })
        .collect();
    let image = image_of(&reading);
    let wide = Budget {
        image,
        ..Budget::new(config, candor_train::BasePrecision::F32)
    };
    Ok(Inspection {
        checkpoint_format: match reading.folder.checkpoint_format() {
            CheckpointFormat::HuggingFace => format!("Hugging Face {}", config.class()),
            original @ CheckpointFormat::Original => original.name().to_owned(),
        },
        files: files.into_values().collect(),
        dtypes,
        n_parameters: parts.iter().map(|part| part.n_parameters).sum(),
        parts,
        n_token_ids: reading.tokenizer.vocab_size(),
        special_ids: special_ids(&reading),
        template: kind_of(&reading.template),
        example_tokens: example_tokens(&reading, &example),
        n_image_tokens: config.n_image_tokens(image),
        answers_end: example.answers_end(&reading.tokenizer),
        example_text: example.text,
        problems,
        features_of_1000_images_bytes: wide.features(1000),
        needs: needs(config, image),
        folder: reading.folder.path().to_owned(),
        adapter,
        tower: reading.folder.tower().map(Path::to_owned),
        config: config.clone(),
    })
}

fn add(kept: &mut BTreeMap<String, Kept>, name: &str, n_bytes: u64) {
    let kept = kept.entry(name.to_owned()).or_insert_with(|| Kept {
        name: name.to_owned(),
        n_tensors: 0,
        n_bytes: 0,
    });
    kept.n_tensors += 1;
    kept.n_bytes += n_bytes;
}

fn special_ids(reading: &Reading) -> Vec<SpecialId> {
    let tokenizer = &reading.tokenizer;
    let roles = [
        ("begins a text", tokenizer.bos),
        ("ends an answer", Some(tokenizer.eos)),
        ("fills batches", Some(tokenizer.pad)),
        ("stands for an image", Some(tokenizer.image)),
    ];
    let known = |(role, id): (&'static str, Option<i64>)| Some(SpecialId { role, id: id? });
    roles.into_iter().filter_map(known).collect()
}

fn kind_of(template: &Template) -> &'static str {
    match template {
        Template::VicunaV1 { .. } => "vicuna_v1",
        Template::Llama2 { .. } => "llama_2",
        Template::Chatml { .. } => "chatml",
        Template::Qwen { .. } => "qwen",
        Template::Plain => "plain",
        Template::Jinja(_) => "jinja",
    }
}

/// The usual image as the model sees it.
fn image_of(reading: &Reading) -> ImageSize {
    let bounds = PixelBounds::of(&reading.processor);
    reading.config().usual_image(bounds)
}

fn example_tokens(reading: &Reading, example: &Example) -> Vec<ExampleToken> {
    let mut position = 0;
    let tokens = example.tokens.ids.iter().zip(&example.tokens.spans);
    tokens
        .zip(&example.said)
        .map(|((&id, &(from, to)), &said)| {
            let token = ExampleToken {
                id,
                text: example.text.get(from..to).unwrap_or_default().to_owned(),
                position,
                said,
            };
            let is_image = id == reading.tokenizer.image;
            position += if is_image {
                reading.config().n_image_tokens(image_of(reading))
            } else {
                1
            };
            token
        })
        .collect()
}
