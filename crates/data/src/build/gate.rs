//! Which rows may be used at all, and which are held out: by their images, for all sources alike.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::draw::draw;
use super::evaluation::EvaluationSet;
use super::manifest::{Evaluation, SourceCounts};
use super::{Settings, Slice, Stage};
use crate::error::DataError;
use crate::formats::images::path_in;
use crate::image_key::image_key;

/// What may be done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing: it is counted with its reason.
    LeftOut,
    /// It is only measured on.
    HeldOut,
    /// It may be drawn.
    Free,
}

/// Looks at rows, and counts them.
pub(super) struct Gate {
    seed: u64,
    held_out: f64,
    images: Option<PathBuf>,
    evaluation: Vec<(EvaluationSet, BTreeMap<&'static str, usize>)>,
    sources: BTreeMap<&'static str, SourceCounts>,
    /// Whether the image of a name is there, as far as it was looked for.
    seen: HashMap<String, bool>,
}

impl Gate {
    pub(super) fn open(settings: &Settings) -> Result<Self, DataError> {
        if !(0.0..1.0).contains(&settings.held_out) {
            return Err(DataError::Build {
                found: format!(
                    "a share of {} of the images is to be held out",
                    settings.held_out
                ),
                remedy: "give a share from 0 to below 1".into(),
            });
        }
        if let Some(folder) = settings.images.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(DataError::Build {
                found: format!("{} is no folder of images", folder.display()),
                remedy: "give the folder that the images' names are relative to".into(),
            });
        }
        let sets = settings.evaluation.iter();
        let sets = sets.map(|path| Ok((EvaluationSet::read(path)?, BTreeMap::new())));
        Ok(Self {
            seed: settings.seed,
            held_out: settings.held_out,
            images: settings.images.clone(),
            evaluation: sets.collect::<Result<_, DataError>>()?,
            sources: BTreeMap::new(),
            seen: HashMap::new(),
        })
    }

    /// Begins with the rows of a source.
    pub(super) fn begin(&mut self, source: &'static str) {
        self.sources.entry(source).or_default();
    }

    /// Leaves a row of a source out.
    pub(super) fn leave_out(&mut self, source: &'static str, reason: &'static str) -> Fate {
        let counts = self.sources.entry(source).or_default();
        *counts.left_out.entry(reason).or_default() += 1;
        Fate::LeftOut
    }

    /// What may be done with a row about an image; `fault` is what else is wrong with it.
    pub(super) fn fate(
        &mut self,
        source: &'static str,
        image: Option<&str>,
        fault: Option<&'static str>,
    ) -> Fate {
        self.sources.entry(source).or_default().rows += 1;
        let Some(image) = image else {
            return self.leave_out(source, "no_image");
        };
        let key = image_key(image);
        let mut evaluated = false;
        for (set, rows) in &mut self.evaluation {
            if set.images.contains(&key) {
                *rows.entry(source).or_default() += 1;
                evaluated = true;
            }
        }
        if evaluated {
            return self.leave_out(source, "evaluation");
        }
        if !self.is_there(image) {
            return self.leave_out(source, "missing_image");
        }
        if let Some(reason) = fault {
            return self.leave_out(source, reason);
        }
        if draw(self.seed, "build.held_out", &key) < self.held_out {
            let counts = self.sources.entry(source).or_default();
            counts.held_out += 1;
            return Fate::HeldOut;
        }
        Fate::Free
    }

    fn is_there(&mut self, image: &str) -> bool {
        let Some(folder) = &self.images else {
            return true;
        };
        if let Some(&found) = self.seen.get(image) {
            return found;
        }
        let found = path_in(folder, image).is_some_and(|path| path.is_file());
        self.seen.insert(image.to_owned(), found);
        found
    }

    /// What was counted.
    pub(super) fn counts(self) -> (BTreeMap<&'static str, SourceCounts>, Vec<Evaluation>) {
        let sets = self.evaluation.into_iter().map(|(set, rows)| Evaluation {
            file: super::manifest::file_name(&set.path),
            images: set.images.len(),
            rows,
        });
        (self.sources, sets.collect())
    }
}

/// The refusal of slices that have fewer rows than they are to have.
pub(super) fn short(short: &[(Slice, usize, usize)]) -> Result<(), DataError> {
    if short.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = short
        .iter()
        .map(|(slice, wanted, found)| {
            format!("{slice}: {wanted} rows are wanted and {found} are there")
        })
        .collect();
    let counts: Vec<String> = short
        .iter()
        .map(|(slice, _, found)| format!("--count {slice}={found}"))
        .collect();
    Err(DataError::Build {
        found: told.join("; "),
        remedy: format!(
            "give larger files, or take what is there with {}",
            counts.join(" ")
        )
        .into(),
    })
}

impl Settings {
    /// Whether a file is written for this stage.
    pub(super) fn has(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }
}
