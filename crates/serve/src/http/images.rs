//! Images of requests: fetched or taken out of their URL, decoded within limits on threads of their own, and fitted.
//!
//! Fitted images wait with their requests, so what they take together is bounded. A request takes the memory of all its images
//! at once, before any of them is decoded: then nobody waits for more while holding some.

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_data::image::{ImageLimits, ImageProcessor, measure_bytes};
use candor_data::sha256;
use candor_model::ShownImage;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::remote::Remote;
use crate::api::messages::ImageLink;
use crate::api::refusal::Refusal;
use crate::models::Catalogue;

/// What an image of a request may be.
pub(super) const LIMITS: ImageLimits = ImageLimits {
    max_bytes: 20 << 20,
    max_pixels: 50_000_000,
};
/// Images that are decoded at a time, each of which may take a few hundred megabytes.
const AT_A_TIME: usize = 2;
/// What the fitted images of all requests that wait may take together.
const ALL_KIB: usize = 2 << 20;

/// Makes images of links.
pub(super) struct Images {
    processor: Arc<ImageProcessor>,
    decoding: Arc<Semaphore>,
    /// A KiB each, of `all_kib`.
    memory: Arc<Semaphore>,
    all_kib: usize,
    remote: Option<Remote>,
}

/// The images of a request.
pub(super) struct Loaded {
    pub images: Vec<ShownImage>,
    /// The memory that they take, free when this is dropped.
    pub memory: Option<OwnedSemaphorePermit>,
}

impl Images {
    pub(super) fn new(catalogue: &Catalogue, allow_remote: bool) -> Self {
        Self::within(catalogue.processor.clone(), allow_remote, ALL_KIB)
    }

    /// Images that take so much memory together.
    fn within(processor: ImageProcessor, allow_remote: bool, all_kib: usize) -> Self {
        Self {
            processor: Arc::new(processor),
            decoding: Arc::new(Semaphore::new(AT_A_TIME)),
            memory: Arc::new(Semaphore::new(all_kib)),
            all_kib,
            remote: allow_remote.then(Remote::new),
        }
    }

    /// The images behind links, fitted for the model, or for `other` in its place, once there is memory for them.
    pub(super) async fn load(
        &self,
        links: &[ImageLink],
        other: Option<&ImageProcessor>,
    ) -> Result<Loaded, Refusal> {
        let processor = match other {
            None => Arc::clone(&self.processor),
            Some(other) => Arc::new(other.clone()),
        };
        let mut sent = Vec::with_capacity(links.len());
        for link in links {
            sent.push(self.sent_with(link)?);
        }
        let n_bytes = sent
            .iter()
            .map(|bytes| fitted_bytes(bytes.as_deref(), &processor));
        let memory = self.hold(n_bytes.sum()).await?;
        let mut images = Vec::with_capacity(links.len());
        for (link, sent) in links.iter().zip(sent) {
            let bytes = match sent {
                Some(bytes) => bytes,
                None => self.fetch(link).await?,
            };
            let place = link.place.clone();
            let processor = Arc::clone(&processor);
            let decoding = self.decode(move || {
                let name = sha256::of(&bytes);
                ShownImage::decode(name, Path::new(&place), &bytes, &LIMITS, &processor)
            });
            let decoded = decoding.await?;
            images.push(decoded.map_err(|error| Refusal::field(&link.place, error.to_string()))?);
        }
        Ok(Loaded { images, memory })
    }

    /// Waits for memory.
    async fn hold(&self, n_bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        if n_bytes == 0 {
            return Ok(None);
        }
        // Who needs more than there is has all of it.
        let n_kib = n_bytes.div_ceil(1 << 10).min(self.all_kib) as u32;
        let held = Arc::clone(&self.memory).acquire_many_owned(n_kib).await;
        held.map(Some).map_err(|_| Refusal::stopping())
    }

