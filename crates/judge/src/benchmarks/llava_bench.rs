//! LLaVA-Bench: a judge that knows captions and boxes marks a reference and the answer from 1 to 10, in one order or in
//! both.
//!
//! Judges tend to favour a place. With [`Identity::swap`](crate::judge::Identity::swap) each question is asked a second
//! time with the two answers exchanged; candor's own numbers are means over both orders, the official ones are of the
//! script's order alone. Where the truth about the images is known, it scores reference and answer alike.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candor_data::formats::answers::{self, Answer};
use candor_data::formats::llava_bench as format;

use super::part::{mean, mean_or};
use super::{About, Files, ItemScore, Task, limited, request, template};
use crate::item::Item;
use crate::matching::matched;
use crate::measure::Better::{Higher, Lower, Neither};
use crate::measure::measure;
use crate::order::{self, InOrders};
use crate::outcome::ItemOutcome;
use crate::request::Request;
use crate::template::Templates;
use crate::truth::Truth;
use crate::verdict::Verdict;
use crate::{JudgeError, llava_bench, settings};

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "llava_bench",
    argument: "llava-bench",
    label: "LLaVA-Bench",
    help: "LLaVA-Bench; needs a judge",
    measures: &[
        measure("relative", "relative score", Higher, 1),
        measure("relative_official", "relative score, official", Higher, 1),
        measure("mark", "mark", Higher, 2),
        measure("reference_mark", "mark of the reference", Neither, 2),
        measure(
            "order_changes",
            "verdicts that change with the order",
            Lower,
            3,
        ),
        measure("unparsed", "replies not read", Neither, 3),
    ],
    highest: None,
    beside: None,
    unparsed: "have a reply of the judge that could not be read",
    taken_for: "",
    is_free: true,
    has_splits: false,
    outcome,
    open: |files, templates| Ok(Box::new(LlavaBench::read(files, templates)?)),
};

fn outcome(verdict: &Verdict) -> ItemOutcome {
    let [mark, n] = verdict.part("mark");
    ItemOutcome {
        right: (n > 0.0).then(|| mark >= verdict.part("reference_mark")[0]),
        hallucinated: false,
        unparsed: verdict.holds("unparsed"),
    }
}

/// Its questions, and what the judge is told.
struct LlavaBench {
    path: PathBuf,
    truth: Option<Arc<dyn Truth>>,
    rows: Vec<format::Question>,
    items: Vec<Item>,
    /// Answers of the reference, as many as rows; none where no file is named.
    references: Vec<String>,
    context: Option<(PathBuf, HashMap<String, Told>)>,
    templates: Templates,
}

/// What the judge is told of an image.
struct Told {
    captions: String,
    boxes: String,
}

impl LlavaBench {
    fn read(files: &Files, templates: &settings::Templates) -> Result<Self, JudgeError> {
        let path = files.first();
        let all = format::read_questions(path)?;
        let item = |row: &format::Question| Item {
            id: row.question_id.to_string(),
            file: 0,
            image: row.image.clone(),
            names: [row.image.clone(), row.image.clone()],
            question: row.text.clone(),
            prompt: row.text.clone(),
            instruction: "",
        };
        let items: Vec<Item> = all.iter().map(item).collect();
        let references = match &files.references {
            None => Vec::new(),
            Some(references) => {
                let answers = answers::read(references)?;
                let matched = matched(references, &items, &answers)?;
                matched.iter().map(|answer| answer.text.clone()).collect()
            }
        };
        let context = match &files.context {
            None => None,
            Some(path) => Some((path.clone(), told(path)?)),
        };
        Ok(Self {
            path: path.to_owned(),
            truth: files.truth.clone(),
            rows: limited(all, files),
            items: limited(items, files),
            references: limited(references, files),
            context,
            templates: Templates::llava_bench(templates.llava_bench.as_deref())?,
        })
    }

    /// The answer that an answer is compared with.
    fn reference(&self, item: usize) -> Result<&str, JudgeError> {
        self.references
            .get(item)
            .map(String::as_str)
            .ok_or_else(|| self.lacks("answers are compared with those of a reference"))
    }

    /// What the judge is told of an image.
    fn told(&self, item: usize) -> Result<&Told, JudgeError> {
        let Some((path, told)) = &self.context else {
            return Err(self.lacks("the judge does not see the images"));
        };
        let image = &self.rows[item].image;
        told.get(image).ok_or_else(|| {
            let problem = format!("nothing about the image {image:?}");
            JudgeError::unfit(path, problem, "use questions and context of the same set")
        })
    }

    fn lacks(&self, problem: &str) -> JudgeError {
        let remedy =
            "give --references (the answers of the reference) and --context (captions and boxes)";
        JudgeError::unfit(&self.path, problem, remedy)
    }

    /// What the judge is asked about two answers, the first of them in the place of the reference.
    fn in_order(&self, item: usize, [first, second]: [&str; 2]) -> Result<Request, JudgeError> {
        let row = &self.rows[item];
        let told = self.told(item)?;
        let values = [
            ("captions", told.captions.as_str()),
            ("boxes", &told.boxes),
            ("question", &row.text),
            ("reference", first),
            ("answer", second),
        ];
        let template = template(&self.path, &self.templates, category(row.category))?;
        Ok(request(&self.items[item], template, &values))
    }
}

