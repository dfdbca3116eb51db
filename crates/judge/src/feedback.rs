//! Preferences of a judge in the place of people: the paper's two questions about two answers, asked with the facts.
//!
//! Every pair is asked about in both orders, because judges lean to the answer that stands first. What more than half of a
//! pair's replies say is the judge's word, replies that could not be read counted among them; otherwise the first question
//! is a tie and the second undecided. The first question decides, and only its tie leaves it to the second, as with people
//! ([`candor_data::preference`]); a pair that neither decides is left out and counted, and so is one answer twice.

mod reading;

use std::collections::HashSet;
use std::path::Path;

use candor_data::formats::{preference, preference_log};
use candor_data::{
    Comparison, FactBook, IMAGE_PLACEHOLDER, Preference, Side, Speaker, Turn, Verdict, atomic,
};
use serde::Serialize;

use crate::budget::Tokens;
use crate::request::{Request, files};
use crate::template::Template;
use crate::{ChatJudge, Cost, Identity, Judge as _, JudgeError, Reply, Settings};
use reading::{Vote, read};

/// Candor's own prompt.
const PREFERENCE: &str = include_str!("../templates/preference.txt");
const SLOTS: [&str; 4] = ["question", "facts", "answer", "other"];

/// What a judge is asked about pairs of answers.
#[derive(Debug)]
pub struct Feedback {
    /// In the order of the file, without those of one answer twice.
    pairs: Vec<Comparison>,
    /// Two for each pair: the first answer as A, and as B.
    requests: Vec<Request>,
    template: String,
    n_pairs: usize,
}

/// SHA-256 of who compares answers by these settings, how, and by which prompt.
///
/// # Errors
/// The prompt cannot be read, or is none.
pub fn fingerprint(settings: &Settings) -> Result<String, JudgeError> {
    Ok(ChatJudge::identity_of(settings).fingerprint(&template(settings)?))
}

fn template(settings: &Settings) -> Result<Template, JudgeError> {
    Template::of(settings.templates.preference.as_deref(), PREFERENCE, &SLOTS)
}

/// What became of the pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Pairs in the file.
    pub n_pairs: usize,
    /// Of them, those of one answer twice, which nobody is asked about.
    pub n_identical: usize,
    /// Of the others, those that neither question decided.
    pub n_undecided: usize,
    /// Preferences that were written.
    pub n_preferences: usize,
    /// Of those, the share that the first question decided.
    pub first_question_share: Option<f64>,
    /// Of the pairs that were asked about, the share whose first question is a tie.
    pub tie_share: Option<f64>,
    /// Of the pairs of replies in both orders that could be read, the share that says the same to the first question.
    pub order_agreement: Option<f64>,
    /// The same for the second question.
    pub order_agreement_helpful: Option<f64>,
    /// Of the replies to the first question that are no tie, the share that favours the answer shown first; one half means no
    /// leaning.
    pub favours_first: Option<f64>,
    /// Replies.
    pub n_replies: usize,
    /// Those without a readable answer to the first question, or to the second.
    pub n_unparsed: usize,
    /// Who judged.
    pub judge: Identity,
    /// SHA-256 of the prompt's template.
    pub template: String,
    /// What it has cost, everything that the cache remembers included.
    pub cost: Cost,
}

