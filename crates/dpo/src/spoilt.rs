//! Pictures that do not show what the preferred answer says: what the picture of a comparison is compared with.
//!
//! What a row's spoilt picture is follows from the seed and the row's place among all, so that the reference sees each once
//! and the policy the same ones in every epoch; mDPO's own code cuts anew each time.
//!
//! # Reference
//! mDPO (arXiv 2406.11839) cuts out a random part of 0 to 20 % of the picture and stretches it to the picture's size, by
//! torchvision's `RandomResizedCrop(scale=(0.01, 0.2))`, whose sides are between 3:4 and 4:3. There it is cut from what the
//! processor made of the picture and stretched bilinearly; here from the picture itself, and bicubically.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use candor_data::image::{ImageLimits, decode};
use candor_data::random;
use candor_model::{Bundle, ImageFeatures, features};
use candor_train::Reader;
use image::imageops::FilterType;
use image::{Rgb, RgbImage, imageops};
use rand::RngExt as _;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use tch::Tensor;

use crate::DpoError;
use crate::rows::Row;

/// How a picture is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageNegative {
    /// A random part of at most a fifth of it.
    Crop,
    /// Nothing but the mean colour.
    Blank,
    /// The picture of another row.
    Other,
}

impl ImageNegative {
    /// Its name in recipes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Blank => "blank",
            Self::Other => "other",
        }
    }

    pub(crate) fn read(recipe: &mut Reader) -> Option<Self> {
        let choices = [Self::Crop, Self::Blank, Self::Other].map(|kind| (kind.name(), kind));
        let meaning = "mDPO: what the picture is compared with under the preferred answer, which adds −log σ of the difference of rewards: a random part of at most a fifth of it, a blank picture, or that of another row; nothing is added if absent.";
        recipe
            .one_of("dpo.image_negative", &choices, meaning)
            .optional()
    }
}

/// The spoilt pictures of rows, by the rows' numbers.
#[derive(Debug)]
pub enum Spoilt {
    /// Encoded for this.
    Encoded {
        /// `[n, n_image_tokens, tower width]`.
        features: Tensor,
        /// The index of each row's; none for a row without a picture.
        of_row: Vec<Option<i64>>,
    },
    /// Pictures of other rows, by name.
    Shown(Vec<Option<String>>),
}

/// Pictures that are decoded and encoded together.
const PICTURES_PER_PASS: usize = 64;

/// Areas that are cut out, as shares of the picture.
const AREA: Range<f64> = 0.01..0.2;

impl Spoilt {
    /// Spoils the pictures of rows, which are in the order of their numbers. `progress` hears how many are done, and of how
    /// many.
    ///
    /// # Errors
    /// A picture cannot be read, or there is no other one.
    pub fn of_rows(
        kind: ImageNegative,
        rows: &[&Row],
        seed: u64,
        bundle: &Bundle,
        folder: &Path,
        progress: impl FnMut(usize, usize),
    ) -> Result<Self, DpoError> {
        let image = |row: &&Row| row.answers.shared.image.clone();
        let images: Vec<Option<String>> = rows.iter().map(image).collect();
        match kind {
            ImageNegative::Crop => encode_parts(&images, seed, bundle, folder, progress),
            ImageNegative::Blank => {
                let mean = bundle
                    .processor
                    .mean
                    .map(|share| (share * 255.0).round() as u8);
                let blank = RgbImage::from_pixel(1, 1, Rgb(mean));
                let of_row = images.iter().map(|name| name.as_ref().map(|_| 0));
                Ok(Self::Encoded {
                    features: encode(bundle, &bundle.processor.fit_bytes(&blank)),
                    of_row: of_row.collect(),
                })
            }
            ImageNegative::Other => others(&images, seed).map(Self::Shown),
        }
    }

    /// The features of the spoilt pictures of rows that all have a picture; `shown` has those of the whole ones.
    ///
    /// # Shapes
    /// → `[n, n_image_tokens, tower width]`; none of no rows.
    pub fn of(&self, rows: &[&Row], shown: &ImageFeatures) -> Option<Tensor> {
        match self {
            Self::Encoded { features, of_row } => {
                let indices = rows.iter().filter_map(|row| of_row[row.number]);
                let indices: Vec<i64> = indices.collect();
                let indices = Tensor::from_slice(&indices).to_device(features.device());
                (!rows.is_empty()).then(|| features.index_select(0, &indices))
            }
            Self::Shown(names) => {
                shown.of(rows.iter().filter_map(|row| names[row.number].as_deref()))
            }
        }
    }
}

