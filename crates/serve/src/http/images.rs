//! Images of requests: fetched or taken out of their URL, decoded within limits on threads of their own, and fitted.

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_data::image::{ImageLimits, ImageProcessor};
use candor_data::sha256;
use candor_model::ShownImage;
use tokio::sync::Semaphore;

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

/// Makes images of links.
pub(super) struct Images {
    processor: Arc<ImageProcessor>,
    decoding: Arc<Semaphore>,
    remote: Option<Remote>,
}

impl Images {
    pub(super) fn new(catalogue: &Catalogue, allow_remote: bool) -> Self {
        Self {
            processor: Arc::new(catalogue.processor.clone()),
            decoding: Arc::new(Semaphore::new(AT_A_TIME)),
            remote: allow_remote.then(Remote::new),
        }
    }

    /// The images behind links, fitted for the model, or for `other` in its place.
    pub(super) async fn load(
        &self,
        links: &[ImageLink],
        other: Option<&ImageProcessor>,
    ) -> Result<Vec<ShownImage>, Refusal> {
        let processor = match other {
            None => Arc::clone(&self.processor),
            Some(other) => Arc::new(other.clone()),
        };
        let mut images = Vec::with_capacity(links.len());
        for link in links {
            let bytes = self.bytes(link).await?;
            let place = link.place.clone();
            let processor = Arc::clone(&processor);
            let decoding = self.decode(move || {
                let name = sha256::of(&bytes);
                ShownImage::decode(name, Path::new(&place), &bytes, &LIMITS, &processor)
            });
            let decoded = decoding.await?;
            images.push(decoded.map_err(|error| Refusal::field(&link.place, error.to_string()))?);
        }
        Ok(images)
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

    async fn bytes(&self, link: &ImageLink) -> Result<Vec<u8>, Refusal> {
        let refuse =
            |message: String| Refusal::field(&link.place, format!("`{}`: {message}", link.place));
        let bytes = if let Some(data) = link.url.strip_prefix("data:") {
            of_data_url(data).map_err(refuse)?
        } else if link.url.starts_with("http://") || link.url.starts_with("https://") {
            let Some(remote) = &self.remote else {
                return Err(refuse(
                    "images at an address are not fetched here; send a data: URL, or start the server with \
                     --allow-remote-images"
                        .to_owned(),
                ));
            };
            remote
                .fetch(&link.url, LIMITS.max_bytes)
                .await
                .map_err(refuse)?
        } else {
            return Err(refuse(
                "neither a data: URL nor an address; send data:image/png;base64,…".to_owned(),
            ));
        };
        if bytes.len() as u64 > LIMITS.max_bytes {
            return Err(refuse(format!(
                "{} bytes, expected at most {}; scale the image down",
                bytes.len(),
                LIMITS.max_bytes
            )));
        }
        Ok(bytes)
    }
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
    use super::*;

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
