//! Reading tensors that another program computed and comparing with them; each comparison prints one line of the parity
//! table.

use std::collections::BTreeMap;
use std::path::Path;

use candor_model::tensor_file;
use tch::{Kind, Tensor};

/// The tensors of one golden file.
#[derive(Debug)]
pub struct Golden {
    /// By name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Golden {
    /// Opens a file.
    ///
    /// # Panics
    /// It is no safetensors file.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let tensors = tensor_file::read(path).expect("a golden file");
        Self { tensors }
    }

    /// A tensor.
    ///
    /// # Panics
    /// There is none of this name.
    pub fn get(&self, name: &str) -> &Tensor {
        let found = self.tensors.get(name);
        found.unwrap_or_else(|| panic!("the golden file has no `{name}`"))
    }

    /// A tensor of one number.
    #[must_use]
    pub fn number(&self, name: &str) -> f64 {
        self.get(name).double_value(&[])
    }

    /// The numbers of a vector.
    ///
    /// # Panics
    /// It is no vector.
    #[must_use]
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        Vec::try_from(self.get(name).to_kind(Kind::Double)).expect("a vector")
    }

    /// The indices or lengths in a vector.
    ///
    /// # Panics
    /// It is no vector of whole numbers.
    #[must_use]
    pub fn whole_numbers(&self, name: &str) -> Vec<i64> {
        Vec::try_from(self.get(name)).expect("a vector of i64")
    }

    /// Rows of a padded `[n, len]` i64 tensor, cut to the lengths in `lengths`.
    ///
    /// # Panics
    /// It is no matrix of whole numbers.
    #[must_use]
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

/// Largest absolute difference, and the same relative to the largest expected entry or to 1 where that is smaller.
///
/// # Panics
/// The shapes differ, or a number is none: NaN compares as false everywhere, so it would pass any test that asks "too far?".
#[must_use]
pub fn difference(found: &Tensor, expected: &Tensor) -> (f64, f64) {
    assert_eq!(found.size(), expected.size());
    let double = |t: &Tensor| t.detach().to_kind(Kind::Double);
    let largest = |t: &Tensor| t.abs().max().double_value(&[]);
    let absolute = largest(&(double(found) - double(expected)));
    assert!(absolute.is_finite(), "not a number");
    (absolute, absolute / largest(&double(expected)).max(1.0))
}

/// Prints a line of the parity table and fails where the relative [`difference`] is above `tolerance`.
///
/// # Panics
/// It is.
pub fn assert_close(case: &str, what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    let mut compared = Updates::new(case.to_owned());
    compared.close(0, what, found, expected, tolerance);
    compared.report();
}

/// Comparisons of one case after several updates: each fails by itself, and one line of the parity table for
/// each quantity has the largest differences of all.
#[derive(Debug)]
pub struct Updates {
    case: String,
    worst: BTreeMap<String, (f64, f64)>,
}

impl Updates {
    /// None yet.
    #[must_use]
    pub fn new(case: String) -> Self {
        Self {
            case,
            worst: BTreeMap::new(),
        }
    }

    /// Compares tensors.
    ///
    /// # Panics
    /// Their relative [`difference`] is above `tolerance`.
    pub fn close(
        &mut self,
        n_updates: usize,
        what: &str,
        found: &Tensor,
        expected: &Tensor,
        tolerance: f64,
    ) {
        let (absolute, relative) = difference(found, expected);
        assert!(
            relative <= tolerance,
            "{}: {what} after {n_updates} updates differs by {absolute}",
            self.case
        );
        let worst = self.worst.entry(what.to_owned()).or_default();
        *worst = (worst.0.max(absolute), worst.1.max(relative));
    }

    /// Compares numbers.
    ///
    /// # Panics
    /// As [`Updates::close`].
    pub fn number(
        &mut self,
        n_updates: usize,
        what: &str,
        found: f64,
        expected: f64,
        tolerance: f64,
    ) {
        let [found, expected] = [found, expected].map(Tensor::from);
        self.close(n_updates, what, &found, &expected, tolerance);
    }

    /// Prints the lines.
    pub fn report(&self) {
        for (what, (absolute, relative)) in &self.worst {
            println!(
                "parity: {}: {what} max_abs={absolute:.1e} rel={relative:.1e}",
                self.case
            );
        }
    }
}
