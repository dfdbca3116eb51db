//! Which file of a folder shows what an item asks about.

use std::path::{Path, PathBuf};

use candor_data::formats::images;

use crate::verdict::Verdict;

/// What some folders of COCO put before the number of an image.
const PREFIXES: [&str; 2] = ["COCO_val2014_", "COCO_train2014_"];

/// The name of an item's image in a folder: as the item has it, or with or without what COCO of 2014 puts before
/// it. `None` if the folder has none of these.
#[must_use]
pub fn name_in(folder: &Path, verdict: &Verdict) -> Option<String> {
    let name = verdict.file_name();
    let bare = PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    let mut names = vec![name.to_owned(), bare.to_owned()];
    names.extend(PREFIXES.iter().map(|prefix| format!("{prefix}{bare}")));
    names
        .into_iter()
        .find(|name| images::path_in(folder, name).is_some_and(|path| path.is_file()))
}

/// The file itself.
#[must_use]
pub fn file_in(folder: &Path, verdict: &Verdict) -> Option<PathBuf> {
    images::path_in(folder, &name_in(folder, verdict)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_coco_go_by_two_names_and_none_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("val2014");
        std::fs::create_dir(&folder).unwrap();
        for name in [
            "COCO_val2014_000000000042.jpg",
            "000000000007.jpg",
            "saved.jpg",
        ] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        std::fs::write(dir.path().join("outside.jpg"), "x").unwrap();
        let found = |image: &str, image_file: Option<&str>| {
            let verdict = Verdict {
                image: image.to_owned(),
                image_file: image_file.map(str::to_owned),
                ..Verdict::default()
            };
            name_in(&folder, &verdict)
        };
        assert_eq!(
            found("000000000042.jpg", None).as_deref(),
            Some("COCO_val2014_000000000042.jpg")
        );
        assert_eq!(
            found("COCO_train2014_000000000007.jpg", None).as_deref(),
            Some("000000000007.jpg")
        );
        assert_eq!(
            found("ab12", Some("saved.jpg")).as_deref(),
            Some("saved.jpg")
        );
        for image in ["../outside.jpg", "", "12"] {
            assert_eq!(found(image, None), None, "{image:?}");
        }
    }
}
