//! Facts about the images of prompts: COCO's captions and A-OKVQA's reasons, as the reward model is shown them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::manifest::{FactCounts, Written};
use crate::atomic;
use crate::error::DataError;
use crate::facts::FactBook;
use crate::formats::{captions, coco};
use crate::image_key::image_key;
use crate::sha256;

const FILE: &str = "facts/image_to_caption.json";

/// Images that facts are wanted of.
#[derive(Default)]
pub(super) struct Wanted {
    /// Names of images, as prompts have them, that captions are wanted of.
    captions: BTreeSet<String>,
    /// The reasons of the questions about an image.
    reasons: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    /// Captions of an image.
    pub(super) fn caption(&mut self, image: &str) {
        if !self.captions.contains(image) {
            self.captions.insert(image.to_owned());
        }
    }

    /// The reasons of a question about an image.
    pub(super) fn reason(&mut self, image: &str, reasons: &[String]) {
        let known = self.reasons.entry(image.to_owned()).or_default();
        let told = reasons.iter().map(|reason| reason.trim());
        known.extend(told.filter(|reason| !reason.is_empty()).map(str::to_owned));
    }

    /// Writes what is known; nothing where nothing is.
    pub(super) fn write(
        self,
        folder: &Path,
        files: &[PathBuf],
    ) -> Result<Option<(Written, FactCounts)>, DataError> {
        let mut names: HashMap<String, Vec<&String>> = HashMap::new();
        for name in &self.captions {
            names.entry(image_key(name)).or_default().push(name);
        }
        let mut book = FactBook::new();
        for path in files {
            let read = coco::read_captions(path)?;
            for (file, said) in read.by_file() {
                for name in names.get(&image_key(file)).into_iter().flatten() {
                    for caption in said.iter().map(|caption| caption.trim()) {
                        // Several of COCO's files hold the same captions.
                        let is_known = book.get(name).is_some_and(|facts| {
                            facts.captions.iter().any(|known| known == caption)
                        });
                        if !caption.is_empty() && !is_known {
                            book.entry(name.as_str()).captions.push(caption.to_owned());
                        }
                    }
                }
            }
        }
        let mut counts = FactCounts {
            captioned: book.len(),
            ..FactCounts::default()
        };
        counts.without = self.captions.len() - counts.captioned;
        for (image, reasons) in self.reasons {
            if reasons.is_empty() {
                counts.without += 1;
            } else {
                counts.reasoned += 1;
                book.entry(image).rationale = reasons;
            }
        }
        if book.is_empty() {
            return Ok(None);
        }
        let path = folder.join(FILE);
        let text = captions::render(&path, &book)?;
        atomic::write(&path, text.as_bytes())?;
        let written = Written {
            file: FILE.to_owned(),
            rows: book.len(),
            sha256: sha256::of(&text),
        };
        Ok(Some((written, counts)))
    }
}
