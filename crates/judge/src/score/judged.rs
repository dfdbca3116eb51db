//! The benchmark whose answers a judge rates one by one, MMHal-Bench, and what all judged benchmarks share.

use std::path::PathBuf;

use candor_data::formats::{answers, images, mmhal as mmhal_file};

use super::{Bench, Files, Read, add_words, judged};
use crate::matching::{Known, matched};
use crate::measure::Verdict;
use crate::reply::Reply;
use crate::request::Request;
use crate::template::{Template, Templates};
use crate::{JudgeError, mmhal};

fn share(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// The pictures that a judge is shown with an item.
pub(super) fn pictures(
    files: &Files,
    bench: &Bench<'_>,
    image: &str,
) -> Result<Vec<PathBuf>, JudgeError> {
    if !bench.judge.identity().images {
        return Ok(Vec::new());
    }
    let Some(folder) = &files.images else {
        let remedy = "give --images FOLDER, or set request.images = false";
        return Err(JudgeError::unfit(
            &files.questions[0],
            "the judge is to see the pictures",
            remedy,
        ));
    };
    let image = saved_name(image);
    let path = images::path_in(folder, image).ok_or_else(|| {
        let remedy = "name the image relative to the image folder, without `..`";
        JudgeError::unfit(
            &files.questions[0],
            format!("{image:?} leads out of {}", folder.display()),
            remedy,
        )
    })?;
    Ok(vec![path])
}

/// MMHal-Bench names pictures by their address; saved ones go by its last part.
fn saved_name(image: &str) -> &str {
    match image.rsplit_once('/') {
        Some((_, name)) if image.contains("://") => name,
        _ => image,
    }
}

pub(super) fn request(
    id: String,
    template: &Template,
    values: &[(&str, &str)],
    images: Vec<PathBuf>,
) -> Request {
    Request {
        id,
        system: None,
        user: template.fill(values),
        images,
        template: template.sha256.clone(),
    }
}

/// Mean of what could be read, as part and whole: nothing where nothing could.
pub(super) fn mean(values: &[Option<f64>]) -> [f64; 2] {
    let read: Vec<f64> = values.iter().flatten().copied().collect();
    if read.is_empty() {
        return [0.0; 2];
    }
    [read.iter().sum::<f64>() / read.len() as f64, 1.0]
}

/// The mean over all replies, those that could not be read counting as `instead`.
pub(super) fn mean_or(values: &[Option<f64>], instead: f64) -> f64 {
    values
        .iter()
        .map(|value| value.unwrap_or(instead))
        .sum::<f64>()
        / values.len().max(1) as f64
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

pub(super) fn mmhal(files: &Files, bench: &Bench<'_>) -> Result<Read, JudgeError> {
    let rows = mmhal_file::read(&files.questions[0])?;
    let ids: Vec<String> = (0..rows.len()).map(|index| index.to_string()).collect();
    let known: Vec<Known<'_>> = rows
        .iter()
        .zip(&ids)
        .map(|(row, id)| Known {
            id,
            images: [&row.image_id, &row.image_src],
            question: &row.question,
        })
        .collect();
    let answers = answers::read(&files.answers[0])?;
    let answers = matched(&files.answers[0], &known, &answers)?;
    let templates = Templates::mmhal(bench.templates.mmhal.as_deref())?;
    let mut requests = Vec::new();
    for ((row, id), answer) in rows.iter().zip(&ids).zip(&answers) {
        let content = row.image_content.join(", ");
        let values = [
            ("image_content", content.as_str()),
            ("question", &row.question),
            ("reference", &row.gt_answer),
            ("answer", &answer.text),
        ];
        let template = template(files, &templates, &row.question_type)?;
        requests.push(request(
            id.clone(),
            template,
            &values,
            pictures(files, bench, &row.image_src)?,
        ));
    }
    let replies = bench.judge.replies(&requests, bench.progress)?;
    let (mut verdicts, mut unread, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for (((row, id), answer), replies) in rows.iter().zip(&ids).zip(answers).zip(replies) {
        let texts = texts(replies);
        let official: Vec<Option<u8>> =
            texts.iter().map(|text| mmhal::parse_rating(text)).collect();
        // Where the official rule reads a reply and ours does not, nothing is in doubt.
        let ours: Vec<Option<u8>> = texts
            .iter()
            .zip(&official)
            .map(|(text, o)| mmhal::parse_rating_line(text).or(*o))
            .collect();
        let mut verdict = Verdict {
            id: id.clone(),
            image: row.image_id.clone(),
            picture: Some(saved_name(&row.image_src).to_owned()),
            group: row.question_type.clone(),
            question: row.question.clone(),
            reference: Some(row.gt_answer.clone()),
            answer: answer.text.clone(),
            read_as: ours
                .iter()
                .map(|rating| shown(rating.map(f64::from)))
                .collect(),
            replies: texts,
            ..Verdict::default()
        };
        add_mmhal(&mut verdict, &ours, &official);
        unread.extend(ours.contains(&None).then(|| id.clone()));
        scores.push(ours.iter().map(|rating| rating.map(f64::from)).collect());
        verdicts.push(verdict);
    }
    let judged = judged(bench, templates.source(), templates.sha256(), &scores);
    Ok(Read {
        verdicts,
        unread,
        judged: Some(judged),
    })
}

pub(super) fn template<'a>(
    files: &Files,
    templates: &'a Templates,
    category: &str,
) -> Result<&'a Template, JudgeError> {
    templates.of(category).ok_or_else(|| {
        let problem = format!(
            "the judge's rules ({}) have none for {category:?}",
            templates.source()
        );
        JudgeError::unfit(
            &files.questions[0],
            problem,
            "use the rules that belong to the questions",
        )
    })
}

pub(super) fn texts(replies: Vec<Reply>) -> Vec<String> {
    replies.into_iter().map(|reply| reply.text).collect()
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
