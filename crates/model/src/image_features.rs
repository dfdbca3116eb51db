//! Image features, encoded once per image and kept.
//!
//! While the tower is frozen, the features of an image never change: stages encode every image they will
//! see exactly once, and look features up by file name from then on. Where an adapter changes the tower, what is kept under
//! a name is the image itself ([`Features`]), fitted and normalised, and every pass sees it anew.
//!
//! They take `n_rows · width` numbers an image: 6 kB in the micro-world, 2.4 MB in LLaVA v1.5 in f32. So those of many thousand
//! photographs are kept on disk ([`FeatureStore`]) and read by the pass that shows them; few are kept in the host's memory. A
//! GPU holds those of one pass at a time, which go there together.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::panic_any;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use candor_data::image::{Fitted, ImageLimits, decode, load_batch};
use candor_data::rows::{BadRows, Look, RowFault, faults};
use candor_data::shown;
use tch::{Device, Tensor};

use crate::feature_store::{Entry, FeatureStore, InUse};
use crate::{Bundle, Features, ModelError, ShownImage};

/// Features of a set of images, by file name.
#[derive(Debug)]
pub struct ImageFeatures {
    kept: HashMap<String, Kept>,
    /// Tokens of each; for threads, which tensors cannot be shared between.
    n_tokens: HashMap<String, usize>,
    /// Where the model is.
    device: Device,
    /// While this is there, others leave on the disk what is kept there.
    _in_use: Option<InUse>,
    /// Who reads ahead.
    reader: RefCell<Option<JoinHandle<()>>>,
}

/// Where the features of an image are.
#[derive(Debug)]
enum Kept {
    InMemory(Features),
    OnDisk(Entry),
}

impl Kept {
    fn n_tokens(&self) -> usize {
        match self {
            Self::InMemory(features) => features.n_tokens(),
            Self::OnDisk(entry) => entry.span().n_tokens as usize,
        }
    }

    fn features(&self) -> Features {
        match self {
            Self::InMemory(features) => features.share(),
            Self::OnDisk(entry) => entry
                .read()
                .unwrap_or_else(|error| panic_any(LostFeatures(error))),
        }
    }
}

/// What [`ImageFeatures::of`] panics with, which comes from as deep as libtorch's own panics where memory runs out: features that
/// were on the disk when a run began are not there any more.
#[derive(Debug)]
pub struct LostFeatures(pub ModelError);

/// Images that are decoded and encoded together; enough to keep the kernels busy, small in memory.
pub const IMAGES_PER_PASS: usize = 64;
/// Pixels that are encoded together, if they are of more than one image: those of 64 images of LLaVA-1.5.
const PIXELS_PER_PASS: usize = 64 * 336 * 336;

impl ImageFeatures {
    /// Encodes the images of a folder that rows show ([`shown`]); they may repeat. `progress` hears how many are done, and of
    /// how many.
    ///
    /// # Errors
    /// Images are missing, damaged or over the limits: as many of them as [`BadRows::SHOWN`] are named, and those that are
    /// found together with the last of them.
    pub fn encode(
        bundle: &Bundle,
        folder: &Path,
        all: impl IntoIterator<Item = String>,
        progress: impl FnMut(usize, usize),
    ) -> Result<Self, ModelError> {
        let alone = |mine| Ok(vec![mine]);
        Self::encode_in_turns(bundle, folder, all, |_| Ok(None), [0, 1], progress, alone)
    }

    /// As [`ImageFeatures::encode`], by `n_turns` processes, of which this is number `turn`. Each encodes every `n_turns`-th of
    /// the passes that one would make; `gather` gives, of the features that this process has of a round, those of all
    /// processes, in the order of their numbers. `open` gives the store of what the model's tower saw that features of so many
    /// images are kept in, if they are not kept in memory; what is there already is not encoded.
    ///
    /// # Errors
    /// As [`ImageFeatures::encode`], where an image of this process cannot be encoded; of several processes, each names those of
    /// its pass alone, so that the others need not wait for it. Or `open` or `gather` failed, or the store has no room.
    pub fn encode_in_turns<E: From<ModelError>>(
        bundle: &Bundle,
        folder: &Path,
        all: impl IntoIterator<Item = String>,
        open: impl FnOnce(usize) -> Result<Option<FeatureStore>, E>,
        [turn, n_turns]: [usize; 2],
        progress: impl FnMut(usize, usize),
        gather: impl FnMut(Vec<Features>) -> Result<Vec<Vec<Features>>, E>,
    ) -> Result<Self, E> {
        let mut ordered: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for of_row in all {
            let names = shown::names(&of_row).filter(|name| seen.insert((*name).to_owned()));
            ordered.extend(names.map(str::to_owned));
        }
        let store = open(ordered.len())?;
        let encode = |mine: &[String], n_done: usize| {
            let anew = |names: &[String]| encode_in(bundle, folder, names);
            let encoded = match &store {
                None => anew(mine),
                Some(store) => store.features(folder, mine, anew),
            };
            encoded.map_err(|error| {
                // From the first damaged image on, the rest is only looked through for others; not where other processes
                // wait meanwhile.
                let damaged = look_through(folder, mine);
                E::from(if damaged.is_empty() {
                    error
                } else if n_turns > 1 {
                    ModelError::Images(damaged)
                } else {
                    ModelError::Images(look_through(folder, &ordered[n_done..]))
                })
            })
        };
        let keep = |pass: &[String], features: Vec<Features>| -> Result<Vec<Kept>, E> {
            let Some(store) = &store else {
                return Ok(features.into_iter().map(Kept::InMemory).collect());
            };
            let entries = store.keep(folder, pass, &features)?;
            Ok(entries.into_iter().map(Kept::OnDisk).collect())
        };
        let kept = in_turns(&ordered, [turn, n_turns], encode, gather, keep, progress)?;
        let tokens = kept.iter().map(Kept::n_tokens);
        Ok(Self {
            n_tokens: ordered.iter().cloned().zip(tokens).collect(),
            kept: ordered.into_iter().zip(kept).collect(),
            device: bundle.model.device(),
            _in_use: store.map(FeatureStore::into_in_use),
            reader: RefCell::default(),
        })
    }

