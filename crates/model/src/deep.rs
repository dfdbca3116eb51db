//! What a tower gives a decoder besides tokens: vectors that are added to the hidden states of an image's tokens after one
//! of its first layers each (`DeepStack`, arXiv 2406.04334).

use tch::Tensor;

/// What a projector makes of features.
#[derive(Debug)]
pub(crate) struct Projected {
    /// `[n_tokens, decoder width]`.
    pub tokens: Tensor,
    /// What is added after each of the first layers, of the same shape; none where a family adds nothing.
    pub deep: Vec<Tensor>,
}

impl Projected {
    /// Tokens with nothing besides.
    pub(crate) fn plain(tokens: Tensor) -> Self {
        Self {
            tokens,
            deep: Vec::new(),
        }
    }
}

/// Vectors that are added to some hidden states of a batch.
#[derive(Debug)]
pub(crate) struct Deep {
    /// `[rows, len, 1]` bool, true = the token of an image.
    places: Tensor,
    /// What is added after each of the first layers, `[n_image_tokens, width]`.
    after: Vec<Tensor>,
}

impl Deep {
    /// None where nothing is added.
    ///
    /// # Shapes
    /// `places`: `[rows, len]` bool; `after`: `[n_image_tokens, width]` each.
    pub(crate) fn of(places: &Tensor, after: Vec<Tensor>) -> Option<Self> {
        (!after.is_empty()).then(|| Self {
            places: places.unsqueeze(-1),
            after,
        })
    }

    /// The same for all rows in one, before `n` tokens that are no image's.
    pub(crate) fn before(self, n: i64) -> Self {
        let places = self.places.reshape([1, -1, 1]);
        Self {
            places: places.constant_pad_nd([0, 0, 0, n]),
            ..self
        }
    }

    /// What the decoder goes on with, after the layer gave `x`.
    ///
    /// # Shapes
    /// `x`: `[rows, len, width]` → the same. A last layer that gives other tokens than it got gives no image's.
    pub(crate) fn add(deep: Option<&Self>, layer: usize, x: Tensor) -> Tensor {
        match deep.and_then(|deep| Some((deep, deep.of_layer(layer, &x)?))) {
            Some((deep, added)) => &x + x.zeros_like().masked_scatter(&deep.places, added),
            None => x,
        }
    }

    /// What is added after a layer, with its part of the gradient of what the decoder went on with.
    ///
    /// # Shapes
    /// `gradient`: `[rows, len, width]` → twice `[n_image_tokens, width]`.
    pub(crate) fn gradient(&self, layer: usize, gradient: &Tensor) -> Option<(&Tensor, Tensor)> {
        let added = self.of_layer(layer, gradient)?;
        let own = gradient.masked_select(&self.places);
        Some((added, own.reshape(added.size())))
    }

    /// The layers that something may be added after: the first so many.
    pub(crate) fn n_layers(&self) -> usize {
        self.after.len()
    }

    fn of_layer(&self, layer: usize, x: &Tensor) -> Option<&Tensor> {
        let whole = x.size()[..2] == self.places.size()[..2];
        self.after.get(layer).filter(|_| whole)
    }
}
