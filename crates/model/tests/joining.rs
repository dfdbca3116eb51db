//! A decoder, a tower and a projector become one model; and a projector that stands beside the weights is read.
//!
//! The parts are those of an original LLaVA that `parity/fixtures` wrote with transformers, taken apart: what is joined must
//! have the bits of the parts and say what the whole says, which `golden_dialects.rs` holds to transformers' numbers.

mod against;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use against::golden_folder;
use candor_data::image::Fit;
use candor_model::{
    Bundle, CheckpointFormat, Join, ModelFolder, ProjectorKind, Reading, Template, USUAL_IMAGE,
    preflight, tensor_file,
};
use candor_weights::{Checkpoint, Dtype};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const CASE: &str = "original_mlp_336";
const TOWER: &str = "clip-vit-tiny-patch14-336";

fn checkpoint_formats(name: &str) -> PathBuf {
    golden_folder("dialects").join(name)
}

type Stored = BTreeMap<String, (Dtype, Vec<u64>, Vec<u8>)>;

fn stored(path: &Path) -> Stored {
    let checkpoint = Checkpoint::open(path).expect("a checkpoint");
    let tensor = |(name, entry): (&str, &candor_weights::Entry)| {
        let mut bytes = Vec::new();
        checkpoint.read(name, &mut bytes).expect("a tensor");
        let tensor = (entry.dtype(), entry.shape().to_vec(), bytes);
        (name.to_owned(), tensor)
    };
    checkpoint.iter().map(tensor).collect()
}

/// Writes the tensors whose names `chosen` gives a name.
fn write(path: &Path, stored: &Stored, chosen: impl Fn(&str) -> Option<String>) {
    let tensors: BTreeMap<String, Tensor> = stored
        .iter()
        .filter_map(|(name, (dtype, shape, bytes))| {
            let kind = match dtype {
                Dtype::F16 => Kind::Half,
                Dtype::F32 => Kind::Float,
                other => panic!("{other} is not in the golden files"),
            };
            let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
            Some((chosen(name)?, Tensor::from_data_size(bytes, &shape, kind)))
        })
        .collect();
    tensor_file::write(path, tensors.iter().map(|(n, t)| (n.as_str(), t)), None).expect("a file");
}

fn is_projector(name: &str) -> bool {
    name.starts_with("model.mm_projector.")
}

/// The parts in a folder of their own: `vicuna`, and the projector as stage 1 saves it.
struct Parts {
    dir: tempfile::TempDir,
    source: Stored,
}

