//! Images in an object store (S3, Google Cloud Storage, Azure) or on a web server.
//!
//! They are copied beside the project before anybody is asked about them: so a missing one is found at the start, and
//! the server that people work with needs no network. What is there is not fetched again. Credentials come from the
//! environment, as the stores' own tools have them (`AWS_ACCESS_KEY_ID` and the like).

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use candor_data::atomic;
use candor_data::formats::images::path_in;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path as Location;
use object_store::{ObjectStore, ObjectStoreExt as _};
use url::Url;

use crate::error::AnnotateError;

/// Images that are fetched at a time.
const AT_A_TIME: usize = 8;
/// Larger ones are refused before they are in memory; the server would not show them.
const MAX_BYTES: usize = 64 << 20;

/// Copies the images of these names from below `url` into `folder`, those that are not there yet. Names that would leave
/// the folder are passed over: the check of all images refuses them.
///
/// # Errors
/// [`AnnotateError::NotThere`] or [`AnnotateError::Io`] names the first image that cannot be fetched.
pub(super) async fn fetch(
    url: &str,
    folder: &Path,
    names: impl IntoIterator<Item = &str>,
) -> Result<(), AnnotateError> {
    let source = Source::open(url)?;
    let missing: BTreeSet<&str> = names
        .into_iter()
        .filter(|name| path_in(folder, name).is_some_and(|path| !path.exists()))
        .collect();
    stream::iter(missing)
        .map(|name| source.copy(name, folder))
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// A folder of a store.
struct Source<'a> {
    url: &'a str,
    store: Box<dyn ObjectStore>,
    folder: Location,
}

impl<'a> Source<'a> {
    fn open(url: &'a str) -> Result<Self, AnnotateError> {
        // Fails where another one is installed already, which does as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        let refused = |reason: String| AnnotateError::Io {
            action: "use",
            place: url.to_owned(),
            remedy: "name a folder at s3://, gs://, az://, https:// or http://",
            source: io::Error::other(reason),
        };
        let parsed = Url::parse(url).map_err(|error| refused(error.to_string()))?;
        let mut options: Vec<(String, String)> = std::env::vars()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        // Whoever writes http:// means it.
        options.extend((parsed.scheme() == "http").then(|| ("allow_http".into(), "true".into())));
        let (store, folder) = object_store::parse_url_opts(&parsed, options)
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self { url, store, folder })
    }

    async fn copy(&self, name: &str, folder: &Path) -> Result<(), AnnotateError> {
        let Some(target) = path_in(folder, name) else {
            return Ok(());
        };
        let bytes = self.read(name).await.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => AnnotateError::NotThere {
                image: name.to_owned(),
                url: self.url.to_owned(),
                source,
            },
            _ => AnnotateError::Io {
                action: "fetch the image",
                place: format!("{name} from {}", self.url),
                remedy: "check `images` of the import, that the image is there, and the credentials in the environment",
                source,
            },
        })?;
        Ok(atomic::write(&target, &bytes)?)
    }

    async fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let named = Location::from(name);
        let location: Location = self.folder.parts().chain(named.parts()).collect();
        let mut parts = self.store.get(&location).await?.into_stream();
        let mut bytes = Vec::new();
        while let Some(part) = parts.try_next().await? {
            if bytes.len() + part.len() > MAX_BYTES {
                return Err(io::Error::other(format!("more than {MAX_BYTES} bytes")));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
}
