//! What `candor annotate …` does, one function for each command.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candor_data::atomic;
use tokio::net::TcpListener;

use crate::clock::SystemClock;
use crate::error::AnnotateError;
use crate::export::{Aggregate, Exported, Format};
use crate::import::Imported;
use crate::project::{Project, Server};
use crate::server::{self, App};
use crate::store::{Role, Serving, Store, is_postgres};
use crate::{export, import, new};

/// How long the first administrator's invitation is good, in hours.
const FIRST_INVITE_HOURS: u32 = 24;

fn blocking<T>(work: impl Future<Output = Result<T, AnnotateError>>) -> Result<T, AnnotateError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| AnnotateError::Io {
            action: "start",
            place: "the runtime".into(),
            remedy: "check the limits on threads and memory",
            source,
        })?;
    let done = runtime.block_on(work);
    // Statistics and images that are still being computed are for nobody any more.
    runtime.shutdown_background();
    done
}

async fn opened(path: &Path) -> Result<(Project, Store), AnnotateError> {
    let project = Project::read(path)?;
    let store = Store::open(&project, Arc::new(SystemClock::default())).await?;
    Ok((project, store))
}

fn link(project: &Project, secret: &str) -> String {
    format!("{}/invite/{secret}", project.url())
}

/// Says how far the images are.
fn decoded(n_done: usize, n: usize) {
    eprintln!("images: {n_done} of {n} decoded");
}

/// Says how many rows are left out, if any are.
fn tell_equal(path: &Path, n_equal: usize) {
    if n_equal > 0 {
        eprintln!(
            "{}: {n_equal} rows are left out, because too few of their answers differ",
            path.display()
        );
    }
}

/// `candor annotate new`: makes a project's folder, which is whole or not there, and returns what people will compare. All
/// images are decoded first.
///
/// # Errors
/// [`AnnotateError`] if the folder is there, a row could not be trained on, or an image is missing or damaged.
pub fn new(
    comparisons: &Path,
    images: &Path,
    out: &Path,
    seed: u64,
) -> Result<Imported, AnnotateError> {
    atomic::folder(out, |folder| {
        let project = new::write(folder, comparisons, images, seed)?;
        let imported = looked_at(&project)?;
        tell_equal(comparisons, imported.n_equal);
        Ok(imported)
    })
}

/// `candor annotate new --rank`: the same of all answers that the files have to one prompt, which people put in order; `ties` says whether
/// answers may share a rank.
///
/// # Errors
/// As [`new()`]; a prompt has more answers than people rank, none has enough, or two prompts have one id.
pub fn new_ranking(
    files: &[PathBuf],
    images: &Path,
    out: &Path,
    seed: u64,
    ties: bool,
) -> Result<Imported, AnnotateError> {
    atomic::folder(out, |folder| {
        let imported = new::write_ranking(folder, files, images, seed, ties, &decoded)?;
        tell_equal(out, imported.n_equal);
        Ok(imported)
    })
}

/// What a new project will import, once all of its images are decoded.
fn looked_at(project: &Project) -> Result<Imported, AnnotateError> {
    let mut imported = Imported::default();
    for import in &project.imports {
        let file = project.resolve(&import.file);
        let read = import::read(project, import, &file)?;
        let known: HashSet<String> = HashSet::new();
        let provided = import::provide_images(project, import, &file, &read, &known, &decoded);
        blocking(provided)?;
        imported.n_new += read.items.len();
        imported.n_equal += read.n_equal;
    }
    Ok(imported)
}

/// Where a project's database is.
fn place(project: &Project) -> PathBuf {
    let database = Path::new(&project.database);
    if is_postgres(&project.database) {
        database.to_owned()
    } else {
        project.resolve(database)
    }
}

/// Refuses projects that one server cannot have, before anything is opened.
fn check_together(paths: &[PathBuf], projects: &[Project]) -> Result<(), AnnotateError> {
    for (i, (path, project)) in paths.iter().zip(projects).enumerate() {
        let refused = |first: &Path, found: String, remedy| AnnotateError::Together {
            first: first.to_owned(),
            second: path.clone(),
            found,
            remedy,
        };
        if projects.len() > 1 && project.server.path.is_none() {
            let (other, remedy) = (&paths[usize::from(i == 0)], "give each a `server.path`");
            let found = format!("{} has no `server.path`", path.display());
            return Err(refused(other, found, remedy));
        }
        for (first, other) in paths[..i].iter().zip(projects) {
            let (own, their) = (&project.server, &other.server);
            if own.path == their.path {
                let found = format!("both lie at {}", project.base());
                return Err(refused(first, found, "give each another `server.path`"));
            }
            let address = |server: &Server| {
                (
                    server.listen,
                    server.public_url.clone(),
                    server.behind_proxy,
                )
            };
            if address(own) != address(their) {
                let found = "listen, public_url or behind_proxy differ".to_owned();
                return Err(refused(first, found, "write the same in both"));
            }
            if place(project) == place(other) {
                let found = "both name one `database`".to_owned();
                return Err(refused(first, found, "give each a database of its own"));
            }
        }
    }
    Ok(())
}