impl Feedback {
    /// Writes the questions about the pairs of a file. `images` is the folder of the images for a judge that is shown them;
    /// `path` is the file of the pairs and `facts` its book with the file that it was read from.
    ///
    /// # Errors
    /// The prompt shows facts and nothing is known of an image, or the judge is shown images and there is no folder.
    pub fn new(
        path: &Path,
        pairs: Vec<Comparison>,
        settings: &Settings,
        facts: Option<(&Path, &FactBook)>,
        images: Option<&Path>,
    ) -> Result<Self, JudgeError> {
        let template = template(settings)?;
        let folder = shown_from(path, settings, images)?;
        if template.has("facts") && facts.is_none() {
            return Err(untold(path));
        }
        let n_pairs = pairs.len();
        let mut ids = HashSet::new();
        if let Some(pair) = pairs.iter().find(|pair| !ids.insert(&pair.id)) {
            let problem = format!("two pairs have the id {:?}", pair.id);
            return Err(JudgeError::unfit(
                path,
                problem,
                "give each an id of its own",
            ));
        }
        let pairs: Vec<Comparison> = pairs.into_iter().filter(|pair| !pair.is_equal()).collect();
        let mut requests = Vec::with_capacity(2 * pairs.len());
        for pair in &pairs {
            let facts = if template.has("facts") {
                known(path, pair, facts)?
            } else {
                String::new()
            };
            let images = pair.image.as_deref().zip(folder);
            let images = images.map_or_else(Vec::new, |(shown, folder)| files(folder, shown));
            for [a, b] in [[0, 1], [1, 0]] {
                let values = [
                    ("question", asked(&pair.turns)),
                    ("facts", facts.clone()),
                    ("answer", pair.outputs[a].clone()),
                    ("other", pair.outputs[b].clone()),
                ];
                let values = values.each_ref().map(|(slot, text)| (*slot, text.as_str()));
                requests.push(Request {
                    id: pair.id.clone(),
                    system: None,
                    user: template.fill(&values),
                    images: images.clone(),
                    template: template.sha256.clone(),
                });
            }
        }
        Ok(Self {
            pairs,
            requests,
            template: template.sha256,
            n_pairs,
        })
    }

    /// Replies that are not there yet, and the most that they can cost.
    ///
    /// # Errors
    /// An image cannot be read.
    pub fn outstanding(&self, judge: &ChatJudge) -> Result<(usize, Tokens), JudgeError> {
        judge.outstanding(&self.requests)
    }

    /// Asks what is not there yet, and says what the judge prefers.
    ///
    /// # Errors
    /// Not every reply could be had; those that could are kept.
    pub fn ask(
        self,
        judge: &ChatJudge,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Preference>, Summary), JudgeError> {
        let replies = judge.replies(&self.requests, progress)?;
        let votes: Vec<[Vec<Vote>; 2]> = replies
            .chunks_exact(2)
            .map(|orders| [votes(&orders[0], false), votes(&orders[1], true)])
            .collect();
        let all = || votes.iter().flatten().flatten();
        let n_asked = self.pairs.len();
        let pairs = self.pairs.into_iter().zip(&votes);
        let judged: Vec<Preference> = pairs.map(|(pair, votes)| preference(pair, votes)).collect();
        let n_ties = judged
            .iter()
            .filter(|row| row.fewer_hallucinations == Verdict::Tie)
            .count();
        let decided = judged.into_iter().filter(|row| row.preferred().is_some());
        let preferences: Vec<Preference> = decided.collect();
        let n_first = (preferences.iter())
            .filter(|row| row.fewer_hallucinations != Verdict::Tie)
            .count();
        let leaning = votes.iter().flat_map(|[usual, exchanged]| {
            let first = |votes: &[Vote], side: Verdict| {
                let said = votes.iter().filter_map(|vote| vote.fewer);
                let said = said.filter(|said| *said != Verdict::Tie);
                said.map(|said| said == side).collect::<Vec<bool>>()
            };
            [
                first(usual, Verdict::First),
                first(exchanged, Verdict::Second),
            ]
            .concat()
        });
        let summary = Summary {
            n_pairs: self.n_pairs,
            n_identical: self.n_pairs - n_asked,
            n_undecided: n_asked - preferences.len(),
            n_preferences: preferences.len(),
            first_question_share: share(n_first, preferences.len()),
            tie_share: share(n_ties, n_asked),
            order_agreement: agreement(&votes, |vote| vote.fewer),
            order_agreement_helpful: agreement(&votes, |vote| vote.helpful),
            favours_first: share_of(leaning),
            n_replies: all().count(),
            n_unparsed: all()
                .filter(|vote| vote.fewer.is_none() || vote.helpful.is_none())
                .count(),
            judge: judge.identity(),
            template: self.template,
            cost: judge.cost(),
        };
        Ok((preferences, summary))
    }
}

/// Writes what a judge prefers; beside it a log of both questions (`.log.jsonl`) and the counts (`.summary.json`).
///
/// # Errors
/// A file cannot be written.
pub fn write(out: &Path, rows: &[Preference], summary: &Summary) -> Result<(), JudgeError> {
    let beside = |ending: &str| out.with_extension(ending);
    preference_log::write(&beside("log.jsonl"), rows)?;
    preference::write(out, rows)?;
    let json = serde_json::to_string_pretty(summary).map_err(|error| {
        JudgeError::unfit(out, error.to_string(), "this is a bug, please report it")
    })?;
    Ok(atomic::write(
        &beside("summary.json"),
        (json + "\n").as_bytes(),
    )?)
}

