//! Labels of a judge for the sentences of answers, in the place of people's marks: what a reward model of segments learns from.
//!
//! Each sentence is asked about by itself, with the answer up to it and the facts: false, clean, or nothing to check. What more
//! than half of its replies say is its label, replies that could not be read counted among them; a sentence with nothing to
//! check, and one of which no more than half say the same, is left out and counted. A judge may be asked about one kind of
//! falsehood alone ([`Kind`]), for a reward model of that kind. FGAIF (arXiv 2404.05046) has these three
//! classes, of objects, attributes and relations each.

use std::collections::HashSet;
use std::path::Path;

use candor_data::sentences::sentences;
use candor_data::{Comparison, FactBook, RatedAnswer};
use serde::Serialize;

use crate::budget::Tokens;
use crate::feedback::{asked, known, shown_from};
use crate::final_part::without_reasoning;
use crate::request::{Request, files};
use crate::template::Template;
use crate::{ChatJudge, Cost, Identity, Judge as _, JudgeError, Settings};

/// Candor's own prompt.
const SENTENCE: &str = include_str!("../templates/sentence.txt");
/// Candor's own prompt about one kind of falsehood, which stands where it says [`KIND`].
const SENTENCE_OF_KIND: &str = include_str!("../templates/sentence_of_kind.txt");
const KIND: &str = "KIND";
const SLOTS: [&str; 4] = ["question", "facts", "before", "answer"];

/// A kind of falsehood, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Objects that are not there.
    Objects,
    /// What objects are like.
    Attributes,
    /// How objects stand to each other.
    Relations,
}

impl Kind {
    /// What a judge is told to check.
    fn words(self) -> &'static str {
        match self {
            Self::Objects => {
                "whether the things, animals and people that the sentence names are in the picture"
            }
            Self::Attributes => {
                "whether things, animals and people are as the sentence says, in colour, number, size, shape, material, state or \
                 what they do; whether they are there at all is not this"
            }
            Self::Relations => {
                "whether things, animals and people stand to each other as the sentence says, in place or in what one does to \
                 another; whether they are there at all, and what each is like, is not this"
            }
        }
    }
}

/// What a judge is asked about sentences.
#[derive(Debug)]
pub struct SentenceLabels {
    /// An answer up to the end of each sentence, its label not known yet.
    rows: Vec<RatedAnswer>,
    /// One for each of them.
    requests: Vec<Request>,
    template: String,
    n_answers: usize,
}

/// What became of the sentences.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelSummary {
    /// Answers, each text to a prompt once.
    pub n_answers: usize,
    /// Their sentences.
    pub n_sentences: usize,
    /// Of them, the clean ones.
    pub n_clean: usize,
    /// The false ones.
    pub n_false: usize,
    /// Those with nothing to check.
    pub n_nothing: usize,
    /// Those of which no more than half of the replies say the same.
    pub n_undecided: usize,
    /// Replies.
    pub n_replies: usize,
    /// Those that could not be read.
    pub n_unparsed: usize,
    /// Who judged.
    pub judge: Identity,
    /// SHA-256 of the prompt's template.
    pub template: String,
    /// What it has cost, everything that the cache remembers included.
    pub cost: Cost,
}

/// What a reply says of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    False,
    Clean,
    Nothing,
}

impl SentenceLabels {
    /// Writes the questions about the sentences of a file's answers, about falsehoods of one kind or of any. `images` is the folder
    /// of the images for a judge that is shown them; `path` is the file and `facts` the book with the file that it was read from.
    ///
    /// # Errors
    /// Nothing is known of an image, or the judge is shown images and there is no folder.
    pub fn new(
        path: &Path,
        pairs: &[Comparison],
        settings: &Settings,
        facts: Option<(&Path, &FactBook)>,
        images: Option<&Path>,
        kind: Option<Kind>,
    ) -> Result<Self, JudgeError> {
        let template = match kind {
            None => Template::of(None, SENTENCE, &SLOTS)?,
            Some(kind) => {
                Template::of(None, &SENTENCE_OF_KIND.replace(KIND, kind.words()), &SLOTS)?
            }
        };
        let folder = shown_from(path, settings, images)?;
        let (mut rows, mut requests, mut n_answers) = (Vec::new(), Vec::new(), 0);
        let mut taken = HashSet::new();
        for pair in pairs {
            let facts = known(path, pair, facts)?;
            let shown = pair.image.as_deref().zip(folder);
            let shown = shown.map_or_else(Vec::new, |(shown, folder)| files(folder, shown));
            let question = asked(&pair.turns);
            for (letter, output) in ["a", "b"].into_iter().zip(&pair.outputs) {
                let text = output.trim();
                if !taken.insert((pair.image.clone(), pair.turns.clone(), text.to_owned())) {
                    continue;
                }
                n_answers += 1;
                for (place, range) in sentences(text).into_iter().enumerate() {
                    let row = RatedAnswer {
                        id: format!("{}-{letter}-{place}", pair.id),
                        image: pair.image.clone(),
                        turns: pair.turns.clone(),
                        answer: text[..range.end].trim().to_owned(),
                        is_desirable: false,
                    };
                    let values = [
                        ("question", question.as_str()),
                        ("facts", facts.as_str()),
                        ("before", text[..range.start].trim()),
                        ("answer", text[range].trim()),
                    ];
                    requests.push(Request {
                        id: row.id.clone(),
                        system: None,
                        user: template.fill(&values),
                        images: shown.clone(),
                        template: template.sha256.clone(),
                    });
                    rows.push(row);
                }
            }
        }
        Ok(Self {
            rows,
            requests,
            template: template.sha256,
            n_answers,
        })
    }

