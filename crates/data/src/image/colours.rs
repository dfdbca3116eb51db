//! The mean and the spread of colours that a vision tower was trained with.

use super::Fitted;

/// Mean colour that CLIP was trained with.
pub const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of colour that CLIP was trained with.
pub const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// What is taken off each channel, and what the rest is divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Colours {
    /// Mean per channel, of values in `[0, 1]`.
    pub mean: [f64; 3],
    /// Standard deviation per channel, of values in `[0, 1]`.
    pub std: [f64; 3],
}

impl Colours {
    /// CLIP's, which Qwen2-VL and Qwen2.5-VL have too.
    pub const CLIP: Self = Self {
        mean: CLIP_MEAN,
        std: CLIP_STD,
    };

    /// Rescales by 1/255 and normalises.
    pub(super) fn normalise(&self, fitted: &Fitted) -> Vec<f32> {
        // A byte has 256 values, so the arithmetic is done once for each of them.
        let tables: [[f32; 256]; 3] = std::array::from_fn(|channel| {
            let (mean, std) = (self.mean[channel] as f32, self.std[channel] as f32);
            std::array::from_fn(|byte| ((byte as f64 / 255.0) as f32 - mean) / std)
        });
        let planes = fitted.bytes.chunks(fitted.size.n_pixels().max(1));
        planes
            .zip(&tables)
            .flat_map(|(plane, table)| plane.iter().map(|&byte| table[usize::from(byte)]))
            .collect()
    }
}
