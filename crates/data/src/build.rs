//! The paper's training data from the public files: which rows each stage has, and a manifest of all that was done.
//!
//! | file | rows | of |
//! |---|---|---|
//! | `sft/llava.json`, `vqa.json`, `aokvqa.json`, `flickr.json` | LLaVA conversations | stage 1 |
//! | `preference/prompts.json` | LLaVA conversations | stages 2 and 4 |
//! | `policy_init/aokvqa.json` | LLaVA conversations, the reason first | stage 4 |
//! | `rl/prompts.json` | PPO prompts | stage 5 |
//! | `facts/image_to_caption.json` | facts about the images of stages 2 and 5 | stages 3 and 5 |
//! | `held_out/*.json` | LLaVA conversations about images that no stage has | whoever measures |
//! | `manifest.json` | sources, seeds, counts, what was left out and why | |
//!
//! # Reference
//! arXiv 2309.14525, section 3 and appendix: the numbers of rows ([`Slice::paper`]). Which rows the authors took is not
//! known. LLaVA-Instruct is cut into three by image, so that no image of a preference or PPO prompt of it was fine-tuned on;
//! the paper's 90k + 10k + 50k are as good as all of its rows. The other sources are too small for that: their slices are
//! drawn apart and share images, and the manifest says how many.
//!
//! Which rows are drawn is a function of the seed and of the row's own id or image (`draw`), so neither the order of the
//! files nor other sources change it. Which rationale or caption a row shows is drawn by its position in its file.

mod draw;
mod evaluation;
mod facts;
mod file;
mod gate;
mod manifest;
mod paper;
mod slice;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use self::manifest::Manifest;
pub use self::paper::paper;
pub use self::slice::{Slice, Stage};
use crate::formats::ImageNames;

/// VQA-v2's two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VqaFiles {
    /// The questions.
    pub questions: PathBuf,
    /// The annotations.
    pub annotations: PathBuf,
}

/// What the data are made of, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// LLaVA-Instruct, in the format of LLaVA.
    pub llava: Option<PathBuf>,
    /// VQA-v2.
    pub vqa: Option<VqaFiles>,
    /// A-OKVQA.
    pub aokvqa: Option<PathBuf>,
    /// Flickr30k's token file.
    pub flickr: Option<PathBuf>,
    /// COCO's captions, from which facts are taken.
    pub coco_captions: Vec<PathBuf>,
    /// Folder in which every row's image must be; not looked for if absent.
    pub images: Option<PathBuf>,
    /// How image numbers of VQA-v2 and A-OKVQA become file names.
    pub image_names: ImageNames,
    /// Files of evaluation sets, whose images no row may have.
    pub evaluation: Vec<PathBuf>,
    /// Share of images, from 0 to below 1, that are held out from all stages.
    pub held_out: f64,
    /// The stages that files are written for.
    pub stages: Vec<Stage>,
    /// Rows of slices, in the place of the paper's.
    pub counts: BTreeMap<Slice, usize>,
    /// `length_bonus` of the prompts of these slices; 1 for the others.
    pub length_bonus: BTreeMap<Slice, f64>,
    /// Decides every choice.
    pub seed: u64,
}

impl Settings {
    /// The paper's, with seed 0 and no sources yet.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            llava: None,
            vqa: None,
            aokvqa: None,
            flickr: None,
            coco_captions: Vec::new(),
            images: None,
            image_names: ImageNames::coco_2017(),
            evaluation: Vec::new(),
            held_out: 0.0,
            stages: Stage::ALL.to_vec(),
            counts: BTreeMap::new(),
            length_bonus: BTreeMap::new(),
            seed: 0,
        }
    }

    /// How many rows a slice is to have; none where its stage is not written.
    pub(crate) fn wanted(&self, slice: Slice) -> usize {
        if !self.stages.contains(&slice.stage()) {
            return 0;
        }
        self.size(slice)
    }

    /// How many rows a slice has wherever it is written.
    pub(crate) fn size(&self, slice: Slice) -> usize {
        let given = self.counts.get(&slice).copied();
        given.unwrap_or_else(|| slice.paper())
    }
}