    /// Replies that are not there yet, and the most that they can cost.
    ///
    /// # Errors
    /// An image cannot be read.
    pub fn outstanding(&self, judge: &ChatJudge) -> Result<(usize, Tokens), JudgeError> {
        judge.outstanding(&self.requests)
    }

    /// Asks what is not there yet; the sentences that are clean or false.
    ///
    /// # Errors
    /// Not every reply could be had; those that could are kept.
    pub fn ask(
        self,
        judge: &ChatJudge,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<RatedAnswer>, LabelSummary), JudgeError> {
        let replies = judge.replies(&self.requests, progress)?;
        let said: Vec<Vec<Option<Label>>> = replies
            .iter()
            .map(|of_one| of_one.iter().map(|reply| read(&reply.text)).collect())
            .collect();
        let decided: Vec<Option<Label>> = said.iter().map(|said| majority(said)).collect();
        let count = |label: Option<Label>| decided.iter().filter(|said| **said == label).count();
        let summary = LabelSummary {
            n_answers: self.n_answers,
            n_sentences: decided.len(),
            n_clean: count(Some(Label::Clean)),
            n_false: count(Some(Label::False)),
            n_nothing: count(Some(Label::Nothing)),
            n_undecided: count(None),
            n_replies: replies.iter().map(Vec::len).sum(),
            n_unparsed: said.iter().flatten().filter(|said| said.is_none()).count(),
            judge: judge.identity(),
            template: self.template,
            cost: judge.cost(),
        };
        let labelled = self.rows.into_iter().zip(decided);
        let rows = labelled.filter_map(|(row, label)| {
            let is_desirable = match label? {
                Label::Clean => true,
                Label::False => false,
                Label::Nothing => return None,
            };
            Some(RatedAnswer {
                is_desirable,
                ..row
            })
        });
        Ok((rows.collect(), summary))
    }
}

/// What more than half of the replies say.
fn majority(said: &[Option<Label>]) -> Option<Label> {
    let says =
        |label: &Label| 2 * said.iter().filter(|one| **one == Some(*label)).count() > said.len();
    [Label::False, Label::Clean, Label::Nothing]
        .into_iter()
        .find(says)
}

/// What the line `Sentence: …` of a reply says, if all such lines say the same; what a judge thinks in `<think>` says nothing.
fn read(reply: &str) -> Option<Label> {
    let around = |c: char| c.is_whitespace() || "-*#>_`\"'“”.()[]".contains(c);
    let line = |line: &str| {
        let line = line.trim_matches(around).to_lowercase();
        let word = line
            .strip_prefix("sentence:")?
            .trim_matches(around)
            .to_owned();
        Some(match word.as_str() {
            "false" => Some(Label::False),
            "clean" => Some(Label::Clean),
            "nothing" => Some(Label::Nothing),
            _ => None,
        })
    };
    let reply = without_reasoning(reply);
    let mut said: Vec<Option<Label>> = reply.lines().filter_map(line).collect();
    said.dedup();
    match said[..] {
        [one] => one,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read_and_nothing_is_guessed() {
        for (reply, expected) in [
            ("There is no cat.\nSentence: false", Some(Label::False)),
            ("**Sentence:** clean.", Some(Label::Clean)),
            ("- sentence: NOTHING\n", Some(Label::Nothing)),
            ("Sentence: false\nSentence: clean", None),
            ("Sentence: false or clean", None),
            ("The sentence is false.", None),
            ("<think>\nSentence: clean\nbut", None),
            (
                "<think>\nSentence: clean\n</think>\nSentence: false",
                Some(Label::False),
            ),
            ("", None),
        ] {
            assert_eq!(read(reply), expected, "{reply}");
        }
    }

    #[test]
    fn more_than_half_decide() {
        let (no, yes) = (Some(Label::False), Some(Label::Clean));
        for (said, expected) in [
            (&[no][..], no),
            (&[no, yes], None),
            (&[yes, yes, None], yes),
            (&[yes, None], None),
            (&[], None),
        ] {
            assert_eq!(majority(said), expected, "{said:?}");
        }
    }
}
