//! Items that come in while the server runs: a file of rows, by the rules of one of the project's imports.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use candor_data::{atomic, sha256};
use serde::Deserialize;
use serde_json::{Value, json};

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

/// Query of `POST /api/admin/import`.
#[derive(Deserialize)]
pub(super) struct ImportQuery {
    like: Option<String>,
}

/// `POST /api/admin/import`
pub(super) async fn import(
    State(app): State<Arc<App>>,
    _: MayImport,
    Query(query): Query<ImportQuery>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    let import = Import {
        // They are of the rows in the project's file.
        scores: None,
        ..model(&app.project.imports, query.like.as_deref())?.clone()
    };
    let bytes = bytes.map_err(|rejection| {
        Refusal::invalid(
            "body",
            rejection.body_text(),
            "send at most 64 MiB at a time",
        )
    })?;
    if bytes.is_empty() {
        return Err(Refusal::invalid("body", "empty", "send a file as the project names").into());
    }
    let runtime = tokio::runtime::Handle::current();
    // Decoding images takes long, and goes on to its end when the client has left.
    let taken = tokio::task::spawn_blocking(move || runtime.block_on(take(&app, &import, &bytes)));
    let imported = taken.await.map_err(|error| AnnotateError::Io {
        action: "finish",
        place: "the import".into(),
        remedy: "report this as a bug",
        source: io::Error::other(error),
    })??;
    Ok(Json(
        json!({"n_new": imported.n_new, "n_equal": imported.n_equal}),
    ))
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
    let _turn = app.imports.lock().await;
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
    let imported = import::one(&app.project, &app.store, import, &file, &|_, _| {}).await;
    if imported.is_err() && !is_known {
        drop(std::fs::remove_file(&file));
    }
    imported.map_err(|error| match error {
        // What the file says is the sender's affair, and all of it is told.
        AnnotateError::Data(_) | AnnotateError::Changed { .. } => {
            let remedy = "mend the file and send it again; nothing of it was imported";
            Refusal::invalid("body", error.to_string().replace("; ", ", "), remedy).into()
        }
        error => error,
    })
}
