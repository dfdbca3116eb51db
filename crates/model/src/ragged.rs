//! One value for each token of rows of different lengths, in two forms: flat, `[n]`, row by row, as a model gives it;
//! and as a matrix `[n_rows, longest]`, whose column `t` is a row's `t`-th token, as the formulas of losses want it.

use tch::{Device, Tensor};

/// Where the values of each row stand.
#[derive(Debug)]
pub struct Ragged {
    /// `[n_rows, longest]` bool, true = there is a token.
    pub mask: Tensor,
    /// Flat indices into `[n_rows · longest]` of the values, `[n]` i64.
    pub(crate) slots: Tensor,
}

impl Ragged {
    /// Rows of the given lengths, which may be 0.
    #[must_use]
    pub fn new(lens: &[usize], device: Device) -> Self {
        let longest = lens.iter().copied().max().unwrap_or(0);
        let mut mask = vec![false; lens.len() * longest];
        let mut slots = Vec::new();
        for (row, len) in lens.iter().enumerate() {
            let slots_of_row = row * longest..row * longest + len;
            mask[slots_of_row.clone()].fill(true);
            slots.extend(slots_of_row.map(|slot| slot as i64));
        }
        Self {
            mask: Tensor::from_slice(&mask)
                .reshape([lens.len() as i64, longest as i64])
                .to_device(device),
            slots: Tensor::from_slice(&slots).to_device(device),
        }
    }

    /// From flat to a matrix with zeros where there is no token; gradients flow back.
    ///
    /// # Shapes
    /// `values`: `[n]` → `[n_rows, longest]` of the same kind.
    pub fn scatter(&self, values: &Tensor) -> Tensor {
        let empty = Tensor::zeros([self.mask.numel() as i64], (values.kind(), values.device()));
        empty
            .index_copy(0, &self.slots, values)
            .reshape(self.mask.size())
    }

    /// From a matrix to flat, the inverse of [`Ragged::scatter`].
    ///
    /// # Shapes
    /// `matrix`: `[n_rows, longest]` → `[n]`.
    pub fn gather(&self, matrix: &Tensor) -> Tensor {
        matrix.flatten(0, 1).index_select(0, &self.slots)
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn values_become_a_matrix_and_come_back_with_their_gradients() {
        let rows = Ragged::new(&[2, 0, 3], Device::Cpu);
        let (t, f) = (true, false);
        let mask = [t, t, f, f, f, f, t, t, t];
        assert_eq!(rows.mask, Tensor::from_slice(&mask).reshape([3, 3]));
        let values = Tensor::from_slice(&[1_f32, 2.0, 3.0, 4.0, 5.0]).set_requires_grad(true);
        let matrix = rows.scatter(&values);
        let expected = Tensor::from_slice(&[1_f32, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 4.0, 5.0]);
        assert_eq!(matrix.detach(), expected.reshape([3, 3]));
        assert_eq!(rows.gather(&matrix).detach(), values.detach());
        let weight = Tensor::arange(9, (Kind::Float, Device::Cpu)).reshape([3, 3]);
        (matrix * weight).sum(Kind::Float).backward();
        assert_eq!(
            values.grad(),
            Tensor::from_slice(&[0_f32, 1.0, 6.0, 7.0, 8.0])
        );
    }

    #[test]
    fn rows_may_all_be_empty() {
        let rows = Ragged::new(&[0, 0], Device::Cpu);
        assert_eq!(rows.mask.size(), [2, 0]);
        let none = Tensor::zeros([0], (Kind::Float, Device::Cpu));
        assert_eq!(rows.scatter(&none).size(), [2, 0]);
    }
}
