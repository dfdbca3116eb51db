//! `POST /preferences`: what somebody at the page prefers, appended to a file that training and the annotation app read.
//!
//! The file is a preference log (`docs/formats.md`), the images lie beside it. Words that were marked as false are the
//! row's explanation.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use candor_data::formats::preference_log;
use candor_data::image::decode_bytes;
use candor_data::{DataError, LineLog, Preference, Record, Side, Turn, Verdict, atomic, sha256};
use serde_json::{Value, json};

use super::images::{LIMITS, of_data_url};
use super::{App, body};
use crate::ServeError;
use crate::api::fields::{Fields, list, text};
use crate::api::refusal::Refusal;

/// Who is named as the annotator.
const ANNOTATOR: &str = "chat page";
/// Characters of a question or an answer.
const MAX_CHARS: usize = 100_000;
/// Marked passages of an answer.
const MAX_MARKS: usize = 200;

/// The folder that preferences are kept in.
pub(super) struct Preferences {
    folder: PathBuf,
    log: Mutex<LineLog<Preference>>,
}

impl Preferences {
    /// Takes a folder, which is made if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, ServeError> {
        let images = folder.join("images");
        fs::create_dir_all(&images).map_err(|error| ServeError::Unfit {
            path: images,
            problem: format!("cannot be made: {error}"),
            remedy: "check --preferences",
        })?;
        let path = folder.join("preferences.jsonl");
        let opened = LineLog::open(&path, "correct the line, or name another folder");
        let (log, _) = opened.map_err(candor_model::ModelError::from)?;
        Ok(Self {
            folder: folder.to_owned(),
            log: Mutex::new(log),
        })
    }

    /// Appends a preference, its image first. It is on the disk when this returns.
    ///
    /// # Errors
    /// Training would refuse the row, or the disk refuses.
    fn keep(&self, row: &Preference, image: Option<&[u8]>) -> Result<(), DataError> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        preference_log::render(log.path(), std::slice::from_ref(row))?;
        if let (Some(name), Some(bytes)) = (&row.image, image) {
            let path = self.folder.join("images").join(name);
            if !path.exists() {
                atomic::write(&path, bytes)?;
            }
        }
        log.append(row)
    }
}

/// Takes a preference.
pub(super) async fn take(State(app): State<Arc<App>>, request: Request) -> Response {
    match taken(app, request).await {
        Ok(id) => Json(json!({"id": id})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn taken(app: Arc<App>, request: Request) -> Result<String, Refusal> {
    if app.preferences.is_none() {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "no_preferences",
            "no preferences are kept here; start the server with --preferences FOLDER",
        ));
    }
    let (value, permit) = body::json(&app, request).await?;
    let reading = app.images.decode(move || (read(value), permit));
    let (row, permit) = reading.await?;
    let (row, image) = row?;
    let id = row.id.clone();
    let kept = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        match &app.preferences {
            Some(preferences) => preferences.keep(&row, image.as_deref()),
            None => Ok(()),
        }
    });
    let failed = |problem: String| {
        tracing::error!("candor serve: a preference is not kept: {problem}");
        let message = "the preference could not be written; tell whoever runs the server";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "not_kept", message)
    };
    kept.await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    Ok(id)
}

