//! Learned places of patches: a square table, stretched over every image.

use tch::{Kind, Tensor};

use crate::ModelError;
use crate::weights::{Init, Weights};

/// The table.
#[derive(Debug)]
pub(super) struct Places {
    /// `[n_places, width]`, of which the first `side²` are a square, row by row.
    table: Tensor,
    side: i64,
}

/// Where a patch stands on one axis of the table: the two places that it is between, and how much of each it has.
type Between = [(i64, f32); 2];

impl Places {
    /// Takes the table.
    ///
    /// # Errors
    /// The source lacks it or has it in another shape.
    pub(super) fn take(weights: &mut Weights, n: i64, width: i64) -> Result<Self, ModelError> {
        let name = "vision_tower.pos_embed.weight";
        Ok(Self {
            table: weights.take(name, &[n, width], Init::Normal(0.02))?,
            side: n.isqrt(),
        })
    }

    /// The places of an image's patches, taken between those of the table; corners lie on corners.
    ///
    /// # Shapes
    /// `grid`: rows and columns of tokens of `merge` × `merge` patches → `[n_patches, width]` f32, the patches of a token
    /// beside each other.
    pub(super) fn of(&self, grid: [i64; 2], merge: i64) -> Tensor {
        let [rows, columns] = grid.map(|n| betweens(n * merge, self.side));
        let mut taps = Vec::new();
        let mut shares = Vec::new();
        let within = || (0..merge).flat_map(|row| (0..merge).map(move |column| [row, column]));
        for top in (0..grid[0]).map(|token| token * merge) {
            for left in (0..grid[1]).map(|token| token * merge) {
                for [row, column] in within() {
                    for (down, of_row) in rows[(top + row) as usize] {
                        for (along, of_column) in columns[(left + column) as usize] {
                            taps.push(down * self.side + along);
                            shares.push(of_row * of_column);
                        }
                    }
                }
            }
        }
        let device = self.table.device();
        let taps = Tensor::from_slice(&taps).to_device(device);
        let shares = Tensor::from_slice(&shares).to_device(device).unsqueeze(-1);
        let parts = self.table.index_select(0, &taps).to_kind(Kind::Float) * shares;
        parts
            .unflatten(0, [-1, 4])
            .sum_dim_intlist([1].as_slice(), false, Kind::Float)
    }
}

/// All patches of one axis. The arithmetic is transformers', in f32.
fn betweens(n_patches: i64, side: i64) -> Vec<Between> {
    let last = side - 1;
    let between = |at: i64| {
        let place = at as f32 * last as f32 / (n_patches - 1).max(1) as f32;
        let (before, past) = (place.floor() as i64, place - place.floor());
        [
            (before.min(last), 1.0 - past),
            ((before + 1).min(last), past),
        ]
    };
    (0..n_patches).map(between).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_lie_on_corners_and_what_is_between_has_of_both() {
        let all: Vec<_> = betweens(5, 3).into_iter().flatten().collect();
        let of = |left: i64, share: f32| [(left, 1.0 - share), ((left + 1).min(2), share)];
        let expected = [of(0, 0.0), of(0, 0.5), of(1, 0.0), of(1, 0.5), of(2, 0.0)];
        assert_eq!(all, expected.concat());
    }

    #[test]
    fn patches_of_a_token_stand_beside_each_other() {
        // A table of 2 × 2 whose places say their row and column, and an image of 1 × 2 tokens of 2 × 2 patches.
        let table = Tensor::from_slice(&[0.0_f32, 0.0, 0.0, 3.0, 1.0, 0.0, 1.0, 3.0]);
        let places = Places {
            table: table.reshape([4, 2]),
            side: 2,
        };
        let found = Vec::<f32>::try_from(places.of([1, 2], 2).flatten(0, 1)).unwrap();
        #[rustfmt::skip]
        let expected = [
            0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0,
            0.0, 2.0, 0.0, 3.0, 1.0, 2.0, 1.0, 3.0,
        ];
        assert_eq!(found, expected);
    }
}
