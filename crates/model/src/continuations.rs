//! Queries with responses, for passes that look at every response token: log-probabilities and values.

use tch::{Device, Tensor};

use crate::Ragged;
use crate::transfer::together;

/// Rows of query and response, padded on the right, and where their response tokens stand.
#[derive(Debug)]
pub struct Continuations {
    /// `[n_rows, len]` i64.
    pub ids: Tensor,
    /// Flat indices into `[n_rows · len]` of the token before each response token, `[n_targets]` i64: there the
    /// response token is predicted, and there its value is read.
    pub positions: Tensor,
    /// The response tokens, `[n_targets]` i64.
    pub targets: Tensor,
    /// Leads from a value for each response token, `[n_targets]`, to a matrix `[n_rows, max_response]` and back.
    pub responses: Ragged,
    /// `[n_rows, len]` bool, true = a token of the query.
    pub in_query: Tensor,
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
        let mut ids = vec![pad; rows.len() * len];
        let mut in_query = vec![false; rows.len() * len];
        let (mut positions, mut targets) = (Vec::new(), Vec::new());
        for (row, (query, response)) in rows.iter().enumerate() {
            let (start, n_query) = (row * len, query.len());
            ids[start..][..n_query].copy_from_slice(query);
            ids[start + n_query..][..response.len()].copy_from_slice(response);
            in_query[start..][..n_query].fill(true);
            for (at, &token) in response.iter().enumerate() {
                positions.push((start + n_query + at - 1) as i64);
                targets.push(token);
            }
        }
        let matrix = |flat: Tensor| flat.reshape([rows.len() as i64, len as i64]);
        let lens: Vec<usize> = rows.iter().map(|(_, response)| response.len()).collect();
        let responses = Ragged::new(&lens, Device::Cpu);
        let [ids, in_query, positions, targets, mask, slots] = together(
            [
                matrix(Tensor::from_slice(&ids)),
                matrix(Tensor::from_slice(&in_query)),
                Tensor::from_slice(&positions),
                Tensor::from_slice(&targets),
                responses.mask,
                responses.slots,
            ],
            device,
        );
        Self {
            ids,
            in_query,
            positions,
            targets,
            responses: Ragged { mask, slots },
        }
    }

    /// Hidden states at the token before each response token.
    ///
    /// # Shapes
    /// `hidden`: `[n_rows, len, width]` → `[n_targets, width]`.
    pub fn at_positions(&self, hidden: &Tensor) -> Tensor {
        hidden.flatten(0, 1).index_select(0, &self.positions)
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
        let mask = Tensor::from_slice(&mask).reshape([3, 3]);
        assert_eq!(rows.responses.mask, mask);
        let in_query = [t, t, t, f, f, t, t, f, f, f, t, f, f, f, f];
        assert_eq!(rows.in_query, Tensor::from_slice(&in_query).reshape([3, 5]));
        let hidden = Tensor::arange(15, (Kind::Float, Device::Cpu)).reshape([3, 5, 1]);
        let read = Vec::<f64>::try_from(rows.at_positions(&hidden).squeeze_dim(1)).unwrap();
        assert_eq!(read, [2.0, 3.0, 10.0, 11.0, 12.0]);
    }

    #[test]
    fn responses_may_all_be_empty() {
        let rows = Continuations::new(&[(&[1, 5], &[]), (&[1], &[])], 0, Device::Cpu);
        assert_eq!(rows.responses.mask.size(), [2, 0]);
        assert_eq!(rows.n_targets(), 0);
    }

    #[test]
    #[should_panic(expected = "no query is empty")]
    fn a_response_must_follow_something() {
        let _ = Continuations::new(&[(&[], &[1])], 0, Device::Cpu);
    }
}
