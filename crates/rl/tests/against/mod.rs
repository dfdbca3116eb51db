//! Reading golden files and comparing with them; each comparison prints one line of the parity table.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_model::tensor_file;
use tch::{Kind, Tensor};

/// The tensors of one golden file.
pub struct Golden {
    tensors: BTreeMap<String, Tensor>,
}

impl Golden {
    pub fn open(file: &str) -> Self {
        let tensors = tensor_file::read(&golden_folder().join(file)).expect("a golden file");
        Self { tensors }
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("the golden file has no `{name}`"))
    }

    pub fn number(&self, name: &str) -> f64 {
        self.get(name).double_value(&[])
    }

    /// The numbers of a vector.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        Vec::try_from(self.get(name).to_kind(Kind::Double)).expect("a vector")
    }

    /// The indices or lengths in a vector.
    pub fn whole_numbers(&self, name: &str) -> Vec<i64> {
        Vec::try_from(self.get(name)).expect("a vector of i64")
    }

    /// Rows of a padded `[n, len]` i64 tensor, cut to the lengths in `lengths`.
    pub fn rows(&self, name: &str, lengths: &str) -> Vec<Vec<i64>> {
        let rows = Vec::<Vec<i64>>::try_from(self.get(name)).expect("a matrix of i64");
        let cut = |(mut row, len): (Vec<i64>, i64)| {
            row.truncate(len as usize);
            row
        };
        rows.into_iter()
            .zip(self.whole_numbers(lengths))
            .map(cut)
            .collect()
    }
}

pub fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Largest absolute difference, and the largest expected entry.
pub fn difference(found: &Tensor, expected: &Tensor) -> (f64, f64) {
    assert_eq!(found.size(), expected.size());
    let largest = |t: &Tensor| t.abs().max().double_value(&[]);
    let (found, expected) = (
        found.detach().to_kind(Kind::Double),
        expected.to_kind(Kind::Double),
    );
    let absolute = largest(&(found - &expected));
    // NaN compares as false everywhere, so it would pass any test that asks "too far?".
    assert!(absolute.is_finite(), "not a number");
    (absolute, largest(&expected))
}

/// Prints a line of the parity table and fails where a difference is above `tolerance` times the largest
/// expected entry, or times 1 where that is smaller.
pub fn assert_close(case: &str, what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    let (absolute, scale) = difference(found, expected);
    report(case, what, absolute, absolute / scale.max(1.0));
    let allowed = tolerance * scale.max(1.0);
    assert!(
        absolute <= allowed,
        "{case}: {what} differs by {absolute}, more than {allowed}"
    );
}

/// [`assert_close`] for numbers.
pub fn assert_number(case: &str, what: &str, found: f64, expected: f64, tolerance: f64) {
    assert_close(
        case,
        what,
        &Tensor::from(found),
        &Tensor::from(expected),
        tolerance,
    );
}

/// Prints a line of the parity table.
pub fn report(case: &str, what: &str, absolute: f64, relative: f64) {
    println!("parity: {case} {what} max_abs={absolute:.1e} rel={relative:.1e}");
}
