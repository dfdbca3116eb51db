//! The benchmark in which a judge compares two answers, LLaVA-Bench, in one order or in both.
//!
//! Judges tend to favour a place. With [`Identity::swap`](crate::Identity::swap) each question is asked a second
//! time with the two answers exchanged; candor's own numbers are means over both orders, the official ones are of
//! the script's order alone.

use std::collections::HashMap;

use candor_data::formats::{answers, llava_bench as bench_files};

use super::judged::{mean, mean_or, pictures, request, template, texts};
use super::{Bench, Files, Read, add_words, judged};
use crate::matching::{Known, matched};
use crate::measure::Verdict;
use crate::order::{self, InOrders};
use crate::reply::Reply;
use crate::request::Request;
use crate::template::Templates;
use crate::{JudgeError, llava_bench};

/// LLaVA-Bench's part of the numbers: marks of reference and answer, one pair for each reply. `ours` may hold
/// replies in both orders, `official` holds those in the script's.
pub(crate) fn add_llava_bench(
    verdict: &mut Verdict,
    ours: &[Option<[f64; 2]>],
    official: &[Option<[f64; 2]>],
) {
    let part = |pairs: &[Option<[f64; 2]>], k: usize| -> Vec<Option<f64>> {
        pairs
            .iter()
            .map(|pair| pair.map(|marks| marks[k]))
            .collect()
    };
    let ([reference, n], [mark, _]) = (mean(&part(ours, 0)), mean(&part(ours, 1)));
    verdict.add("relative", 100.0 * mark, reference);
    verdict.add("mark", mark, n);
    verdict.add("reference_mark", reference, n);
    let [reference, mark] = [0, 1].map(|k| mean_or(&part(official, k), -1.0));
    verdict.add("relative_official", 100.0 * mark, reference);
    let n_unread = ours.iter().filter(|pair| pair.is_none()).count();
    verdict.add("unread", n_unread as f64, ours.len() as f64);
    add_words(verdict);
}