/// A preference and the bytes of its image.
fn read(body: Value) -> Result<(Preference, Option<Vec<u8>>), Refusal> {
    let mut fields = Fields::of(body, "")?;
    let image = match fields.text("image")? {
        None => None,
        Some(url) => Some(image(&url).map_err(|message| Refusal::field("image", message))?),
    };
    let question = said(fields.required("question")?, "question")?;
    let outputs = [0, 1].map(|at| format!("outputs[{at}]"));
    let given = list(fields.required("outputs")?, "outputs")?;
    let Ok([first, second]) = <[Value; 2]>::try_from(given) else {
        return Err(Refusal::field("outputs", "`outputs` must be two answers"));
    };
    let outputs = [said(first, &outputs[0])?, said(second, &outputs[1])?];
    let side = |text: &str| match text {
        "first" => Some(Side::First),
        "second" => Some(Side::Second),
        _ => None,
    };
    let fewer = fields.text("fewer_hallucinations")?.unwrap_or_default();
    let fewer_hallucinations = match (side(&fewer), fewer.as_str()) {
        (Some(side), _) => Verdict::from(side),
        (None, "tie") => Verdict::Tie,
        _ => {
            let message = "`fewer_hallucinations` must be `first`, `second` or `tie`";
            return Err(Refusal::field("fewer_hallucinations", message));
        }
    };
    let more_helpful = match fields.text("more_helpful")? {
        None => None,
        Some(text) => Some(side(&text).ok_or_else(|| {
            Refusal::field("more_helpful", "`more_helpful` must be `first` or `second`")
        })?),
    };
    if fewer_hallucinations == Verdict::Tie && more_helpful.is_none() {
        let message = "`more_helpful` is missing after a tie in `fewer_hallucinations`";
        return Err(Refusal::field("more_helpful", message));
    }
    let explanation = match fields.take("false_words") {
        None => None,
        Some(marks) => explanation(marks, &outputs)?,
    };
    fields.end()?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let parts = [format!("{now:?}"), question.clone(), outputs.join("\n")];
    let (name, bytes) = image.unzip();
    let places = if name.is_some() { "<image>\n" } else { "" };
    let row = Preference {
        id: format!("page-{}", &sha256::of_bytes(parts)[..16]),
        image: name,
        turns: vec![Turn::human(format!("{places}{question}"))],
        original_answer: None,
        outputs,
        fewer_hallucinations,
        more_helpful,
        record: Some(Record {
            annotator: ANNOTATOR.to_owned(),
            unix_secs: now.as_secs(),
            seed: 0,
            shown_left: Side::First,
        }),
        explanation,
    };
    Ok((row, bytes))
}

fn said(value: Value, path: &str) -> Result<String, Refusal> {
    let said = text(value, path)?.trim().to_owned();
    if said.is_empty() || said.chars().count() > MAX_CHARS || said.contains("<image>") {
        let message = format!("`{path}` must have 1 to {MAX_CHARS} characters and no `<image>`");
        return Err(Refusal::field(path, message));
    }
    Ok(said)
}

/// The name and the bytes of an image, whose first bytes say what it is.
fn image(url: &str) -> Result<(String, Vec<u8>), String> {
    let data = url
        .strip_prefix("data:")
        .ok_or("`image` must be a data: URL")?;
    let bytes = of_data_url(data)?;
    if bytes.len() as u64 > LIMITS.max_bytes {
        return Err(format!("`image` has more than {} bytes", LIMITS.max_bytes));
    }
    decode_bytes(Path::new("image"), &bytes, &LIMITS).map_err(|error| error.to_string())?;
    let ending = match bytes.first() {
        Some(0xFF) => "jpg",
        Some(b'R') => "webp",
        _ => "png",
    };
    Ok((format!("{}.{ending}", sha256::of(&bytes)), bytes))
}

/// The marked passages as a sentence; each must stand in its answer.
fn explanation(marks: Value, outputs: &[String; 2]) -> Result<Option<String>, Refusal> {
    let marks = list(marks, "false_words")?;
    let Ok(marks) = <[Value; 2]>::try_from(marks) else {
        return Err(Refusal::field(
            "false_words",
            "`false_words` must be two lists",
        ));
    };
    let mut sentences = Vec::new();
    for ((at, marks), output) in marks.into_iter().enumerate().zip(outputs) {
        let path = format!("false_words[{at}]");
        let marks = list(marks, &path)?;
        if marks.len() > MAX_MARKS {
            return Err(Refusal::field(
                &path,
                format!("`{path}` has more than {MAX_MARKS} passages"),
            ));
        }
        let mut quoted = Vec::new();
        for (of, mark) in marks.into_iter().enumerate() {
            let path = format!("{path}[{of}]");
            let mark = text(mark, &path)?;
            if mark.is_empty() || !output.contains(&mark) {
                return Err(Refusal::field(
                    &path,
                    format!("`{path}` does not stand in its answer"),
                ));
            }
            quoted.push(format!("\u{201c}{mark}\u{201d}"));
        }
        if !quoted.is_empty() {
            let which = ["first", "second"][at];
            sentences.push(format!(
                "False in the {which} answer: {}.",
                quoted.join(", ")
            ));
        }
    }
    Ok((!sentences.is_empty()).then(|| sentences.join(" ")))
}
