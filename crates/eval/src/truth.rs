//! The micro-world's ground truth, by image, for the exact judge.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candor_world::judge::{self, Verdict};
use candor_world::{Question, Scene, read_scenes};

use crate::EvalError;

/// The scenes of a data folder.
#[derive(Debug)]
pub struct Truth {
    path: PathBuf,
    scenes: HashMap<String, Scene>,
}

impl Truth {
    /// Reads `scenes.jsonl` of a data folder.
    ///
    /// # Errors
    /// The folder has none, which means that only POPE can be scored without asking somebody else's judge;
    /// or the file is damaged.
    pub fn read(data: &Path) -> Result<Self, EvalError> {
        let path = data.join("scenes.jsonl");
        if !path.exists() {
            return Err(EvalError::Unfit {
                path,
                problem: "missing, and the exact judge needs it".to_owned(),
                remedy: "evaluate on a folder of `candor world write`, or set run.benchmarks to [\"pope\"]",
            });
        }
        let scenes = read_scenes(&path)?;
        let scenes = scenes.into_iter().map(|scene| (scene.image.clone(), scene));
        Ok(Self {
            scenes: scenes.collect(),
            path,
        })
    }

    /// Judges an answer to a question about an image.
    ///
    /// # Errors
    /// The image belongs to no scene.
    pub fn judge(&self, image: &str, question: &str, answer: &str) -> Result<Verdict, EvalError> {
        let scene = self.scenes.get(image).ok_or_else(|| EvalError::Unfit {
            path: self.path.clone(),
            problem: format!("no scene has the image {image:?}, which is asked about"),
            remedy: "write the data folder again with `candor world write`",
        })?;
        Ok(judge::judge(scene, &Question::parse(question), answer))
    }
}

/// Names of the kinds of object that an answer says are there.
#[must_use]
pub fn objects_mentioned(answer: &str) -> Vec<String> {
    let kinds = judge::objects_mentioned(answer).into_iter();
    kinds.map(|kind| kind.name().to_owned()).collect()
}
