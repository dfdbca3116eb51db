//! Items that come in while the server runs: a file of rows, by the rules of one of the project's imports, and before it the images
//! that the rows name.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use candor_data::formats::images;
use candor_data::image::decode_bytes;
use candor_data::{DataError, atomic, sha256};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::App;
use super::bearer::MayImport;
use super::reply::Failure;
use crate::error::{AnnotateError, Refusal};
use crate::import::{self, Imported};
use crate::project::Import;

/// Largest file that is taken over HTTP.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Where such files are kept, beside the project.
const FOLDER: &str = "uploads";
/// Longest name of an image, in bytes.
const MAX_NAME: usize = 200;

/// Held by whoever imports over HTTP. Projects may have folders in common, so there is one for all of a server's.
static TURN: Mutex<()> = Mutex::const_new(());

/// Query of what is sent: the file of the import whose rules hold, and the name of an image, which an import of rows does not read.
#[derive(Deserialize)]
pub(super) struct Sent {
    like: Option<String>,
    name: Option<String>,
}

/// `POST /api/admin/import`
pub(super) async fn import(
    State(app): State<Arc<App>>,
    _: MayImport,
    Query(query): Query<Sent>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    let import = model(&app.project.imports, query.like.as_deref())?.clone();
    let bytes = whole(bytes)?;
    let runtime = tokio::runtime::Handle::current();
    let imported = to_its_end(move || runtime.block_on(take(&app, &import, &bytes))).await?;
    Ok(Json(json!({
        "n_new": imported.n_new, "n_equal": imported.n_equal, "left_behind": imported.left_behind
    })))
}

/// `POST /api/admin/images`
pub(super) async fn image(
    State(app): State<Arc<App>>,
    _: MayImport,
    Query(query): Query<Sent>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    let import = model(&app.project.imports, query.like.as_deref())?;
    let folder = import.image_folder().ok_or_else(|| {
        let found = "the import has no folder of images";
        Refusal::invalid("like", found, "give it `images` in the project")
    })?;
    let folder = app.project.resolve(Path::new(&folder));
    let bytes = whole(bytes)?;
    let name = query.name.unwrap_or_else(|| images::content_name(&bytes));
    let name = to_its_end(move || keep_image(&app, &folder, name, &bytes)).await?;
    Ok(Json(json!({"image": name})))
}

/// A body that has come as a whole.
fn whole(bytes: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    let remedy = "send a file of at most 64 MiB";
    let bytes = bytes.map_err(|error| Refusal::invalid("body", error.body_text(), remedy))?;
    if bytes.is_empty() {
        return Err(Refusal::invalid("body", "empty", remedy));
    }
    Ok(bytes)
}

/// Does what takes long, such as decoding images, beside all requests, and to its end when the client has left.
async fn to_its_end<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AnnotateError> + Send + 'static,
) -> Result<T, AnnotateError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| AnnotateError::Io {
        action: "finish",
        place: "the import".into(),
        remedy: "report this as a bug",
        source: io::Error::other(error),
    })?
}

/// The import of the project whose rules hold: the one of the file that is named, or the only one.
fn model<'a>(imports: &'a [Import], like: Option<&str>) -> Result<&'a Import, Refusal> {
    let remedy = "name the `file` of an [[import]] of the project";
    match (like, imports) {
        (None, [only]) => Ok(only),
        (None, _) => {
            let found = format!("missing, and the project has {} imports", imports.len());
            Err(Refusal::invalid("like", found, remedy))
        }
        (Some(like), _) => imports
            .iter()
            .find(|import| import.file == Path::new(like))
            .ok_or_else(|| Refusal::invalid("like", format!("found {like:?}"), remedy)),
    }
}

/// Keeps the file and imports it. A file that is refused is not kept.
async fn take(app: &App, import: &Import, bytes: &[u8]) -> Result<Imported, AnnotateError> {
    let _turn = TURN.lock().await;
    let folder = app.project.resolve(Path::new(FOLDER));
    std::fs::create_dir_all(&folder).map_err(|source| AnnotateError::Io {
        action: "make",
        place: folder.display().to_string(),
        remedy: "check that you may write to the project's folder",
        source,
    })?;
    let mut file = folder.join(&sha256::of(bytes)[..32]);
    if let Some(ending) = import.file.extension() {
        file.set_extension(ending);
    }
    let is_known = file.exists();
    if !is_known {
        atomic::write(&file, bytes)?;
    }
    let imported = import::added(&app.project, &app.store, import, &file).await;
    if imported.is_err() && !is_known {
        drop(std::fs::remove_file(&file));
    }
    imported.map_err(|error| of_sender(app, error))
}

/// Keeps an image under its name, unless another one has that, and returns the name.
fn keep_image(
    app: &App,
    folder: &Path,
    name: String,
    bytes: &[u8],
) -> Result<String, AnnotateError> {
    let _turn = TURN.blocking_lock();
    let refused = |found: String| Refusal::invalid("name", found, "give the image another name");
    let plain = name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    let path = images::path_in(folder, &name).filter(|path| plain && !path.is_dir());
    let path =
        path.ok_or_else(|| refused(format!("{name:?} is no name in the folder of images")))?;
    let limits = app.project.image_limits();
    decode_bytes(Path::new(&name), bytes, &limits).map_err(|error| of_sender(app, error.into()))?;
    match std::fs::read(&path) {
        Ok(there) if there == bytes => return Ok(name),
        Ok(_) => return Err(refused(format!("another image is {name:?}")).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(refused(error.to_string()).into()),
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| refused(error.to_string()))?;
    }
    // Another server may have the same folder.
    if atomic::write_new(&path, bytes)? {
        Ok(name)
    } else {
        Err(refused(format!("another image is {name:?}")).into())
    }
}

/// What a file says is the affair of whoever sent it, who is told all of it but where the project lies on this machine. What the disk
/// refuses is not.
fn of_sender(app: &App, error: AnnotateError) -> AnnotateError {
    let is_ours = |source: &io::Error| source.kind() != io::ErrorKind::InvalidData;
    let found = match &error {
        AnnotateError::Data(DataError::Io { source, .. }) if is_ours(source) => return error,
        AnnotateError::Data(_) | AnnotateError::Changed { .. } => error.to_string(),
        AnnotateError::NotThere { image, .. } => {
            format!("image {image:?} is not where the import has its images")
        }
        _ => return error,
    };
    let project = app.project.resolve(Path::new("")).display().to_string();
    let found = found.replace(&project, "").replace("; ", ", ");
    let remedy = "mend the file and send it again, nothing of it was imported";
    Refusal::invalid("body", found, remedy).into()
}