    /// Does what decodes an image on a thread of its own, when there is a place.
    pub(super) async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = Arc::clone(&self.decoding).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| {
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "image_failed",
                "an image could not be decoded",
            )
        })
    }

    /// The bytes of an image that came with its request; nothing of one that may be fetched.
    fn sent_with(&self, link: &ImageLink) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(data) = link.url.strip_prefix("data:") else {
            return self.remote_of(link).map(|_| None);
        };
        let bytes = of_data_url(data).map_err(|message| refuse(link, &message))?;
        check_length(link, &bytes)?;
        Ok(Some(bytes))
    }

    /// The bytes at an address.
    async fn fetch(&self, link: &ImageLink) -> Result<Vec<u8>, Refusal> {
        let remote = self.remote_of(link)?;
        let fetched = remote.fetch(&link.url, LIMITS.max_bytes).await;
        let bytes = fetched.map_err(|message| refuse(link, &message))?;
        check_length(link, &bytes)?;
        Ok(bytes)
    }

    /// Who fetches what is not sent with its request.
    fn remote_of(&self, link: &ImageLink) -> Result<&Remote, Refusal> {
        if !(link.url.starts_with("http://") || link.url.starts_with("https://")) {
            let message = "neither a data: URL nor an address; send data:image/png;base64,…";
            return Err(refuse(link, message));
        }
        self.remote.as_ref().ok_or_else(|| {
            refuse(
                link,
                "images at an address are not fetched here; send a data: URL, or start the server with \
                 --allow-remote-images",
            )
        })
    }
}

fn refuse(link: &ImageLink, message: &str) -> Refusal {
    Refusal::field(&link.place, format!("`{}`: {message}", link.place))
}

fn check_length(link: &ImageLink, bytes: &[u8]) -> Result<(), Refusal> {
    let (found, most) = (bytes.len(), LIMITS.max_bytes);
    if found as u64 <= most {
        return Ok(());
    }
    let message = format!("{found} bytes, expected at most {most}; scale the image down");
    Err(refuse(link, &message))
}

/// What an image will take once it is fitted: by its header, or where that is not there or cannot be read, as much as any.
fn fitted_bytes(sent: Option<&[u8]>, processor: &ImageProcessor) -> usize {
    let size = sent.and_then(|bytes| measure_bytes(Path::new(""), bytes, &LIMITS).ok());
    let known = size.and_then(|size| processor.fitted_bytes(size).ok());
    known.unwrap_or_else(|| processor.most_fitted_bytes())
}

/// The bytes of what follows `data:`. What the image is, its first bytes say.
pub(super) fn of_data_url(data: &str) -> Result<Vec<u8>, String> {
    let Some((kind, encoded)) = data.split_once(',') else {
        return Err("the data: URL has no comma; send data:image/png;base64,…".to_owned());
    };
    if !kind.ends_with(";base64") {
        return Err("the data: URL is not in base 64; send data:image/png;base64,…".to_owned());
    }
    let decoded = STANDARD.decode(encoded.trim());
    decoded.map_err(|error| format!("the base 64 cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use candor_testing::images::paint;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_memory_for_images_waits_until_those_of_others_are_seen() {
        // A square of 16 pixels takes 768 bytes, which is one KiB of the two.
        let images = Images::within(ImageProcessor::clip(16), false, 2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("red.png");
        paint(&path, [40, 40], [200, 10, 10]);
        let png = STANDARD.encode(std::fs::read(&path).unwrap());
        let link = ImageLink {
            place: "url".to_owned(),
            url: format!("data:image/png;base64,{png}"),
        };
        let free = || images.memory.available_permits();
        let one = [link.clone()];
        let first = images.load(&one, None).await.unwrap();
        let second = images.load(&one, None).await.unwrap();
        assert_eq!(free(), 0);
        // Somebody waits, and leaves.
        let waiting = timeout(Duration::from_millis(50), images.load(&one, None));
        assert!(waiting.await.is_err());
        let waiting = images.load(&one, None);
        let (third, ()) = tokio::join!(waiting, async { drop(first) });
        assert_eq!((third.as_ref().unwrap().images.len(), free()), (1, 0));
        drop((second, third));
        assert_eq!(free(), 2);
        // More than there is; and nothing.
        let many = images.load(&[link.clone(), link.clone(), link], None).await;
        assert_eq!((many.as_ref().unwrap().images.len(), free()), (3, 0));
        drop(many);
        let none = images.load(&[], None).await.unwrap();
        assert!(none.memory.is_none() && free() == 2);
    }

    #[test]
    fn a_data_url_is_read_or_refused() {
        assert_eq!(of_data_url("image/png;base64,Y2FuZG9y").unwrap(), b"candor");
        for (data, words) in [
            ("image/png;base64", "no comma"),
            ("image/png,abc", "not in base 64"),
            ("image/png;base64,a!", "cannot be read"),
        ] {
            let message = of_data_url(data).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
    }
}
