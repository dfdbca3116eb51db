//! An image's placeholder that has no row in the embedding, as the tokenizer of an original LLaVA gives it.

mod against;

use std::fs;

use against::{Golden, golden_folder, open_model};
use candor_model::Vlm;
use tch::{Device, Kind};

#[test]
fn features_stand_where_the_placeholder_is_although_it_has_no_embedding() {
    let folder = golden_folder("llava_mha");
    let known = open_model("llava_mha");
    let dir = tempfile::tempdir().unwrap();
    let config = fs::read(folder.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let (before, past) = (
        known.config().image_token(),
        known.config().decoder_sizes().n_words,
    );
    for name in ["image_token_index", "image_token_id"] {
        if config.get(name).is_some() {
            config[name] = past.into();
        }
    }
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let weights = "model.safetensors";
    fs::copy(folder.join(weights), dir.path().join(weights)).unwrap();
    let unknown = Vlm::open(dir.path(), Device::Cpu, Kind::Float).unwrap();
    assert_eq!(unknown.config().image_token(), past);

    let golden = Golden::open(&folder, "step_two_images.safetensors");
    let ids = golden.batch().ids;
    let moved = ids.masked_fill(&ids.eq(before), past);
    let features = known.image_features(golden.get("pixel_values"));
    let expected = known.embed(&ids, Some(&features), None).x;
    assert_eq!(unknown.embed(&moved, Some(&features), None).x, expected);
}
