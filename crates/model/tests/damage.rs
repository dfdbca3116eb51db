//! Damaged model folders: each is refused, in words that name the file, the tensor or field, and what to do.
//!
//! What can be wrong within one file of tensors is tried in `crates/weights/tests/damage`; here it is what only a
//! whole folder can get wrong, and that errors of files arrive as they are.

mod against;

use std::fs;
use std::path::{Path, PathBuf};

use against::golden_folder;
use candor_model::{Bundle, ModelFolder, tensor_file};
use proptest::prelude::*;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const HF: &str = "hf_published_336";
const ORIGINAL: &str = "original_mlp_336";
const MARKED: &str = "original_linear_224";
const TOWER: &str = "clip-vit-tiny-patch14-336";
const OTHER_TOWER: &str = "clip-vit-tiny-patch14";
const INDEX: &str = "model.safetensors.index.json";

/// A copy of a golden folder, with the CLIP folders of the original format beside it.
struct Copied {
    dir: tempfile::TempDir,
    case: &'static str,
}

impl Copied {
    fn new(case: &'static str) -> Self {
        Self::of("dialects", &[case, TOWER, OTHER_TOWER])
    }

    /// The first of some golden folders with the others beside it.
    fn of(among: &str, folders: &[&'static str]) -> Self {
        let (dir, case) = (tempfile::tempdir().unwrap(), folders[0]);
        for folder in folders {
            let to = dir.path().join(folder);
            fs::create_dir(&to).unwrap();
            for entry in fs::read_dir(golden_folder(among).join(folder)).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        Self { dir, case }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(self.case).join(file)
    }

    fn open(&self) -> Result<Bundle, String> {
        Bundle::open(&self.path(""), Device::Cpu, Kind::Float).map_err(|e| e.to_string())
    }

    fn json(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap();
        change(&mut value);
        fs::write(self.path(file), value.to_string()).unwrap();
    }

    /// Sets one field of `config.json`, by its JSON pointer.
    fn config(&self, pointer: &str, value: Value) {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        self.json("config.json", |config| {
            config.pointer_mut(parent).unwrap()[field] = value;
        });
    }

    /// The shard in which the index says that a tensor is.
    fn shard_of(&self, tensor: &str) -> String {
        let index: Value = serde_json::from_slice(&fs::read(self.path(INDEX)).unwrap()).unwrap();
        index["weight_map"][tensor]
            .as_str()
            .expect("a tensor of the index")
            .to_owned()
    }

    /// Replaces a tensor, or takes it away, in shard and index.
    fn tensor(&self, name: &str, change: impl FnOnce(&Tensor) -> Option<Tensor>) {
        let shard = self.shard_of(name);
        let mut tensors = tensor_file::read(&self.path(&shard)).unwrap();
        let old = tensors.remove(name).unwrap();
        if let Some(new) = change(&old) {
            tensors.insert(name.to_owned(), new);
        } else {
            self.json(INDEX, |index| {
                index["weight_map"].as_object_mut().unwrap().remove(name);
            });
        }
        let all = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        tensor_file::write(&self.path(&shard), all, None).unwrap();
    }

    /// Puts a tensor into the shard of another.
    fn add(&self, name: &str, beside: &str) {
        let shard = self.shard_of(beside);
        let mut tensors = tensor_file::read(&self.path(&shard)).unwrap();
        tensors.insert(name.to_owned(), tensors[beside].copy());
        let all = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        tensor_file::write(&self.path(&shard), all, None).unwrap();
        self.json(INDEX, |index| index["weight_map"][name] = shard.into());
    }
}

type Damage = fn(&Copied);

/// The folder, what is done to it, and the words that the refusal must have.
#[rustfmt::skip] // A table.
const TABLE: &[(&str, Damage, &[&str])] = &[
    // Weights.
    (HF, |f| cut(&f.path("model-00002-of-00004.safetensors")), &["model-00002-of-00004.safetensors", "cut short"]),
    (HF, |f| fs::remove_file(f.path("model-00003-of-00004.safetensors")).unwrap(), &[INDEX, "model-00003-of-00004"]),
    (HF, |f| fs::remove_file(f.path(INDEX)).unwrap(), &["no checkpoint here", INDEX]),
    (
        HF,
        |f| f.json(INDEX, |index| index["weight_map"]["x"] = "../../secret.safetensors".into()),
        &[INDEX, "../../secret.safetensors"],
    ),
    (
        HF,
        |f| fs::write(f.path("model-00001-of-00004.safetensors"), b"\xff\xff\xff\xff\xff\xff\xff\x0f{\"a\": {}}").unwrap(),
        &["model-00001-of-00004.safetensors", "header"],
    ),
    (
        HF,
        |f| f.tensor(NORM, |_| Some(Tensor::ones([9], (Kind::Half, Device::Cpu)))),
        &["model-0000", NORM, "[9]", "[8]", "same export"],
    ),
    (HF, |f| f.tensor(NORM, |_| None), &[INDEX, NORM, "is missing", "same export"]),
    (
        HF,
        |f| f.tensor(NORM, |old| Some(old.to_kind(Kind::Int8))),
        &[NORM, "I8", "quantised elsewhere"],
    ),
    (
        HF,
        |f| {
            f.tensor(NORM, |_| None);
            f.tensor(BIAS, |old| Some(old.reshape([2, 4])));
            f.add("image_newline", QUERY);
        },
        &["3 tensors", NORM, BIAS, "[2, 4]", "`image_newline` belongs to no part"],
    ),
    (
        HF,
        |f| f.add("model.language_model.norm.weight", NORM),
        &[NORM, "`model.language_model.norm.weight` is the same tensor as"],
    ),
    (
        ORIGINAL,
        |f| {
            let command = "../weights/tests/golden/refused/command.bin";
            let command = Path::new(env!("CARGO_MANIFEST_DIR")).join(command);
            fs::copy(command, f.path("pytorch_model-00001-of-00002.bin")).unwrap();
        },
        &["pytorch_model-00001-of-00002.bin", "system", "nothing was executed"],
    ),
    // Configuration against weights.
    (
        HF,
        |f| f.config("/text_config/intermediate_size", json!(24)),
        &["6 tensors", "gate_proj.weight` has shape [16, 8], config.json calls for [24, 8]"],
    ),
    (
        HF,
        |f| f.config("/text_config/num_hidden_layers", json!(3)),
        &["9 tensors", "`language_model.model.layers.2.self_attn.q_proj.weight` is missing"],
    ),
    (
        HF,
        |f| f.config("/text_config/num_hidden_layers", json!(4096)),
        &["1000 tensors", "and 950 more"],
    ),
    (HF, |f| f.config("/text_config/num_hidden_layers", json!(1_i64 << 40)), &["config.json", "num_hidden_layers"]),
    (HF, |f| f.config("/vision_config/image_size", json!(1 << 20)), &["config.json", "image_size"]),
    (
        HF,
        |f| {
            f.config("/vision_config/image_size", json!(224));
            f.json("preprocessor_config.json", |p| {
                p["size"] = json!({"shortest_edge": 224});
                p["crop_size"] = json!(224);
            });
        },
        &["position_embedding.weight", "[577, 8]", "[257, 8]", "not interpolated"],
    ),
    (
        ORIGINAL,
        |f| f.config("/mm_projector_type", json!("linear")),
        &["`model.mm_projector.weight` is missing", "`model.mm_projector.2.weight` belongs to no part"],
    ),
    (MARKED, |f| f.config("/mm_projector_type", json!("mlp2x_gelu")), &["`model.mm_projector.0.weight` is missing"]),
    // Configuration alone.
    (HF, |f| fs::remove_file(f.path("config.json")).unwrap(), &["config.json", "give the folder of a model"]),
    (HF, |f| fs::write(f.path("config.json"), "{\"model_type\"").unwrap(), &["config.json", "EOF"]),
    (HF, |f| fs::write(f.path("config.json"), "[".repeat(10_000)).unwrap(), &["config.json", "recursion"]),
    (
        HF,
        |f| f.config("/architectures", json!(["LlavaNextVideoForConditionalGeneration"])),
        &["config.json", "LlavaNextVideoForConditionalGeneration", "no LLaVA, LLaVA-NeXT"],
    ),
    (
        HF,
        |f| f.config("/model_type", json!("qwen3_vl_moe")),
        &["config.json", "experts (qwen3_vl_moe)", "use a dense Qwen3-VL"],
    ),
    (HF, |f| f.config("/text_config/hidden_act", json!("gelu")), &["config.json", "text_config/hidden_act", "gelu"]),
    (HF, |f| f.config("/vision_feature_layer", json!([-2, -5])), &["config.json", "-5, but the tower has 3 layers"]),
    (HF, |f| f.config("/vision_feature_layer", json!("last")), &["config.json", "a hidden layer", "at line 1"]),
    (ORIGINAL, |f| f.config("/mm_hidden_size", json!(1024)), &["config.json", "mm_hidden_size", "1024"]),
    (ORIGINAL, |f| f.config("/image_aspect_ratio", json!("anyres")), &["config.json", "image_aspect_ratio", "anyres"]),
    // The parts against each other.
    (
        HF,
        |f| f.json("preprocessor_config.json", |p| p["size"] = json!({"shortest_edge": 224})),
        &["preprocessor_config.json", "crop_size"],
    ),
    (
        HF,
        |f| {
            f.json("preprocessor_config.json", |p| {
                p["size"] = json!(224);
                p["crop_size"] = json!(224);
            });
        },
        &["preprocessor_config.json", "224 pixels", "336"],
    ),
    (HF, |f| f.config("/image_token_index", json!(7)), &["config.json", "image_token_index is 7", "640"]),
    (HF, |f| fs::remove_file(f.path("tokenizer.model")).unwrap(), &["neither a tokenizer.json nor"]),
    (
        MARKED,
        |f| {
            fs::write(f.path("added_tokens.json"), "{}").unwrap();
            fs::write(f.path("special_tokens_map.json"), "{}").unwrap();
        },
        &["<im_start>", "config.json asks for"],
    ),
    // The tower of the original format.
    (
        ORIGINAL,
        |f| fs::rename(f.dir.path().join(TOWER), f.dir.path().join("elsewhere")).unwrap(),
        &[TOWER, "looked in", "download"],
    ),
    (
        ORIGINAL,
        |f| fs::write(f.dir.path().join(TOWER).join("config.json"), "{\"model_type\": \"siglip\"}").unwrap(),
        &[TOWER, "siglip", "CLIP"],
    ),
    (ORIGINAL, |f| cut(&f.dir.path().join(TOWER).join("pytorch_model.bin")), &[TOWER, "pytorch_model.bin"]),
];

const NORM: &str = "language_model.model.norm.weight";
const BIAS: &str = "multi_modal_projector.linear_1.bias";
const QUERY: &str = "language_model.model.layers.0.self_attn.q_proj.weight";

fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 100]).unwrap();
}

