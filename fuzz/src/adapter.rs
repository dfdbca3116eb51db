//! A folder with an adapter of which one file is replaced: PEFT's configuration or its tensors. The first byte says which file
//! has the rest as its content.
//!
//! What opens on its model has finite numbers alone, and is the same when it was saved and is opened again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use candor_model::{Adapter, Vlm};
use tch::{Device, Kind};

use crate::golden::{Copies, chosen, n_files as n_files_of, of_crate};

const LLAVA: &str = "llava_mha";
const QWEN2_5: &str = "qwen/qwen2_5_vl_gqa";
const QWEN3: &str = "qwen/qwen3_vl";
const ONEVISION: &str = "tiled/onevision";

/// Folders of adapters, each with its model; `fuzz/seeds` has them in the same order.
const FOLDERS: [((&str, &str), &[&str]); 7] = [
    ((LLAVA, "adapters/patterns"), &FILES),
    (
        (LLAVA, "adapters/earlier"),
        &["adapter_config.json", "adapter_model.bin"],
    ),
    ((LLAVA, "adapters/blocks"), &FILES),
    ((LLAVA, "llava_mha/with_tower"), &FILES),
    ((QWEN2_5, "qwen/qwen2_5_vl_gqa/with_tower"), &FILES),
    ((QWEN3, "qwen/qwen3_vl/with_projector"), &FILES),
    ((ONEVISION, "tiled/onevision/all_linear"), &FILES),
];
const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

thread_local! {
    static COPIES: Copies = Copies::of(FOLDERS.iter().map(|&((_, folder), _)| folder));
    static BASES: RefCell<BTreeMap<&'static str, Rc<Vlm>>> = const { RefCell::new(BTreeMap::new()) };
}

fn base(name: &'static str) -> Rc<Vlm> {
    BASES.with_borrow_mut(|bases| {
        let open = || {
            let folder = of_crate("model").join(name);
            Rc::new(Vlm::open(&folder, Device::Cpu, Kind::Float).expect("a golden model"))
        };
        Rc::clone(bases.entry(name).or_insert_with(open))
    })
}

/// How many files an input may stand for.
#[must_use]
pub fn n_files() -> usize {
    n_files_of(&FOLDERS)
}

/// Puts the content in place of a file and opens the adapter; the file is put back afterwards.
///
/// # Panics
/// What opened is not finite, or not the same after it was saved.
pub fn open(input: &[u8]) -> bool {
    let Some(((model, folder), file, content)) = chosen(&FOLDERS, input) else {
        return false;
    };
    let base = base(model);
    COPIES.with(|copies| copies.with(folder, file, content, |folder| check(folder, &base)))
}

fn check(folder: &Path, base: &Vlm) -> bool {
    let Ok(adapter) = Adapter::open(folder, base) else {
        return false;
    };
    for (name, tensor) in adapter.parameters() {
        let is_finite = bool::try_from(tensor.isfinite().all());
        assert_eq!(is_finite.ok(), Some(true), "{name} is not finite");
    }
    let saved = tempfile::tempdir().expect("a temporary folder");
    adapter
        .save(saved.path())
        .expect("what was opened is saved");
    let again = Adapter::open(saved.path(), base).expect("what was saved opens");
    assert_eq!(again.parameters(), adapter.parameters());
    true
}
