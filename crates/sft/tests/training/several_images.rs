//! Rows that show several images, on a Qwen2.5-VL: `parity/fixtures/qwen_rows.py` wrote what transformers makes of one.

use std::fs;
use std::path::{Path, PathBuf};

use candor_data::formats::llava;
use candor_model::sample::Sample;
use candor_model::{Bundle, tensor_file};
use candor_sft::SftError;
use tch::{Device, Kind};

use crate::tiny::sft;
use crate::{losses, out};

fn golden(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden/qwen/folders");
    folder.join(name).canonicalize().unwrap()
}

fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/golden/images")
}

/// One step on rows of two images, with a copy of the golden row that `change` has changed.
fn trained(folder: &Path, change: impl Fn(&str) -> String) -> Result<(), SftError> {
    let rows = fs::read_to_string(golden("two_images.json")).unwrap();
    fs::write(folder.join("talk.json"), change(&rows)).unwrap();
    let set = |key: &str, path: PathBuf| format!("{key}={:?}", path.display().to_string());
    let sets = [
        out(folder, "run"),
        set("model.base", golden("published")),
        set("data.images", images().canonicalize().unwrap()),
        "model.tune=\"lora\"".to_owned(),
        "model.lora={ r = 2, alpha = 4.0, targets = [\"decoder\", \"tower\"] }".to_owned(),
        "run.steps=1".to_owned(),
        "data.batch=1".to_owned(),
        "data.micro_batch=1".to_owned(),
        "data.max_tokens=500".to_owned(),
    ];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    sft(folder, &sets).map(drop)
}

#[test]
fn a_row_of_two_images_costs_what_transformers_says() {
    let expected = tensor_file::read(&golden("two_images.safetensors")).unwrap();
    let rows = llava::read(&golden("two_images.json")).unwrap();
    let bundle = Bundle::open(&golden("published"), Device::Cpu, Kind::Float).unwrap();
    let images = images();
    let sample = Sample::new(&rows[0], bundle.rules(usize::MAX, images.as_path())).unwrap();
    let row = |name: &str| Vec::<i64>::try_from(expected[name].flatten(0, -1)).unwrap();
    assert_eq!(sample.ids, row("ids"));
    assert_eq!(sample.labels, row("labels"));

    let folder = tempfile::tempdir().unwrap();
    trained(folder.path(), str::to_owned).unwrap();
    let (found, loss) = (
        losses(&folder.path().join("run"))[0],
        expected["loss"].double_value(&[]),
    );
    assert!((found / loss - 1.0).abs() < 1e-3, "{found} {loss}");
}

#[test]
fn more_or_fewer_places_than_images_are_told_with_the_row() {
    let refused = |from: &str, to: &str| {
        let folder = tempfile::tempdir().unwrap();
        let change = |rows: &str| {
            assert!(rows.contains(from), "{from}");
            rows.replacen(from, to, 1)
        };
        trained(folder.path(), change).unwrap_err().to_string()
    };
    let message = refused("<image>\\nIs the", "Is the");
    for words in [
        "\"two\"",
        "holds 1 `<image>`",
        "has 2 images",
        "for each image",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let message = refused("rgb_square.png", "not_there.png");
    for words in ["\"two\"", "not_there.png"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}
