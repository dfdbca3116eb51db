//! Images of the next batch, decoded while the batch before is answered.

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use candor_data::image::{Fitted, ImageLimits, ImageProcessor, decode_bytes};
use candor_judge::benchmarks::Image;

use super::plan::Plan;
use crate::EvalError;
use crate::images::look_through;
use crate::questions::Questions;

/// Images that a batch is the first to show, fitted.
#[derive(Debug, Default)]
pub(crate) struct NewImages {
    /// What they are called, each once.
    pub names: Vec<String>,
    /// The images, in the order of their names.
    pub fitted: Vec<Fitted>,
}

/// Does `work`, which takes the new images of batch after batch, while a thread decodes those of the next. At most two
/// batches' images are in memory.
///
/// # Errors
/// What `work` returns; it is given the error of the images that cannot be read.
pub(crate) fn ahead_of<T>(
    batches: &[Vec<usize>],
    plan: &Plan,
    questions: &Questions,
    folder: &Path,
    processor: &ImageProcessor,
    work: impl FnOnce(&mut dyn FnMut() -> Result<NewImages, EvalError>) -> Result<T, EvalError>,
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
        let mut next = move || receiver.recv().unwrap_or_else(|_| Ok(NewImages::default()));
        let outcome = work(&mut next);
        // Work that ended early leaves a thread that waits to hand over a batch: nobody will take it.
        drop(next);
        outcome
    })
}

/// The images of a batch that the one before did not show; and all that it shows.
fn fit<'a>(
    batch: &[usize],
    plan: &'a Plan,
    questions: &Questions,
    folder: &Path,
    processor: &ImageProcessor,
    before: &HashSet<&'a str>,
) -> (Result<NewImages, EvalError>, HashSet<&'a str>) {
    let (mut shown, mut new) = (HashSet::new(), Vec::new());
    for &place in batch {
        let prompt = &plan.prompts[place];
        if shown.insert(prompt.image.as_str()) && !before.contains(prompt.image.as_str()) {
            new.push(prompt);
        }
    }
    let fitted = || {
        let mut images = NewImages::default();
        for prompt in new {
            let limits = ImageLimits::default();
            let fitted = match questions.task.image(prompt.items[0])? {
                Image::Named(name) => processor.load(&folder.join(name), &limits)?,
                Image::Held(bytes) => {
                    let name = Path::new(&prompt.image);
                    let image = decode_bytes(name, &bytes, &limits)?;
                    processor.fit(&image).map_err(|error| error.at(name))?
                }
            };
            images.fitted.push(fitted);
            images.names.push(prompt.image.clone());
        }
        Ok(images)
    };
    (fitted(), shown)
}
