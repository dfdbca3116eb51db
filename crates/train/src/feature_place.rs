//! Where a run keeps the features of its images: in the host's memory, or on disk, where other runs and resumes find them
//! ([`FeatureStore`]).

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use candor_data::image::PixelBounds;
use candor_data::sha256;
use candor_model::{Bundle, FeatureStore, ModelError};
use candor_recipe::Reader;
use candor_torch_ext::libtorch;
use tch::Device;

use crate::fingerprint;

/// The variable that names another folder, or switches the store off.
const VARIABLE: &str = "CANDOR_FEATURES";
/// The variable's value with which nothing is kept on disk.
const OFF: &str = "off";
/// Of the code that decodes, fits and normalises images and of the towers: a change of what they give takes the next number, so
/// that features that were kept before are found no more.
const REVISION: u32 = 1;
const GIGABYTE: f64 = 1e9;
const MEMORY_GB: f64 = 8.0;
const DISK_GB: f64 = 200.0;

/// What decides where features are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In memory where they take no more than the bound, else on disk.
    Auto,
    Memory,
    Disk,
}

/// What a recipe says of where features are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct FeaturePlace {
    place: Place,
    folder: Option<PathBuf>,
    memory_bytes: u64,
    disk_bytes: u64,
}

impl FeaturePlace {
    /// In the host's memory.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            place: Place::Memory,
            folder: None,
            memory_bytes: (MEMORY_GB * GIGABYTE) as u64,
            disk_bytes: (DISK_GB * GIGABYTE) as u64,
        }
    }

    /// Reads `run.features` and what belongs to it.
    pub fn read(recipe: &mut Reader) -> Self {
        let choices = [
            ("auto", Place::Auto),
            ("memory", Place::Memory),
            ("disk", Place::Disk),
        ];
        let place = recipe
            .one_of(
                "run.features",
                &choices,
                "Where the features of images are kept, which a frozen tower computes once: in the host's memory, or on disk, where later runs and resumes find them. auto takes the disk where they are more than `run.features_memory_gb`.",
            )
            .or(Place::Auto, "\"auto\"");
        let bytes = |gigabytes: f64| (gigabytes * GIGABYTE) as u64;
        let memory = recipe
            .f64(
                "run.features_memory_gb",
                "The most gigabytes of features that auto keeps in memory.",
            )
            .within(0.0..)
            .or(MEMORY_GB, "8");
        let folder = recipe
            .path(
                "run.features_folder",
                "The folder of features on disk; else the environment variable CANDOR_FEATURES, or candor/features in the user's cache. CANDOR_FEATURES = off keeps them in memory.",
            )
            .optional();
        let disk = recipe
            .f64(
                "run.features_disk_gb",
                "The most gigabytes of that folder; what was used longest ago is deleted to make room.",
            )
            .positive()
            .or(DISK_GB, "200");
        Self {
            place,
            folder,
            memory_bytes: bytes(memory),
            disk_bytes: bytes(disk),
        }
    }

    /// Whether features that take so many bytes are kept on disk.
    #[must_use]
    pub fn is_disk(&self, n_bytes: u64) -> bool {
        let off = self.folder.is_none() && env::var_os(VARIABLE).is_some_and(|it| it == *OFF);
        match self.place {
            Place::Memory => false,
            Place::Auto => !off && n_bytes > self.memory_bytes,
            Place::Disk => !off,
        }
    }

    /// The store for the features of so many images; none where they are kept in memory.
    ///
    /// # Errors
    /// No folder is known, or it cannot be used.
    pub(crate) fn store(
        &self,
        bundle: &Bundle,
        n_images: usize,
    ) -> Result<Option<FeatureStore>, ModelError> {
        let n_bytes = n_bytes(bundle, n_images);
        if bundle.model.sees_anew() || !self.is_disk(n_bytes) {
            return Ok(None);
        }
        let Some(root) = self.folder.clone().or_else(features_folder) else {
            return Err(ModelError::NoFolderForFeatures);
        };
        tracing::info!(
            "features of {n_images} images, about {:.1} GB, are kept in {}",
            n_bytes as f64 / GIGABYTE,
            root.display()
        );
        let of_passes = bundle.model.device() == Device::Cpu;
        FeatureStore::open(&root, &seen_by(bundle), self.disk_bytes, of_passes).map(Some)
    }
}

/// Where features are kept on disk unless a recipe says it: as `CANDOR_FEATURES` says, or in candor's cache. None where features
/// are not kept on disk, or no folder is known.
#[must_use]
pub fn features_folder() -> Option<PathBuf> {
    folder(&|variable| env::var_os(variable))
}