    /// Encodes images that are held already; each is seen as the only one.
    #[must_use]
    pub fn of_shown(bundle: &Bundle, images: Vec<ShownImage>) -> Self {
        let names: Vec<String> = images.iter().map(|image| image.name.clone()).collect();
        let fitted: Vec<Fitted> = images.into_iter().map(|it| it.fitted(false)).collect();
        let encoded = tch::no_grad(|| encode(bundle, &fitted));
        let n_tokens = names.iter().cloned();
        Self {
            n_tokens: n_tokens
                .zip(encoded.iter().map(Features::n_tokens))
                .collect(),
            kept: names
                .into_iter()
                .zip(encoded.into_iter().map(Kept::InMemory))
                .collect(),
            device: bundle.model.device(),
            _in_use: None,
            reader: RefCell::default(),
        }
    }

    /// Features of the images that the given rows show, in this order, where the model is; none without images or when one was
    /// never encoded.
    ///
    /// # Panics
    /// Features that are kept on disk were changed or taken away since ([`LostFeatures`]).
    #[must_use]
    pub fn of<'a>(&self, all: impl IntoIterator<Item = &'a str>) -> Option<Features> {
        let names = all.into_iter().flat_map(shown::names);
        let found: Option<Vec<&Kept>> = names.map(|name| self.kept.get(name)).collect();
        let found: Vec<Features> = found?.into_iter().map(Kept::features).collect();
        Some(Features::cat(&found)?.to_device(self.device))
    }

    /// Says that the images that the given rows show will be asked for soon: where they are on disk, they are read meanwhile, so
    /// that a pass need not wait for more than the system's memory. Nothing is done while others are still read.
    pub fn read_ahead<'a>(&self, all: impl IntoIterator<Item = &'a str>) {
        let names = all.into_iter().flat_map(shown::names);
        let entries = names.filter_map(|name| match self.kept.get(name)? {
            Kept::InMemory(_) => None,
            Kept::OnDisk(entry) => Some(entry.clone()),
        });
        let entries: Vec<Entry> = entries.collect();
        let mut reader = self.reader.borrow_mut();
        let is_busy = reader.as_ref().is_some_and(|reader| !reader.is_finished());
        if entries.is_empty() || is_busy {
            return;
        }
        // Without a thread everything is read when it is asked for.
        let read = move || entries.iter().for_each(Entry::read_ahead);
        let thread = thread::Builder::new().name("features".to_owned());
        *reader = thread.spawn(read).ok();
    }

    /// Where features are given.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// Tokens that each image takes.
    #[must_use]
    pub fn n_tokens(&self) -> &HashMap<String, usize> {
        &self.n_tokens
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// Encodes items in passes of [`IMAGES_PER_PASS`], by `n_turns` processes, of which this is number `turn`: each makes every
/// `n_turns`-th of the passes that one would make. `encode` gives the features of the items of a pass, one each, and hears how
/// many items were done before its round; `gather` gives, of the features that this process has of a round, on the host, those
/// of all processes, in the order of their numbers; `keep` makes of the items of a pass and their features what is kept of each.
/// `progress` hears how many are done, and of how many. What is kept is given in the order of the items.
///
/// # Errors
/// `encode`, `gather` or `keep` failed.
pub fn in_turns<T, K, E>(
    items: &[T],
    [turn, n_turns]: [usize; 2],
    mut encode: impl FnMut(&[T], usize) -> Result<Vec<Features>, E>,
    mut gather: impl FnMut(Vec<Features>) -> Result<Vec<Vec<Features>>, E>,
    mut keep: impl FnMut(&[T], Vec<Features>) -> Result<Vec<K>, E>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<K>, E> {
    let mut kept = Vec::with_capacity(items.len());
    for round in items.chunks(IMAGES_PER_PASS * n_turns) {
        let mine = round.chunks(IMAGES_PER_PASS).nth(turn).unwrap_or_default();
        let encoded = encode(mine, kept.len())?;
        let of_all = gather(Features::on_host(&encoded))?;
        for (pass, features) in round.chunks(IMAGES_PER_PASS).zip(of_all) {
            kept.extend(keep(pass, features)?);
        }
        progress(kept.len(), items.len());
    }
    Ok(kept)
}

/// The path of a named image, which must not leave its folder.
///
/// # Errors
/// The name is empty, absolute or climbs out with `..`.
pub fn path_in(folder: &Path, name: &str) -> Result<PathBuf, ModelError> {
    candor_data::formats::images::path_in(folder, name).ok_or_else(|| ModelError::Prompt {
        sample: name.to_owned(),
        problem: format!("the image name leads out of {}", folder.display()),
        remedy: "name the image relative to the image folder, without `..`",
    })
}

/// What is wrong with images of a folder: of the first [`BadRows::SHOWN`] that are bad, and of those in a pass with the last of them.
fn look_through(folder: &Path, names: &[String]) -> BTreeMap<String, RowFault> {
    let mut bad = BTreeMap::new();
    for pass in names.chunks(IMAGES_PER_PASS) {
        bad.extend(faults(
            folder,
            pass.iter().map(String::as_str),
            Look::Decoded,
        ));
        if bad.len() >= BadRows::SHOWN {
            break;
        }
    }
    bad
}

/// Features of the named images of a folder, in their order.
fn encode_in(
    bundle: &Bundle,
    folder: &Path,
    names: &[String],
) -> Result<Vec<Features>, ModelError> {
    let paths: Result<Vec<PathBuf>, ModelError> =
        names.iter().map(|name| path_in(folder, name)).collect();
    let fitted = load_batch(&paths?, &bundle.processor, &ImageLimits::default())?;
    Ok(tch::no_grad(|| encode(bundle, &fitted)))
}

/// What is seen of an image that a conversation shows.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Where it is the only one.
    pub alone: Features,
    /// Where it is one of several, if that is something else.
    pub among: Option<Features>,
}

/// Features of the image in a file.
///
/// # Errors
/// The file is missing, damaged or over the limits.
pub(crate) fn features_of(bundle: &Bundle, path: &Path) -> Result<Seen, ModelError> {
    let image = decode(path, &ImageLimits::default())?;
    let alone = bundle.processor.fit(&image);
    let alone = alone.map_err(|misshapen| misshapen.at(path))?;
    let among = bundle.processor.fit_among(&image);
    let one = |fitted: &Fitted| {
        let encoded = tch::no_grad(|| encode(bundle, std::slice::from_ref(fitted))).pop();
        encoded.unwrap_or_else(|| unreachable!("one image has features"))
    };
    Ok(Seen {
        alone: one(&alone),
        among: among.as_ref().map(one),
    })
}

/// Features of images that the bundle's processor has fitted, in their order. Those of one size are encoded together.
pub fn encode(bundle: &Bundle, fitted: &[Fitted]) -> Vec<Features> {
    let mut of_size: BTreeMap<[u32; 2], Vec<usize>> = BTreeMap::new();
    for (at, image) in fitted.iter().enumerate() {
        // Of images in tiles, all that is made of them follows from their own size.
        let size = image.own.unwrap_or(image.size);
        of_size
            .entry([size.height, size.width])
            .or_default()
            .push(at);
    }
    let mut encoded: Vec<Option<Features>> = fitted.iter().map(|_| None).collect();
    for places in of_size.into_values() {
        let n_pixels = fitted[places[0]].size.n_pixels();
        let together = (PIXELS_PER_PASS / n_pixels.max(1)).max(1);
        for places in places.chunks(together) {
            let images = places.iter().map(|&at| &fitted[at]);
            let pixels = pixels(bundle, images);
            let features = match fitted[places[0]].own {
                Some(own) => bundle.model.view_features(&views(&pixels), own),
                None => bundle.model.image_features(&pixels),
            };
            for (image, &at) in places.iter().enumerate() {
                encoded[at] = Some(features.image(image));
            }
        }
    }
    encoded.into_iter().flatten().collect()
}

/// Images of one size that the bundle's processor has fitted, normalised.
///
/// # Shapes
/// → `[n_images, 3, height, width]` f32, on the model's device.
pub fn pixels<'a>(bundle: &Bundle, fitted: impl Iterator<Item = &'a Fitted>) -> Tensor {
    let each: Vec<Tensor> = fitted
        .map(|image| {
            let [height, width] = [image.size.height, image.size.width].map(i64::from);
            Tensor::from_slice(&bundle.processor.normalise(image)).reshape([3, height, width])
        })
        .collect();
    Tensor::stack(&each, 0).to_device(bundle.model.device())
}

/// The views that stand one below another in images.
///
/// # Shapes
/// `pixels`: `[n_images, 3, n_views · side, side]` → `[n_images, n_views, 3, side, side]`.
fn views(pixels: &Tensor) -> Tensor {
    let side = pixels.size()[3];
    pixels.unflatten(2, [-1, side]).transpose(1, 2)
}
