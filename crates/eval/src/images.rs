//! Whether the images of questions can be shown: those that cannot are told all at once, with the questions that ask about
//! them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use candor_data::image::{ImageLimits, decode_bytes};
use candor_data::rows::{Look, Reason, RowFault, faults};
use candor_judge::benchmarks::Image;
use candor_model::{Bundle, ImageFeatures, ModelError};
use candor_run::{Progress, Ranks};
use candor_train::{FeaturePlace, TrainError, encode_images};

use crate::EvalError;
use crate::bad_images::BadImages;
use crate::questions::Questions;

/// The refusal of the images of questions that have a fault, if one has.
fn refusal(all: &[Questions], faults: &BTreeMap<String, RowFault>) -> Option<EvalError> {
    let mut asked: BTreeMap<&String, BTreeMap<PathBuf, Vec<String>>> = BTreeMap::new();
    for questions in all {
        for item in questions.task.items() {
            let file = questions.files.questions[item.file].clone();
            let files = asked.entry(&item.image).or_default();
            files.entry(file).or_default().push(item.id.clone());
        }
    }
    BadImages::of(asked, faults).map(EvalError::Images)
}

/// Encodes the images of all questions, shared out to `ranks`.
///
/// # Errors
/// Images cannot be shown, or another rank has ended or hangs.
pub(crate) fn encode(
    bundle: &Bundle,
    folder: &Path,
    all: &[Questions],
    ranks: &Ranks,
    progress: &mut Progress,
) -> Result<ImageFeatures, EvalError> {
    let asks = all.iter().flat_map(|questions| &questions.asks);
    let images = asks.map(|ask| ask.image.clone());
    let counter = progress.counter("encoding images");
    let place = FeaturePlace::memory();
    let features = encode_images(bundle, folder, images, &place, ranks, counter);
    features.map_err(|error| {
        if !matches!(error, TrainError::Model(ModelError::Images(_))) {
            return error.into();
        }
        // The error may name the first of them alone.
        let of = |questions| found(questions, folder, Look::Decoded);
        let faults = all.iter().flat_map(of).collect();
        refusal(all, &faults).unwrap_or_else(|| error.into())
    })
}

/// Checks that every image is where it should be.
///
/// # Errors
/// Those that are not.
pub(crate) fn check(questions: &Questions, folder: &Path) -> Result<(), EvalError> {
    refuse(questions, &found(questions, folder, Look::There))
}

/// Looks at every image, because one is damaged and others may be.
///
/// # Errors
/// Those that are.
pub(crate) fn look_through(questions: &Questions, folder: &Path) -> Result<(), EvalError> {
    refuse(questions, &found(questions, folder, Look::Decoded))
}

fn refuse(questions: &Questions, faults: &BTreeMap<String, RowFault>) -> Result<(), EvalError> {
    refusal(std::slice::from_ref(questions), faults).map_or(Ok(()), Err)
}

/// What is wrong with images, by name.
fn found(questions: &Questions, folder: &Path, look: Look) -> BTreeMap<String, RowFault> {
    let (mut seen, mut named) = (HashSet::new(), BTreeSet::new());
    let mut bad = BTreeMap::new();
    for (place, item) in questions.task.items().iter().enumerate() {
        if !seen.insert(&item.image) {
            continue;
        }
        match questions.task.image(place) {
            Ok(Image::Named(name)) => {
                named.insert(name);
            }
            Ok(Image::Held(bytes)) if look == Look::Decoded => {
                let decoded = decode_bytes(Path::new(&item.image), &bytes, &ImageLimits::default());
                bad.extend(
                    decoded
                        .err()
                        .map(|error| (item.image.clone(), RowFault::unreadable(&error))),
                );
            }
            Ok(Image::Held(_)) => {}
            Err(error) => {
                let why = RowFault::new(
                    Reason::UnreadableImage,
                    "image",
                    error.to_string(),
                    "remove the question",
                );
                bad.insert(item.image.clone(), why);
            }
        }
    }
    bad.extend(faults(folder, named, look));
    bad
}
