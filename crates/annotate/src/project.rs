//! The project file: what an administrator decides before anybody annotates.
//!
//! What changes results (overlap, gold rate, reading time, seed …) has no default and must be written down; the
//! rest may be left out. All mistakes are reported at once. `docs/annotate.md` explains every field.

mod asking;
mod keys;
mod oidc;
mod pay;
mod reading;
mod secret;
mod webhook;
mod wording;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use candor_data::bounded::{self, Bound};
use candor_data::image::ImageLimits;
use candor_data::{ComparisonFormat, sha256};
use serde::Serialize;

pub use self::keys::Keys;
pub use self::oidc::{Oidc, is_private_way};
pub use self::pay::{Pay, Rate, amount};
pub use self::secret::{Secret, SecretPlace};
pub use self::webhook::{HookEvent, Webhook};
pub use self::wording::{Question, Questions, Ranking, Scale};
use crate::error::AnnotateError;

/// Largest project file, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// A project, as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Where the file is; relative paths in it start there.
    pub folder: PathBuf,
    /// Shown on every page.
    pub title: String,
    /// A file for SQLite, or a `postgres://` URL.
    pub database: String,
    /// Decides sides and where gold is hidden.
    pub seed: u64,
    /// How people reach the app.
    pub server: Server,
    /// Who else says who people are.
    pub oidc: Option<Oidc>,
    /// Who is told when something has happened.
    pub webhooks: Vec<Webhook>,
    /// The rules of the work.
    pub protocol: Protocol,
    /// The round before the work.
    pub training: Training,
    /// What people are paid.
    pub pay: Option<Pay>,
    /// What annotators read first.
    pub guidelines: Guidelines,
    /// What is asked about two answers.
    pub questions: Questions,
    /// What is asked about one.
    pub scale: Scale,
    /// What is asked about three or more.
    pub ranking: Ranking,
    /// Which key does what.
    pub keys: Keys,
    /// Where items come from.
    pub imports: Vec<Import>,
}

/// How people reach the app.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Address and port to listen at.
    pub listen: SocketAddr,
    /// The address in people's browsers, without a path; `https://` makes cookies secure. Where the file leaves it out, it
    /// is [`Server::local_url`].
    pub public_url: String,
    /// Where the project lies on the server, without slashes; none where it has the server for itself.
    pub path: Option<String>,
    /// A session ends after this time without a request.
    pub session_hours: u32,
    /// Whether a reverse proxy stands in front, whose last `X-Forwarded-For` entry is the client.
    pub behind_proxy: bool,
    /// Largest image, in megapixels.
    pub max_megapixels: u32,
}

impl Server {
    /// Where the app listens unless the file says it.
    const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);

    /// Where the app is reached without anything in front of it.
    #[must_use]
    pub fn local_url(listen: SocketAddr) -> String {
        let ip = listen.ip();
        if ip.is_loopback() || ip.is_unspecified() {
            format!("http://localhost:{}", listen.port())
        } else {
            format!("http://{listen}")
        }
    }
}

/// The rules of the work.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// People who compare each item.
    pub overlap: u32,
    /// Share of what a person gets that is hidden gold.
    pub gold_rate: f64,
    /// An answer that comes sooner after the task was shown is refused.
    pub min_reading_secs: u32,
    /// When an item with all its answers goes to adjudication.
    pub dispute: Dispute,
    /// Whether answers that are ranked may have one rank.
    pub ranking_ties: bool,
    /// How long a task stays with somebody of whom nothing is heard.
    pub lease_secs: u32,
    /// How often the browser says that it is still there.
    pub heartbeat_secs: u32,
    /// Tasks that a page may hold at a time: the shown one and those loaded ahead.
    pub hold: u32,
    /// Answers that can be taken back, one after the other.
    pub undo: u32,
    /// An item that so many people skipped waits for an adjudicator.
    pub skip_limit: u32,
    /// How long a task waits for its author when an adjudicator sends it back.
    pub return_hours: u32,
}

/// When answers disagree so much that somebody has to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispute {
    /// No preference has more than half of the answers.
    NoMajority,
    /// The preferences are not all the same.
    AnyDifference,
    /// Never; majorities are taken as they come.
    Never,
}

/// The round before the work; skipped when no training items are imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Share of right answers that passes.
    pub pass_mark: f64,
    /// How often the round may be tried.
    pub attempts: u32,
}

/// What annotators read first: Markdown, here or in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Guidelines {
    /// The text itself.
    pub text: Option<String>,
    /// A file with it.
    pub file: Option<PathBuf>,
}

