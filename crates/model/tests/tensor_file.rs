//! Safetensors files: round trips, bounds, and agreement with the `safetensors` crate's reader.

use std::collections::BTreeMap;
use std::path::Path;

use candor_model::{ModelError, tensor_file};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

const KINDS: [Kind; 7] = [
    Kind::Float,
    Kind::BFloat16,
    Kind::Int64,
    Kind::Half,
    Kind::Double,
    Kind::Uint8,
    Kind::Bool,
];

fn tensors() -> impl Strategy<Value = Vec<(String, Tensor)>> {
    let one = (
        0..KINDS.len(),
        prop::collection::vec(0_i64..4, 0..4),
        any::<i64>(),
    );
    prop::collection::vec(one, 0..6).prop_map(|specs| {
        let named = specs
            .into_iter()
            .enumerate()
            .map(|(i, (kind, shape, start))| {
                let n: i64 = shape.iter().product();
                let values = Tensor::arange(n, (Kind::Int64, Device::Cpu)) + start % 100;
                (
                    format!("layer.{i}.weight"),
                    values.view(&shape[..]).to_kind(KINDS[kind]),
                )
            });
        named.collect()
    })
}

fn by_name(tensors: &[(String, Tensor)]) -> impl Iterator<Item = (&str, &Tensor)> {
    tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
}

/// Without syncing, which hundreds of cases need not wait for.
fn write(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), ModelError> {
    tensor_file::write_unsynced(path, by_name(tensors), None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reading_gives_back_what_was_written(tensors in tensors()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        write(&path, &tensors).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let back = tensor_file::read(&path).unwrap();
        prop_assert_eq!(tensors.len(), back.len());
        for ((name, tensor), (back_name, back)) in tensors.iter().zip(&back) {
            prop_assert_eq!(name, back_name);
            prop_assert_eq!(tensor.kind(), back.kind());
            prop_assert!(tensor.size() == back.size() && tensor.equal(back));
        }
        // The order they are given in does not show in the bytes.
        let reversed: Vec<_> = tensors.into_iter().rev().collect();
        write(&path, &reversed).unwrap();
        prop_assert_eq!(bytes, std::fs::read(&path).unwrap());
    }

    #[test]
    fn damaged_files_give_errors_never_panics(
        tensors in tensors(),
        at in 0.0_f64..1.0,
        flip in 1_u8..=255,
        cut in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        write(&path, &tensors).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = (at * bytes.len() as f64) as usize;
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        std::fs::write(&path, &bytes).unwrap();
        let result = tensor_file::read(&path);
        // A changed weight is for the manifest to find; a shortened file is found here.
        prop_assert!(!cut || result.is_err());
    }
}

#[test]
fn the_reference_reader_reads_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    let weight = Tensor::from_slice(&[1.0_f32, -2.5]).view([2, 1]);
    let transposed = Tensor::from_slice(&[1_i64, 2, 3, 4]).view([2, 2]).tr();
    let tensors = [
        ("w".to_owned(), weight),
        ("t".to_owned(), transposed),
        (
            "b".to_owned(),
            Tensor::from_slice(&[1.5_f32]).to_kind(Kind::BFloat16),
        ),
    ];
    write(&path, &tensors).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let weight = file.tensor("w").unwrap();
    assert_eq!((weight.dtype(), weight.shape()), (Dtype::F32, &[2, 1][..]));
    assert_eq!(weight.data(), [0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]);
    // A transposed view is written in its own order: 1, 3, 2, 4.
    let firsts: Vec<u8> = file
        .tensor("t")
        .unwrap()
        .data()
        .iter()
        .step_by(8)
        .copied()
        .collect();
    assert_eq!(firsts, [1, 3, 2, 4]);
    assert_eq!(file.tensor("b").unwrap().data(), [0xc0, 0x3f]);
}

