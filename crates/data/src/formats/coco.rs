//! COCO captions and instances: objects of lists, joined by `image_id` and `category_id`.
//!
//! Segmentations, licences and `info` are dropped. An instance may carry `attributes`, a list of words that
//! the micro-world adds (`["red", "small"]`); public files have none. Each list is one pass over the text:
//! three typed passes need less memory than one untyped tree.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rows;
use super::table::{Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::error::DataError;

const CAPTIONS: Format = Format {
    name: "COCO captions",
    expected: "an object with the lists `images` and `annotations`",
};
const INSTANCES: Format = Format {
    name: "COCO instances",
    expected: "an object with the lists `images`, `categories` and `annotations`",
};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Key in the file.
    pub id: u64,
    /// File name relative to the image folder.
    pub file_name: String,
    /// Width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// A caption of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caption {
    /// Key in the file.
    pub id: u64,
    /// The image.
    pub image_id: u64,
    /// What a person wrote about it.
    pub caption: String,
}

/// Images and their captions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captions {
    /// The images.
    pub images: Vec<Image>,
    /// The captions.
    pub annotations: Vec<Caption>,
}

/// A kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Key in the file.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// A wider kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supercategory: Option<String>,
}

/// An object in an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Key in the file.
    pub id: u64,
    /// The image.
    pub image_id: u64,
    /// Its kind.
    pub category_id: u64,
    /// Left, top, width and height in pixels.
    pub bbox: [f64; 4],
    /// Area in square pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<f64>,
    /// 1 where the box stands for a crowd of objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iscrowd: Option<u8>,
    /// Words about the object, such as its colour and size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
}

/// Images and the objects in them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Instances {
    /// The images.
    pub images: Vec<Image>,
    /// The kinds of object.
    pub categories: Vec<Category>,
    /// The objects.
    pub annotations: Vec<Instance>,
}

impl Captions {
    /// The captions of each image, by file name; images without captions have an empty list.
    #[must_use]
    pub fn by_file(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut lists = lists_by_file(&self.images);
        let files = files(&self.images);
        for row in &self.annotations {
            if let Some(list) = files
                .get(&row.image_id)
                .and_then(|file| lists.get_mut(file))
            {
                list.push(row.caption.as_str());
            }
        }
        lists
    }
}

impl Instances {
    /// The names of the objects of each image, by file name, one for each instance.
    #[must_use]
    pub fn objects_by_file(&self) -> BTreeMap<&str, Vec<&str>> {
        let names: HashMap<u64, &str> = self
            .categories
            .iter()
            .map(|row| (row.id, row.name.as_str()))
            .collect();
        let files = files(&self.images);
        let mut lists = lists_by_file(&self.images);
        for row in &self.annotations {
            let list = files
                .get(&row.image_id)
                .and_then(|file| lists.get_mut(file));
            if let (Some(list), Some(name)) = (list, names.get(&row.category_id)) {
                list.push(name);
            }
        }
        lists
    }
}

fn files(images: &[Image]) -> HashMap<u64, &str> {
    images
        .iter()
        .map(|image| (image.id, image.file_name.as_str()))
        .collect()
}

fn lists_by_file(images: &[Image]) -> BTreeMap<&str, Vec<&str>> {
    images
        .iter()
        .map(|image| (image.file_name.as_str(), Vec::new()))
        .collect()
}

fn check_images(path: &Path, format: &Format, images: &[Image]) -> Result<HashSet<u64>, DataError> {
    Table::named(path, format, "images", images)
        .not_empty()?
        .unique("id", |row| row.id)?;
    Ok(images.iter().map(|row| row.id).collect())
}

fn check_captions(path: &Path, captions: &Captions) -> Result<(), DataError> {
    let images = check_images(path, &CAPTIONS, &captions.images)?;
    Table::named(path, &CAPTIONS, "annotations", &captions.annotations)
        .not_empty()?
        .unique("id", |row| row.id)?
        .each(|row| {
            if images.contains(&row.image_id) {
                return None;
            }
            fault(
                "image_id",
                format!("found {}, no id in `images`", row.image_id),
            )
        })
        .map(drop)
}

