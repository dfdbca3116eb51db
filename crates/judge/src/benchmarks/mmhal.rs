//! MMHal-Bench: a judge that knows what is in the image rates each answer from 0 to 6; or the truth does.

use std::path::PathBuf;
use std::sync::Arc;

use candor_data::formats::answers::Answer;
use candor_data::formats::mmhal as format;

use super::part::{mean, mean_or, share};
use super::{About, Files, ItemScore, Task, limited, request, template};
use crate::item::Item;
use crate::measure::Better::{Higher, Lower, Neither};
use crate::measure::measure;
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::request::Request;
use crate::template::Templates;
use crate::truth::Truth;
use crate::verdict::Verdict;
use crate::{JudgeError, mmhal, settings};

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "mmhal",
    argument: "mmhal",
    label: "MMHal-Bench",
    help: "MMHal-Bench; needs a judge",
    measures: &[
        measure("score", "score (0-6)", Higher, 2),
        measure("score_official", "score, official", Higher, 2),
        measure("hallucination", "hallucination rate", Lower, 3),
        measure(
            "hallucination_official",
            "hallucination rate, official",
            Lower,
            3,
        ),
        measure("unparsed", "replies not read", Neither, 3),
    ],
    highest: Some(mmhal::MAX_SCORE as f64),
    beside: None,
    unparsed: "have a reply of the judge that could not be read",
    taken_for: "",
    is_free: true,
    has_splits: false,
    outcome: |verdict| ItemOutcome::of_mostly(verdict, "hallucination"),
    open: |files, templates| Ok(Box::new(Mmhal::read(files, templates)?)),
};

/// Its questions.
struct Mmhal {
    path: PathBuf,
    truth: Option<Arc<dyn Truth>>,
    rows: Vec<format::Question>,
    items: Vec<Item>,
    templates: Templates,
}

impl Mmhal {
    fn read(files: &Files, templates: &settings::Templates) -> Result<Self, JudgeError> {
        let path = files.first();
        let rows = limited(format::read(path)?, files);
        let item = |(index, row): (usize, &format::Question)| Item {
            id: index.to_string(),
            file: 0,
            image: image(&row.image_src).to_owned(),
            names: [row.image_id.clone(), row.image_src.clone()],
            question: row.question.clone(),
            prompt: row.question.clone(),
            instruction: "",
        };
        Ok(Self {
            path: path.to_owned(),
            truth: files.truth.clone(),
            items: rows.iter().enumerate().map(item).collect(),
            templates: Templates::mmhal(templates.mmhal.as_deref())?,
            rows,
        })
    }
}

/// Images are named by their address; saved ones go by its last part.
fn image(source: &str) -> &str {
    match source.rsplit_once('/') {
        Some((_, name)) if source.contains("://") => name,
        _ => source,
    }
}

/// What ratings add by our rule, one for each reply.
fn add(verdict: &mut Verdict, ratings: &[Option<u8>]) {
    let ([score, n], [wrong, _]) = (mean(&scores(ratings)), mean(&wrong(ratings)));
    verdict.add("score", score, n);
    verdict.add("hallucination", wrong, n);
}

/// What replies add besides: the numbers of the official rule, and what our rule could not read.
fn add_of_replies(verdict: &mut Verdict, ours: &[Option<u8>], official: &[Option<u8>]) {
    verdict.add("score_official", mean_or(&scores(official), 0.0), 1.0);
    verdict.add(
        "hallucination_official",
        mean_or(&wrong(official), 1.0),
        1.0,
    );
    let n_unparsed = ours.iter().filter(|rating| rating.is_none()).count();
    verdict.add("unparsed", n_unparsed as f64, ours.len() as f64);
}

fn scores(ratings: &[Option<u8>]) -> Vec<Option<f64>> {
    ratings.iter().map(|rating| rating.map(f64::from)).collect()
}

fn wrong(ratings: &[Option<u8>]) -> Vec<Option<f64>> {
    let below = |rating: u8| share(rating < mmhal::HALLUCINATED_BELOW);
    ratings.iter().map(|rating| rating.map(below)).collect()
}

/// Ratings by our rule and by the official one.
pub(super) fn ratings(replies: &[String]) -> [Vec<Option<u8>>; 2] {
    let official: Vec<Option<u8>> = replies
        .iter()
        .map(|text| mmhal::parse_rating(text))
        .collect();
    let ours = replies
        .iter()
        .map(|text| mmhal::read_rating(text))
        .collect();
    [ours, official]
}

/// A rating as verdicts show it.
pub(super) fn shown(rating: Option<u8>) -> String {
    rating.map_or_else(|| "none".to_owned(), |rating| rating.to_string())
}

impl Task for Mmhal {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn asks_judge(&self) -> bool {
        self.truth.is_none()
    }

    fn request(&self, item: usize, answer: &str) -> Result<Option<Request>, JudgeError> {
        if self.truth.is_some() {
            return Ok(None);
        }
        let row = &self.rows[item];
        let content = row.image_content.join(", ");
        let values = [
            ("image_content", content.as_str()),
            ("question", &row.question),
            ("reference", &row.gt_answer),
            ("answer", answer),
        ];
        let template = template(&self.path, &self.templates, &row.question_type)?;
        Ok(Some(request(&self.items[item], template, &values)))
    }

    fn templates(&self) -> Option<&Templates> {
        Some(&self.templates)
    }

    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        replies: InOrders<String>,
    ) -> Result<ItemScore, JudgeError> {
        let row = &self.rows[item];
        let mut verdict = Verdict {
            id: self.items[item].id.clone(),
            image: row.image_id.clone(),
            image_file: Some(image(&row.image_src).to_owned()),
            group: row.question_type.clone(),
            question: row.question.clone(),
            reference: Some(row.gt_answer.clone()),
            answer: answer.text.clone(),
            ..Verdict::default()
        };
        if let Some(truth) = &self.truth {
            let finding = truth.judge(&self.items[item].image, &row.question, &answer.text)?;
            let rating = Some(finding.score);
            add(&mut verdict, &[rating]);
            verdict.read_as = vec![shown(rating)];
            verdict.finding = Some(finding);
            return Ok(ItemScore {
                verdict,
                ..ItemScore::default()
            });
        }
        let [ours, official] = ratings(&replies.usual);
        add(&mut verdict, &ours);
        add_of_replies(&mut verdict, &ours, &official);
        verdict.read_as = ours.iter().copied().map(shown).collect();
        verdict.replies = replies.usual;
        Ok(ItemScore {
            verdict,
            scores: vec![scores(&ours)],
            marks: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_below_three_are_hallucinations_and_silence_is_unread() {
        let rated = |replies: &[Option<u8>]| {
            let mut verdict = Verdict::default();
            add(&mut verdict, replies);
            add_of_replies(&mut verdict, replies, replies);
            let found = (ABOUT.outcome)(&verdict);
            (found.right, found.hallucinated, found.unparsed)
        };
        assert_eq!(rated(&[Some(3)]), (Some(true), false, false));
        assert_eq!(rated(&[Some(2)]), (Some(false), true, false));
        assert_eq!(rated(&[None]), (None, false, true));
        assert_eq!(rated(&[Some(2), Some(5)]), (Some(false), true, false));
        assert_eq!(rated(&[Some(5), Some(5), None]), (Some(true), false, true));
    }
}
