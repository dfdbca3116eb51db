//! POPE's files where a suite looks for them.

use std::fs;
use std::path::Path;

use crate::images::walls;

/// The splits, each with a file of its own.
pub const SPLITS: [&str; 3] = ["random", "popular", "adversarial"];

/// Writes POPE about [`walls`] into a folder of benchmarks: of each split, by its number, image, question and label.
///
/// # Panics
/// It cannot be written.
pub fn write(data: &Path, questions: impl Fn(usize) -> Vec<[String; 3]>) {
    let images = data.join("coco/val2014");
    fs::create_dir_all(&images).expect("a folder");
    fs::create_dir_all(data.join("pope")).expect("a folder");
    walls(&images);
    for (number, split) in SPLITS.iter().enumerate() {
        let mut lines = String::new();
        for (id, [image, text, label]) in questions(number).into_iter().enumerate() {
            let line = serde_json::json!({
                "question_id": id, "image": image, "text": text, "label": label,
            });
            lines.extend([line.to_string(), "\n".to_owned()]);
        }
        let file = data.join(format!("pope/coco_pope_{split}.jsonl"));
        fs::write(file, lines).expect("a file");
    }
}
