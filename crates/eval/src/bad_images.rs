//! Images that cannot be shown, each with the questions that ask about it, so that one message names all there is to mend.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use candor_data::rows::RowFault;

/// Images that cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadImages {
    bad: Vec<BadImage>,
    /// Of how many.
    n: usize,
}

/// An image that cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BadImage {
    fault: RowFault,
    /// The questions that ask about it, by their files.
    asked: BTreeMap<PathBuf, Vec<String>>,
}

impl BadImages {
    /// So many are named; the rest is counted.
    const SHOWN: usize = 20;
    /// So many questions of a file are named for each; the rest is counted.
    const SHOWN_QUESTIONS: usize = 5;

    /// Those among `asked`, which has the questions about each image by their files, that have one of `faults`; `None` if
    /// there are none.
    pub(crate) fn of(
        asked: BTreeMap<&String, BTreeMap<PathBuf, Vec<String>>>,
        faults: &BTreeMap<String, RowFault>,
    ) -> Option<Self> {
        let n = asked.len();
        let bad = asked.into_iter().filter_map(|(image, asked)| {
            let fault = faults.get(image)?.clone();
            Some(BadImage { fault, asked })
        });
        let bad: Vec<BadImage> = bad.collect();
        (!bad.is_empty()).then_some(Self { bad, n })
    }
}

impl fmt::Display for BadImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.bad.len();
        write!(f, "{n} of {} images cannot be shown:", self.n)?;
        for one in self.bad.iter().take(Self::SHOWN) {
            write!(f, "\n  {one}")?;
        }
        match n.saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl fmt::Display for BadImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; {}; asked about by ",
            self.fault.found, self.fault.remedy
        )?;
        for (at, (file, ids)) in self.asked.iter().enumerate() {
            let shown = ids.iter().take(BadImages::SHOWN_QUESTIONS);
            let shown: Vec<String> = shown.map(|id| format!("{id:?}")).collect();
            let between = if at > 0 { ", and by " } else { "" };
            write!(f, "{between}{}", shown.join(", "))?;
            if let more @ 1.. = ids.len().saturating_sub(BadImages::SHOWN_QUESTIONS) {
                write!(f, " and {more} more")?;
            }
            write!(f, " of {}", file.display())?;
        }
        Ok(())
    }
}