fn check_instances(path: &Path, instances: &Instances) -> Result<(), DataError> {
    let images = check_images(path, &INSTANCES, &instances.images)?;
    Table::named(path, &INSTANCES, "categories", &instances.categories)
        .not_empty()?
        .unique("id", |row| row.id)?;
    let categories: HashSet<u64> = instances.categories.iter().map(|row| row.id).collect();
    Table::named(path, &INSTANCES, "annotations", &instances.annotations)
        .not_empty()?
        .unique("id", |row| row.id)?
        .each(|row| {
            if !images.contains(&row.image_id) {
                return fault(
                    "image_id",
                    format!("found {}, no id in `images`", row.image_id),
                );
            }
            if !categories.contains(&row.category_id) {
                let found = format!("found {}, no id in `categories`", row.category_id);
                return fault("category_id", found);
            }
            if !row.bbox.iter().all(|side| side.is_finite())
                || row.bbox[2] < 0.0
                || row.bbox[3] < 0.0
            {
                let found = format!("found {:?}, expected left, top, width, height", row.bbox);
                return fault("bbox", found);
            }
            let area = row.area.filter(|area| !area.is_finite())?;
            fault("area", format!("found {area}, expected a number"))
        })
        .map(drop)
}

/// Parses the text of a file of captions.
///
/// # Errors
/// [`DataError`] naming list, row, field and remedy.
pub fn parse_captions(path: &Path, text: &str) -> Result<Captions, DataError> {
    let captions = Captions {
        images: rows::named_list(path, text, &CAPTIONS, "images")?,
        annotations: rows::named_list(path, text, &CAPTIONS, "annotations")?,
    };
    check_captions(path, &captions)?;
    Ok(captions)
}

/// Reads a file of captions.
///
/// # Errors
/// As [`parse_captions`], or the file cannot be read.
pub fn read_captions(path: &Path) -> Result<Captions, DataError> {
    parse_captions(path, &text::read(path, &CAPTIONS)?)
}

/// The text of a file of captions.
///
/// # Errors
/// [`DataError`] for captions that [`parse_captions`] would refuse.
pub fn render_captions(path: &Path, captions: &Captions) -> Result<String, DataError> {
    check_captions(path, captions)?;
    Ok(format!(
        "{{\"images\": {},\n\"annotations\": {}}}\n",
        rows::list_json(&captions.images),
        rows::list_json(&captions.annotations)
    ))
}

/// Writes a file of captions.
///
/// # Errors
/// As [`render_captions`], or the file cannot be written.
pub fn write_captions(path: &Path, captions: &Captions) -> Result<(), DataError> {
    atomic::write(path, render_captions(path, captions)?.as_bytes())
}

/// Parses the text of a file of instances.
///
/// # Errors
/// [`DataError`] naming list, row, field and remedy.
pub fn parse_instances(path: &Path, text: &str) -> Result<Instances, DataError> {
    let instances = Instances {
        images: rows::named_list(path, text, &INSTANCES, "images")?,
        categories: rows::named_list(path, text, &INSTANCES, "categories")?,
        annotations: rows::named_list(path, text, &INSTANCES, "annotations")?,
    };
    check_instances(path, &instances)?;
    Ok(instances)
}

/// Reads a file of instances.
///
/// # Errors
/// As [`parse_instances`], or the file cannot be read.
pub fn read_instances(path: &Path) -> Result<Instances, DataError> {
    parse_instances(path, &text::read(path, &INSTANCES)?)
}

/// The text of a file of instances.
///
/// # Errors
/// [`DataError`] for instances that [`parse_instances`] would refuse.
pub fn render_instances(path: &Path, instances: &Instances) -> Result<String, DataError> {
    check_instances(path, instances)?;
    Ok(format!(
        "{{\"images\": {},\n\"categories\": {},\n\"annotations\": {}}}\n",
        rows::list_json(&instances.images),
        rows::list_json(&instances.categories),
        rows::list_json(&instances.annotations)
    ))
}

/// Writes a file of instances.
///
/// # Errors
/// As [`render_instances`], or the file cannot be written.
pub fn write_instances(path: &Path, instances: &Instances) -> Result<(), DataError> {
    atomic::write(path, render_instances(path, instances)?.as_bytes())
}
