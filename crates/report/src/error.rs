//! What can go wrong in making a report.

use std::path::{Path, PathBuf};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file is there and cannot be read.
    #[error("cannot read {}; check that it is a file and that you may read it", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what the stage that wrote it writes, or does not go with another.
    #[error("{}{}: {problem}; {remedy}", path.display(), Line(*line))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, where the file is read by lines; from 1.
        line: Option<usize>,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Results that an evaluation wrote.
    #[error(transparent)]
    Judge(#[from] candor_judge::JudgeError),
    /// The page cannot be written.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
}

struct Line(Option<usize>);

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

impl ReportError {
    /// A file that does not go with what it is used for.
    pub(crate) fn unfit(path: &Path, problem: String, remedy: &'static str) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line: None,
            problem,
            remedy,
        }
    }

    /// A file that does not hold what it should.
    pub(crate) fn damaged(path: &Path, line: Option<usize>, problem: &impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line,
            problem: problem.to_string(),
            remedy: "run the stage that writes it again, or remove it to have the report say that it is missing",
        }
    }
}
