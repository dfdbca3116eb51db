//! A judge as a term: the rating in its reply, over the highest that there is.
//!
//! It is told question, facts, the data set's answer and the response, and shown the image where `judge.toml` says so. Its
//! cache, cap, limits and tries are those of evaluation. Of several replies the mean of those that hold a rating counts. What
//! the judge refuses (a filter, a text that is too long) it would refuse again: it is as good as a reply without a rating, unless
//! everything is refused, which is no response's fault.

use std::path::{Path, PathBuf};

use super::Answered;
use super::recipe::JudgeRecipe;
use crate::mmhal::{MAX_SCORE, read_rating};
use crate::request::{Request, files};
use crate::settings::Settings;
use crate::template::Template;
use crate::{ChatJudge, Judge as _, JudgeError, Reply};

/// Candor's own prompt.
const REWARD: &str = include_str!("../../templates/reward.txt");
const SLOTS: [&str; 4] = ["question", "facts", "reference", "answer"];

/// A judge that rates.
#[derive(Debug)]
pub(super) struct Rater {
    term: String,
    judge: ChatJudge,
    template: Template,
    cache: PathBuf,
    images: Option<PathBuf>,
    unparsed: Option<f64>,
}

/// Whether a judge's prompt has a place for facts.
pub(super) fn wants_facts(recipe: &JudgeRecipe) -> Result<bool, JudgeError> {
    Ok(settings(recipe)?.1.has("facts"))
}

/// SHA-256 of who judges, how, and by which prompt, where nobody is asked.
pub(super) fn fingerprint(recipe: &JudgeRecipe) -> Result<String, JudgeError> {
    let (settings, template) = settings(recipe)?;
    Ok(ChatJudge::identity_of(&settings).fingerprint(&template))
}

fn settings(recipe: &JudgeRecipe) -> Result<(Settings, Template), JudgeError> {
    let settings = Settings::read(&recipe.settings)?;
    let template = Template::of(settings.templates.reward.as_deref(), REWARD, &SLOTS)?;
    Ok((settings, template))
}

impl Rater {
    pub(super) fn open(
        term: &str,
        recipe: &JudgeRecipe,
        images: &Path,
    ) -> Result<Self, JudgeError> {
        let (settings, template) = settings(recipe)?;
        Ok(Self {
            term: term.to_owned(),
            template,
            cache: settings.cache.clone(),
            images: settings.request.images.then(|| images.to_owned()),
            judge: ChatJudge::open(&recipe.settings, settings, 0)?,
            unparsed: recipe.unparsed,
        })
    }

    /// SHA-256 of who judges, how, and by which prompt.
    pub(super) fn fingerprint(&self) -> String {
        self.judge.identity().fingerprint(&self.template)
    }

    pub(super) fn of(&self, responses: &[Answered<'_>]) -> Result<Vec<Option<f64>>, JudgeError> {
        let requests: Vec<Request> = responses.iter().map(|r| self.request(r)).collect();
        let replies = if self.unparsed.is_some() {
            self.judge.replies_or_refusals(&requests)
        } else {
            self.judge.replies(&requests, &|_| ())
        };
        let replies = replies.map_err(|error| JudgeError::Reward {
            term: self.term.clone(),
            problem: error.to_string(),
            remedy: if self.unparsed.is_none() && self.judge.has_refused() {
                format!(
                    "then continue the run; where the judge refuses a response for good, {}",
                    self.unparsed_remedy()
                )
            } else {
                "then continue the run".to_owned()
            },
        })?;
        let both = responses.iter().zip(replies);
        both.map(|(response, replies)| self.rating(response.id, &replies).map(Some))
            .collect()
    }

    fn request(&self, response: &Answered<'_>) -> Request {
        let facts: Vec<String> = response.facts.iter().map(|f| format!("- {f}")).collect();
        let values = [
            ("question", response.question),
            ("facts", &facts.join("\n")),
            ("reference", response.reference.unwrap_or("(none is given)")),
            ("answer", response.answer),
        ];
        let images = response.image.zip(self.images.as_ref());
        Request {
            id: response.id.to_owned(),
            system: None,
            user: self.template.fill(&values),
            images: images.map_or_else(Vec::new, |(shown, folder)| files(folder, shown)),
            template: self.template.sha256.clone(),
        }
    }

    /// The mean of the ratings, from 0 to 1.
    fn rating(&self, id: &str, replies: &[Reply]) -> Result<f64, JudgeError> {
        let read = replies.iter().filter_map(|reply| read_rating(&reply.text));
        let ratings: Vec<f64> = read.map(f64::from).collect();
        if !ratings.is_empty() {
            let n = ratings.len() as f64;
            return Ok(ratings.iter().sum::<f64>() / n / f64::from(MAX_SCORE));
        }
        self.unparsed.ok_or_else(|| {
            let reply = replies.first().map_or("", |reply| reply.text.as_str());
            let shown: String = reply.chars().take(200).collect();
            JudgeError::Reward {
                term: self.term.clone(),
                problem: format!("the judge's reply about {id} holds no rating: {shown:?}"),
                remedy: self.unparsed_remedy(),
            }
        })
    }

    fn unparsed_remedy(&self) -> String {
        format!(
            "say in `unparsed` of the term what such a response earns and give the command again (`candor rl` goes on with --resume): \
             every reply is kept in {} and not paid for again",
            self.cache.display()
        )
    }
}
