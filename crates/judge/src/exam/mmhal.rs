//! MMHal-Bench: a judge that knows what is in the picture rates each answer from 0 to 6.

use std::path::{Path, PathBuf};

use candor_data::formats::answers::Answer;
use candor_data::formats::mmhal as format;

use super::part::{add_words, mean, mean_or, share};
use super::{Exam, Files, Item, Mark, limited, request, template};
use crate::measure::Verdict;
use crate::order::InOrders;
use crate::request::Request;
use crate::template::Templates;
use crate::{JudgeError, mmhal, settings};

/// Its questions.
pub(super) struct Mmhal {
    path: PathBuf,
    rows: Vec<format::Question>,
    items: Vec<Item>,
    templates: Templates,
}

impl Mmhal {
    pub fn read(
        path: &Path,
        files: &Files,
        templates: &settings::Templates,
    ) -> Result<Self, JudgeError> {
        let rows = limited(format::read(path)?, files);
        let item = |(index, row): (usize, &format::Question)| Item {
            id: index.to_string(),
            file: 0,
            image: picture(&row.image_src).to_owned(),
            names: [row.image_id.clone(), row.image_src.clone()],
            question: row.question.clone(),
            prompt: row.question.clone(),
            instruction: "",
        };
        Ok(Self {
            path: path.to_owned(),
            items: rows.iter().enumerate().map(item).collect(),
            templates: Templates::mmhal(templates.mmhal.as_deref())?,
            rows,
        })
    }
}

/// Pictures are named by their address; saved ones go by its last part.
fn picture(source: &str) -> &str {
    match source.rsplit_once('/') {
        Some((_, name)) if source.contains("://") => name,
        _ => source,
    }
}

/// MMHal-Bench's part of the numbers: ratings by our rule and by the official one, one for each reply.
pub(crate) fn add_mmhal(verdict: &mut Verdict, ours: &[Option<u8>], official: &[Option<u8>]) {
    let score = |ratings: &[Option<u8>]| -> Vec<Option<f64>> {
        ratings.iter().map(|rating| rating.map(f64::from)).collect()
    };
    let wrong = |ratings: &[Option<u8>]| -> Vec<Option<f64>> {
        let below = |rating: u8| share(rating < mmhal::HALLUCINATED_BELOW);
        ratings.iter().map(|rating| rating.map(below)).collect()
    };
    let ([score_sum, n], [wrong_sum, _]) = (mean(&score(ours)), mean(&wrong(ours)));
    verdict.add("score", score_sum, n);
    verdict.add("hallucination", wrong_sum, n);
    verdict.add("score_official", mean_or(&score(official), 0.0), 1.0);
    verdict.add(
        "hallucination_official",
        mean_or(&wrong(official), 1.0),
        1.0,
    );
    let n_unread = ours.iter().filter(|rating| rating.is_none()).count();
    verdict.add("unread", n_unread as f64, ours.len() as f64);
    add_words(verdict);
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

impl Exam for Mmhal {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn asks_judge(&self) -> bool {
        true
    }

    fn request(&self, item: usize, answer: &str) -> Result<Option<Request>, JudgeError> {
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
    ) -> Result<Mark, JudgeError> {
        let replies = replies.usual;
        let row = &self.rows[item];
        let [ours, official] = ratings(&replies);
        let mut verdict = Verdict {
            id: self.items[item].id.clone(),
            image: row.image_id.clone(),
            picture: Some(picture(&row.image_src).to_owned()),
            group: row.question_type.clone(),
            question: row.question.clone(),
            reference: Some(row.gt_answer.clone()),
            answer: answer.text.clone(),
            read_as: ours.iter().copied().map(shown).collect(),
            replies,
            ..Verdict::default()
        };
        add_mmhal(&mut verdict, &ours, &official);
        Ok(Mark {
            verdict,
            unread: ours.contains(&None),
            scores: vec![ours.iter().map(|rating| rating.map(f64::from)).collect()],
            marks: None,
        })
    }
}
