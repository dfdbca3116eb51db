//! Queries with responses, for passes that look at every response token: log-probabilities and values.

use tch::{Device, Tensor};

/// Rows of query and response, padded on the right, and where their response tokens stand.
///
/// A quantity of the response tokens has two forms: flat, `[n_targets]`, row by row, as the model gives it; and
/// as a matrix `[n_rows, max_response]`, whose column `t` is a row's `t`-th response token, as the formulas of
/// PPO want it. [`Continuations::scatter`] and [`Continuations::gather`] lead from one to the other.
#[derive(Debug)]
pub struct Continuations {
    /// `[n_rows, len]` i64.
    pub ids: Tensor,
    /// Flat indices into `[n_rows · len]` of the token before each response token, `[n_targets]` i64: there the
    /// response token is predicted, and there its value is read.
    pub positions: Tensor,
    /// The response tokens, `[n_targets]` i64.
    pub targets: Tensor,
    /// `[n_rows, max_response]` bool, true = a real response token.
    pub mask: Tensor,
    /// `[n_rows, len]` bool, true = a token of the query.
    pub in_query: Tensor,
    /// Flat indices into `[n_rows · max_response]` of the response tokens, `[n_targets]` i64.
    slots: Tensor,
}

impl Continuations {
    /// Pads `(query, response)` rows to the longest; `pad` is any id but the image placeholder. A response may
    /// be empty.
    ///
    /// # Panics
    /// A query is empty: its first response token would follow nothing. Every template's begin with `<s>`.
    #[must_use]
    pub fn new(rows: &[(&[i64], &[i64])], pad: i64, device: Device) -> Self {
        assert!(
            rows.iter().all(|(query, _)| !query.is_empty()),
            "no query is empty"
        );
        let len = rows
            .iter()
            .map(|(q, r)| q.len() + r.len())
            .max()
            .unwrap_or(0);
        let max_response = rows.iter().map(|(_, r)| r.len()).max().unwrap_or(0);
        let mut ids = vec![pad; rows.len() * len];
        let mut in_query = vec![false; rows.len() * len];
        let mut mask = vec![false; rows.len() * max_response];
        let (mut positions, mut targets, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (query, response)) in rows.iter().enumerate() {
            let (start, n_query) = (row * len, query.len());
            ids[start..][..n_query].copy_from_slice(query);
            ids[start + n_query..][..response.len()].copy_from_slice(response);
            in_query[start..][..n_query].fill(true);
            mask[row * max_response..][..response.len()].fill(true);
            for (at, &token) in response.iter().enumerate() {
                positions.push((start + n_query + at - 1) as i64);
                targets.push(token);
                slots.push((row * max_response + at) as i64);
            }
        }
        let matrix = |flat: Tensor, columns: usize| {
            flat.reshape([rows.len() as i64, columns as i64])
                .to_device(device)
        };
        Self {
            ids: matrix(Tensor::from_slice(&ids), len),
            in_query: matrix(Tensor::from_slice(&in_query), len),
            mask: matrix(Tensor::from_slice(&mask), max_response),
            positions: Tensor::from_slice(&positions).to_device(device),
            targets: Tensor::from_slice(&targets).to_device(device),
            slots: Tensor::from_slice(&slots).to_device(device),
        }
    }

    /// Hidden states at the token before each response token.
    ///
    /// # Shapes
    /// `hidden`: `[n_rows, len, width]` → `[n_targets, width]`.
    pub fn at_positions(&self, hidden: &Tensor) -> Tensor {
        hidden.flatten(0, 1).index_select(0, &self.positions)
    }

    /// From one value per response token to a matrix with zeros where there is none; gradients flow back.
    ///
    /// # Shapes
    /// `values`: `[n_targets]` → `[n_rows, max_response]` of the same kind.
    pub fn scatter(&self, values: &Tensor) -> Tensor {
        let empty = Tensor::zeros([self.mask.numel() as i64], (values.kind(), values.device()));
        empty
            .index_copy(0, &self.slots, values)
            .reshape(self.mask.size())
    }

    /// From a matrix to one value per response token, the inverse of [`Continuations::scatter`].
    ///
    /// # Shapes
    /// `matrix`: `[n_rows, max_response]` → `[n_targets]`.
    pub fn gather(&self, matrix: &Tensor) -> Tensor {
        matrix.flatten(0, 1).index_select(0, &self.slots)
    }

    /// Number of response tokens.
    #[must_use]
    pub fn n_targets(&self) -> usize {
        self.targets.numel()
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn rows() -> Continuations {
        Continuations::new(
            &[
                (&[1, 10, 11], &[20, 21]),
                (&[1, 12], &[]),
                (&[1], &[30, 31, 32]),
            ],
            0,
            Device::Cpu,
        )
    }

    #[test]
    fn tokens_stand_where_they_should() {
        let rows = rows();
        let ids = [1_i64, 10, 11, 20, 21, 1, 12, 0, 0, 0, 1, 30, 31, 32, 0];
        assert_eq!(rows.ids, Tensor::from_slice(&ids).reshape([3, 5]));
        // The token before each response token, in a table that is 5 wide.
        assert_eq!(rows.positions, Tensor::from_slice(&[2_i64, 3, 10, 11, 12]));
        assert_eq!(rows.targets, Tensor::from_slice(&[20_i64, 21, 30, 31, 32]));
        assert_eq!(rows.n_targets(), 5);
        let (t, f) = (true, false);
        let mask = [t, t, f, f, f, f, t, t, t];
        assert_eq!(rows.mask, Tensor::from_slice(&mask).reshape([3, 3]));
        let in_query = [t, t, t, f, f, t, t, f, f, f, t, f, f, f, f];
        assert_eq!(rows.in_query, Tensor::from_slice(&in_query).reshape([3, 5]));
        let hidden = Tensor::arange(15, (Kind::Float, Device::Cpu)).reshape([3, 5, 1]);
        let read = Vec::<f64>::try_from(rows.at_positions(&hidden).squeeze_dim(1)).unwrap();
        assert_eq!(read, [2.0, 3.0, 10.0, 11.0, 12.0]);
    }

    #[test]
    fn values_become_a_matrix_and_come_back_with_their_gradients() {
        let rows = rows();
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
    fn responses_may_all_be_empty() {
        let rows = Continuations::new(&[(&[1, 5], &[]), (&[1], &[])], 0, Device::Cpu);
        assert_eq!(rows.mask.size(), [2, 0]);
        assert_eq!(rows.n_targets(), 0);
        let none = Tensor::zeros([0], (Kind::Float, Device::Cpu));
        assert_eq!(rows.scatter(&none).size(), [2, 0]);
    }

    #[test]
    #[should_panic(expected = "no query is empty")]
    fn a_response_must_follow_something() {
        let _ = Continuations::new(&[(&[], &[1])], 0, Device::Cpu);
    }
}
