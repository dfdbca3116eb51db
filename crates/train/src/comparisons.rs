//! What the recipe of a stage that learns from comparisons says of these.

use std::path::Path;

use candor_data::ComparisonFormat;
use candor_data::comparisons::{ComparisonFile, ComparisonSet};

use crate::bad_rows::on_bad_row;
use crate::stage_fields::IMAGES;
use candor_recipe::{Element, Reader};

/// Reads which comparisons a stage learns from; paths are relative to `root`.
pub fn read_comparisons(recipe: &mut Reader, root: &Path, seed: u64) -> ComparisonSet {
    let images = root.join(recipe.path("data.images", IMAGES).required());
    let files = read_files(recipe, root);
    let on_bad_row = on_bad_row(recipe);
    let n_validation = recipe
        .usize("data.n_validation", "Pairs that are evaluated along the way, at least: all pairs of an image are in one part. A reward model keeps the step that does best on them.")
        .positive()
        .required();
    let n_held_out = recipe
        .usize("data.n_held_out", "Pairs that are only measured, at least.")
        .positive()
        .required();
    let n_train = recipe
        .usize(
            "data.n_train",
            "Pairs that are trained on, at most; all that are left if absent.",
        )
        .positive()
        .optional();
    ComparisonSet {
        files,
        images,
        on_bad_row,
        seed,
        n_validation,
        n_held_out,
        n_train,
    }
}

fn read_files(recipe: &mut Reader, root: &Path) -> Vec<ComparisonFile> {
    let elements = recipe
        .strings_or_tables(
            "data.preferences",
            "Files of comparisons; a string is a file's path alone.",
        )
        .required();
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
    let path = recipe.path(&format!("{key}.path"), "The file.").required();
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
