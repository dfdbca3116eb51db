//! The command line of `candor annotate`.

use std::path::PathBuf;

use clap::Subcommand;

/// `candor annotate …`
#[derive(Debug, Subcommand)]
pub enum AnnotateCommand {
    /// Make a project of a file of comparisons and a folder of images, ready to serve.
    #[command(
        after_help = "Examples:\n  candor annotate new runs/demo/sample/candidates.jsonl --images runs/demo/world/images \
                            --out runs/people\n  \
                            candor annotate new runs/demo/sample/candidates.jsonl runs/demo/sample-1/candidates.jsonl --rank strict \
                            --images runs/demo/world/images --out runs/rankings\n\n\
                            Edit project.toml and guidelines.md there, then open it with `candor annotate serve`."
    )]
    New {
        /// The comparisons: what `candor sample` wrote, or any format that `candor reward` reads.
        #[arg(required = true)]
        candidates: Vec<PathBuf>,
        /// Let people rank the three to eight answers that all files together, of candidates or answer sets, have to one prompt.
        #[arg(long, value_enum)]
        rank: Option<Rank>,
        /// The folder of the images.
        #[arg(long)]
        images: PathBuf,
        /// The project's folder; it must not exist yet, or be empty.
        #[arg(long)]
        out: PathBuf,
        /// Decides sides, and where gold is hidden.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Import what the project names and serve the app until it is interrupted.
    #[command(
        after_help = "Examples:\n  candor annotate serve runs/demo/annotate/project.toml\n  \
                            candor annotate serve kitchens.toml streets.toml\n\n\
                            docs/annotate.md explains the project file."
    )]
    Serve {
        /// The project file, or several with a `server.path` each.
        #[arg(required = true, value_name = "PROJECT")]
        projects: Vec<PathBuf>,
    },
    /// Print a link that makes one account.
    #[command(after_help = "Example:\n  candor annotate invite project.toml --role annotator")]
    Invite {
        /// The project file.
        project: PathBuf,
        /// What the account may do.
        #[arg(long, value_enum, default_value_t = Role::Annotator)]
        role: Role,
        /// How long the link is good.
        #[arg(long, default_value_t = 168)]
        hours: u32,
    },
    /// Write what people said; gold and training items are left out.
    #[command(
        after_help = "Example:\n  candor annotate export project.toml --format preference-log \
                            --aggregate majority --out preferences.log.jsonl\n\n\
                            `candor reward` reads a preference log."
    )]
    Export {
        /// The project file.
        project: PathBuf,
        /// The format.
        #[arg(long, value_enum)]
        format: ExportFormat,
        /// How several answers become one preference; needed by the first three formats.
        #[arg(long, value_enum, required_if_eq_any = [
            ("format", "preference-log"), ("format", "llava"), ("format", "trl"),
        ])]
        aggregate: Option<Aggregate>,
        /// File to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Copy a SQLite database while the app may be running.
    #[command(after_help = "Example:\n  candor annotate backup project.toml --out backup.sqlite")]
    Backup {
        /// The project file.
        project: PathBuf,
        /// File to write; it must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Copy everything into an empty database of another kind; then name that one in the project.
    #[command(
        after_help = "Example:\n  candor annotate move project.toml --to postgres://annotate@db/annotate\n\n\
                            Stop the app first: what is answered after the copy is not in it."
    )]
    Move {
        /// The project file.
        project: PathBuf,
        /// The other database: a file for SQLite, or a postgres:// URL.
        #[arg(long)]
        to: String,
    },
}

/// Whether answers that people rank may be alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rank {
    /// Each answer has a rank of its own.
    Strict,
    /// Answers may share a rank.
    Ties,
}

/// Roles that an invitation gives.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Role {
    /// Compare.
    Annotator,
    /// Compare, and decide disputes.
    Adjudicator,
    /// Everything.
    Admin,
}

/// Formats of `candor annotate export`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum ExportFormat {
    /// candor's own preference log.
    PreferenceLog,
    /// LLaVA-Human-Preference.
    Llava,
    /// TRL's preference format, JSON lines.
    Trl,
    /// Corrections with marked words, in the manner of RLHF-V.
    Segments,
    /// Marked answers up to the end of each sentence, with whether it is clean, for `data.rated`.
    Sentences,
    /// Answers that were rated one by one, for `candor eval compare`.
    Ratings,
    /// Label Studio's JSON: tasks with everybody's annotations.
    LabelStudio,
    /// Argilla's records, with everybody's responses.
    Argilla,
    /// The event log.
    Events,
}

/// Rules of `candor annotate export`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Aggregate {
    /// What more than half of the annotators prefer.
    Majority,
    /// What an adjudicator decided; the majority where nobody had to.
    Adjudicated,
    /// What more than half of the annotators prefer, weighted by how often they are right on gold.
    Weighted,
}
