//! Which images are shown, and what the policies said about them.
//!
//! Nothing is picked by hand: images come in the order of the evaluation files, first the first ones, then
//! the first ones after them on which the policies do not err alike. The page says so.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_judge::{Benchmark, Finding, Verdict};

use crate::ReportError;
use crate::claims::stretches;
use crate::files;
use crate::summary::Policy;

/// Descriptions shown because they are the first, and because the policies differ on them.
pub const N_DESCRIBED: [usize; 2] = [4, 4];
/// The same for questions.
pub const N_ASKED: [usize; 2] = [2, 2];

/// Whose answers are shown.
const POLICIES: [Policy; 3] = [Policy::Sft, Policy::Rlhf, Policy::FactRlhf];

/// An image with what was asked and said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exhibit {
    /// The image's file name.
    pub image: String,
    /// The image as a data URI.
    pub data_uri: String,
    /// What was asked.
    pub question: String,
    /// Why it is shown.
    pub because: Because,
    /// The policies' answers.
    pub answers: Vec<(Policy, Said)>,
}

/// Why an exhibit is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It is one of the first.
    First,
    /// It is one of the next on which the policies differ.
    Differ,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its text.
    pub text: String,
    /// What the exact judge found in it.
    pub finding: Finding,
}

impl Said {
    fn n_false(&self) -> usize {
        let claims = self.finding.claims.iter();
        claims.filter(|claim| !claim.truth).count()
    }
}

/// Chooses and reads the exhibits of a demo's folder; none if there are no verdicts.
///
/// # Errors
/// A verdict file is damaged, or an image cannot be read.
pub fn read(folder: &Path) -> Result<Vec<Exhibit>, ReportError> {
    let mut exhibits = chosen(folder, Benchmark::Chair, N_DESCRIBED)?;
    exhibits.extend(chosen(folder, Benchmark::Mmhal, N_ASKED)?);
    Ok(exhibits)
}

/// What is asked in one row, and all policies' answers.
struct Asked {
    image: String,
    question: String,
    answers: Vec<(Policy, Said)>,
}

impl Asked {
    fn differ(&self) -> bool {
        let mut n_false = self.answers.iter().map(|(_, said)| said.n_false());
        let first = n_false.next();
        n_false.any(|n| Some(n) != first)
    }
}

fn chosen(
    folder: &Path,
    benchmark: Benchmark,
    wanted: [usize; 2],
) -> Result<Vec<Exhibit>, ReportError> {
    let all = asked(folder, benchmark)?;
    let differing = all.iter().map(Asked::differ).collect::<Vec<_>>();
    let picked = choose(&differing, wanted);
    let mut exhibits = Vec::with_capacity(picked.len());
    for (index, row) in all.into_iter().enumerate() {
        let Some((_, because)) = picked.iter().find(|(picked, _)| *picked == index) else {
            continue;
        };
        exhibits.push(Exhibit {
            data_uri: data_uri(&folder.join("world/images").join(&row.image))?,
            image: row.image,
            question: row.question,
            because: *because,
            answers: row.answers,
        });
    }
    Ok(exhibits)
}

/// The first rows, then the first of the others on which the policies differ.
fn choose(differing: &[bool], [n_first, n_differing]: [usize; 2]) -> Vec<(usize, Because)> {
    let first = (0..differing.len().min(n_first)).map(|index| (index, Because::First));
    let others = (n_first..differing.len()).filter(|&index| differing[index]);
    first
        .chain(
            others
                .take(n_differing)
                .map(|index| (index, Because::Differ)),
        )
        .collect()
}

/// The rows that every policy with such a file has answered, in the order of the first policy's file.
fn asked(folder: &Path, benchmark: Benchmark) -> Result<Vec<Asked>, ReportError> {
    let mut order: Vec<(String, Asked)> = Vec::new();
    let mut n_policies = 0;
    for policy in POLICIES {
        let verdicts = folder.join("eval").join(policy.key()).join("verdicts");
        let path = verdicts.join(format!("{}.jsonl", benchmark.key()));
        let Some(rows) = files::json_lines_if_there::<Verdict>(&path)? else {
            continue;
        };
        if n_policies == 0 {
            order = rows.iter().map(empty).collect();
        }
        n_policies += 1;
        let places: BTreeMap<String, usize> = order
            .iter()
            .enumerate()
            .map(|(place, (id, _))| (id.clone(), place))
            .collect();
        for (index, row) in rows.into_iter().enumerate() {
            let damaged = |problem: &str| ReportError::damaged(&path, Some(index + 1), &problem);
            let said = Said {
                text: row.answer,
                finding: row
                    .finding
                    .ok_or_else(|| damaged("the exact judge has not judged it"))?,
            };
            if stretches(&said.text, &said.finding.claims).is_none() {
                return Err(damaged(
                    "a claim's `start` and `end` lie outside of the answer",
                ));
            }
            if let Some(&place) = places.get(&row.id) {
                order[place].1.answers.push((policy, said));
            }
        }
    }
    let answered = order.into_iter().map(|(_, asked)| asked);
    Ok(answered
        .filter(|asked| asked.answers.len() == n_policies)
        .collect())
}

fn empty(row: &Verdict) -> (String, Asked) {
    let asked = Asked {
        image: row.file_name().to_owned(),
        question: row.question.clone(),
        answers: Vec::new(),
    };
    (row.id.clone(), asked)
}

/// An image, written into the page itself.
fn data_uri(path: &Path) -> Result<String, ReportError> {
    let bytes = files::bytes_if_there(path)?.ok_or_else(|| ReportError::Io {
        path: path.to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    let kind = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        _ => {
            return Err(ReportError::damaged(
                path,
                None,
                &"neither a PNG nor a JPEG",
            ));
        }
    };
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_come_first_and_then_those_that_differ() {
        let differing = [true, false, false, true, true, true];
        let picked = choose(&differing, [2, 2]);
        let expected = [
            (0, Because::First),
            (1, Because::First),
            (3, Because::Differ),
            (4, Because::Differ),
        ];
        assert_eq!(picked, expected);
        assert_eq!(choose(&differing[..1], [2, 2]), [(0, Because::First)]);
        assert_eq!(choose(&[], [2, 2]), []);
    }

    #[test]
    fn an_image_is_one_by_its_first_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        std::fs::write(&path, b"\x89PNG..").unwrap();
        assert_eq!(data_uri(&path).unwrap(), "data:image/png;base64,iVBORy4u");
        std::fs::write(&path, b"<svg>").unwrap();
        let message = data_uri(&path).unwrap_err().to_string();
        assert!(message.contains("a.png: neither a PNG"), "{message}");
        let message = data_uri(&dir.path().join("b.png")).unwrap_err().to_string();
        assert!(message.contains("b.png"), "{message}");
    }
}