/// A project that is opened and up to date, and what keeps others from serving its database.
async fn ready(path: &Path, project: Project) -> Result<(Project, Store, Serving), AnnotateError> {
    let store = Store::open(&project, Arc::new(SystemClock::default())).await?;
    let serving = store.serve().await?;
    let imported = import::all(&project, &store, &decoded).await?;
    eprintln!("{}: {} new items", path.display(), imported.n_new);
    tell_equal(path, imported.n_equal);
    let n_other = store.n_of_other_overlap().await?;
    if n_other > 0 {
        eprintln!(
            "{}: {n_other} items were imported with another `protocol.overlap` and keep it",
            path.display()
        );
    }
    Ok((project, store, serving))
}

/// `candor annotate serve`: imports what is new and serves until it is interrupted; several projects each below its path.
///
/// # Errors
/// [`AnnotateError`] for what keeps it from starting.
///
/// # Panics
/// Without any project.
pub fn serve(paths: &[PathBuf]) -> Result<(), AnnotateError> {
    let projects: Vec<Project> = paths
        .iter()
        .map(|path| Project::read(path))
        .collect::<Result<_, _>>()?;
    check_together(paths, &projects)?;
    let listen = projects[0].server.listen;
    blocking(async {
        let mut opened = Vec::new();
        for (path, project) in paths.iter().zip(projects) {
            opened.push(ready(path, project).await?);
        }
        let refused = |source| AnnotateError::Io {
            action: "listen at",
            place: listen.to_string(),
            remedy: "stop what listens there, or change `server.listen` of the project",
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (mut apps, mut held) = (Vec::new(), Vec::new());
        for (mut project, store, serving) in opened {
            if project.server.public_url == Server::local_url(listen) {
                // Port 0 is any that is free.
                project.server.public_url = Server::local_url(address);
            }
            tracing::info!("serving {} at {address}; interrupt to stop", project.url());
            if store.is_deserted().await? {
                let (secret, _) = store.invite(Role::Admin, FIRST_INVITE_HOURS, None).await?;
                eprintln!(
                    "nobody has an account yet; become the administrator: {}",
                    link(&project, &secret)
                );
            }
            apps.push(App::new(project, store)?);
            held.push(serving);
        }
        let served = server::serve_all(apps, listener, candor_web::interrupted()).await;
        // Until here nobody else may serve the databases.
        drop(held);
        served
    })
}

/// `candor annotate invite`: returns a link that makes one account.
///
/// # Errors
/// [`AnnotateError`] if the database cannot be used.
pub fn invite(path: &Path, role: Role, hours: u32) -> Result<String, AnnotateError> {
    blocking(async {
        let (project, store) = opened(path).await?;
        let (secret, _) = store.invite(role, hours, None).await?;
        store.close().await;
        Ok(link(&project, &secret))
    })
}

/// `candor annotate export`: the judgements as a file.
///
/// # Errors
/// [`AnnotateError`] if there is nothing to export.
pub fn export(
    path: &Path,
    format: Format,
    aggregate: Option<Aggregate>,
) -> Result<Exported, AnnotateError> {
    blocking(async {
        let (project, store) = opened(path).await?;
        let exported = export::render(&store, format, aggregate, project.seed).await;
        store.close().await;
        exported
    })
}

/// `candor annotate backup`: copies a SQLite database, in use or not, to a new file.
///
/// # Errors
/// [`AnnotateError`] if the file exists or cannot be written.
pub fn backup(path: &Path, out: &Path) -> Result<(), AnnotateError> {
    blocking(async {
        let (_, store) = opened(path).await?;
        let done = store.backup(out).await;
        store.close().await;
        done
    })
}

/// `candor annotate move`: copies everything into an empty database, and returns the number of rows.
///
/// # Errors
/// [`AnnotateError`] if the other database is not empty, or a server still runs on this one.
pub fn move_to(path: &Path, database: &str) -> Result<u64, AnnotateError> {
    blocking(async {
        let (mut project, store) = opened(path).await?;
        let _alone = store.hold().await?;
        database.clone_into(&mut project.database);
        let other = Store::open(&project, Arc::new(SystemClock::default())).await?;
        let n_rows = store.copy_to(&other).await;
        other.close().await;
        store.close().await;
        n_rows
    })
}
