//! Pictures of the next batch, decoded while the batch before is answered.

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use candor_data::image::{ImageLimits, ImageProcessor, decode, decode_bytes};
use candor_judge::exam::Picture;

use super::plan::Plan;
use crate::EvalError;
use crate::pictures::look_through;
use crate::questions::Questions;

/// Pictures that a batch is the first to show, fitted.
#[derive(Debug, Default)]
pub struct Fitted {
    /// What they are called, each once.
    pub names: Vec<String>,
    /// `[names, 3, side, side]` bytes.
    pub bytes: Vec<u8>,
}

/// Does `work`, which takes the new pictures of batch after batch, while a thread decodes those of the next. At most two
/// batches' pictures are in memory.
///
/// # Errors
/// What `work` returns; it is given the error of the pictures that cannot be read.
pub fn ahead_of<T>(
    batches: &[Vec<usize>],
    plan: &Plan,
    questions: &Questions,
    folder: &Path,
    processor: &ImageProcessor,
    work: impl FnOnce(&mut dyn FnMut() -> Result<Fitted, EvalError>) -> Result<T, EvalError>,
) -> Result<T, EvalError> {
    let (sender, receiver) = sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut before = HashSet::new();
            for batch in batches {
                let (fitted, shown) = fit(batch, plan, questions, folder, processor, &before);
                before = shown;
                // Where one is damaged others may be, and all of them are to be told.
                let fitted = fitted.or_else(|error| {
                    look_through(questions, folder)?;
                    Err(error)
                });
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
    questions: &Questions,
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
            let picture = match questions.exam.picture(prompt.items[0])? {
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