pub(super) fn llava_bench(files: &Files, bench: &Bench<'_>) -> Result<Read, JudgeError> {
    let rows = bench_files::read_questions(&files.questions[0])?;
    let (Some(references), Some(context)) = (&files.references, &files.context) else {
        let remedy =
            "give --references (the answers of the reference) and --context (captions and boxes)";
        return Err(JudgeError::unfit(
            &files.questions[0],
            "the judge compares with a reference",
            remedy,
        ));
    };
    let ids: Vec<String> = rows.iter().map(|row| row.question_id.to_string()).collect();
    let known: Vec<Known<'_>> = rows
        .iter()
        .zip(&ids)
        .map(|(row, id)| Known {
            id,
            images: [&row.image; 2],
            question: &row.text,
        })
        .collect();
    let reference_rows = answers::read(references)?;
    let reference_rows = matched(references, &known, &reference_rows)?;
    let answers = answers::read(&files.answers[0])?;
    let answers = matched(&files.answers[0], &known, &answers)?;
    let contexts = bench_files::read_contexts(context)?;
    let contexts: HashMap<&str, &bench_files::Context> = contexts
        .iter()
        .map(|context| (context.image.as_str(), context))
        .collect();
    let templates = Templates::llava_bench(bench.templates.llava_bench.as_deref())?;
    let mut requests = Vec::new();
    for ((row, reference), answer) in rows.iter().zip(&reference_rows).zip(&answers) {
        let Some(told) = contexts.get(row.image.as_str()) else {
            let problem = format!("nothing about the image {:?}", row.image);
            return Err(JudgeError::unfit(
                context,
                problem,
                "use questions and context of the same set",
            ));
        };
        let answers = [reference.text.as_str(), &answer.text];
        requests.extend(requests_about(
            files, bench, &templates, row, told, answers,
        )?);
    }
    let replies = in_orders(
        bench.judge.replies(&requests, bench.progress)?,
        bench.judge.identity().swap,
    );
    let (mut verdicts, mut unread, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let mut orders = Vec::new();
    let items = rows
        .iter()
        .zip(&ids)
        .zip(reference_rows)
        .zip(answers)
        .zip(replies);
    for ((((row, id), reference), answer), replies) in items {
        let (verdict, marks) = marked(row, &reference.text, &answer.text, &replies);
        unread.extend(marks.all().any(Option::is_none).then(|| id.clone()));
        // Samples agree or not within an order; that the orders differ is counted apart.
        for replies in [&marks.usual, &marks.exchanged] {
            scores.push(
                replies
                    .iter()
                    .map(|pair| pair.map(|marks| marks[1]))
                    .collect(),
            );
        }
        orders.push(marks);
        verdicts.push(verdict);
    }
    let mut judged = judged(bench, templates.source(), templates.sha256(), &scores);
    judged.order = order::changes(&orders);
    Ok(Read {
        verdicts,
        unread,
        judged: Some(judged),
    })
}

/// What is asked about one item: one request, or one for each order of reference and answer.
fn requests_about(
    files: &Files,
    bench: &Bench<'_>,
    templates: &Templates,
    row: &bench_files::Question,
    told: &bench_files::Context,
    [reference, answer]: [&str; 2],
) -> Result<Vec<Request>, JudgeError> {
    let boxes = told
        .instances
        .iter()
        .map(|one| format!("{}: {:?}", one.category, one.bbox));
    let (captions, boxes) = (
        told.captions.join("\n"),
        boxes.collect::<Vec<_>>().join("\n"),
    );
    let template = template(files, templates, category(row.category))?;
    let pictures = pictures(files, bench, &row.image)?;
    let in_order = |[first, second]: [&str; 2]| {
        let values = [
            ("captions", captions.as_str()),
            ("boxes", &boxes),
            ("question", &row.text),
            ("reference", first),
            ("answer", second),
        ];
        request(
            row.question_id.to_string(),
            template,
            &values,
            pictures.clone(),
        )
    };
    let mut requests = vec![in_order([reference, answer])];
    if bench.judge.identity().swap {
        requests.push(in_order([answer, reference]));
    }
    Ok(requests)
}

/// The replies to each question by the order in which they were asked for.
fn in_orders(replies: Vec<Vec<Reply>>, swap: bool) -> Vec<InOrders<String>> {
    let mut replies = replies.into_iter().map(texts);
    let mut all = Vec::new();
    while let Some(usual) = replies.next() {
        let exchanged = if swap { replies.next() } else { None };
        all.push(InOrders {
            usual,
            exchanged: exchanged.unwrap_or_default(),
        });
    }
    all
}

/// What the replies make of an answer, and the marks of reference and answer that were read by our rule.
fn marked(
    row: &bench_files::Question,
    reference: &str,
    answer: &str,
    replies: &InOrders<String>,
) -> (Verdict, InOrders<Option<[f64; 2]>>) {
    let read = |text: &String| llava_bench::parse_pair(text);
    let turned = |[first, second]: [f64; 2]| [second, first];
    let marks = InOrders {
        usual: replies.usual.iter().map(read).collect(),
        exchanged: replies
            .exchanged
            .iter()
            .map(|text| read(text).map(turned))
            .collect(),
    };
    let official: Vec<Option<[f64; 2]>> = replies
        .usual
        .iter()
        .map(|text| llava_bench::official_pair(text))
        .collect();
    let shown = |pair: &Option<[f64; 2]>| {
        pair.map_or_else(
            || "none".to_owned(),
            |[first, second]| format!("{first} {second}"),
        )
    };
    let ours: Vec<Option<[f64; 2]>> = marks.all().copied().collect();
    let mut verdict = Verdict {
        id: row.question_id.to_string(),
        image: row.image.clone(),
        group: category(row.category).to_owned(),
        question: row.text.clone(),
        reference: Some(reference.to_owned()),
        answer: answer.to_owned(),
        read_as: ours.iter().map(shown).collect(),
        n_exchanged: replies.exchanged.len(),
        replies: replies.all().cloned().collect(),
        ..Verdict::default()
    };
    add_llava_bench(&mut verdict, &ours, &official);
    let [changed, n_pairs] = order::of_item(&marks);
    if n_pairs > 0.0 {
        verdict.add("order_changes", changed, n_pairs);
    }
    (verdict, marks)
}

fn category(category: bench_files::Category) -> &'static str {
    match category {
        bench_files::Category::Conv => "conv",
        bench_files::Category::Detail => "detail",
        bench_files::Category::Complex => "complex",
    }
}