/// Where items come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The file.
    pub file: PathBuf,
    /// Its format.
    pub format: ImportFormat,
    /// What the items are for.
    pub kind: Kind,
    /// The folder of the images, or the URL of one in an object store.
    pub images: Option<String>,
    /// JSON lines `{"id": …, "scores": [s, t]}` of a reward model: uncertain items come first.
    pub scores: Option<PathBuf>,
}

impl Import {
    /// The URL of the images, where they are not in a folder of this machine.
    #[must_use]
    pub fn image_url(&self) -> Option<&str> {
        self.images
            .as_deref()
            .filter(|images| images.contains("://"))
    }

    /// The folder of the images, relative to the project: the one it names, or that of the copies of what a URL names.
    #[must_use]
    pub fn image_folder(&self) -> Option<String> {
        let copies = |url| format!("images-{}", &sha256::of(url)[..16]);
        self.image_url().map(copies).or_else(|| self.images.clone())
    }
}

/// The format of a file of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFormat {
    /// Two answers each, which people compare.
    Comparisons(ComparisonFormat),
    /// One answer each, which people rate.
    Answers,
    /// Three to eight answers each, which people rank.
    AnswerSets,
    /// Tasks of Label Studio with two answers each, which people compare.
    LabelStudio,
    /// Records of Argilla with two answers each, which people compare.
    Argilla,
    /// Records of Argilla with three to eight answers each, which people rank.
    ArgillaSets,
}

impl ImportFormat {
    /// Whether people rank its items.
    pub(crate) fn is_ranked(self) -> bool {
        matches!(self, Self::AnswerSets | Self::ArgillaSets)
    }
}

/// What an item is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To learn what people think.
    #[default]
    Work,
    /// To learn how well people work: hidden among the others, the right answer is known.
    Gold,
    /// To teach: comes before the work, with feedback.
    Training,
}

impl Kind {
    /// As the database and messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Gold => "gold",
            Self::Training => "training",
        }
    }
}

impl Project {
    /// Reads a project file.
    ///
    /// # Errors
    /// [`AnnotateError::Project`] with every mistake, [`AnnotateError::Data`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self, AnnotateError> {
        let bound = Bound {
            max_bytes: MAX_BYTES,
            action: "read the project file",
            unreadable: "check the path; docs/annotate.md shows a whole project",
            too_large: "name a project file",
        };
        let bytes = bounded::read(path, &bound)?;
        let text = String::from_utf8(bytes).map_err(|error| AnnotateError::Io {
            action: "read the project file",
            place: path.display().to_string(),
            remedy: "write it in UTF-8",
            source: io::Error::other(error.utf8_error()),
        })?;
        Self::parse(path, &text)
    }

    /// Parses the text of a project file; `path` names it in messages and says where relative paths start.
    ///
    /// # Errors
    /// [`AnnotateError::Project`] with every mistake.
    pub fn parse(path: &Path, text: &str) -> Result<Self, AnnotateError> {
        let project = reading::project(&path.display().to_string(), text)?;
        Ok(Self {
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            ..project
        })
    }

    /// A path of the file, from where the program runs.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// What an image may be to be shown.
    #[must_use]
    pub fn image_limits(&self) -> ImageLimits {
        ImageLimits {
            max_pixels: u64::from(self.server.max_megapixels) * 1_000_000,
            ..ImageLimits::default()
        }
    }

    /// The address of the app in people's browsers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.server.public_url, self.base())
    }

    /// What the path of every address of the app begins with: nothing where it has the server for itself.
    #[must_use]
    pub fn base(&self) -> String {
        let path = self.server.path.as_ref();
        path.map_or_else(String::new, |path| format!("/{path}"))
    }

    /// Whether browsers come over HTTPS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.server.public_url.starts_with("https://")
    }

    /// The guidelines' Markdown.
    ///
    /// # Errors
    /// [`AnnotateError::Io`] if their file cannot be read.
    pub fn guidelines(&self) -> Result<String, AnnotateError> {
        match &self.guidelines.file {
            None => Ok(self.guidelines.text.clone().unwrap_or_default()),
            Some(file) => {
                let path = self.resolve(file);
                std::fs::read_to_string(&path).map_err(|source| AnnotateError::Io {
                    action: "read the guidelines",
                    place: path.display().to_string(),
                    remedy: "check `guidelines.file` of the project",
                    source,
                })
            }
        }
    }
}
