//! The sources, one after the other, from their files into those of the stages.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::Path;

use super::draw::{draw, lowest};
use super::facts::Wanted;
use super::file::{RowsFile, fingerprint};
use super::gate::{Fate, Gate, short};
use super::manifest::{FactCounts, Manifest, SliceCounts, SourceFile, Written, file_name};
use super::{Settings, Slice, Stage, VqaFiles};
use crate::atomic;
use crate::conversation::{Conversation, IMAGE_PLACEHOLDER};
use crate::error::DataError;
use crate::formats::vqa_v2::{Annotation, Question};
use crate::formats::{a_okvqa, flickr30k, llava, ppo_prompts, vqa_v2};
use crate::image_key::image_key;
use crate::prompt::{AnswerType, Prompt};
use crate::rows::{Reason, Row, SourceFile as RowsOf};
use crate::sources::{self, PromptOn, Reasoning, VqaOptions};

/// Questions about an image that become one conversation of stage 1, as LLaVA 1.5's data has them.
const MAX_QUESTIONS: NonZeroUsize = NonZeroUsize::new(5).unwrap();

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

    /// LLaVA-Instruct: read twice, so that no more than a number for each row is in memory.
    fn llava(&mut self) -> Result<(), DataError> {
        const SOURCE: &str = "llava";
        let Some(path) = self.settings.llava.clone() else {
            return Ok(());
        };
        self.open(SOURCE, &path)?;
        self.gate.begin(SOURCE);
        let mut fates = Vec::new();
        let mut groups: HashMap<String, Vec<u32>> = HashMap::new();
        llava::each(&path, |index, row| {
            let fault = unusable(&row);
            let fate = self.gate.fate(SOURCE, row.image.as_deref(), fault);
            if let (Fate::Free, Some(image)) = (fate, &row.image) {
                groups
                    .entry(image_key(image))
                    .or_default()
                    .push(index as u32);
            }
            fates.push(fate);
            Ok(())
        })?;
        let parts = self.parts(groups);
        let mut files = [
            RowsFile::new(self.folder, "sft/llava.json"),
            RowsFile::new(self.folder, "preference/prompts.json"),
            RowsFile::new(self.folder, "held_out/llava.json"),
        ];
        (self.progress)("llava: once more, to write its rows");
        llava::each(&path, |index, row| {
            if fates.get(index) == Some(&Fate::HeldOut) {
                return files[2].add(&row);
            }
            match parts.get(&(index as u32)) {
                Some(Slice::RlLlava) => self.prompt(Slice::RlLlava, row, AnswerType::General),
                Some(&slice) => {
                    self.count(slice, &row, None);
                    if slice == Slice::PreferenceLlava {
                        self.wanted
                            .caption(row.image.as_deref().unwrap_or_default());
                    }
                    files[usize::from(slice == Slice::PreferenceLlava)].add(&row)
                }
                None => Ok(()),
            }
        })?;
        files.into_iter().try_for_each(|file| self.end(file))
    }

    /// Which slice each row of LLaVA-Instruct is in: images in the order of their draws fill one slice after the other. A slice
    /// has whole images; rows of its last image that are too many are in none.
    fn parts(&mut self, groups: HashMap<String, Vec<u32>>) -> HashMap<u32, Slice> {
        let seed = self.settings.seed;
        let n_rows: usize = groups.values().map(Vec::len).sum();
        let mut order: Vec<(f64, String, Vec<u32>)> = groups
            .into_iter()
            .map(|(key, rows)| (draw(seed, "build.llava", &key), key, rows))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        let mut images = order.into_iter();
        let mut parts = HashMap::new();
        for slice in [Slice::SftLlava, Slice::PreferenceLlava, Slice::RlLlava] {
            // A slice that is not written takes its rows all the same, so that the others stay what they are.
            let size = self.settings.size(slice);
            let is_written = self.settings.wanted(slice) > 0;
            let mut n = 0;
            while n < size {
                let Some((_, _, rows)) = images.next() else {
                    break;
                };
                for row in rows.into_iter().take(size - n) {
                    n += 1;
                    if is_written {
                        parts.insert(row, slice);
                    }
                }
            }
            if is_written {
                self.slices.entry(slice).or_default().candidates = n_rows;
                if n < size {
                    self.short.push((slice, size, n));
                }
            }
        }
        parts
    }

    fn aokvqa(&mut self) -> Result<(), DataError> {
        const SOURCE: &str = "aokvqa";
        let Some(path) = self.settings.aokvqa.clone() else {
            return Ok(());
        };
        self.open(SOURCE, &path)?;
        self.gate.begin(SOURCE);
        let questions = a_okvqa::read(&path)?;
        let made = |reasoning| {
            let (names, seed) = (&self.settings.image_names, self.settings.seed);
            sources::a_okvqa(&RowsOf::new(&path), &questions, names, reasoning, seed)
        };
        let (after, before) = (made(Reasoning::After), made(Reasoning::Before));
        let fates: Vec<Fate> = questions
            .iter()
            .zip(&after)
            .map(|(question, row)| {
                let image = self.settings.image_names.file(&question.image_id);
                let fault = row.made.as_ref().err().map(|fault| fault.reason.name());
                self.gate.fate(SOURCE, Some(&image), fault)
            })
            .collect();
        let of_fate = |rows: Vec<Row<Conversation>>, wanted: Fate| -> Vec<Conversation> {
            let rows = rows.into_iter().zip(&fates);
            rows.filter(|(_, fate)| **fate == wanted)
                .filter_map(|(row, _)| row.made.ok())
                .collect()
        };
        self.held_out(
            "held_out/aokvqa.json",
            &of_fate(after.clone(), Fate::HeldOut),
        )?;
        let (after, before) = (of_fate(after, Fate::Free), of_fate(before, Fate::Free));
        self.slice(Slice::SftAokvqa, "sft/aokvqa.json", &after)?;
        self.slice(Slice::PolicyInitAokvqa, "policy_init/aokvqa.json", &before)?;
        let free = questions.iter().zip(&fates);
        let free = free.filter(|(_, fate)| **fate == Fate::Free);
        let questions: Vec<&a_okvqa::Question> = free.map(|(question, _)| question).collect();
        self.drawn(Slice::RlAokvqa, before.len());
        for position in self.lowest(Slice::RlAokvqa, &before) {
            let (question, row) = (questions[position], before[position].clone());
            // A question without a correct option is left out above.
            let answer = question
                .correct_choice()
                .map_or(AnswerType::General, AnswerType::Option);
            let image = row.image.clone().unwrap_or_default();
            self.wanted.reason(&image, &question.rationales);
            self.prompt(Slice::RlAokvqa, row, answer)?;
        }
        Ok(())
    }

    fn vqa(&mut self) -> Result<(), DataError> {
        const SOURCE: &str = "vqa";
        let Some(VqaFiles {
            questions: path,
            annotations: annotated,
        }) = self.settings.vqa.clone()
        else {
            return Ok(());
        };
        self.open("vqa questions", &path)?;
        let mut asked = vqa_v2::read_questions(&path)?;
        self.open("vqa annotations", &annotated)?;
        let annotations = vqa_v2::read_agreed(&annotated)?;
        self.gate.begin(SOURCE);
        // By question, whatever becomes one conversation.
        let [mut free, mut held_out] = [Vec::new(), Vec::new()];
        let by_id: HashMap<u64, &Annotation> = annotations
            .iter()
            .map(|annotation| (annotation.question_id, annotation))
            .collect();
        for question in asked.drain(..) {
            let image = self.settings.image_names.file(&question.image_id);
            let annotation = by_id.get(&question.question_id).copied();
            let fault = sources::vqa_fault(&question, annotation).map(|fault| fault.reason.name());
            match self.gate.fate(SOURCE, Some(&image), fault) {
                Fate::Free => free.push(question),
                Fate::HeldOut => held_out.push(question),
                Fate::LeftOut => {}
            }
        }
        let made = |questions: &[Question], max_questions| {
            let options = VqaOptions {
                images: self.settings.image_names.clone(),
                prompt_on: PromptOn::FirstTurn,
                max_questions,
            };
            let rows = sources::vqa_v2(&RowsOf::new(&path), questions, &annotations, &options);
            let rows = rows.into_iter().filter_map(|row| row.made.ok());
            rows.collect::<Vec<Conversation>>()
        };
        let kept = made(&held_out, MAX_QUESTIONS);
        let conversations = if self.settings.has(Stage::Sft) {
            made(&free, MAX_QUESTIONS)
        } else {
            Vec::new()
        };
        free.retain(|question| {
            let annotation = by_id.get(&question.question_id);
            annotation.is_some_and(|annotation| truth(annotation).is_some())
        });
        let yes_or_no = made(&free, NonZeroUsize::MIN);
        self.held_out("held_out/vqa.json", &kept)?;
        self.slice(Slice::SftVqa, "sft/vqa.json", &conversations)?;
        self.drawn(Slice::RlVqa, yes_or_no.len());
        for position in self.lowest(Slice::RlVqa, &yes_or_no) {
            let row = yes_or_no[position].clone();
            // The answer is the second turn of a conversation of one question.
            let answer = match row.turns.get(1).map(|turn| turn.value.to_lowercase()) {
                Some(said) if said.trim() == "yes" => AnswerType::Yes,
                _ => AnswerType::No,
            };
            self.prompt(Slice::RlVqa, row, answer)?;
        }
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

/// Why a conversation is of no use, if it is not.
fn unusable(row: &Conversation) -> Option<&'static str> {
    if let Err(fault) = sources::learnable(row.clone()) {
        return Some(fault.reason.name());
    }
    let first = row
        .query()
        .is_some_and(|text| text.contains(IMAGE_PLACEHOLDER));
    (row.n_placeholders() != 1 || !first).then_some(Reason::PlaceholderCount.name())
}

/// Whether the answer that was agreed on is yes; none where it is neither yes nor no.
fn truth(annotation: &Annotation) -> Option<bool> {
    if annotation.answer_type != "yes/no" {
        return None;
    }
    match annotation.agreed_answer()?.trim().to_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