impl Parts {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let source = stored(&checkpoint_formats(CASE));
        let decoder = dir.path().join("vicuna");
        fs::create_dir(&decoder).expect("a folder");
        for name in ["tokenizer.model", "tokenizer_config.json"] {
            fs::copy(checkpoint_formats(CASE).join(name), decoder.join(name))
                .expect("a golden file");
        }
        let config = fs::read(checkpoint_formats(CASE).join("config.json")).expect("a golden file");
        let mut config: Value = serde_json::from_slice(&config).expect("JSON");
        let fields = config.as_object_mut().expect("an object");
        fields.retain(|name, _| !name.contains("mm_") && name != "conv_version");
        fields.insert("model_type".to_owned(), json!("llama"));
        fields.insert("architectures".to_owned(), json!(["LlamaForCausalLM"]));
        fs::write(decoder.join("config.json"), config.to_string()).expect("a file");
        // Its own template, which is not the one that LLaVA talks in.
        fs::write(
            decoder.join("chat_template.jinja"),
            "{{ messages[0].content }}",
        )
        .expect("a file");
        write(&decoder.join("model.safetensors"), &source, |name| {
            (!is_projector(name)).then(|| name.to_owned())
        });
        write(&dir.path().join("mm_projector.bin"), &source, |name| {
            is_projector(name).then(|| name.to_owned())
        });
        Self { dir, source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn join(&self, projector: Option<PathBuf>) -> Join {
        Join {
            decoder: self.path("vicuna"),
            tower: checkpoint_formats(TOWER),
            projector,
            seed: 4,
            fit: Fit::Pad,
            checkpoint_format: CheckpointFormat::HuggingFace,
            kind: None,
        }
    }
}

fn logits(bundle: &Bundle) -> Tensor {
    let side = bundle.model.config().tower_sizes().image_size;
    let pixels = Tensor::arange(3 * side * side, (Kind::Float, Device::Cpu)).sin();
    let mut ids = vec![1, 17, 240];
    ids.extend(vec![
        bundle.tokenizer.image;
        bundle.model.config().n_image_tokens(USUAL_IMAGE)
    ]);
    ids.extend([99, 321, 5]);
    tch::no_grad(|| {
        let features = bundle
            .model
            .image_features(&pixels.reshape([1, 3, side, side]));
        let ids = Tensor::from_slice(&ids).unsqueeze(0);
        let embedded = bundle.model.embed(&ids, Some(&features), None);
        let hidden = bundle.model.hidden(&embedded, None);
        bundle.model.decoder().logits(&hidden)
    })
}

#[test]
fn parts_become_the_model_that_they_were() {
    let parts = Parts::new();
    let out = parts.path("joined");
    let join = parts.join(Some(parts.path("mm_projector.bin")));
    join.write(&out, Device::Cpu).expect("it is joined");
    let found = stored(&out);
    for (there, tensor) in &parts.source {
        let here = match there.as_str() {
            name if is_projector(name) => {
                let name = name.replace("model.mm_projector.0", "multi_modal_projector.linear_1");
                name.replace("model.mm_projector.2", "multi_modal_projector.linear_2")
            }
            name => format!("language_model.{name}"),
        };
        let found = &found[&here];
        assert_eq!(found.0, tensor.0, "{here}");
        // Words keep their rows, and the placeholder has one more.
        assert_eq!(&found.2[..tensor.2.len()], &tensor.2[..], "{here}");
        let is_table = there.contains("embed_tokens") || there == "lm_head.weight";
        let n_rows = tensor.1[0] + u64::from(is_table);
        assert_eq!(
            (found.1[0], found.1.len()),
            (n_rows, tensor.1.len()),
            "{here}"
        );
    }
    for (there, tensor) in stored(&checkpoint_formats(TOWER)) {
        if there.starts_with("vision_model.") && !there.ends_with("position_ids") {
            assert!(found[&format!("vision_tower.{there}")] == tensor, "{there}");
        }
    }
    preflight::check(&Reading::open(&out).unwrap()).expect("stages open it");
    let open = |folder: &Path| Bundle::open(folder, Device::Cpu, Kind::Float).expect("it opens");
    let (whole, joined) = (open(&checkpoint_formats(CASE)), open(&out));
    assert_eq!(joined.template, Template::vicuna_v1());
    assert_eq!(joined.processor, whole.processor);
    assert_eq!(joined.model.config().image_token(), 640);
    assert_eq!(joined.tokenizer.image, 640);
    let expected = logits(&whole);
    assert_eq!(logits(&joined).narrow(-1, 0, 640), expected);
    // Nothing of the decoder's own template is left, nor of what it was made with.
    let chat = fs::read_to_string(out.join("chat_template.jinja")).unwrap();
    assert!(chat.contains("USER"), "{chat}");
    let names: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().contains("fresh")),
        "{names:?}"
    );
}

#[test]
fn the_originals_dialect_describes_what_was_joined() {
    let parts = Parts::new();
    let out = parts.path("joined");
    let join = Join {
        checkpoint_format: CheckpointFormat::Original,
        ..parts.join(Some(parts.dir.path().to_owned()))
    };
    join.write(&out, Device::Cpu).expect("it is joined");
    let config: Value =
        serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["architectures"], json!(["LlavaLlamaForCausalLM"]));
    assert_eq!(config["mm_projector_type"], "mlp2x_gelu");
    assert_eq!(config["image_aspect_ratio"], "pad");
    let bundle = Bundle::open(&out, Device::Cpu, Kind::Float).expect("it opens");
    assert_eq!(bundle.template, Template::vicuna_v1());
}

#[test]
fn a_fresh_projector_is_the_seeds() {
    let parts = Parts::new();
    let joined = |seed: u64, name: &str| {
        let out = parts.path(name);
        let join = Join {
            seed,
            ..parts.join(None)
        };
        join.write(&out, Device::Cpu).expect("it is joined");
        stored(&out)
    };
    let first = joined(4, "first");
    let weight = "multi_modal_projector.linear_1.weight";
    assert!(first == joined(4, "again"));
    assert!(first[weight] != joined(5, "other")[weight]);
    // 8 wide on both sides, of the decoder's type, and its biases begin at zero.
    assert_eq!(
        (first[weight].0, &first[weight].1[..]),
        (Dtype::F16, &[8, 8][..])
    );
    assert_eq!(first["multi_modal_projector.linear_2.bias"].2, [0; 16]);
    let fresh = first.keys().filter(|name| name.contains("projector"));
    assert_eq!(fresh.count(), 4);
    Bundle::open(&parts.path("first"), Device::Cpu, Kind::Float).expect("it opens");
}

