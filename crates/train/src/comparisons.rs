//! What the recipe of a stage that learns from comparisons, or from rated answers, says of these.

use std::path::{Path, PathBuf};

use candor_data::comparisons::{
    ComparisonFile, ComparisonFormat, ComparisonSet, KeptRow, Parts, RatedSet, RowSet,
};
use candor_data::rated::RatedFile;
use candor_model::ModelError;

use crate::bad_rows::on_bad_row;
use crate::error::TrainError;
use crate::stage_fields::IMAGES;
use candor_recipe::{Element, Reader};

/// What a stage learns from that takes either.
#[derive(Debug, Clone)]
pub enum Judgements {
    /// Two answers each, one of them preferred.
    Comparisons(ComparisonSet),
    /// An answer each, good or bad.
    Rated(RatedSet),
}

impl Judgements {
    /// The image folder.
    #[must_use]
    pub fn images(&self) -> &Path {
        match self {
            Self::Comparisons(set) => &set.images,
            Self::Rated(set) => &set.images,
        }
    }

    /// Rows that are trained on, at most.
    #[must_use]
    pub fn n_train(&self) -> Option<usize> {
        match self {
            Self::Comparisons(set) => set.n_train,
            Self::Rated(set) => set.n_train,
        }
    }

    /// The files.
    #[must_use]
    pub fn paths(&self) -> Vec<&PathBuf> {
        match self {
            Self::Comparisons(set) => set.files.iter().map(|file| &file.path).collect(),
            Self::Rated(set) => set.files.iter().map(|file| &file.path).collect(),
        }
    }

    /// What the rows are called.
    #[must_use]
    pub fn rows(&self) -> &'static str {
        match self {
            Self::Comparisons(_) => "comparisons",
            Self::Rated(_) => "rated answers",
        }
    }

    /// The same error; of images, with the rows that show them, for which the files are read again.
    #[must_use]
    pub fn in_rows<T: KeptRow>(&self, error: TrainError, parts: &Parts<T>) -> TrainError {
        let TrainError::Model(ModelError::Images(faults)) = &error else {
            return error;
        };
        let showing = match self {
            Self::Comparisons(set) => set.showing(faults, parts),
            Self::Rated(set) => set.showing(faults, parts),
        };
        match showing {
            Ok(rows) => error.in_rows(&rows),
            // Somebody took a file away meanwhile: then the images are named without their rows.
            Err(_) => error,
        }
    }
}

/// Reads which comparisons or which rated answers a stage learns from; paths are relative to `root`.
pub fn read_judgements(recipe: &mut Reader, root: &Path, seed: u64) -> Judgements {
    recipe.one_of_two("data", "preferences", "rated");
    let images = read_images(recipe, root);
    let meaning = "Files of comparisons; a string is a file's path alone.";
    let elements = recipe.strings_or_tables("data.preferences", meaning);
    let elements = elements.optional();
    let files = elements.map(|elements| comparison_files(recipe, elements, root));
    let meaning = "Files of answers by themselves, or folders with the files of a set, each answer with a label that says whether it is a good one (docs/formats.md, \"TRL unpaired preferences\"); for a reward model, and of the losses of `dpo` for KTO alone.";
    let rated = recipe.strings("data.rated", meaning).check(|paths| {
        if paths.is_empty() || paths.iter().any(String::is_empty) {
            let problem = "the list is empty, or a string in it".to_owned();
            return Err((problem, "name at least one file".to_owned()));
        }
        Ok(())
    });
    match (files, rated.optional()) {
        (None, Some(paths)) => {
            let file = |path| RatedFile {
                path: root.join(path),
            };
            let files = paths.into_iter().map(file).collect();
            Judgements::Rated(read_set(recipe, seed, images, files))
        }
        (files, _) => {
            let files = files.unwrap_or_default();
            Judgements::Comparisons(read_set(recipe, seed, images, files))
        }
    }
}

fn read_images(recipe: &mut Reader, root: &Path) -> PathBuf {
    root.join(recipe.path("data.images", IMAGES).required())
}

/// Reads what is done with the rows of files.
fn read_set<F>(recipe: &mut Reader, seed: u64, images: PathBuf, files: Vec<F>) -> RowSet<F> {
    let on_bad_row = on_bad_row(recipe);
    let n_validation = recipe
        .usize("data.n_validation", "Rows (comparisons, or rated answers) that are evaluated along the way, at least: all rows of an image are in one part. A reward model keeps the step that does best on them.")
        .positive()
        .required();
    let n_held_out = recipe
        .usize("data.n_held_out", "Rows that are only measured, at least.")
        .positive()
        .required();
    let n_train = recipe
        .usize(
            "data.n_train",
            "Rows that are trained on, at most; all that are left if absent.",
        )
        .positive()
        .optional();
    RowSet {
        files,
        images,
        on_bad_row,
        seed,
        n_validation,
        n_held_out,
        n_train,
    }
}

fn comparison_files(
    recipe: &mut Reader,
    elements: Vec<Element>,
    root: &Path,
) -> Vec<ComparisonFile> {
    let file = |element| match element {
        Element::Plain(path) => ComparisonFile {
            path: root.join(path),
            format: None,
        },
        Element::Table(key) => read_file(recipe, &key, root),
    };
    elements.into_iter().map(file).collect()
}

fn read_file(recipe: &mut Reader, key: &str, root: &Path) -> ComparisonFile {
    let path = recipe
        .path(
            &format!("{key}.path"),
            "The file, or a folder with the files of a set (docs/formats.md).",
        )
        .required();
    let judged = ComparisonFormat::JUDGED.map(|format| (format.name(), format));
    let format = recipe
        .one_of(
            &format!("{key}.format"),
            &judged,
            "What the file is (docs/formats.md); told by its content if absent.",
        )
        .optional();
    ComparisonFile {
        path: root.join(path),
        format,
    }
}
