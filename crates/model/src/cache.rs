//! The key and value cache of batched decoding.

use tch::{Device, Kind, Tensor};

use crate::TextConfig;

/// Keys and values of all layers, allocated once for the longest sequence they may hold.
///
/// Rows are sequences; all rows have the same length (shorter prompts are padded on the left and masked).
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<[Tensor; 2]>,
    len: i64,
}

impl KvCache {
    /// An empty cache for `batch` rows of at most `capacity` tokens.
    #[must_use]
    pub fn new(config: &TextConfig, batch: i64, capacity: i64, kind: Kind, device: Device) -> Self {
        let shape = [batch, config.n_kv_heads(), capacity, config.head_dim()];
        let empty = || Tensor::empty(shape, (kind, device));
        let layers = (0..config.num_hidden_layers)
            .map(|_| [empty(), empty()])
            .collect();
        Self { layers, len: 0 }
    }

    /// Tokens held for each row.
    #[must_use]
    pub fn len(&self) -> i64 {
        self.len
    }

    /// Whether nothing is held yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens of each row that there is room for.
    #[must_use]
    pub fn capacity(&self) -> i64 {
        let first = self.layers.first();
        first.map_or(0, |[keys, _]| keys.size()[2])
    }

    /// Makes room for `capacity` tokens in each row; what is held stays.
    pub fn reserve(&mut self, capacity: i64) {
        for tensor in self.layers.iter_mut().flatten() {
            let mut shape = tensor.size();
            if shape[2] >= capacity {
                return;
            }
            shape[2] = capacity;
            let larger = Tensor::empty(shape, (tensor.kind(), tensor.device()));
            larger
                .narrow(2, 0, self.len)
                .copy_(&tensor.narrow(2, 0, self.len));
            *tensor = larger;
        }
    }

    /// Forgets the first `skipped` tokens of each row; then there is room for `capacity`.
    pub(crate) fn drop_first(&mut self, skipped: i64, capacity: i64) {
        let held = self.len - skipped;
        for tensor in self.layers.iter_mut().flatten() {
            let mut shape = tensor.size();
            shape[2] = capacity;
            let kept = Tensor::empty(shape, (tensor.kind(), tensor.device()));
            kept.narrow(2, 0, held)
                .copy_(&tensor.narrow(2, skipped, held));
            *tensor = kept;
        }
        self.len = held;
    }

    /// Forgets all but the first `len` tokens of each row.
    pub fn truncate(&mut self, len: i64) {
        self.len = self.len.min(len);
    }

    /// Adds new keys and values of one layer; returns all of that layer.
    ///
    /// # Shapes
    /// `key`, `value`: `[batch, kv_heads, new, head_dim]` → `[batch, kv_heads, len + new, head_dim]`.
    pub(crate) fn extend(&mut self, layer: usize, key: &Tensor, value: &Tensor) -> [Tensor; 2] {
        let new = key.size()[2];
        let [keys, values] = &self.layers[layer];
        keys.narrow(2, self.len, new).copy_(key);
        values.narrow(2, self.len, new).copy_(value);
        [
            keys.narrow(2, 0, self.len + new),
            values.narrow(2, 0, self.len + new),
        ]
    }

    /// Ends a pass in which every layer was extended by `new` tokens.
    pub(crate) fn advance(&mut self, new: i64) {
        self.len += new;
    }

    /// Keeps the given rows, in the given order; a row may be repeated.
    ///
    /// # Shapes
    /// `rows`: `[new batch]` i64.
    pub fn select_rows(&mut self, rows: &Tensor) {
        for layer in &mut self.layers {
            for tensor in layer {
                *tensor = tensor.index_select(0, rows);
            }
        }
    }

    /// Rows of two caches as one with room for `capacity` tokens, so aligned that all end together. Of each the first
    /// `skipped` tokens are left out; what stands before the beginning of a shorter row is zero.
    pub(crate) fn joined(parts: [(Self, i64); 2], capacity: i64) -> Self {
        let [first, second] = &parts;
        let len = (first.0.len - first.1).max(second.0.len - second.1);
        let [(first, skipped_first), (second, skipped_second)] = parts;
        let held = [first.len - skipped_first, second.len - skipped_second];
        // Layer by layer, so that nothing but one layer is there twice.
        let layers = first.layers.into_iter().zip(second.layers);
        let layers = layers.map(|(first, second)| {
            let [first_key, first_value] = first;
            let [second_key, second_value] = second;
            [[first_key, second_key], [first_value, second_value]].map(|pair| {
                let mut shape = pair[0].size();
                shape[0] += pair[1].size()[0];
                shape[2] = capacity;
                let all = Tensor::zeros(shape, (pair[0].kind(), pair[0].device()));
                let (mut row, skipped) = (0, [skipped_first, skipped_second]);
                for ((part, held), skipped) in pair.iter().zip(held).zip(skipped) {
                    let n_rows = part.size()[0];
                    all.narrow(0, row, n_rows)
                        .narrow(2, len - held, held)
                        .copy_(&part.narrow(2, skipped, held));
                    row += n_rows;
                }
                all
            })
        });
        Self {
            layers: layers.collect(),
            len,
        }
    }
}
