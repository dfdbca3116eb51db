//! The benchmarks that need no judge: POPE, MMBench and CHAIR.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candor_data::formats::answers::{self, Answer};
use candor_data::formats::{coco, mmbench as table, pope as questions};

use super::{Files, Read, add_words};
use crate::matching::{Known, matched};
use crate::measure::Verdict;
use crate::objects::Synonyms;
use crate::{JudgeError, mmbench, pope};

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn share(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// POPE's part of the numbers.
pub(crate) fn add_pope(verdict: &mut Verdict, truth: bool, read: pope::Read) {
    let hit = share(truth && read.yes);
    let (false_alarm, miss) = (share(!truth && read.yes), share(truth && !read.yes));
    verdict.add("accuracy", share(truth == read.yes), 1.0);
    verdict.add("precision", hit, hit + false_alarm);
    verdict.add("recall", hit, hit + miss);
    verdict.add("f1", 2.0 * hit, 2.0 * hit + false_alarm + miss);
    verdict.add("yes_ratio", share(read.yes), 1.0);
    verdict.add("neither", share(read.neither), 1.0);
    add_words(verdict);
}

/// The split that a file's name tells, or the whole name.
fn split(path: &Path) -> String {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let known = ["random", "popular", "adversarial"]
        .into_iter()
        .find(|name| stem.contains(name));
    known.map_or(stem, str::to_owned)
}

pub(super) fn pope(files: &Files) -> Result<Read, JudgeError> {
    let (mut verdicts, mut unread) = (Vec::new(), Vec::new());
    for (path, answered) in files.questions.iter().zip(&files.answers) {
        let rows = questions::read(path)?;
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
        let answers = answers::read(answered)?;
        let split = split(path);
        for ((row, id), answer) in rows
            .iter()
            .zip(&ids)
            .zip(matched(answered, &known, &answers)?)
        {
            let read = pope::read(&answer.text);
            let truth = row.label == questions::Label::Yes;
            let mut verdict = Verdict {
                id: format!("{split}-{id}"),
                image: row.image.clone(),
                group: split.clone(),
                question: row.text.clone(),
                reference: Some(yes_or_no(truth)),
                answer: answer.text.clone(),
                read_as: vec![yes_or_no(read.yes)],
                ..Verdict::default()
            };
            add_pope(&mut verdict, truth, read);
            unread.extend(read.neither.then(|| verdict.id.clone()));
            verdicts.push(verdict);
        }
    }
    Ok(Read {
        verdicts,
        unread,
        judged: None,
    })
}

pub(super) fn mmbench(files: &Files) -> Result<Read, JudgeError> {
    let path = &files.questions[0];
    let rows = table::read(path)?;
    let ids: Vec<String> = rows.iter().map(|row| row.index.to_string()).collect();
    let known: Vec<Known<'_>> = rows
        .iter()
        .zip(&ids)
        .map(|(row, id)| Known {
            id,
            images: [""; 2],
            question: &row.question,
        })
        .collect();
    let answers = answers::read(&files.answers[0])?;
    let answers = matched(&files.answers[0], &known, &answers)?;
    let (mut verdicts, mut unread) = (Vec::new(), Vec::new());
    let mut circles: BTreeMap<u64, (usize, bool)> = BTreeMap::new();
    for (at, ((row, id), answer)) in rows.iter().zip(&ids).zip(answers).enumerate() {
        let Some(truth) = row.answer else {
            return Err(JudgeError::unfit(
                path,
                format!("question {id} has no answer to compare with"),
                "score a file with answers, such as the dev set",
            ));
        };
        let read = mmbench::read(&answer.text, &row.options);
        let right = read == Some(truth);
        let mut verdict = Verdict {
            id: id.clone(),
            // All turns of a question stand or fall together.
            image: row.group().to_string(),
            group: row.category.clone().unwrap_or_default(),
            question: row.question.clone(),
            reference: Some(format!("{truth}. {}", row.options[&truth])),
            answer: answer.text.clone(),
            read_as: vec![read.map_or_else(|| "none".to_owned(), String::from)],
            ..Verdict::default()
        };
        verdict.add("accuracy", share(right), 1.0);
        verdict.add("unread", share(read.is_none()), 1.0);
        add_words(&mut verdict);
        unread.extend(read.is_none().then(|| id.clone()));
        verdicts.push(verdict);
        let circle = circles.entry(row.group()).or_insert((at, true));
        circle.1 &= right;
    }
    for (first, right) in circles.into_values() {
        verdicts[first].add("circular", share(right), 1.0);
    }
    Ok(Read {
        verdicts,
        unread,
        judged: None,
    })
}

/// CHAIR's part of the numbers.
pub(crate) fn add_chair(
    verdict: &mut Verdict,
    mentioned: usize,
    hallucinated: usize,
    present: usize,
) {
    let right = mentioned - hallucinated;
    verdict.add("chair_i", hallucinated as f64, mentioned as f64);
    verdict.add("chair_s", share(hallucinated > 0), 1.0);
    verdict.add("recall", right as f64, present as f64);
    verdict.add(
        "object_f1",
        2.0 * right as f64,
        (mentioned + present) as f64,
    );
    verdict.add("objects", mentioned as f64, 1.0);
    add_words(verdict);
}

pub(super) fn chair(files: &Files) -> Result<Read, JudgeError> {
    let path = &files.questions[0];
    let Some(synonyms) = &files.synonyms else {
        let remedy = "give --synonyms synonyms.txt, the table that CHAIR publishes";
        return Err(JudgeError::unfit(
            path,
            "objects are found by their synonyms",
            remedy,
        ));
    };
    let synonyms = Synonyms::read(synonyms)?;
    let instances = coco::read_instances(path)?;
    let captions = files
        .context
        .as_ref()
        .map(|path| coco::read_captions(path))
        .transpose()?;
    let captions = captions
        .as_ref()
        .map(coco::Captions::by_file)
        .unwrap_or_default();
    let names: BTreeMap<String, &str> = instances
        .images
        .iter()
        .map(|image| (image.id.to_string(), image.file_name.as_str()))
        .collect();
    let objects = instances.objects_by_file();
    let (mut verdicts, mut seen) = (Vec::new(), BTreeSet::new());
    for answer in answers::read(&files.answers[0])? {
        let image = image_of(&files.answers[0], &answer, &names, &objects)?;
        if !seen.insert(image.to_owned()) {
            let problem = format!("two descriptions of {image:?}");
            return Err(JudgeError::unfit(
                &files.answers[0],
                problem,
                "keep one of them",
            ));
        }
        let boxes = objects
            .get(image)
            .into_iter()
            .flatten()
            .map(|name| (*name).to_owned());
        let people = captions.get(image).into_iter().flatten();
        let present: BTreeSet<String> = boxes
            .chain(people.flat_map(|caption| synonyms.mentioned(caption)))
            .collect();
        let mentioned = synonyms.mentioned(&answer.text);
        let hallucinated: Vec<String> = mentioned.difference(&present).cloned().collect();
        let mut verdict = Verdict {
            id: image.to_owned(),
            image: image.to_owned(),
            question: answer.question.clone().unwrap_or_default(),
            reference: Some(present.iter().cloned().collect::<Vec<_>>().join(", ")),
            answer: answer.text.clone(),
            ..Verdict::default()
        };
        add_chair(
            &mut verdict,
            mentioned.len(),
            hallucinated.len(),
            present.len(),
        );
        verdict.read_as = hallucinated;
        verdicts.push(verdict);
    }
    Ok(Read {
        verdicts,
        unread: Vec::new(),
        judged: None,
    })
}

/// The image that a description is of: by file name, number, or the number in a file name.
fn image_of<'a>(
    path: &Path,
    answer: &Answer,
    names: &BTreeMap<String, &'a str>,
    objects: &BTreeMap<&'a str, Vec<&'a str>>,
) -> Result<&'a str, JudgeError> {
    let name = answer
        .image
        .as_deref()
        .or(answer.id.as_deref())
        .unwrap_or_default();
    let found = objects.get_key_value(name).map(|(file, _)| *file);
    found.or_else(|| names.get(name).copied()).ok_or_else(|| {
        let problem = format!("a description of {name:?}, which is no image of the instances");
        JudgeError::unfit(
            path,
            problem,
            "name images by file name or number, as the instances do",
        )
    })
}
