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
