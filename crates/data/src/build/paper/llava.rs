//! LLaVA-Instruct, divided among the stages by image.

use std::collections::HashMap;

use super::Build;
use crate::build::Slice;
use crate::build::draw::draw;
use crate::build::file::RowsFile;
use crate::build::gate::Fate;
use crate::conversation::{Conversation, IMAGE_PLACEHOLDER};
use crate::error::DataError;
use crate::formats::llava;
use crate::image_key::image_key;
use crate::prompt::AnswerType;
use crate::rows::Reason;
use crate::shown;
use crate::sources;

impl Build<'_> {
    /// LLaVA-Instruct: read twice, so that no more than a number for each row is in memory.
    pub(super) fn llava(&mut self) -> Result<(), DataError> {
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
}

/// Why a conversation is of no use, if it is not.
fn unusable(row: &Conversation) -> Option<&'static str> {
    if let Err(fault) = sources::learnable(row.clone()) {
        return Some(fault.reason.name());
    }
    let first = row
        .query()
        .is_some_and(|text| text.contains(IMAGE_PLACEHOLDER));
    let several = shown::count(row.image.as_deref()) > 1;
    (several || row.n_placeholders() != 1 || !first).then_some(Reason::PlaceholderCount.name())
}