#[test]
fn what_does_not_fit_is_said_and_nothing_is_left() {
    let parts = Parts::new();
    let out = parts.path("joined");
    let refused = |join: &Join| {
        let message = join.write(&out, Device::Cpu).unwrap_err().to_string();
        assert!(!out.exists());
        message
    };
    let join = parts.join(None);
    // A LLaVA is no decoder, a LLaMA no tower.
    let message = refused(&Join {
        decoder: checkpoint_formats(CASE),
        ..join.clone()
    });
    assert!(
        message.contains("config.json") && message.contains("no LLaMA"),
        "{message}"
    );
    let message = refused(&Join {
        tower: parts.path("vicuna"),
        ..join.clone()
    });
    assert!(message.contains("not a CLIP"), "{message}");
    let adapter = parts.path("adapter");
    fs::create_dir(&adapter).unwrap();
    fs::write(adapter.join("adapter_config.json"), "{}").unwrap();
    let message = refused(&Join {
        decoder: adapter,
        ..join.clone()
    });
    assert!(
        message.contains("adapter_config.json") && message.contains("a decoder is needed"),
        "{message}"
    );
    // A projector of another width, and one with more than a projector.
    let wide = parts.path("wide.safetensors");
    let tensor = Tensor::zeros([8, 12], (Kind::Float, Device::Cpu));
    tensor_file::write(&wide, [("0.weight", &tensor)], None).unwrap();
    let message = refused(&parts.join(Some(wide)));
    for words in [
        "wide.safetensors",
        "0.weight",
        "[8, 12]",
        "2.weight",
        "is missing",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let more = parts.path("more.safetensors");
    write(&more, &parts.source, |name| {
        (is_projector(name) || name.contains("embed_tokens")).then(|| name.to_owned())
    });
    let message = refused(&parts.join(Some(more)));
    assert!(
        message.contains("embed_tokens") && message.contains("no part"),
        "{message}"
    );
    let linear = parts.path("linear.safetensors");
    let tensor = Tensor::zeros([8, 8], (Kind::Float, Device::Cpu));
    let bias = Tensor::zeros([8], (Kind::Float, Device::Cpu));
    let named = [
        ("model.mm_projector.weight", &tensor),
        ("model.mm_projector.bias", &bias),
    ];
    tensor_file::write(&linear, named, None).unwrap();
    let message = refused(&parts.join(Some(linear.clone())));
    assert!(message.contains("--format llava"), "{message}");
    let join = Join {
        checkpoint_format: CheckpointFormat::Original,
        ..parts.join(Some(linear))
    };
    join.write(&out, Device::Cpu)
        .expect("the original has such projectors");
    let made = ModelFolder::find(&out).unwrap();
    let kind = made.config().llava().unwrap().mm_projector_type;
    assert_eq!(kind, ProjectorKind::Linear);
}

#[test]
fn a_projector_beside_the_weights_is_read() {
    let parts = Parts::new();
    let folder = parts.path("llava-v1-tiny");
    fs::create_dir(&folder).unwrap();
    for name in ["config.json", "tokenizer.model", "tokenizer_config.json"] {
        fs::copy(checkpoint_formats(CASE).join(name), folder.join(name)).unwrap();
    }
    let weights = folder.join("model.safetensors");
    fs::copy(parts.path("vicuna/model.safetensors"), &weights).unwrap();
    let open = || {
        let folder =
            ModelFolder::find_with_tower(&folder, Some(&checkpoint_formats(TOWER))).unwrap();
        Bundle::load(folder, Device::Cpu, Kind::Float)
    };
    let message = open().unwrap_err().to_string();
    assert!(
        message.contains("mm_projector.0.weight") && message.contains("missing"),
        "{message}"
    );
    fs::copy(
        parts.path("mm_projector.bin"),
        folder.join("mm_projector.bin"),
    )
    .unwrap();
    let whole = Bundle::open(&checkpoint_formats(CASE), Device::Cpu, Kind::Float).unwrap();
    let found = open().expect("it opens");
    assert_eq!(logits(&found), logits(&whole));
    // What the weights hold counts before it.
    write(&weights, &parts.source, |name| Some(name.to_owned()));
    fs::write(folder.join("mm_projector.bin"), "nothing").unwrap();
    assert_eq!(logits(&open().expect("it opens")), logits(&whole));
}
