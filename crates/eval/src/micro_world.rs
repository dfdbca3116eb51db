//! The benchmarks of a data folder as a recipe wants them asked, with the exact judge in the place of a model's.

use std::path::PathBuf;
use std::sync::Arc;

use candor_judge::benchmarks::Files;
use candor_judge::settings::Templates;
use candor_judge::{Benchmark, Truth};

use crate::layout::{LAYOUTS, Layout, SPLITS};
use crate::questions::{Asking, Questions};
use crate::scenes::Scenes;
use crate::{EvalError, EvalRecipe};

impl EvalRecipe {
    /// The files of questions of all its benchmarks.
    #[must_use]
    pub fn question_files(&self) -> Vec<PathBuf> {
        let files = self.layouts().map(|layout| self.questions_of(layout));
        files.flatten().collect()
    }

    fn layouts(&self) -> impl Iterator<Item = &'static Layout> {
        let is_named = |layout: &&Layout| self.benchmarks.contains(&layout.benchmark);
        LAYOUTS.iter().filter(is_named)
    }

    fn questions_of(&self, layout: &Layout) -> Vec<PathBuf> {
        if layout.benchmark == Benchmark::Pope {
            SPLITS.map(|split| self.pope_file(split)).to_vec()
        } else {
            vec![self.in_eval(layout.questions)]
        }
    }

    fn in_eval(&self, name: &str) -> PathBuf {
        self.data.join("eval").join(name)
    }

    /// Reads every file before the first answer, so that a damaged one costs nobody an hour.
    ///
    /// # Errors
    /// A benchmark's file or the ground truth is missing or damaged.
    pub(crate) fn questions(&self) -> Result<Vec<Questions>, EvalError> {
        let truth: Option<Arc<dyn Truth>> = if self.layouts().any(|layout| layout.needs_truth) {
            Some(Arc::new(Scenes::read(&self.data)?))
        } else {
            None
        };
        let read = |layout: &Layout| {
            let files = Files {
                questions: self.questions_of(layout),
                references: layout.references.map(|name| self.in_eval(name)),
                images: Some(self.images.clone()),
                truth: truth.clone().filter(|_| layout.needs_truth),
                ..Files::default()
            };
            let is_pope = layout.benchmark == Benchmark::Pope;
            let asking = Asking {
                description: &self.chair_question,
                instruction: is_pope.then_some(self.pope_suffix.as_str()),
            };
            Questions::read(layout.benchmark, files, &Templates::default(), asking)
        };
        self.layouts().map(read).collect()
    }
}

#[cfg(test)]
mod tests;