#[test]
fn every_damage_is_named() {
    let mut wrong = Vec::new();
    for (row, (case, damage, words)) in TABLE.iter().enumerate() {
        let folder = Copied::new(case);
        folder.open().expect("it opens before");
        damage(&folder);
        let message = folder
            .open()
            .map_or_else(|message| message, |_| "it opened".to_owned());
        if !words.iter().all(|word| message.contains(word)) {
            wrong.push(format!("row {row}, expected {words:?}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_tower_can_be_given_and_only_where_there_is_none() {
    let folder = Copied::new(ORIGINAL);
    let (beside, elsewhere) = (
        folder.dir.path().join(TOWER),
        folder.dir.path().join("elsewhere"),
    );
    fs::rename(beside, &elsewhere).unwrap();
    let found = ModelFolder::find_with_tower(&folder.path(""), Some(&elsewhere)).unwrap();
    Bundle::load(found, Device::Cpu, Kind::Float).unwrap();
    let model = Copied::new(HF);
    let refused = ModelFolder::find_with_tower(&model.path(""), Some(&elsewhere));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("tower of its own")
    );
}

#[test]
fn a_head_that_differs_from_the_embedding_counts_although_the_configuration_ties_them() {
    let folder = Copied::new(HF);
    folder.config("/tie_word_embeddings", json!(true));
    let model = folder.open().unwrap().model;
    assert!(!model.config().tied());
    assert!(
        model
            .parameters()
            .contains_key("language_model.lm_head.weight")
    );
    let embedding = "language_model.model.embed_tokens.weight";
    let mut same = None;
    folder.tensor(embedding, |embedding| {
        same = Some(embedding.copy());
        Some(embedding.copy())
    });
    folder.tensor("language_model.lm_head.weight", |_| same);
    let model = folder.open().unwrap().model;
    assert!(model.config().tied());
    assert!(
        !model
            .parameters()
            .contains_key("language_model.lm_head.weight")
    );
}

/// The JSON files of a LLaVA-1.5, and those that other families read otherwise: configurations, what images are fitted by, and
/// what counts their tokens.
#[rustfmt::skip] // A table.
const JSON_FILES: [(&str, &str, &str); 15] = [
    ("dialects", HF, "config.json"),
    ("dialects", HF, INDEX),
    ("dialects", HF, "preprocessor_config.json"),
    ("dialects", HF, "tokenizer_config.json"),
    ("dialects", HF, "chat_template.json"),
    ("dialects", HF, "processor_config.json"),
    ("qwen/folders", "published", "config.json"),
    ("qwen/folders", "published", "preprocessor_config.json"),
    ("qwen/folders", "current", "processor_config.json"),
    ("qwen/folders", "deep", "config.json"),
    ("tiled/folders", "vicuna", "config.json"),
    ("tiled/folders", "vicuna", "preprocessor_config.json"),
    ("tiled/folders", "onevision", "config.json"),
    ("tiled/folders", "onevision", "preprocessor_config.json"),
    ("tiled/folders", "onevision", "processor_config.json"),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn random_damage_to_json_is_refused_or_harmless(
        (among, case, file) in prop::sample::select(JSON_FILES.to_vec()),
        place in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"0987654321-[]{}\",:eE.n\0\xff".to_vec()),
        cut in any::<bool>(),
    ) {
        let folder = Copied::of(among, &[case]);
        let mut bytes = fs::read(folder.path(file)).unwrap();
        let at = place.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        fs::write(folder.path(file), bytes).unwrap();
        // Not a panic, and an error that says which file or tensor: all have a path in them.
        if let Err(message) = folder.open() {
            prop_assert!(message.contains(folder.dir.path().to_str().unwrap()), "{message}");
        }
    }
}