#[test]
fn the_atomic_writer_gives_the_same_bytes_and_replaces_a_file_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, atomic) = (dir.path().join("plain"), dir.path().join("new/atomic"));
    let old = [("old".to_owned(), Tensor::from_slice(&[0_i64; 9]))];
    let new = [("new".to_owned(), Tensor::from_slice(&[1.5_f32, 2.0]))];
    tensor_file::write(&atomic, by_name(&old), None).unwrap();
    let twice = [("x", &new[0].1), ("x", &new[0].1)];
    tensor_file::write(&atomic, twice, None).unwrap_err();
    assert!(tensor_file::read(&atomic).unwrap()["old"].equal(&old[0].1));

    tensor_file::write(&atomic, by_name(&new), None).unwrap();
    write(&plain, &new).unwrap();
    assert_eq!(
        std::fs::read(&atomic).unwrap(),
        std::fs::read(&plain).unwrap()
    );
}

#[test]
fn metadata_is_where_other_programs_look_for_it_and_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    let keys = ["format", "b", "z", "a", "q", "c"];
    let metadata: BTreeMap<_, _> = keys.map(|key| (key.to_owned(), "pt".to_owned())).into();
    let tensor = Tensor::from_slice(&[1.0_f32]);
    tensor_file::write(&path, [("w", &tensor)], Some(metadata)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let stored = header.metadata().as_ref().unwrap();
    assert!(stored.len() == keys.len() && keys.iter().all(|key| stored[*key] == "pt"));
    let sorted =
        br#"{"__metadata__":{"a":"pt","b":"pt","c":"pt","format":"pt","q":"pt","z":"pt"},"w":"#;
    assert!(bytes[8..].starts_with(sorted));
    assert!(tensor_file::read(&path).unwrap()["w"].equal(&tensor));
}

#[test]
fn tensors_survive_the_round_trip() {
    let whole = Tensor::from_slice(&[1.5_f32, -2.0, 0.25, 8.0, 3.0, 0.0]).reshape([2, 3]);
    let transposed = whole.transpose(0, 1);
    let half = whole.to_kind(Kind::BFloat16);
    let ids = Tensor::from_slice(&[7_i64, -1]);
    let named = [("a", &transposed), ("b", &half), ("c", &ids)];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.safetensors");
    tensor_file::write(&path, named, None).unwrap();
    let back = tensor_file::read(&path).unwrap();
    for (name, tensor) in named {
        assert_eq!(&back[name], tensor, "{name}");
        assert_eq!(back[name].kind(), tensor.kind());
    }
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("somewhere/model.safetensors");
    tensor_file::write(&path, [("a", &Tensor::from_slice(&[1_f32; 100]))], None).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for damaged in [
        &bytes[..bytes.len() - 1],
        &bytes[..20],
        &[][..],
        &[255_u8; 64][..],
    ] {
        std::fs::write(&path, damaged).unwrap();
        let message = tensor_file::read(&path).unwrap_err().to_string();
        assert!(message.contains("somewhere/model.safetensors"), "{message}");
    }
}

#[test]
fn unsuitable_input_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    let complex = Tensor::zeros([1], (Kind::ComplexFloat, Device::Cpu));
    let said = write(&path, &[("c".to_owned(), complex)])
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("`c`") && said.contains("ComplexFloat"),
        "{said}"
    );
    let twice = [
        ("x".to_owned(), Tensor::from(1.0)),
        ("x".to_owned(), Tensor::from(2.0)),
    ];
    let said = write(&path, &twice).unwrap_err().to_string();
    assert!(said.contains("`x`"), "{said}");
    let reserved = [("__metadata__".to_owned(), Tensor::from(1.0))];
    let said = write(&path, &reserved).unwrap_err().to_string();
    assert!(said.contains("`__metadata__`"), "{said}");

    std::fs::write(&path, [0xff; 16]).unwrap();
    let said = tensor_file::read(&path).unwrap_err().to_string();
    assert!(
        said.contains("claims a header of 18446744073709551615 bytes"),
        "{said}"
    );
}
