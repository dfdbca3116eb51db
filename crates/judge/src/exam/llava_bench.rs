//! LLaVA-Bench: a judge that knows captions and boxes marks a reference and the answer from 1 to 10, in one order or in
//! both.
//!
//! Judges tend to favour a place. With [`Identity::swap`](crate::judge::Identity::swap) each question is asked a second
//! time with the two answers exchanged; candor's own numbers are means over both orders, the official ones are of the
//! script's order alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candor_data::formats::answers::{self, Answer};
use candor_data::formats::llava_bench as format;

use super::part::{add_words, mean, mean_or};
use super::{Exam, Files, Item, Mark, limited, request, template};
use crate::matching::matched;
use crate::measure::Verdict;
use crate::order::{self, InOrders};
use crate::request::Request;
use crate::template::Templates;
use crate::{JudgeError, llava_bench, settings};

/// Its questions, and what the judge is told.
pub(super) struct LlavaBench {
    path: PathBuf,
    rows: Vec<format::Question>,
    items: Vec<Item>,
    /// Answers of the reference, as many as rows; none where no file is named.
    references: Vec<String>,
    context: Option<(PathBuf, HashMap<String, Told>)>,
    templates: Templates,
}

/// What the judge is told of a picture.
struct Told {
    captions: String,
    boxes: String,
}

impl LlavaBench {
    pub fn read(
        path: &Path,
        files: &Files,
        templates: &settings::Templates,
    ) -> Result<Self, JudgeError> {
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
            rows: limited(all, files),
            items: limited(items, files),
            references: limited(references, files),
            context,
            templates: Templates::llava_bench(templates.llava_bench.as_deref())?,
        })
    }

    /// What the judge compares an answer with.
    fn reference(&self, item: usize) -> Result<(&str, &Told), JudgeError> {
        let (Some(reference), Some((path, told))) = (self.references.get(item), &self.context)
        else {
            return Err(JudgeError::unfit(
                &self.path,
                "the judge compares with a reference",
                "give --references (the answers of the reference) and --context (captions and boxes)",
            ));
        };
        let image = &self.rows[item].image;
        let told = told.get(image).ok_or_else(|| {
            let problem = format!("nothing about the image {image:?}");
            JudgeError::unfit(path, problem, "use questions and context of the same set")
        })?;
        Ok((reference, told))
    }

    /// What the judge is asked about two answers, the first of them in the place of the reference.
    fn in_order(&self, item: usize, [first, second]: [&str; 2]) -> Result<Request, JudgeError> {
        let row = &self.rows[item];
        let (_, told) = self.reference(item)?;
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

/// LLaVA-Bench's part of the numbers: marks of reference and answer, one pair for each reply. `ours` may hold replies
/// in both orders, `official` holds those in the script's.
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

impl Exam for LlavaBench {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn asks_judge(&self) -> bool {
        true
    }

    fn request(&self, item: usize, answer: &str) -> Result<Option<Request>, JudgeError> {
        let (reference, _) = self.reference(item)?;
        self.in_order(item, [reference, answer]).map(Some)
    }

    fn exchanged(&self, item: usize, answer: &str) -> Result<Option<Request>, JudgeError> {
        let (reference, _) = self.reference(item)?;
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
    ) -> Result<Mark, JudgeError> {
        let row = &self.rows[item];
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
        let shown = |pair: &Option<[f64; 2]>| {
            pair.map_or_else(
                || "none".to_owned(),
                |[first, second]| format!("{first} {second}"),
            )
        };
        let ours: Vec<Option<[f64; 2]>> = marks.all().copied().collect();
        let mut verdict = Verdict {
            id: self.items[item].id.clone(),
            image: row.image.clone(),
            group: category(row.category).to_owned(),
            question: row.text.clone(),
            reference: Some(self.reference(item)?.0.to_owned()),
            answer: answer.text.clone(),
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
        // Samples agree or not within an order; that the orders differ is counted apart.
        let scores = [&marks.usual, &marks.exchanged];
        let second = |pair: &Option<[f64; 2]>| pair.map(|marks| marks[1]);
        Ok(Mark {
            verdict,
            unread: ours.contains(&None),
            scores: scores.map(|of| of.iter().map(second).collect()).into(),
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
