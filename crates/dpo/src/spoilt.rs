//! Images that do not show what the preferred answer says: what the image of a comparison is compared with.
//!
//! What a row's spoilt image is follows from the seed and the row's place among all, so that the reference sees each once
//! and the policy the same ones in every epoch; mDPO's own code cuts anew each time.
//!
//! # Reference
//! mDPO (arXiv 2406.11839) cuts out a random part of 0 to 20 % of the image and stretches it to the image's size, by
//! torchvision's `RandomResizedCrop(scale=(0.01, 0.2))`, whose sides are between 3:4 and 4:3. There it is cut from what the
//! processor made of the image and stretched bilinearly; here from the image itself, and bicubically.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;

use candor_data::image::{Fitted, ImageLimits, decode};
use candor_data::random;
use candor_model::{Bundle, Features, ImageFeatures, image_features};
use candor_recipe::Reader;
use candor_run::Ranks;
use candor_train::{gather_features, turns};
use image::imageops::FilterType;
use image::{Rgb, RgbImage, imageops};
use rand::RngExt as _;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::DpoError;
use crate::all_rows::Rows;
use crate::rows::Row;

/// How an image is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageNegative {
    /// A random part of at most a fifth of it.
    Crop,
    /// Nothing but the mean colour.
    Blank,
    /// The image of another row.
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
        let meaning = "mDPO: what the image is compared with under the preferred answer, which adds −log σ of the difference of rewards: a random part of at most a fifth of it, a blank image, or that of another row; nothing is added if absent.";
        recipe
            .one_of("dpo.image_negative", &choices, meaning)
            .optional()
    }
}

/// The spoilt images of rows, by the rows' numbers.
#[derive(Debug)]
pub enum Spoilt {
    /// Encoded for this, and kept in the host's memory.
    Encoded {
        /// Of each image.
        features: Vec<Features>,
        /// The index of each row's; none for a row without an image.
        of_row: Vec<Option<usize>>,
    },
    /// Images of other rows, by name.
    Shown(Vec<Option<String>>),
}

/// What it takes to see images.
#[derive(Debug, Clone, Copy)]
pub struct Seeing<'a> {
    /// The model.
    pub bundle: &'a Bundle,
    /// Folder of the images.
    pub folder: &'a Path,
    /// Features of the whole images.
    pub shown: &'a ImageFeatures,
    /// Who the passes are shared out to.
    pub ranks: &'a Ranks,
}

/// Areas that are cut out, as shares of the image.
const AREA: Range<f64> = 0.01..0.2;

impl Spoilt {
    /// Spoils the images of all rows. `progress` hears how many are done, and of how many.
    ///
    /// # Errors
    /// An image cannot be read, or there is no other one.
    pub fn of_rows(
        kind: ImageNegative,
        rows: &Rows,
        seed: u64,
        seeing: Seeing<'_>,
        progress: impl FnMut(usize, usize),
    ) -> Result<Self, DpoError> {
        let image = |row: usize| rows.parts.shown(row).map(str::to_owned);
        let images: Vec<Option<String>> = (0..rows.parts.len()).map(image).collect();
        match kind {
            ImageNegative::Crop => encode(&images, seeing, progress, |image, number| {
                let (width, height) = image.dimensions();
                enlarged(image, part(width, height, seed, number as u64))
            }),
            ImageNegative::Blank => {
                let mean = seeing.bundle.processor.colours().mean;
                let mean = Rgb(mean.map(|share| (share * 255.0).round() as u8));
                encode(&images, seeing, progress, |image, _| {
                    RgbImage::from_pixel(image.width(), image.height(), mean)
                })
            }
            ImageNegative::Other => others(&images, seeing.shown.n_tokens(), seed).map(Self::Shown),
        }
    }

    /// The features of the spoilt images of rows that all have an image, in their order; none of no rows. `shown` has
    /// those of the whole ones.
    #[must_use]
    pub fn of(&self, rows: &[&Row], shown: &ImageFeatures) -> Option<Features> {
        match self {
            Self::Encoded { features, of_row } => {
                let indices = rows.iter().filter_map(|row| of_row[row.number]);
                let found = Features::cat(indices.map(|index| &features[index]))?;
                Some(found.to_device(shown.device()))
            }
            Self::Shown(names) => {
                shown.of(rows.iter().filter_map(|row| names[row.number].as_deref()))
            }
        }
    }
}

