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

/// Where benchmarks name the image of a question, or a list of several: POPE, LLaVA-Bench, AMBER and own questions; questions about
/// several images; MMHal-Bench; COCO; VQA-v2 and A-OKVQA; HallusionBench.
const FIELDS: [&str; 6] = [
    "image",
    "images",
    "image_src",
    "file_name",
    "image_id",
    "filename",
];

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
            collect("", &value, &mut images);
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

/// Collects what `value` names, which stands in `field`, be it in a list.
fn collect(field: &str, value: &Value, images: &mut HashSet<String>) {
    match value {
        Value::Array(values) => {
            for value in values {
                collect(field, value, images);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                collect(name, value, images);
            }
        }
        Value::String(text) if FIELDS.contains(&field) => {
            images.insert(image_key(text));
        }
        Value::Number(number) if field == "image_id" => {
            if let Some(number) = number.as_u64() {
                let name = ImageNames::coco_2017().numbered(number);
                images.insert(image_key(&name));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_alone_and_in_lists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("questions.jsonl");
        let rows = [
            r#"{"image": "a.jpg", "text": "Is it there?", "labels": ["x.jpg"]}"#,
            r#"{"image": ["COCO_val2014_000000000042.jpg", "B.png"]}"#,
            r#"{"images": ["c.png"]}"#,
            r#"{"images": [{"id": 1, "file_name": "d.png"}], "annotations": [{"image_id": 7}]}"#,
        ];
        std::fs::write(&path, rows.join("\n")).unwrap();
        let read = EvaluationSet::read(&path).unwrap();
        let expected = [
            "a.jpg",
            "000000000042",
            "b.png",
            "c.png",
            "d.png",
            "000000000007",
        ];
        assert_eq!(read.images, HashSet::from(expected.map(str::to_owned)));
    }
}
