//! The sources, one after the other, from their files into those of the stages.

mod llava;
mod questions;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::draw::lowest;
use super::facts::Wanted;
use super::file::{RowsFile, fingerprint};
use super::gate::{Fate, Gate, short};
use super::manifest::{FactCounts, Manifest, SliceCounts, SourceFile, Written, file_name};
use super::{Settings, Slice, Stage};
use crate::atomic;
use crate::conversation::Conversation;
use crate::error::DataError;
use crate::formats::{flickr30k, ppo_prompts};
use crate::image_key::image_key;
use crate::prompt::{AnswerType, Prompt};
use crate::rows::SourceFile as RowsOf;
use crate::sources;

/// Makes the folder `out`, which must not be there or be empty, of the sources in `settings`: whole or not at all, and the
/// same bytes whenever it is made. `progress` is told what is being read.
///
/// # Errors
/// A file cannot be read or is damaged, a slice has fewer rows than it is to have (all such slices are named), or the
/// folder cannot be written.
pub fn paper(
    settings: &Settings,
    out: &Path,
    progress: &dyn Fn(&str),
) -> Result<Manifest, DataError> {
    atomic::folder(out, |folder| {
        let mut build = Build::new(settings, folder, progress)?;
        build.llava()?;
        build.aokvqa()?;
        build.vqa()?;
        build.flickr()?;
        build.finish()
    })
}

struct Build<'a> {
    settings: &'a Settings,
    folder: &'a Path,
    progress: &'a dyn Fn(&str),
    gate: Gate,
    sources: Vec<SourceFile>,
    files: Vec<Written>,
    slices: BTreeMap<Slice, SliceCounts>,
    /// The images of each slice, by key.
    images: BTreeMap<Slice, HashSet<String>>,
    /// Slices that have too few rows.
    short: Vec<(Slice, usize, usize)>,
    prompts: RowsFile,
    wanted: Wanted,
}

impl<'a> Build<'a> {
    fn new(
        settings: &'a Settings,
        folder: &'a Path,
        progress: &'a dyn Fn(&str),
    ) -> Result<Self, DataError> {
        Ok(Self {
            settings,
            folder,
            progress,
            gate: Gate::open(settings)?,
            sources: Vec::new(),
            files: Vec::new(),
            slices: BTreeMap::new(),
            images: BTreeMap::new(),
            short: Vec::new(),
            prompts: RowsFile::new(folder, "rl/prompts.json"),
            wanted: Wanted::default(),
        })
    }

    /// Notes that a file is read.
    fn open(&mut self, what: &'static str, path: &Path) -> Result<(), DataError> {
        (self.progress)(&format!("{what}: {}", path.display()));
        let (sha256, bytes) = fingerprint(path)?;
        self.sources.push(SourceFile {
            what,
            file: file_name(path),
            bytes,
            sha256,
        });
        Ok(())
    }

    /// Counts a row of a slice.
    fn count(&mut self, slice: Slice, row: &Conversation, answer: Option<AnswerType>) {
        let counts = self.slices.entry(slice).or_default();
        counts.rows += 1;
        if let Some(answer) = answer {
            *counts
                .caption_types
                .entry(answer.caption_type())
                .or_default() += 1;
        }
        let images = self.images.entry(slice).or_default();
        images.insert(image_key(row.image.as_deref().unwrap_or_default()));
    }

    /// Notes of how many rows a slice was drawn, and whether they are enough.
    fn drawn(&mut self, slice: Slice, candidates: usize) {
        let wanted = self.settings.wanted(slice);
        if candidates < wanted {
            self.short.push((slice, wanted, candidates));
        }
        self.slices.entry(slice).or_default().candidates = candidates;
    }

    /// Adds a prompt of reinforcement learning.
    fn prompt(
        &mut self,
        slice: Slice,
        conversation: Conversation,
        answer_type: AnswerType,
    ) -> Result<(), DataError> {
        self.count(slice, &conversation, Some(answer_type));
        let image = conversation.image.as_deref().unwrap_or_default();
        if !matches!(answer_type, AnswerType::Option(_)) {
            self.wanted.caption(image);
        }
        let prompt = Prompt {
            conversation,
            answer_type,
            length_bonus: *self.settings.length_bonus.get(&slice).unwrap_or(&1.0),
        };
        self.prompts.add(&ppo_prompts::Row::from(&prompt))
    }

