//! Positions of families whose images have rows and columns (M-RoPE).
//!
//! Words stand one after another, on all axes alike. An image's tokens stand together at the moment where it begins, and
//! apart by row and by column; what follows goes on after the larger of its sides (Qwen2-VL, arXiv 2409.12191,
//! section 2.1; transformers' `get_rope_index`).

use tch::{Kind, Tensor};

use crate::features::ImageSpan;

/// Moment, row and column of every token of a batch.
#[derive(Debug)]
pub(crate) struct Axial {
    /// `[3, rows, len]` i64. Pads are counted like words.
    pub positions: Tensor,
    /// How much further a row's next token stands than it would if all of its tokens were words, `[rows, 1]` i64.
    pub delta: Tensor,
}

impl Axial {
    /// Of tokens that are images' where `placeholder` says so, in the order of `spans`.
    ///
    /// # Shapes
    /// `placeholder`: `[rows, len]` bool; `spans`: the grids of all images, row by row; none where a family's positions
    /// have one axis.
    pub(crate) fn of(placeholder: &Tensor, spans: &[ImageSpan]) -> Option<Self> {
        let mut offsets = [const { Vec::new() }; 2];
        let mut steps = Vec::new();
        for span in spans {
            let [height, width] = span.grid?;
            for row in 0..height {
                for column in 0..width {
                    offsets[0].push(row);
                    offsets[1].push(column);
                }
            }
            // The image's last token makes the step for all of them.
            steps.resize(steps.len() + (height * width - 1) as usize, 0);
            steps.push(height.max(width));
        }
        let device = placeholder.device();
        let of_images = |values: &[i64], elsewhere: i64| {
            let elsewhere = Tensor::full(placeholder.size(), elsewhere, (Kind::Int64, device));
            elsewhere.masked_scatter(placeholder, &Tensor::from_slice(values).to_device(device))
        };
        let steps = of_images(&steps, 1);
        let moment = steps.cumsum(1, Kind::Int64) - &steps;
        let [rows, columns] = offsets.map(|offset| &moment + of_images(&offset, 0));
        // Within an image the moment is that of its first token: no step is made before its last.
        Some(Self {
            positions: Tensor::stack(&[moment, rows, columns], 0),
            delta: (steps - 1).sum_dim_intlist([1].as_slice(), true, Kind::Int64),
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn span(height: i64, width: i64) -> ImageSpan {
        ImageSpan {
            n_rows: height * width * 4,
            n_tokens: height * width,
            grid: Some([height, width]),
            lines: None,
        }
    }

    #[test]
    fn words_go_on_after_the_larger_side_of_an_image() {
        // word, 2 × 3 image, word, 1 × 1 image, word; and a row of words alone.
        let mut image = vec![0_u8, 1, 1, 1, 1, 1, 1, 0, 1, 0];
        image.extend([0; 10]);
        let image = Tensor::from_slice(&image)
            .reshape([2, 10])
            .to_kind(Kind::Bool);
        let axial = Axial::of(&image, &[span(2, 3), span(1, 1)]).unwrap();
        let expected: [[i64; 10]; 3] = [
            [0, 1, 1, 1, 1, 1, 1, 4, 5, 6],
            [0, 1, 1, 1, 2, 2, 2, 4, 5, 6],
            [0, 1, 2, 3, 1, 2, 3, 4, 5, 6],
        ];
        for (axis, expected) in expected.iter().enumerate() {
            let of_axis = axial.positions.get(axis as i64);
            assert_eq!(of_axis.get(0), Tensor::from_slice(expected), "axis {axis}");
            let words = Tensor::arange(10, (Kind::Int64, Device::Cpu));
            assert_eq!(of_axis.get(1), words, "axis {axis}");
        }
        assert_eq!(axial.delta, Tensor::from_slice(&[-3_i64, 0]).unsqueeze(1));
    }

    #[test]
    fn images_without_a_grid_are_words() {
        let plain = ImageSpan {
            n_rows: 4,
            n_tokens: 4,
            grid: None,
            lines: None,
        };
        let image = Tensor::from_slice(&[1_u8; 4])
            .reshape([1, 4])
            .to_kind(Kind::Bool);
        assert!(Axial::of(&image, &[plain]).is_none());
    }
}
