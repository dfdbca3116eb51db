//! A LLaVA v1.5 folder of full size with random weights, as transformers would write it: `config.json` and bf16
//! safetensors in shards with an index. Loading, memory and speed are those of a real one; what it says is noise.
//!
//! `cargo run --release --package candor-model --example random_checkpoint -- 7b FOLDER [TOKENIZER_FOLDER]`
//!
//! Tensors are drawn and written one by one, so that a 13B needs no more memory than its largest tensor. A tokenizer is
//! copied from another LLaVA's folder where one is given; otherwise one is trained on a few words.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use candor_data::image::ImageProcessor;
use candor_model::{
    LlavaConfig, ModelConfig, READING_FILES, Template, TensorSpec, Tokenizer, tensor_specs,
};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

/// A shard holds so many bytes, as with transformers, or one tensor.
const SHARD_BYTES: u64 = 5_000_000_000;
/// Spread of the weights.
const STD: f64 = 0.02;

fn main() -> Result<(), Box<dyn Error>> {
    candor_torch_ext::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (size, folder, tokenizer) = match arguments.as_slice() {
        [size, folder] => (size, folder, None),
        [size, folder, tokenizer] => (size, folder, Some(Path::new(tokenizer))),
        _ => return Err("usage: random_checkpoint 7b|13b FOLDER [TOKENIZER_FOLDER]".into()),
    };
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let image_token = read_with(folder, tokenizer)?;
    let config = config(size, image_token)?;
    config.write(&folder.join("config.json"))?;
    let pixels = u32::try_from(config.vision_config.image_size)?;
    ImageProcessor::clip(pixels).write(&folder.join("preprocessor_config.json"))?;
    tch::manual_seed(0);
    write_weights(folder, &config)
}

/// The sizes of LLaVA v1.5 on Vicuna, its tower at 336 pixels.
fn config(size: &str, image_token: i64) -> Result<LlavaConfig, Box<dyn Error>> {
    let (width, inner, layers, heads) = match size {
        "7b" => (4096, 11008, 32, 32),
        "13b" => (5120, 13824, 40, 40),
        _ => return Err(format!("there is no size {size:?}; give 7b or 13b").into()),
    };
    Ok(serde_json::from_value(json!({
        "image_token_index": image_token,
        "text_config": {
            "vocab_size": 32064, "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers,
            "num_attention_heads": heads, "rms_norm_eps": 1e-5, "max_position_embeddings": 4096,
        },
        "vision_config": {
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
            "image_size": 336, "patch_size": 14, "projection_dim": 768,
        },
    }))?)
}

/// Writes tokenizer and template; returns the id of the image's placeholder.
fn read_with(folder: &Path, from: Option<&Path>) -> Result<i64, Box<dyn Error>> {
    if let Some(from) = from {
        let pixels = "preprocessor_config.json";
        for name in READING_FILES.iter().filter(|name| **name != pixels) {
            if from.join(name).exists() {
                fs::copy(from.join(name), folder.join(name))?;
            }
        }
        return Ok(Tokenizer::open_folder(folder)?.image);
    }
    let words = "USER: What is in the picture? ASSISTANT: There is a red bus. ";
    let tokenizer = Tokenizer::train((0..20).map(|_| words.to_owned()), 400)?;
    tokenizer.save_folder(folder)?;
    let template = serde_json::to_vec_pretty(&Template::vicuna_v1())?;
    fs::write(folder.join("template.json"), template)?;
    Ok(tokenizer.image)
}

fn write_weights(folder: &Path, config: &LlavaConfig) -> Result<(), Box<dyn Error>> {
    let mut shards: Vec<Vec<TensorSpec>> = vec![Vec::new()];
    let mut filled = 0;
    for tensor in tensor_specs(&ModelConfig::Llava(config.clone())) {
        let n_bytes = n_bytes(&tensor);
        if filled > 0 && filled + n_bytes > SHARD_BYTES {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += n_bytes;
        shards.last_mut().ok_or("there is a shard")?.push(tensor);
    }
    let mut weight_map = BTreeMap::new();
    for (i, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        write_shard(&folder.join(&name), shard)?;
        eprintln!("{name}: {} tensors", shard.len());
        weight_map.extend(
            shard
                .iter()
                .map(|tensor| (tensor.name.clone(), name.clone())),
        );
    }
    let total: u64 = shards.iter().flatten().map(n_bytes).sum();
    let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
    fs::write(
        folder.join("model.safetensors.index.json"),
        index.to_string(),
    )?;
    Ok(())
}

fn n_bytes(tensor: &TensorSpec) -> u64 {
    2 * tensor.n_elements()
}

/// A safetensors file: the length of the header, the header, the tensors.
fn write_shard(path: &Path, shard: &[TensorSpec]) -> Result<(), Box<dyn Error>> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut offset = 0;
    for tensor in shard {
        let end = offset + n_bytes(tensor);
        let entry = json!({"dtype": "BF16", "shape": tensor.shape, "data_offsets": [offset, end]});
        header.insert(tensor.name.clone(), entry);
        offset = end;
    }
    let header = Value::Object(header).to_string();
    // The tensors begin at a multiple of 8.
    let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for tensor in shard {
        file.write_all(&drawn(tensor)?)?;
    }
    Ok(file.flush()?)
}

/// Norms begin at one and the rest at random; biases of this spread do no harm.
fn drawn(tensor: &TensorSpec) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut values = Tensor::zeros(tensor.shape.as_slice(), (Kind::BFloat16, Device::Cpu));
    if tensor.name.contains("norm") && tensor.name.ends_with(".weight") {
        let _ = values.fill_(1.0);
    } else {
        let _ = values.normal_(0.0, STD);
    }
    let mut bytes = vec![0; n_bytes(tensor) as usize];
    values.f_copy_data_u8(&mut bytes, values.numel())?;
    Ok(bytes)
}