/// Spoils every image, which keeps its size, and encodes it. `spoil` gets the row's number too.
fn encode(
    images: &[Option<String>],
    Seeing {
        bundle,
        folder,
        ranks,
        ..
    }: Seeing<'_>,
    progress: impl FnMut(usize, usize),
    spoil: impl Fn(&RgbImage, usize) -> RgbImage + Sync,
) -> Result<Spoilt, DpoError> {
    let named = images.iter().enumerate();
    let named = named.filter_map(|(number, name)| Some((number, name.as_deref()?)));
    let named: Vec<(usize, &str)> = named.collect();
    let mut of_row = vec![None; images.len()];
    for (at, (number, _)) in named.iter().enumerate() {
        of_row[*number] = Some(at);
    }
    let processor = &bundle.processor;
    let encode = |mine: &[(usize, &str)], _: usize| -> Result<Vec<Features>, DpoError> {
        let fitted = mine.par_iter().map(|(number, name)| {
            let path = image_features::path_in(folder, name)?;
            let image = decode(&path, &ImageLimits::default())?;
            let fitted = processor.fit(&spoil(&image, *number));
            Ok(fitted.map_err(|misshapen| misshapen.at(&path))?)
        });
        let fitted: Vec<Fitted> = fitted.collect::<Result<_, DpoError>>()?;
        Ok(tch::no_grad(|| image_features::encode(bundle, &fitted)))
    };
    let gather = |mine| Ok::<_, DpoError>(gather_features(ranks, bundle, mine)?);
    let turns = turns(bundle, ranks);
    let keep = |_: &[(usize, &str)], features| Ok(features);
    let features = image_features::in_turns(&named, turns, encode, gather, keep, progress)?;
    Ok(Spoilt::Encoded { features, of_row })
}

/// Left, top, width and height of the part that row `number` sees of an image of this size.
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

/// A part of an image, as large as the whole.
fn enlarged(image: &RgbImage, [left, top, w, h]: [u32; 4]) -> RgbImage {
    let part = imageops::crop_imm(image, left, top, w, h);
    let (width, height) = image.dimensions();
    imageops::resize(&*part, width, height, FilterType::CatmullRom)
}

/// For each row with an image another image, each as likely, of those that take as many tokens (`n_tokens`, by name).
fn others(
    images: &[Option<String>],
    n_tokens: &HashMap<String, usize>,
    seed: u64,
) -> Result<Vec<Option<String>>, DpoError> {
    let mut alike: BTreeMap<Option<usize>, BTreeSet<&str>> = BTreeMap::new();
    for name in images.iter().flatten() {
        let n = n_tokens.get(name).copied();
        alike.entry(n).or_default().insert(name);
    }
    let alike = alike.into_iter();
    let alike: BTreeMap<_, Vec<&str>> = alike
        .map(|(n, names)| (n, names.into_iter().collect()))
        .collect();
    let other = |(number, name): (usize, &Option<String>)| {
        let Some(name) = name else { return Ok(None) };
        let names = &alike[&n_tokens.get(name).copied()];
        let own = names.binary_search(&name.as_str());
        let (Ok(own), 2..) = (own, names.len()) else {
            return Err(DpoError::Unfit {
                path: "dpo.image_negative".into(),
                problem: format!(
                    "no comparison has another image that takes as many tokens as {name}"
                ),
                remedy: "use \"crop\" or \"blank\", or comparisons of several images",
            });
        };
        let mut draw = random::stream(seed, "dpo.other", &[number as u64]);
        let at = draw.random_range(0..names.len() - 1);
        Ok(Some(names[at + usize::from(at >= own)].to_owned()))
    };
    images.iter().enumerate().map(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_fifth_of_the_image_at_most_and_another_for_each_row() {
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
        let image = RgbImage::from_fn(8, 6, |x, _| Rgb(half(x)));
        let of_right = enlarged(&image, [5, 1, 2, 3]);
        assert_eq!(of_right.dimensions(), (8, 6));
        assert!(of_right.pixels().all(|pixel| pixel.0 == [0, 0, 200]));
    }

    #[test]
    fn another_image_is_never_the_own_one_and_each_is_drawn() {
        let names = ["a", "b", "c", "a"].map(|name| Some(name.to_owned()));
        let images: Vec<Option<String>> = (0..100)
            .flat_map(|_| names.clone().into_iter().chain([None]))
            .collect();
        let n_tokens = ["a", "b", "c"].map(|name| (name.to_owned(), 4));
        let n_tokens: HashMap<String, usize> = n_tokens.into();
        let drawn = others(&images, &n_tokens, 1).unwrap();
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
        let message = others(&images[..1], &n_tokens, 1).unwrap_err().to_string();
        assert!(message.contains("as many tokens as a"), "{message}");
        // An image of another shape is no other one.
        let mut of_shapes = n_tokens.clone();
        of_shapes.insert("b".to_owned(), 6);
        let drawn = others(&images[..1], &of_shapes, 1);
        assert!(drawn.is_err());
        let drawn = others(
            &[images[0].clone(), images[1].clone(), images[2].clone()],
            &of_shapes,
            1,
        );
        assert!(
            drawn
                .unwrap_err()
                .to_string()
                .contains("as many tokens as b")
        );
    }
}