fn untold(path: &Path) -> JudgeError {
    JudgeError::unfit(
        path,
        "the judge's prompt shows facts, and their file is not named",
        "give --facts, or a prompt without {facts}",
    )
}

/// The folder of the images that the judge is shown, if it is shown any.
pub(crate) fn shown_from<'a>(
    path: &Path,
    settings: &Settings,
    images: Option<&'a Path>,
) -> Result<Option<&'a Path>, JudgeError> {
    if settings.request.images && images.is_none() {
        let problem = "the judge is shown images (request.images), and their folder is not named";
        return Err(JudgeError::unfit(path, problem, "give --images"));
    }
    Ok(images.filter(|_| settings.request.images))
}

/// The facts about a pair's image, a line each.
pub(crate) fn known(
    path: &Path,
    pair: &Comparison,
    facts: Option<(&Path, &FactBook)>,
) -> Result<String, JudgeError> {
    let Some((file, book)) = facts else {
        return Err(untold(path));
    };
    let captions = pair.image.as_deref().and_then(|image| book.get(image));
    let captions = captions.map_or(&[] as &[String], |facts| &facts.captions);
    if captions.is_empty() {
        let image = pair.image.as_deref().unwrap_or("a pair without an image");
        let problem = format!("it has no captions of {image}, which {} is about", pair.id);
        return Err(JudgeError::unfit(
            file,
            problem,
            "add them, or remove the pair",
        ));
    }
    let lines: Vec<String> = captions.iter().map(|line| format!("- {line}")).collect();
    Ok(lines.join("\n"))
}

/// What answers respond to, without the place of the image; who said what only where there were several turns.
#[must_use]
pub fn asked(turns: &[Turn]) -> String {
    let said = |turn: &Turn| turn.value.replace(IMAGE_PLACEHOLDER, "").trim().to_owned();
    if let [one] = turns {
        return said(one);
    }
    let line = |turn: &Turn| {
        let who = match turn.from {
            Speaker::Human => "Human",
            Speaker::Gpt => "Program",
        };
        format!("{who}: {}", said(turn))
    };
    turns.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What replies say of the pair's first and second answer, where the second may have been shown first.
fn votes(replies: &[Reply], exchanged: bool) -> Vec<Vote> {
    let vote = |reply: &Reply| {
        let vote = read(&reply.text);
        if exchanged { vote.exchanged() } else { vote }
    };
    replies.iter().map(vote).collect()
}

/// What more than half of the replies say.
fn preference(pair: Comparison, votes: &[Vec<Vote>; 2]) -> Preference {
    let n = votes.iter().flatten().count();
    let more_than_half = |says: &dyn Fn(&Vote) -> bool| {
        2 * votes.iter().flatten().filter(|vote| says(vote)).count() > n
    };
    let sides = [Side::First, Side::Second];
    let fewer = sides.into_iter().find(|side| {
        let side = Verdict::from(*side);
        more_than_half(&|vote| vote.fewer == Some(side))
    });
    Preference {
        id: pair.id,
        image: pair.image,
        turns: pair.turns,
        original_answer: pair.original_answer,
        outputs: pair.outputs,
        fewer_hallucinations: fewer.map_or(Verdict::Tie, Verdict::from),
        more_helpful: sides
            .into_iter()
            .find(|side| more_than_half(&|vote| vote.helpful == Some(*side))),
        record: None,
        explanation: None,
    }
}

/// Of the replies in both orders that say something, sample by sample, the share that says the same.
fn agreement<T: PartialEq>(
    votes: &[[Vec<Vote>; 2]],
    of: impl Fn(&Vote) -> Option<T>,
) -> Option<f64> {
    let mut same = Vec::new();
    for [usual, exchanged] in votes {
        let both = usual.iter().zip(exchanged);
        let said = both.filter_map(|(left, right)| Some((of(left)?, of(right)?)));
        same.extend(said.map(|(left, right)| left == right));
    }
    share_of(same)
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn share_of(said: impl IntoIterator<Item = bool>) -> Option<f64> {
    let said: Vec<bool> = said.into_iter().collect();
    share(said.iter().filter(|yes| **yes).count(), said.len())
}