/// Where candor keeps what can be made or downloaded again; none where neither `XDG_CACHE_HOME` nor `HOME` is set.
#[must_use]
pub fn cache_folder() -> Option<PathBuf> {
    cache(&|variable| env::var_os(variable))
}

/// The value of an environment variable.
type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn folder(variable: Variable<'_>) -> Option<PathBuf> {
    match variable(VARIABLE).filter(|value| !value.is_empty()) {
        Some(named) if named == *OFF => None,
        Some(named) => Some(named.into()),
        None => Some(cache(variable)?.join("features")),
    }
}

fn cache(variable: Variable<'_>) -> Option<PathBuf> {
    let set = |name| variable(name).map(PathBuf::from);
    let configured = set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache = configured.or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("candor"))
}

/// Bytes of the features of so many usual images.
fn n_bytes(bundle: &Bundle, n_images: usize) -> u64 {
    let config = bundle.model.config();
    let image = config.usual_image(PixelBounds::of(&bundle.processor));
    let of_image = config.n_feature_rows(image) * config.feature_width() as usize;
    (n_images * of_image * bundle.model.kind().elt_size_in_bytes()) as u64
}

/// A fingerprint of all that decides what the tower gives of an image: its weights and settings, how images are fitted, the code,
/// and what computes. On a CPU that is so to the bit; GPUs of several kinds are taken to be alike.
fn seen_by(bundle: &Bundle) -> String {
    let model = &bundle.model;
    let is_tower = |(name, _): &(&String, _)| name.starts_with("vision_tower.");
    let tower = model.parameters().iter().filter(is_tower);
    let computed = match model.device() {
        Device::Cpu => format!(
            "{} with {} threads",
            libtorch::cpu_capability(),
            tch::get_num_threads()
        ),
        _ => format!("a device, with TF32: {}", libtorch::tf32()),
    };
    sha256::of_bytes([
        env!("CARGO_PKG_VERSION").to_owned(),
        format!("revision {REVISION}"),
        libtorch::version(),
        computed,
        model.config().tower_settings(),
        format!("{:?}", bundle.processor),
        fingerprint::of_tensors(tower),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_data::image::{ImageLimits, ImageProcessor};

    use super::*;

    /// Written with Pillow 13.0 and numpy: the SHA-256 of the image padded to a square, resized to 64 pixels and normalised in f32,
    /// channel first. Where something else is right, [`REVISION`] takes the next number with the new hash.
    #[test]
    fn what_is_seen_of_an_image_is_that_of_the_revision() {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/golden/images");
        let processor = ImageProcessor::clip(64);
        let image = images.join("rgb_landscape.png");
        let fitted = processor.load(&image, &ImageLimits::default()).unwrap();
        let numbers = processor.normalise(&fitted);
        let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
        let expected = "b37218fe70a536dfb12411177397d1316f23df0df075484b607abbfd51ff3393";
        assert_eq!((REVISION, &*sha256::of(bytes)), (1, expected));
    }

    #[test]
    fn the_folder_is_the_variables_or_in_the_users_cache() {
        let of = |pairs: &[(&str, &str)]| {
            folder(&|name: &str| {
                let found = pairs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        let home = ("HOME", "/home/a");
        let in_home = Some("/home/a/.cache/candor/features".into());
        assert_eq!(of(&[home]), in_home);
        assert_eq!(of(&[home, ("XDG_CACHE_HOME", "big")]), in_home);
        let elsewhere = ("XDG_CACHE_HOME", "/big");
        assert_eq!(of(&[home, elsewhere]), Some("/big/candor/features".into()));
        assert_eq!(of(&[home, (VARIABLE, "/fast")]), Some("/fast".into()));
        assert_eq!(of(&[home, (VARIABLE, "")]), in_home);
        assert_eq!(of(&[home, (VARIABLE, "off")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn auto_takes_the_disk_for_what_is_more_than_the_bound() {
        let read = |text: &str| {
            let mut reader = Reader::parse("r.toml", text, &[]);
            let place = FeaturePlace::read(&mut reader);
            reader.finish().unwrap();
            FeaturePlace {
                // Whatever the environment says.
                folder: Some("/features".into()),
                ..place
            }
        };
        let auto = read("");
        assert!(!auto.is_disk(8_000_000_000) && auto.is_disk(8_000_000_001));
        let small = read("run.features_memory_gb = 0.5");
        assert!(!small.is_disk(500_000_000) && small.is_disk(500_000_001));
        assert!(!read("run.features = \"memory\"").is_disk(u64::MAX));
        assert!(read("run.features = \"disk\"").is_disk(0));
    }
}
