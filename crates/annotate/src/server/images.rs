//! Images, by task or item. No part of a request ever becomes a part of a path.
//!
//! What cannot be shown is not judged: an answer about an image is taken if the image was sent for it, or could be now
//! (a browser may still hold what an earlier run of the server sent). Gold and training items whose image turns out to be
//! unreadable are passed over from then on.

use std::collections::HashSet;
use std::fs::File;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use candor_data::FileKind;
use candor_data::formats::images::path_in;
use candor_data::image::{ImageLimits, decode};
use tokio::sync::Semaphore;

use super::App;
use super::reply::{self, Failure};
use super::session::{Adjudicator, Annotator};
use crate::error::{AnnotateError, Refusal};
use crate::project::Project;
use crate::store::Image;

/// Images known to be good.
const MAX_REMEMBERED: usize = 100_000;
/// Images in memory at a time: a decoded one may be 50 megapixels, and everybody may ask at once.
const MAX_AT_ONCE: usize = 4;

/// Reads images within limits.
pub(super) struct Images {
    folder: PathBuf,
    limits: ImageLimits,
    /// What was decoded once and found good; the files of a project do not change.
    good: Mutex<HashSet<PathBuf>>,
    /// Tasks and items whose images were sent, and those of several that were ([`part`]).
    shown: Mutex<HashSet<String>>,
    turns: Semaphore,
}

impl Images {
    pub(super) fn new(project: &Project) -> Self {
        Self {
            folder: project.folder.clone(),
            limits: project.image_limits(),
            good: Mutex::default(),
            shown: Mutex::default(),
            turns: Semaphore::new(MAX_AT_ONCE),
        }
    }

    /// Where an image is that can be shown: it was decoded once within the limits, and is still there.
    fn look(&self, image: &Image) -> Result<PathBuf, AnnotateError> {
        let folder = self.folder.join(&image.folder);
        let path = path_in(&folder, &image.image).ok_or(Refusal::NotFound("image"))?;
        if contains(&self.good, &path) {
            File::open(&path).map_err(unreadable(&path))?;
        } else {
            decode(&path, &self.limits)?;
            remember(&self.good, path.clone());
        }
        Ok(path)
    }

    /// Notes that image `number` of `n` of a task or an item was sent.
    fn sent(&self, key: String, number: usize, n: usize) {
        if n > 1 {
            remember(&self.shown, part(&key, number));
            if !(0..n).all(|number| contains(&self.shown, &part(&key, number))) {
                return;
            }
        }
        remember(&self.shown, key);
    }

    /// The bytes of an image and their type.
    fn read(&self, image: &Image) -> Result<(Vec<u8>, &'static str), AnnotateError> {
        let path = self.look(image)?;
        let bytes = std::fs::read(&path).map_err(unreadable(&path))?;
        let kind = FileKind::of(&bytes).and_then(FileKind::media_type);
        let kind = kind.unwrap_or("application/octet-stream");
        Ok((bytes, kind))
    }
}

