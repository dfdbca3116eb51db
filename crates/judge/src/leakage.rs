//! What of a benchmark the model was trained on.
//!
//! A benchmark's image counts as training data when the training files name it, by its number if it is one of
//! COCO and else by its file name, or when one of the training images has the same bytes. Its question counts when
//! the same words were asked about the same image. The words alone, asked about other images, are counted and
//! no more: "Is there a cat in the image?" is nobody's secret.

use std::cell::Cell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use candor_data::formats::{folder, images, llava};
use candor_data::image_key::image_key;
use candor_data::shown;
use candor_data::{Conversation, IMAGE_PLACEHOLDER, Speaker, sha256};
use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::benchmark::Benchmark;
use crate::images::file_in;
use crate::rows::{Row, rows};
use crate::run::Run;
use crate::verdict::Verdict;

/// What a model was trained on.
#[derive(Debug, Clone, Default)]
pub struct Training {
    files: Vec<PathBuf>,
    /// By key, the name that stood in a file.
    images: BTreeMap<String, String>,
    /// Key of the image and words of a question about it.
    asked: HashSet<(String, String)>,
    questions: HashSet<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leakage {
    /// The training files.
    pub files: Vec<PathBuf>,
    /// Whether images were also compared byte by byte.
    pub compared_bytes: bool,
    /// Each benchmark's items.
    pub benchmarks: BTreeMap<Benchmark, Leaked>,
    /// The numbers without the items whose image is training data, where there are such.
    pub without: Vec<Row>,
}

/// Items of a benchmark that are training data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Leaked {
    /// Items of the benchmark, over all runs.
    pub n: usize,
    /// Ids of the items whose image is a training image.
    pub images: Vec<String>,
    /// Ids of those among them that were asked in training, word by word.
    pub questions: Vec<String>,
    /// Items whose words were asked in training, about whatever image.
    pub n_words: usize,
}

/// The words of a question in lower case with single blanks, without the image's place, punctuation, and the
/// instruction that follows in lines of its own.
fn words(question: &str) -> String {
    let question = question.replace(IMAGE_PLACEHOLDER, " ");
    let line = question.trim().lines().next().unwrap_or_default();
    let plain = line.replace(|c: char| !c.is_alphanumeric(), " ");
    let words: Vec<String> = plain.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

impl Training {
    /// Reads training data in the format of LLaVA, as `candor sft` does: of files, or of folders with the files of a set. An image that is
    /// inside a file has the name that fine-tuning keeps it under.
    ///
    /// # Errors
    /// A file cannot be read or is not of that format.
    pub fn read(files: &[PathBuf]) -> Result<Self, JudgeError> {
        let mut training = Self {
            files: files.to_vec(),
            ..Self::default()
        };
        let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
        for path in files {
            for path in folder::files(path)? {
                llava::each_of_any(&path, &mut named, &Cell::new(0.0), |_, row| {
                    training.add(&row);
                    Ok(())
                })?;
            }
        }
        Ok(training)
    }

    fn add(&mut self, row: &Conversation) {
        let names = || row.image.as_deref().into_iter().flat_map(shown::names);
        for turn in row.turns.iter().filter(|turn| turn.from == Speaker::Human) {
            let words = words(&turn.value);
            let asked = names().map(|name| (image_key(name), words.clone()));
            self.asked.extend(asked);
            self.questions.insert(words);
        }
        for name in names() {
            let known = self.images.entry(image_key(name));
            known.or_insert_with(|| name.to_owned());
        }
    }

    /// The key of the training image that is an item's image, if one is.
    fn image_of(&self, verdict: &Verdict, same: &HashMap<String, String>) -> Option<String> {
        let names = [Some(&verdict.image), verdict.image_file.as_ref()];
        let by_name = names.into_iter().flatten().map(|name| image_key(name));
        let mut keys = by_name.chain(same.get(verdict.file_name()).cloned());
        keys.find(|key| self.images.contains_key(key))
    }

    /// Looks for the items of runs. With two folders, of the benchmark's images and of the training ones,
    /// images are also compared by their bytes. `seed` decides the intervals of the numbers without them.
    ///
    /// # Errors
    /// An image cannot be read.
    pub fn find(
        &self,
        runs: &[Run],
        folders: Option<(&Path, &Path)>,
        seed: u64,
    ) -> Result<Leakage, JudgeError> {
        let mut found = BTreeMap::new();
        let mut left = runs.to_vec();
        for &benchmark in Benchmark::ALL {
            let lists = || runs.iter().filter_map(|run| run.verdicts.get(&benchmark));
            let items: BTreeMap<&str, &Verdict> = lists()
                .flatten()
                .map(|verdict| (verdict.id.as_str(), verdict))
                .collect();
            if items.is_empty() {
                continue;
            }
            let same = match folders {
                Some((ours, theirs)) => self.same_bytes(items.values().copied(), ours, theirs)?,
                None => HashMap::new(),
            };
            let mut leaked = Leaked {
                n: items.len(),
                ..Leaked::default()
            };
            for (id, verdict) in items {
                let words = words(&verdict.question);
                leaked.n_words += usize::from(self.questions.contains(&words));
                if let Some(image) = self.image_of(verdict, &same) {
                    leaked.images.push(id.to_owned());
                    if self.asked.contains(&(image, words)) {
                        leaked.questions.push(id.to_owned());
                    }
                }
            }
            let ids: BTreeSet<&String> = leaked.images.iter().collect();
            for run in &mut left {
                if ids.is_empty() {
                    run.verdicts.remove(&benchmark);
                } else if let Some(verdicts) = run.verdicts.get_mut(&benchmark) {
                    verdicts.retain(|verdict| !ids.contains(&verdict.id));
                }
            }
            found.insert(benchmark, leaked);
        }
        Ok(Leakage {
            files: self.files.clone(),
            compared_bytes: folders.is_some(),
            benchmarks: found,
            without: rows(&left, seed),
        })
    }

    /// The key of the training image with the same bytes, by the file names of the items' images.
    fn same_bytes<'a>(
        &self,
        items: impl Iterator<Item = &'a Verdict>,
        ours: &Path,
        theirs: &Path,
    ) -> Result<HashMap<String, String>, JudgeError> {
        let mut of_size: HashMap<u64, BTreeMap<&str, PathBuf>> = HashMap::new();
        for verdict in items {
            if let Some(file) = file_in(ours, verdict)
                && let Ok(about) = file.metadata()
            {
                let list = of_size.entry(about.len()).or_default();
                list.insert(verdict.file_name(), file);
            }
        }
        let mut same = HashMap::new();
        let mut hashes: HashMap<&str, String> = HashMap::new();
        for (key, name) in &self.images {
            let file = images::path_in(theirs, name);
            let about = file.and_then(|file| Some((file.metadata().ok()?.len(), file)));
            // Most differ in size already, and need not be read.
            let Some((size, file)) = about else { continue };
            let Some(candidates) = of_size.get(&size) else {
                continue;
            };
            let hash = sha256::of_file(&file)?;
            for (image, file) in candidates {
                let ours = match hashes.entry(*image) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(sha256::of_file(file)?),
                };
                if *ours == hash {
                    same.insert((*image).to_owned(), key.clone());
                }
            }
        }
        Ok(same)
    }
}

#[cfg(test)]
mod tests;
