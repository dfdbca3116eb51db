//! What can go wrong in the annotation app: mistakes of a project file, a database that refuses, and refusals that
//! a browser is told.

use std::io;
use std::path::PathBuf;

use candor_data::DataError;
use candor_recipe::RecipeError;

/// Everything this crate refuses to do.
#[derive(Debug, thiserror::Error)]
pub enum AnnotateError {
    /// The project file is not what it should be; all mistakes at once.
    #[error(transparent)]
    Project(#[from] RecipeError),
    /// A data file cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The operating system refused.
    #[error("cannot {action} {place}; {remedy}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// A path or an address.
        place: String,
        /// What to do.
        remedy: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database cannot be reached or brought to this version's schema.
    #[error("cannot {action} the database {database}; {remedy}")]
    Database {
        /// What was tried, as a verb.
        action: &'static str,
        /// The database, without a password.
        database: String,
        /// What to do.
        remedy: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refused a statement.
    #[error("the database refused `{sql}`")]
    Statement {
        /// The statement.
        sql: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A change was not committed, so it did not happen.
    #[error("the database did not commit: {reason}")]
    NotCommitted {
        /// Why.
        reason: String,
    },
    /// The database holds what this version cannot read.
    #[error(
        "the database has an unreadable {what}: {found}; restore a backup, or report this as a bug"
    )]
    Damaged {
        /// The column.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// The quality of the work could not be computed, and is not tried again yet.
    #[error(
        "the quality of the work cannot be computed: {reason}; it is tried again when something happens, or in a minute"
    )]
    NoQuality {
        /// Why.
        reason: String,
    },
    /// Two projects that one server cannot have.
    #[error("{} and {} cannot be served together: {found}; {remedy}", first.display(), second.display())]
    Together {
        /// The file of one.
        first: PathBuf,
        /// The file of the other.
        second: PathBuf,
        /// Why not.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Two imports disagree about an item.
    #[error(
        "{}: {kind} item {name:?} was imported before with other content; give the new item another id, or import into \
         a new project", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// What the item is for.
        kind: &'static str,
        /// The item's id.
        name: String,
    },
    /// An image is not at the URL of an import's images.
    #[error(
        "cannot fetch the image {image} from {url}; check `images` of the import, that the image is there, and the credentials in the \
         environment"
    )]
    NotThere {
        /// Its name in the rows.
        image: String,
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing to export.
    #[error("nothing to export as {format}: {found}; {remedy}")]
    NothingToExport {
        /// The format.
        format: &'static str,
        /// What there is.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A request that the rules do not allow.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why a request is refused; the browser is told the code and the sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No session.
    #[error("you are not logged in; log in and try again")]
    LoginRequired,
    /// The role is too low.
    #[error("your role does not allow this; ask an administrator")]
    Forbidden,
    /// A token that opens nothing.
    #[error("the token is unknown, revoked or expired; ask an administrator for another")]
    UnknownToken,
    /// A token that was made for something else.
    #[error("the token lacks the scope {0:?}; ask an administrator for one that has it")]
    ScopeMissing(&'static str),
    /// The request came from another site.
    #[error(
        "the request did not come from a page of this app; open the app itself, at its public address"
    )]
    CrossSite,
    /// Wrong name or password.
    #[error(
        "name or password is wrong; try again, or ask an administrator for a link to a new password"
    )]
    WrongPassword,
    /// A provider of sign-in did not vouch for anybody.
    #[error("signing in did not work: {0}; try again, and tell the administrator if it stays")]
    SignIn(String),
    /// A provider vouches for somebody whom it gives no role.
    #[error("your account has no part in this project; ask whoever runs it")]
    NoRole,
    /// The account is closed.
    #[error("your account is disabled; ask an administrator")]
    Disabled,
    /// Too many failed logins.
    #[error("too many attempts; wait {} seconds and try again", whole_secs(*retry_after_ms))]
    TooManyAttempts {
        /// How long to wait.
        retry_after_ms: i64,
    },
    /// There is no such thing, or not for this person.
    #[error("there is no such {0}; go back and load the page again")]
    NotFound(&'static str),
    /// Somebody else has the item now.
    #[error("this item was given to somebody else meanwhile; take the next one")]
    LeaseLost,
    /// The image cannot be shown, so nobody saw it.
    #[error(
        "the image of this comparison cannot be shown, so no answer about it is taken; report or skip it, and tell the \
         administrator"
    )]
    NoImage,
    /// Answered before anybody could have read it.
    #[error("read both answers first; this can be sent in {} seconds", whole_secs(*retry_after_ms))]
    TooSoon {
        /// How long to wait.
        retry_after_ms: i64,
    },
    /// One submission id with two contents.
    #[error("this submission was stored before with other content; load the page again")]
    SubmissionReused,
    /// Training items can neither be skipped nor taken back.
    #[error("training items cannot be skipped, flagged or taken back; answer them")]
    NotInTraining,
    /// No answer that could be taken back.
    #[error("there is no answer to take back; go on with the next item")]
    NothingToUndo,
    /// Somebody has decided the item already.
    #[error("this item is decided already; take the next one")]
    Decided,
    /// Adjudicators do not decide what they answered themselves.
    #[error("you answered this item yourself; leave it to another adjudicator")]
    OwnAnswer,
    /// The last administrator would be locked out.
    #[error("this is the last administrator; make somebody else administrator first")]
    LastAdmin,
    /// A value that may not be.
    #[error("{field}: {found}; {remedy}")]
    Invalid {
        /// The field.
        field: String,
        /// What was found.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl Refusal {
    /// A refusal of the value of `field`.
    pub fn invalid(
        field: impl Into<String>,
        found: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self::Invalid {
            field: field.into(),
            found: found.into(),
            remedy,
        }
    }
}

/// Milliseconds as whole seconds, rounded up.
pub(crate) fn whole_secs(ms: i64) -> i64 {
    (ms + 999) / 1000
}
