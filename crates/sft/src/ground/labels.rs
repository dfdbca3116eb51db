//! From boxes in pixels to a label for each square that the tower is asked about.

use std::path::Path;

use candor_data::formats::coco::{self, Instances};
use tch::{Device, Kind, Tensor};

use crate::SftError;

/// The images of a COCO instances file and what is where in them.
#[derive(Debug)]
pub struct GroundTruth {
    /// Categories; class 0 is "nothing", category `i` is class `i + 1`.
    pub categories: Vec<String>,
    /// All attributes that occur, sorted.
    pub attributes: Vec<String>,
    /// One entry for each image.
    pub images: Vec<PatchLabels>,
}

/// One image's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchLabels {
    /// File name.
    pub image: String,
    /// Squares with an object's centre: (square in reading order, class, attribute indices).
    pub objects: Vec<(usize, i64, Vec<usize>)>,
}

impl GroundTruth {
    /// Reads a COCO instances file; `grid` is the number of squares along a side of an image, which becomes square by padding
    /// or else is stretched.
    ///
    /// # Errors
    /// The file cannot be read, or a box lies outside its image.
    pub fn read(path: &Path, grid: usize, padded: bool) -> Result<Self, SftError> {
        Self::new(&coco::read_instances(path)?, path, grid, padded)
    }

    pub(super) fn new(
        instances: &Instances,
        path: &Path,
        grid: usize,
        padded: bool,
    ) -> Result<Self, SftError> {
        let listed: Vec<_> = instances
            .categories
            .iter()
            .map(|c| (c.id, c.name.clone()))
            .collect();
        let mut attributes: Vec<String> = instances
            .annotations
            .iter()
            .flat_map(|a| a.attributes.clone())
            .collect();
        attributes.sort();
        attributes.dedup();
        let mut images: Vec<PatchLabels> = instances
            .images
            .iter()
            .map(|i| PatchLabels {
                image: i.file_name.clone(),
                objects: Vec::new(),
            })
            .collect();
        let rows: std::collections::HashMap<_, _> = instances
            .images
            .iter()
            .enumerate()
            .map(|(row, image)| (image.id, row))
            .collect();
        for annotation in &instances.annotations {
            let unfit = |problem: String| SftError::Unfit {
                path: path.to_owned(),
                problem: format!("annotation {}: {problem}", annotation.id),
                remedy: "every annotation must name an image and a category of the same file, its box inside",
            };
            let row = rows
                .get(&annotation.image_id)
                .ok_or_else(|| unfit("its image is not listed".into()))?;
            let class = listed
                .iter()
                .position(|(id, _)| *id == annotation.category_id);
            let class = class.ok_or_else(|| unfit("its category is not listed".into()))?;
            let image = &instances.images[*row];
            let size = (image.width, image.height);
            let (Some(width), Some(height)) = size else {
                return Err(unfit("its image has no size".into()));
            };
            let size = (f64::from(width), f64::from(height));
            let centre = centre_square(annotation.bbox, size, grid, padded).ok_or_else(|| {
                unfit(format!(
                    "the box {:?} lies outside its image",
                    annotation.bbox
                ))
            })?;
            let held = annotation
                .attributes
                .iter()
                .filter_map(|a| attributes.binary_search(a).ok())
                .collect();
            images[*row].objects.push((centre, class as i64 + 1, held));
        }
        Ok(Self {
            categories: listed.into_iter().map(|(_, name)| name).collect(),
            attributes,
            images,
        })
    }
}

/// The square that holds the centre of a box `[x, y, width, height]` once the image is padded or stretched to a square.
fn centre_square(
    [x, y, w, h]: [f64; 4],
    (width, height): (f64, f64),
    grid: usize,
    padded: bool,
) -> Option<usize> {
    let place = |start: f64, extent: f64, image: f64| {
        let side = if padded { width.max(height) } else { image };
        let centre = (start + extent / 2.0 + ((side - image) / 2.0).floor()) / side;
        let inside = (0.0..1.0).contains(&centre);
        inside.then_some((centre * grid as f64) as usize)
    };
    Some(place(y, h, height)? * grid + place(x, w, width)?)
}

/// The labels of a batch of images.
#[derive(Debug)]
pub(crate) struct BatchLabels {
    /// Class of every square, `[batch · n_squares]` i64.
    pub classes: Tensor,
    /// Flat indices of the squares with an object, `[n_objects]` i64.
    pub places: Tensor,
    /// Their attributes, `[n_objects, n_attributes]` f32.
    pub held: Tensor,
}

impl BatchLabels {
    /// The labels on another device.
    #[must_use]
    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            classes: self.classes.to_device(device),
            places: self.places.to_device(device),
            held: self.held.to_device(device),
        }
    }
}

/// Puts the labels of images into tensors.
#[must_use]
pub(crate) fn batch_labels(
    images: &[&PatchLabels],
    n_squares: usize,
    n_attributes: usize,
) -> BatchLabels {
    let mut classes = vec![0_i64; images.len() * n_squares];
    let (mut places, mut held) = (Vec::new(), Vec::new());
    for (row, image) in images.iter().enumerate() {
        for (patch, class, attributes) in &image.objects {
            let place = row * n_squares + patch;
            classes[place] = *class;
            places.push(place as i64);
            let mut one = vec![0_f32; n_attributes];
            for &attribute in attributes {
                one[attribute] = 1.0;
            }
            held.extend(one);
        }
    }
    let held = Tensor::from_slice(&held).reshape([places.len() as i64, n_attributes as i64]);
    BatchLabels {
        classes: Tensor::from_slice(&classes),
        places: Tensor::from_slice(&places),
        held: held.to_kind(Kind::Float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_belongs_to_the_square_of_its_centre() {
        // A 4×4 grid on a square image of 80 pixels: squares of 20.
        let square = (80.0, 80.0);
        for padded in [true, false] {
            let of = |bbox| centre_square(bbox, square, 4, padded);
            assert_eq!(of([0.0, 0.0, 20.0, 20.0]), Some(0));
            assert_eq!(of([62.0, 41.0, 10.0, 10.0]), Some(2 * 4 + 3));
            assert_eq!(of([90.0, 0.0, 10.0, 10.0]), None);
        }
        // A landscape of 80 × 40 is padded by 20 above: its top left corner lies in the second row. Stretched, a row has 10 of
        // its pixels, and a box of 10 that begins 12 below its top lies in the second.
        let wide = (80.0, 40.0);
        let corner = [0.0, 0.0, 10.0, 10.0];
        assert_eq!(centre_square(corner, wide, 4, true), Some(4));
        assert_eq!(centre_square(corner, wide, 4, false), Some(0));
        let below = [0.0, 12.0, 10.0, 10.0];
        assert_eq!(centre_square(below, wide, 4, true), Some(4));
        assert_eq!(centre_square(below, wide, 4, false), Some(4));
    }

    #[test]
    fn labels_of_a_batch_lie_flat() {
        let images = [
            PatchLabels {
                image: "a".into(),
                objects: vec![(1, 3, vec![0])],
            },
            PatchLabels {
                image: "b".into(),
                objects: vec![(0, 2, vec![1, 2])],
            },
        ];
        let BatchLabels {
            classes,
            places,
            held,
        } = batch_labels(&images.iter().collect::<Vec<_>>(), 2, 3);
        assert_eq!(Vec::<i64>::try_from(classes).unwrap(), [0, 3, 2, 0]);
        assert_eq!(Vec::<i64>::try_from(places).unwrap(), [1, 2]);
        assert_eq!(
            Vec::<f32>::try_from(held.flatten(0, 1)).unwrap(),
            [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
        );
    }
}