    /// Writes the rows of a slice that are drawn, by the lowest draws of their ids.
    fn slice(
        &mut self,
        slice: Slice,
        name: &'static str,
        rows: &[Conversation],
    ) -> Result<(), DataError> {
        self.drawn(slice, rows.len());
        let mut file = RowsFile::new(self.folder, name);
        for position in self.lowest(slice, rows) {
            self.count(slice, &rows[position], None);
            file.add(&rows[position])?;
        }
        self.end(file)
    }

    fn lowest(&self, slice: Slice, rows: &[Conversation]) -> Vec<usize> {
        let purpose = format!("build.{slice}");
        let ids = rows.iter().map(|row| row.id.as_str());
        lowest(
            self.settings.wanted(slice),
            self.settings.seed,
            &purpose,
            ids,
        )
    }

    fn held_out(&mut self, name: &'static str, rows: &[Conversation]) -> Result<(), DataError> {
        let mut file = RowsFile::new(self.folder, name);
        rows.iter().try_for_each(|row| file.add(row))?;
        self.end(file)
    }

    fn end(&mut self, file: RowsFile) -> Result<(), DataError> {
        self.files.extend(file.end()?);
        Ok(())
    }

    fn flickr(&mut self) -> Result<(), DataError> {
        const SOURCE: &str = "flickr";
        let Some(path) = self.settings.flickr.clone() else {
            return Ok(());
        };
        self.open(SOURCE, &path)?;
        self.gate.begin(SOURCE);
        let captions = flickr30k::read(&path)?;
        let rows = sources::flickr30k(&RowsOf::new(&path), &captions, self.settings.seed);
        let [mut free, mut held_out] = [Vec::new(), Vec::new()];
        // Every caption is one that can be learned: the reader refuses others.
        for row in rows.into_iter().filter_map(|row| row.made.ok()) {
            match self.gate.fate(SOURCE, row.image.as_deref(), None) {
                Fate::Free => free.push(row),
                Fate::HeldOut => held_out.push(row),
                Fate::LeftOut => {}
            }
        }
        self.held_out("held_out/flickr.json", &held_out)?;
        self.slice(Slice::SftFlickr, "sft/flickr.json", &free)
    }

    fn finish(mut self) -> Result<Manifest, DataError> {
        short(&self.short)?;
        if self.sources.is_empty() {
            return Err(DataError::Build {
                found: "no source is given".into(),
                remedy: "name at least one of --llava, --vqa-questions with --vqa-annotations, --aokvqa and --flickr".into(),
            });
        }
        let prompts = std::mem::replace(&mut self.prompts, RowsFile::new(self.folder, ""));
        self.end(prompts)?;
        for path in self.settings.coco_captions.clone() {
            self.open("coco captions", &path)?;
        }
        let facts = std::mem::take(&mut self.wanted);
        let facts = facts.write(self.folder, &self.settings.coco_captions)?;
        let (folder, manifest) = (self.folder, "manifest.json");
        let facts = facts.map(|(written, counts)| {
            self.files.push(written);
            counts
        });
        let made = self.manifest(facts);
        let mut text = serde_json::to_string_pretty(&made).map_err(|error| DataError::Build {
            found: format!("the manifest cannot be written: {error}"),
            remedy: "report this as a bug".into(),
        })?;
        text.push('\n');
        atomic::write(&folder.join(manifest), text.as_bytes())?;
        Ok(made)
    }

    fn manifest(self, facts: Option<FactCounts>) -> Manifest {
        let mut shared = BTreeMap::new();
        let of_stage = |stage: Stage| -> HashSet<&str> {
            let slices = self
                .images
                .iter()
                .filter(|(slice, _)| slice.stage() == stage);
            slices
                .flat_map(|(_, images)| images.iter().map(String::as_str))
                .collect()
        };
        for (number, first) in Stage::ALL.into_iter().enumerate() {
            for second in Stage::ALL.into_iter().skip(number + 1) {
                let n = of_stage(first).intersection(&of_stage(second)).count();
                shared.insert(format!("{}+{}", first.name(), second.name()), n);
            }
        }
        let slices = self.slices.into_iter().map(|(slice, counts)| {
            let images = self.images.get(&slice).map_or(0, HashSet::len);
            (slice.name(), SliceCounts { images, ..counts })
        });
        let slices = slices.filter(|(_, counts)| counts.rows > 0).collect();
        let (rows, evaluation) = self.gate.counts();
        Manifest {
            built: "paper",
            seed: self.settings.seed,
            held_out: self.settings.held_out,
            sources: self.sources,
            files: self.files,
            slices,
            rows,
            evaluation,
            shared_images: shared,
            facts,
        }
    }
}
