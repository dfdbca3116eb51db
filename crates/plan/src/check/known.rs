//! What the plans of all stages ask: what is known of a model, an adapter and the data, and what is noted where it is not.

use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_model::{LoraConfig, Reading};
use candor_run::Workload;
use candor_train::{BasePrecision, FeaturePlace, SEEN_ANEW};

use super::Plan;
use super::bound::Bound;
use super::made::{Known, Made};
use crate::PlanError;
use crate::memory::Budget;

pub(super) fn budget(known: &Known, precision: BasePrecision) -> Budget<'_> {
    let config = known.config();
    Budget {
        image: config.usual_image(known.sees()),
        ..Budget::new(config, precision)
    }
}

/// What is known of the model that a run starts from and sees images with within bounds, or a note that nothing is.
pub(super) fn model(
    made: &Made,
    folder: &Path,
    pixels: PixelBounds,
    plan: &mut Plan,
) -> Result<Option<Known>, PlanError> {
    let known = made.known(folder, pixels)?;
    match &known {
        Some(Known::Here(_)) => {}
        Some(Known::Sizes { of, .. }) => {
            plan.note(format!("{} is not here yet: planned on the published sizes of {of}", folder.display()));
        }
        None => plan.note(format!(
            "{} is not here, and no recipe before this one makes it: neither data nor memory can be told",
            folder.display()
        )),
    }
    Ok(known)
}

/// The data; or, where a file or the tokenizer is missing, what the recipe's own counts say, and a note of that.
pub(super) fn counted<'p>(
    files: impl IntoIterator<Item = &'p PathBuf>,
    known: &Known,
    plan: &mut Plan,
    bound: Option<Bound>,
    count: impl FnOnce(&Reading) -> Result<Workload, PlanError>,
) -> Result<Option<Workload>, PlanError> {
    let missing = files.into_iter().find(|file| !file.exists());
    let why = match (missing, known) {
        (None, Known::Here(reading)) => {
            let workload = count(reading)?;
            plan.count(&workload);
            return Ok(Some(workload));
        }
        (Some(missing), _) => format!("{} is not here", missing.display()),
        (None, Known::Sizes { .. }) => "the tokenizer is not here".to_owned(),
    };
    match bound {
        Some(bound) => {
            plan.bound(&bound);
            plan.note(format!("{why}: steps and rows are the recipe's own counts, and tokens those of rows of the full length"));
        }
        None => plan.note(format!("{why}, so tokens are not counted")),
    }
    Ok(None)
}

pub(super) fn known_lora(made: &Made, folder: &Path, plan: &mut Plan) -> LoraConfig {
    let (lora, assumed) = made.lora(folder);
    if assumed {
        plan.note(format!(
            "{} is not here, counted as an adapter of rank {} on all layers",
            folder.display(),
            lora.r
        ));
    }
    lora
}

pub(super) fn longest(workload: Option<&Workload>, bound: u64) -> u64 {
    workload.map_or(bound, |workload| workload.longest_tokens)
}

/// Tokens that the longest row may be trained on. The row that was counted may show no image or a small one, so all of it may be;
/// one that is assumed shows its images, which take so many tokens.
pub(super) fn targets(workload: Option<&Workload>, longest: u64, of_images: u64) -> u64 {
    if workload.is_some() {
        longest
    } else {
        longest.saturating_sub(of_images)
    }
}

/// Images of a row, those of the row that shows most.
pub(super) fn images_of_a_row(workload: Option<&Workload>) -> u64 {
    workload.map_or(1, |workload| workload.images.of_a_row.max(1))
}

/// Bytes that are kept of the images.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfImages {
    /// Those in memory.
    pub bytes: u64,
    /// Those on disk.
    pub disk_bytes: u64,
    /// Those that ranks encode for each other: images that an adapter's tower sees anew are read by every rank itself.
    pub shared_bytes: u64,
}

/// What is kept of the images for each base, with whether an adapter changes its tower; features are kept at `place`.
pub(super) fn features(
    bases: &[(Budget<'_>, bool)],
    place: &FeaturePlace,
    workload: Option<&Workload>,
    plan: &mut Plan,
) -> OfImages {
    let usual = bases[0].0;
    if bases.iter().any(|(_, seen_anew)| *seen_anew) {
        plan.note(SEEN_ANEW);
    }
    if usual.config.sizes_differ() {
        plan.note(format!(
            "an image is counted as one of {} x {} pixels, which takes {} tokens",
            usual.image.width,
            usual.image.height,
            usual.image_tokens()
        ));
    }
    let of = |n: u64| {
        let encoded = bases.iter().filter(|(_, seen_anew)| !seen_anew);
        let encoded: Vec<u64> = encoded.map(|(budget, _)| budget.features(n)).collect();
        let anew = bases.iter().filter(|(_, seen_anew)| *seen_anew);
        let pixels: u64 = anew.map(|(budget, _)| budget.pixels(n)).sum();
        let shared_bytes: u64 = encoded.iter().sum();
        let on_disk = encoded.iter().filter(|bytes| place.is_disk(**bytes));
        let disk_bytes: u64 = on_disk.sum();
        OfImages {
            bytes: shared_bytes - disk_bytes + pixels,
            disk_bytes,
            shared_bytes,
        }
    };
    if let Some(workload) = workload {
        let found = of(workload.images.different);
        if found.disk_bytes > 0 {
            plan.note(format!(
                "{:.2} GB of features of images are kept on disk (`run.features`)",
                found.disk_bytes as f64 / 1e9
            ));
        }
        return found;
    }
    let thousand = of(1000);
    plan.note(format!(
        "the features of the images come on top: {:.2} GB for every 1000",
        (thousand.bytes + thousand.disk_bytes) as f64 / 1e9
    ));
    of(0)
}