fn told(path: &Path) -> Result<HashMap<String, Told>, JudgeError> {
    let rows = format::read_contexts(path)?.into_iter();
    let one = |row: format::Context| {
        let boxes = row.instances.iter();
        let boxes = boxes.map(|one| format!("{}: {:?}", one.category, one.bbox));
        let told = Told {
            boxes: boxes.collect::<Vec<_>>().join("\n"),
            captions: row.captions.join("\n"),
        };
        (row.image, told)
    };
    Ok(rows.map(one).collect())
}

/// What marks of reference and answer add, one pair for each reply, be it in the script's order or exchanged.
fn add(verdict: &mut Verdict, pairs: &[Option<[f64; 2]>]) {
    let ([reference, n], [mark, _]) = (mean(&marks_of(pairs, 0)), mean(&marks_of(pairs, 1)));
    verdict.add("relative", 100.0 * mark, reference);
    verdict.add("mark", mark, n);
    verdict.add("reference_mark", reference, n);
}

/// What replies add besides: the number of the official rule, from those in the script's order, and what our rule could
/// not read.
fn add_of_replies(verdict: &mut Verdict, ours: &[Option<[f64; 2]>], official: &[Option<[f64; 2]>]) {
    let [reference, mark] = [0, 1].map(|k| mean_or(&marks_of(official, k), -1.0));
    verdict.add("relative_official", 100.0 * mark, reference);
    let n_unparsed = ours.iter().filter(|pair| pair.is_none()).count();
    verdict.add("unparsed", n_unparsed as f64, ours.len() as f64);
}

/// The reference's marks (0) or the answer's (1).
fn marks_of(pairs: &[Option<[f64; 2]>], k: usize) -> Vec<Option<f64>> {
    pairs
        .iter()
        .map(|pair| pair.map(|marks| marks[k]))
        .collect()
}

fn shown(pair: Option<[f64; 2]>) -> String {
    pair.map_or_else(
        || "none".to_owned(),
        |[first, second]| format!("{first} {second}"),
    )
}

impl Task for LlavaBench {
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
        let reference = self.reference(item)?;
        self.in_order(item, [reference, answer]).map(Some)
    }

    fn exchanged(&self, item: usize, answer: &str) -> Result<Option<Request>, JudgeError> {
        if self.truth.is_some() {
            return Ok(None);
        }
        let reference = self.reference(item)?;
        self.in_order(item, [answer, reference]).map(Some)
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
        let reference = self.reference(item)?;
        let mut verdict = Verdict {
            id: self.items[item].id.clone(),
            image: row.image.clone(),
            group: category(row.category).to_owned(),
            question: row.text.clone(),
            reference: Some(reference.to_owned()),
            answer: answer.text.clone(),
            ..Verdict::default()
        };
        if let Some(truth) = &self.truth {
            let judge = |text: &str| truth.judge(&row.image, &row.text, text);
            let (of_reference, finding) = (judge(reference)?, judge(&answer.text)?);
            let marks = Some([of_reference.score, finding.score].map(llava_bench::mark));
            add(&mut verdict, &[marks]);
            verdict.read_as = vec![shown(marks)];
            verdict.finding = Some(finding);
            return Ok(ItemScore {
                verdict,
                ..ItemScore::default()
            });
        }
        let read = |text: &String| llava_bench::parse_pair(text);
        let turned = |[first, second]: [f64; 2]| [second, first];
        let exchanged = replies.exchanged.iter();
        let marks = InOrders {
            usual: replies.usual.iter().map(read).collect(),
            exchanged: exchanged.map(|text| read(text).map(turned)).collect(),
        };
        let official = replies.usual.iter();
        let official: Vec<Option<[f64; 2]>> = official
            .map(|text| llava_bench::official_pair(text))
            .collect();
        let ours: Vec<Option<[f64; 2]>> = marks.all().copied().collect();
        add(&mut verdict, &ours);
        add_of_replies(&mut verdict, &ours, &official);
        verdict.read_as = ours.iter().copied().map(shown).collect();
        verdict.n_exchanged = replies.exchanged.len();
        verdict.replies = replies.all().cloned().collect();
        let [changed, n_pairs] = order::of_item(&marks);
        if n_pairs > 0.0 {
            verdict.add("order_changes", changed, n_pairs);
        }
        // Samples agree or not within an order; that the orders differ is counted apart.
        let scores = [&marks.usual, &marks.exchanged];
        Ok(ItemScore {
            verdict,
            scores: scores.map(|of| marks_of(of, 1)).into(),
            marks: Some(marks),
        })
    }
}

fn category(category: format::Category) -> &'static str {
    match category {
        format::Category::Conv => "conv",
        format::Category::Detail => "detail",
        format::Category::Complex => "complex",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_held_against_the_reference() {
        let marked = |marks: Option<[f64; 2]>| {
            let mut verdict = Verdict::default();
            add(&mut verdict, &[marks]);
            add_of_replies(&mut verdict, &[marks], &[marks]);
            let found = outcome(&verdict);
            (found.right, found.hallucinated, found.unparsed)
        };
        assert_eq!(marked(Some([8.0, 8.0])), (Some(true), false, false));
        assert_eq!(marked(Some([8.0, 7.0])), (Some(false), false, false));
        assert_eq!(marked(None), (None, false, true));
    }
}
