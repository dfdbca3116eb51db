//! Bounds of images' pixels in a recipe.

use candor_sft::SftRecipe;

use crate::out;
use crate::tiny::{SFT, prepared, reader, sft};

#[test]
fn they_are_refused_where_all_images_become_squares() {
    let folder = prepared();
    let path = folder.path();
    let refused = sft(path, &[&*out(path, "run"), "model.max_pixels=1000"]);
    let message = refused.unwrap_err().to_string();
    for words in ["ground/model", "squares of 16 pixels", "`max_pixels`"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn the_least_is_not_more_than_the_most() {
    let folder = tempfile::tempdir().unwrap();
    let read = |sets: &[&str]| {
        let folders = ["data.root", "model.base"];
        SftRecipe::read(reader(SFT, folder.path(), &folders, sets))
    };
    let sets = ["model.min_pixels=3137", "model.max_pixels=3136"];
    let message = read(&sets).unwrap_err().to_string();
    for words in ["model.min_pixels", "3137", "3136"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let recipe = read(&["model.min_pixels=3136", "model.max_pixels=3136"]).unwrap();
    assert_eq!(
        (recipe.pixels.min, recipe.pixels.max),
        (Some(3136), Some(3136))
    );
}
