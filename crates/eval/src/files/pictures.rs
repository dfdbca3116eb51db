//! Pictures of the questions: all there before the first answer, and each decoded while the batch before is answered.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use candor_data::formats::images;
use candor_data::image::{ImageLimits, ImageProcessor, decode, decode_bytes};
use candor_judge::exam::{Exam, Picture};

use super::plan::Plan;
use crate::EvalError;

/// Pictures that a batch is the first to show, fitted.
#[derive(Debug, Default)]
pub struct Fitted {
    /// What they are called, each once.
    pub names: Vec<String>,
    /// `[names, 3, side, side]` bytes.
    pub bytes: Vec<u8>,
}

/// Checks that every picture is where it should be.
///
/// # Errors
/// Those that are not, the first by name.
pub fn check(exam: &dyn Exam, folder: &Path, questions: &[PathBuf]) -> Result<(), EvalError> {
    let (mut seen, mut missing) = (HashSet::new(), Vec::new());
    for (place, item) in exam.items().iter().enumerate() {
        if !seen.insert(&item.image) {
            continue;
        }
        let Picture::Named(name) = exam.picture(place)? else {
            continue;
        };
        let unfit = |problem, remedy| EvalError::Unfit {
            path: questions[item.file].clone(),
            problem,
            remedy,
        };
        let path = images::path_in(folder, name).ok_or_else(|| {
            let problem = format!(
                "question {:?} names the picture {name:?}, which leads out of {}",
                item.id,
                folder.display()
            );
            unfit(problem, "name pictures relative to --images, without `..`")
        })?;
        if !path.is_file() {
            missing.push((place, name));
        }
    }
    let Some(&(first, name)) = missing.first() else {
        return Ok(());
    };
    let item = &exam.items()[first];
    Err(EvalError::Unfit {
        path: questions[item.file].clone(),
        problem: format!(
            "{} of {} pictures are not in {}, the first being {name:?} of question {:?}",
            missing.len(),
            seen.len(),
            folder.display(),
            item.id
        ),
        remedy: "put them there, or give the right --images",
    })
}

/// Does `work`, which takes the new pictures of batch after batch, while a thread decodes those of the next. At most two
/// batches' pictures are in memory.
///
/// # Errors
/// What `work` returns; it is given the error of a picture that cannot be read.
pub fn ahead_of<T>(
    batches: &[Vec<usize>],
    plan: &Plan,
    exam: &dyn Exam,
    folder: &Path,
    processor: &ImageProcessor,
    work: impl FnOnce(&mut dyn FnMut() -> Result<Fitted, EvalError>) -> Result<T, EvalError>,
) -> Result<T, EvalError> {
    let (sender, receiver) = sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut before = HashSet::new();
            for batch in batches {
                let (fitted, shown) = fit(batch, plan, exam, folder, processor, &before);
                before = shown;
                // Nobody listens any more when the work has ended early.
                if sender.send(fitted).is_err() {
                    return;
                }
            }
        });
        let mut next = move || receiver.recv().unwrap_or_else(|_| Ok(Fitted::default()));
        let outcome = work(&mut next);
        // Work that ended early leaves a thread that waits to hand over a batch: nobody will take it.
        drop(next);
        outcome
    })
}

/// The pictures of a batch that the one before did not show; and all that it shows.
fn fit<'a>(
    batch: &[usize],
    plan: &'a Plan,
    exam: &dyn Exam,
    folder: &Path,
    processor: &ImageProcessor,
    before: &HashSet<&'a str>,
) -> (Result<Fitted, EvalError>, HashSet<&'a str>) {
    let (mut shown, mut new) = (HashSet::new(), Vec::new());
    for &place in batch {
        let prompt = &plan.prompts[place];
        if shown.insert(prompt.image.as_str()) && !before.contains(prompt.image.as_str()) {
            new.push(prompt);
        }
    }
    let fitted = || {
        let mut fitted = Fitted::default();
        for prompt in new {
            let limits = ImageLimits::default();
            let picture = match exam.picture(prompt.items[0])? {
                Picture::Named(name) => decode(&folder.join(name), &limits)?,
                Picture::Held(bytes) => decode_bytes(Path::new(&prompt.image), &bytes, &limits)?,
            };
            fitted.bytes.extend(processor.fit_bytes(&picture));
            fitted.names.push(prompt.image.clone());
        }
        Ok(fitted)
    };
    (fitted(), shown)
}