/// Cuts a part out of every picture and encodes it.
fn encode_parts(
    images: &[Option<String>],
    seed: u64,
    bundle: &Bundle,
    folder: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<Spoilt, DpoError> {
    let shown = images.iter().enumerate();
    let shown = shown.filter_map(|(number, name)| Some((number, name.as_deref()?)));
    let shown: Vec<(usize, &str)> = shown.collect();
    let (mut passes, mut of_row) = (Vec::new(), vec![None; images.len()]);
    for (i, chunk) in shown.chunks(PICTURES_PER_PASS).enumerate() {
        let processor = &bundle.processor;
        let fitted = chunk.par_iter().map(|(number, name)| {
            let picture = decode(&features::path_in(folder, name)?, &ImageLimits::default())?;
            let (width, height) = picture.dimensions();
            let part = part(width, height, seed, *number as u64);
            Ok(processor.fit_bytes(&enlarged(&picture, part)))
        });
        let fitted: Vec<Vec<u8>> = fitted.collect::<Result<_, DpoError>>()?;
        passes.push(encode(bundle, &fitted.concat()));
        for (at, (number, _)) in chunk.iter().enumerate() {
            of_row[*number] = Some((i * PICTURES_PER_PASS + at) as i64);
        }
        progress(i * PICTURES_PER_PASS + chunk.len(), shown.len());
    }
    let features = if passes.is_empty() {
        Tensor::new()
    } else {
        Tensor::cat(&passes, 0)
    };
    Ok(Spoilt::Encoded { features, of_row })
}

/// # Shapes
/// `fitted`: `[n, 3, side, side]` bytes → `[n, n_image_tokens, tower width]`.
fn encode(bundle: &Bundle, fitted: &[u8]) -> Tensor {
    tch::no_grad(|| (bundle.model).image_features(&features::pixels_of(bundle, fitted)))
}

/// Left, top, width and height of the part that row `number` sees of a picture of this size.
fn part(width: u32, height: u32, seed: u64, number: u64) -> [u32; 4] {
    let mut draw = random::stream(seed, "dpo.crop", &[number]);
    let area = f64::from(width) * f64::from(height) * draw.random_range(AREA);
    let aspect = draw
        .random_range((0.75_f64).ln()..(4.0_f64 / 3.0).ln())
        .exp();
    let side = |square: f64, of: u32| (square.sqrt().round() as u32).clamp(1, of);
    let (w, h) = (side(area * aspect, width), side(area / aspect, height));
    let left = draw.random_range(0..=width - w);
    let top = draw.random_range(0..=height - h);
    [left, top, w, h]
}

/// A part of a picture, as large as the whole.
fn enlarged(picture: &RgbImage, [left, top, w, h]: [u32; 4]) -> RgbImage {
    let part = imageops::crop_imm(picture, left, top, w, h);
    let (width, height) = picture.dimensions();
    imageops::resize(&*part, width, height, FilterType::CatmullRom)
}

/// For each row with a picture another picture, each as likely.
fn others(images: &[Option<String>], seed: u64) -> Result<Vec<Option<String>>, DpoError> {
    let distinct: BTreeSet<&String> = images.iter().flatten().collect();
    let distinct: Vec<&String> = distinct.into_iter().collect();
    if distinct.len() == 1 {
        return Err(DpoError::Unfit {
            path: "dpo.image_negative".into(),
            problem: format!(
                "all comparisons show {}, so none has another picture",
                distinct[0]
            ),
            remedy: "use \"crop\" or \"blank\", or comparisons of several pictures",
        });
    }
    let other = |(number, name): (usize, &Option<String>)| {
        let own = distinct.binary_search(&name.as_ref()?).ok()?;
        let mut draw = random::stream(seed, "dpo.other", &[number as u64]);
        let at = draw.random_range(0..distinct.len() - 1);
        Some(distinct[at + usize::from(at >= own)].clone())
    };
    Ok(images.iter().enumerate().map(other).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_fifth_of_the_picture_at_most_and_another_for_each_row() {
        let mut seen = BTreeSet::new();
        for number in 0..200 {
            let [left, top, w, h] = part(200, 100, 3, number);
            assert!(left + w <= 200 && top + h <= 100);
            let share = f64::from(w * h) / 20_000.0;
            // Sides are rounded to pixels.
            assert!((0.009..0.21).contains(&share), "{share}");
            let aspect = f64::from(w) / f64::from(h);
            assert!((0.68..1.47).contains(&aspect), "{aspect}");
            seen.insert([left, top, w, h]);
            assert_eq!(part(200, 100, 3, number), [left, top, w, h]);
        }
        assert!(seen.len() > 150, "{}", seen.len());
        assert_eq!(part(1, 1, 3, 0), [0, 0, 1, 1]);
    }

    #[test]
    fn a_part_is_enlarged_to_the_size_of_the_whole() {
        // Red on the left, blue on the right.
        let half = |x| if x < 4 { [200, 0, 0] } else { [0, 0, 200] };
        let picture = RgbImage::from_fn(8, 6, |x, _| Rgb(half(x)));
        let of_right = enlarged(&picture, [5, 1, 2, 3]);
        assert_eq!(of_right.dimensions(), (8, 6));
        assert!(of_right.pixels().all(|pixel| pixel.0 == [0, 0, 200]));
    }

    #[test]
    fn another_picture_is_never_the_own_one_and_each_is_drawn() {
        let names = ["a", "b", "c", "a"].map(|name| Some(name.to_owned()));
        let images: Vec<Option<String>> = (0..100)
            .flat_map(|_| names.clone().into_iter().chain([None]))
            .collect();
        let drawn = others(&images, 1).unwrap();
        let pairs: BTreeSet<(&str, &str)> = (images.iter().zip(&drawn))
            .filter_map(|(own, other)| Some((own.as_deref()?, other.as_deref()?)))
            .collect();
        let all = [
            ("a", "b"),
            ("a", "c"),
            ("b", "a"),
            ("b", "c"),
            ("c", "a"),
            ("c", "b"),
        ];
        assert!(pairs.into_iter().eq(all));
        assert!((images.iter().zip(&drawn)).all(|(own, other)| own.is_none() == other.is_none()));
        let message = others(&images[..1], 1).unwrap_err().to_string();
        assert!(message.contains("all comparisons show a"), "{message}");
    }
}
