//! Pictures, by task or item. No part of a request ever becomes a part of a path.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use candor_data::formats::images::path_in;
use candor_data::image::{ImageLimits, decode};
use tokio::sync::Semaphore;

use super::App;
use super::reply::Failure;
use super::session::{Adjudicator, Annotator};
use crate::error::{AnnotateError, Refusal};
use crate::project::Project;
use crate::store::Picture;

/// Pictures known to be good.
const MAX_REMEMBERED: usize = 100_000;
/// Pictures in memory at a time: a decoded one may be 50 megapixels, and everybody may ask at once.
const MAX_AT_ONCE: usize = 4;

/// Reads pictures within limits.
pub(super) struct Pictures {
    folder: PathBuf,
    limits: ImageLimits,
    /// What was decoded once and found good; the files of a project do not change.
    good: Mutex<HashSet<PathBuf>>,
    turns: Semaphore,
}

impl Pictures {
    pub(super) fn new(project: &Project) -> Self {
        Self {
            folder: project.folder.clone(),
            limits: ImageLimits {
                max_pixels: u64::from(project.server.max_megapixels) * 1_000_000,
                ..ImageLimits::default()
            },
            good: Mutex::default(),
            turns: Semaphore::new(MAX_AT_ONCE),
        }
    }

    /// The bytes of a picture and their type, after it was decoded once within the limits.
    fn read(&self, picture: &Picture) -> Result<(Vec<u8>, &'static str), AnnotateError> {
        let folder = self.folder.join(&picture.folder);
        let path = path_in(&folder, &picture.image).ok_or(Refusal::NotFound("picture"))?;
        let known = self
            .good
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&path);
        if !known {
            decode(&path, &self.limits)?;
            let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
            if good.len() < MAX_REMEMBERED {
                good.insert(path.clone());
            }
        }
        let bytes = std::fs::read(&path).map_err(|source| AnnotateError::Io {
            action: "read the picture",
            place: path.display().to_string(),
            remedy: "check the folder of pictures that the project names",
            source,
        })?;
        let kind = if bytes.starts_with(&[0xFF, 0xD8]) {
            "image/jpeg"
        } else {
            "image/png"
        };
        Ok((bytes, kind))
    }
}

/// `GET /api/assignments/{assignment}/picture`
pub(super) async fn of_task(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
    Path(assignment): Path<String>,
) -> Result<Response, Failure> {
    let picture = app
        .store
        .picture_of_task(&person.person, &assignment)
        .await?;
    send(app, picture).await
}

/// `GET /api/items/{item}/picture`
pub(super) async fn of_item(
    State(app): State<Arc<App>>,
    Adjudicator(_): Adjudicator,
    Path(item): Path<i64>,
) -> Result<Response, Failure> {
    let picture = app.store.picture_of_item(item).await?;
    send(app, picture).await
}

async fn send(app: Arc<App>, picture: Option<Picture>) -> Result<Response, Failure> {
    let picture = picture.ok_or(Refusal::NotFound("picture"))?;
    let reader = Arc::clone(&app);
    let turn = app.pictures.turns.acquire().await;
    let read = tokio::task::spawn_blocking(move || reader.pictures.read(&picture));
    let (bytes, kind) = read.await.map_err(|_| Refusal::NotFound("picture"))??;
    drop(turn);
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "private, max-age=3600"),
    ];
    Ok((headers, bytes).into_response())
}
