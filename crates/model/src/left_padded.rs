//! Rows of token ids of different lengths as one matrix, padded on the left so that all end together.

use tch::{Device, Kind, Tensor};

use crate::transfer::together;

/// The rows.
#[derive(Debug)]
pub(crate) struct LeftPadded {
    /// `[rows, len]` i64.
    pub ids: Tensor,
    /// How many of each row's tokens are pads, `[rows, 1]` i64.
    pub pads: Tensor,
    /// The length of the longest row.
    pub len: i64,
    /// Whether there is any pad.
    pub padded: bool,
}

impl LeftPadded {
    pub(crate) fn new(rows: &[&[i64]], device: Device) -> Self {
        let len = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * len);
        let mut pads = Vec::with_capacity(rows.len());
        for row in rows {
            let pad = len - row.len();
            // Any id but the image placeholder may fill: pads are masked.
            ids.extend(std::iter::repeat_n(0, pad));
            ids.extend_from_slice(row);
            pads.push(pad as i64);
        }
        let shape = [rows.len() as i64, len as i64];
        let [ids, pads] = together(
            [
                Tensor::from_slice(&ids).reshape(shape),
                Tensor::from_slice(&pads).unsqueeze(1),
            ],
            device,
        );
        Self {
            ids,
            pads,
            len: len as i64,
            padded: rows.iter().any(|row| row.len() != len),
        }
    }

    /// The place of each token in its own row, `[rows, len]` i64; 0 for pads.
    pub(crate) fn positions(&self) -> Tensor {
        (self.columns(self.len) - &self.pads).clamp_min(0)
    }

    /// Which of the first `capacity` columns hold real tokens or may come to, `[rows, 1, 1, capacity]` bool; none where
    /// nothing is padded and all do.
    pub(crate) fn readable(&self, capacity: i64) -> Option<Tensor> {
        let real = || self.columns(capacity).ge_tensor(&self.pads);
        self.padded.then(|| real().unsqueeze(1).unsqueeze(1))
    }

    /// What each token may read, `[rows, 1, len, len]` bool; none where nothing is padded and causal is enough.
    pub(crate) fn causal_mask(&self) -> Option<Tensor> {
        let options = (Kind::Bool, self.ids.device());
        let causal = || Tensor::ones([self.len, self.len], options).tril(0);
        // A pad reads itself, because a softmax over nothing is not a number.
        let itself = || Tensor::eye(self.len, options);
        let readable = self.readable(self.len)?;
        Some(readable.logical_and(&causal()).logical_or(&itself()))
    }

    fn columns(&self, n: i64) -> Tensor {
        Tensor::arange(n, (Kind::Int64, self.ids.device())).unsqueeze(0)
    }
}