fn unreadable(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> AnnotateError {
    move |source| AnnotateError::Io {
        action: "read the image",
        place: path.display().to_string(),
        remedy: "check the folder of images that the project names",
        source,
    }
}

fn contains<T: Eq + Hash>(set: &Mutex<HashSet<T>>, value: &T) -> bool {
    let set = set.lock().unwrap_or_else(PoisonError::into_inner);
    set.contains(value)
}

/// What is forgotten is looked at again.
fn remember<T: Eq + Hash>(set: &Mutex<HashSet<T>>, value: T) {
    let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
    if set.len() >= MAX_REMEMBERED {
        set.clear();
    }
    set.insert(value);
}

/// How a task or an item goes by in what was shown.
fn task_key(assignment: &str) -> String {
    format!("task {assignment}")
}

fn item_key(item: i64) -> String {
    format!("item {item}")
}

/// How one of several images of a task or an item goes by.
fn part(key: &str, number: usize) -> String {
    format!("{key} image {number}")
}

/// Refuses to take an answer to a task of which its author cannot have seen every image.
pub(super) async fn require_of_task(
    app: &Arc<App>,
    person: &str,
    assignment: &str,
) -> Result<(), Failure> {
    let key = task_key(assignment);
    if contains(&app.images.shown, &key) {
        return Ok(());
    }
    let images = app.store.images_of_task(person, assignment).await?;
    require(app, &key, images).await
}

/// Refuses where one of the images was not sent and cannot be.
async fn require(app: &Arc<App>, key: &str, images: Vec<Image>) -> Result<(), Failure> {
    for (number, image) in images.into_iter().enumerate() {
        if !contains(&app.images.shown, &part(key, number)) {
            in_turn(app, image, Images::look).await?;
        }
    }
    Ok(())
}

/// Looks at the images of a task that is about to be given to a person, of work as well, for gold must not be told by how
/// long that takes; says whether the task is none, because its item is gold or training and cannot be shown.
pub(super) async fn passed_over(
    app: &Arc<App>,
    person: &str,
    assignment: &str,
) -> Result<bool, Failure> {
    for image in app.store.images_of_task(person, assignment).await? {
        if in_turn(app, image, Images::look).await.is_err() {
            let passed_over = app.store.pass_over(person.into(), assignment.into());
            return Ok(passed_over.await?);
        }
    }
    Ok(false)
}

/// Refuses to take a decision on an item of which nobody can see every image.
pub(super) async fn require_of_item(app: &Arc<App>, item: i64) -> Result<(), Failure> {
    let key = item_key(item);
    if contains(&app.images.shown, &key) {
        return Ok(());
    }
    let images = app.store.images_of_item(item).await?;
    require(app, &key, images).await
}

/// `GET /api/assignments/{assignment}/image/{number}`
pub(super) async fn of_task(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
    Path((assignment, number)): Path<(String, usize)>,
) -> Result<Response, Failure> {
    let images = app
        .store
        .images_of_task(&person.person, &assignment)
        .await?;
    let n = images.len();
    // A number that no image has says nothing about the item.
    let image = images.into_iter().nth(number);
    let image = image.ok_or(Refusal::NotFound("image"))?;
    let sent = send(&app, image, task_key(&assignment), number, n).await;
    if sent.is_err() {
        app.store.pass_over(person.person, assignment).await?;
    }
    sent
}

/// `GET /api/items/{item}/image/{number}`
pub(super) async fn of_item(
    State(app): State<Arc<App>>,
    Adjudicator(_): Adjudicator,
    Path((item, number)): Path<(i64, usize)>,
) -> Result<Response, Failure> {
    let images = app.store.images_of_item(item).await?;
    let n = images.len();
    let image = images.into_iter().nth(number);
    let image = image.ok_or(Refusal::NotFound("image"))?;
    send(&app, image, item_key(item), number, n).await
}

/// Sends image `number` of the `n` that a task or an item has.
async fn send(
    app: &Arc<App>,
    image: Image,
    key: String,
    number: usize,
    n: usize,
) -> Result<Response, Failure> {
    let (bytes, kind) = in_turn(app, image, Images::read).await?;
    app.images.sent(key, number, n);
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "private, max-age=3600"),
    ];
    Ok((headers, bytes).into_response())
}

/// Looks at an image, or reads it, when it is its turn. Why one cannot be shown is for the server's log.
async fn in_turn<T: Send + 'static>(
    app: &Arc<App>,
    image: Image,
    look: fn(&Images, &Image) -> Result<T, AnnotateError>,
) -> Result<T, Failure> {
    let reader = Arc::clone(app);
    let turn = app.images.turns.acquire().await;
    let found = tokio::task::spawn_blocking(move || look(&reader.images, &image)).await;
    drop(turn);
    match found {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(AnnotateError::Refused(refusal))) => Err(refusal.into()),
        Ok(Err(error)) => {
            reply::log(&error);
            Err(Refusal::NoImage.into())
        }
        Err(_) => Err(Refusal::NoImage.into()),
    }
}
