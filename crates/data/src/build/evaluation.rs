//! The images of evaluation sets, of whatever format: what stands in the fields in which benchmarks name their images.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::DataError;
use crate::formats::ImageNames;
use crate::formats::text::{self, Format};
use crate::image_key::image_key;

const FORMAT: Format = Format {
    name: "Evaluation sets",
    expected: "a benchmark's questions as JSON or JSON lines",
};

/// Where benchmarks name the image of a question: POPE, LLaVA-Bench, AMBER and own questions; MMHal-Bench; COCO;
/// VQA-v2 and A-OKVQA; HallusionBench.
const FIELDS: [&str; 5] = ["image", "image_src", "file_name", "image_id", "filename"];

/// A file of an evaluation set.
pub(super) struct EvaluationSet {
    pub(super) path: PathBuf,
    /// The keys of its images.
    pub(super) images: HashSet<String>,
}

impl EvaluationSet {
    /// Reads the images that a file names.
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        let text = text::read(path, &FORMAT)?;
        let mut images = HashSet::new();
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        for value in &mut values {
            let value = value.map_err(|error| DataError::Build {
                found: format!("{}: not JSON: {error}", path.display()),
                remedy: "give the questions of a benchmark as JSON or JSON lines".into(),
            })?;
            collect(&value, &mut images);
        }
        if images.is_empty() {
            return Err(DataError::Build {
                found: format!(
                    "{}: no image is named in any of the fields {}",
                    path.display(),
                    FIELDS.join(", ")
                ),
                remedy: "give the file in which the benchmark names its images".into(),
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            images,
        })
    }
}

fn collect(value: &Value, images: &mut HashSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, images)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if FIELDS.contains(&name.as_str()) => {
                        images.insert(image_key(text));
                    }
                    Value::Number(number) if name == "image_id" => {
                        if let Some(number) = number.as_u64() {
                            let name = ImageNames::coco_2017().numbered(number);
                            images.insert(image_key(&name));
                        }
                    }
                    _ => collect(value, images),
                }
            }
        }
        _ => {}
    }
}
