//! Safetensors files: round trips, bounds, and agreement with the `safetensors` crate's reader.

use candor_train::tensor_file::{read_tensors, write_tensors};
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

fn sorted(mut tensors: Vec<(String, Tensor)>) -> Vec<(String, Tensor)> {
    tensors.sort_by(|left, right| left.0.cmp(&right.0));
    tensors
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reading_gives_back_what_was_written(tensors in tensors()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        write_tensors(&path, &tensors).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let back = sorted(read_tensors(&path).unwrap());
        prop_assert_eq!(tensors.len(), back.len());
        for ((name, tensor), (back_name, back)) in tensors.iter().zip(&back) {
            prop_assert_eq!(name, back_name);
            prop_assert_eq!(tensor.kind(), back.kind());
            prop_assert!(tensor.size() == back.size() && tensor.equal(back));
        }
        // The order they are given in does not show in the bytes.
        let reversed: Vec<_> = tensors.into_iter().rev().collect();
        write_tensors(&path, &reversed).unwrap();
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
        write_tensors(&path, &tensors).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = (at * bytes.len() as f64) as usize;
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        std::fs::write(&path, &bytes).unwrap();
        let result = read_tensors(&path);
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
    write_tensors(&path, &tensors).unwrap();
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
fn unsuitable_input_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    let complex = Tensor::zeros([1], (Kind::ComplexFloat, Device::Cpu));
    let said = write_tensors(&path, &[("c".to_owned(), complex)])
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
    let said = write_tensors(&path, &twice).unwrap_err().to_string();
    assert!(said.contains("`x`"), "{said}");

    std::fs::write(&path, [0xff; 16]).unwrap();
    let said = read_tensors(&path).unwrap_err().to_string();
    assert!(
        said.contains("claims a header of 18446744073709551615 bytes"),
        "{said}"
    );
}
