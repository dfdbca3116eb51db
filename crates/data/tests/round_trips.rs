//! What is written reads back as the same value, for every format, whatever the text in it.

use std::collections::BTreeSet;
use std::path::Path;

use candor_data::formats::{
    ImageId, a_okvqa, captions, coco, flickr30k, llava, llava_bench, mmhal, pope, ppo_prompts,
    preference, preference_log, vqa_v2,
};
use candor_data::{
    AnswerType, Conversation, FactBook, Preference, Prompt, Record, Side, Turn, Verdict,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

/// The path only names the text in messages.
fn nowhere() -> &'static Path {
    Path::new("round-trip")
}

fn text() -> impl Strategy<Value = String> {
    any::<String>()
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_ #é-]{1,12}\\.(png|jpg)"
}

fn said() -> impl Strategy<Value = String> {
    "[^\r\n]{0,20}[a-z][^\r\n]{0,20}"
}

/// Alternating turns, human first; an odd number of them ends in a human turn.
fn turns(n: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Turn>> {
    vec(text(), n).prop_map(|texts| {
        let turn = |(i, text): (usize, String)| match i % 2 {
            0 => Turn::human(text),
            _ => Turn::gpt(text),
        };
        texts.into_iter().enumerate().map(turn).collect()
    })
}

fn conversation() -> impl Strategy<Value = Conversation> {
    (text(), option::of(name()), turns(1..6)).prop_map(|(id, image, turns)| Conversation {
        id,
        image,
        turns,
    })
}

fn answer_type() -> impl Strategy<Value = AnswerType> {
    (1_u8..=7).prop_map(|number| AnswerType::from_caption_type(number).unwrap())
}

/// Finite and of all sizes, so that exact printing and reading is put to the test.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::NEGATIVE,
        -1e3..1e3_f64,
    ]
    .prop_filter("finite", |value: &f64| value.is_finite())
}

fn image_id() -> impl Strategy<Value = ImageId> {
    prop_oneof![
        any::<u64>().prop_map(ImageId::Number),
        name().prop_map(ImageId::Name)
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::First), Just(Side::Second)]
}

/// The answers to the two questions; the second may be open only if the first decided.
fn verdicts() -> impl Strategy<Value = (Verdict, Option<Side>)> {
    prop_oneof![
        (side(), option::of(side())).prop_map(|(first, second)| (first.into(), second)),
        side().prop_map(|second| (Verdict::Tie, Some(second))),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (text(), any::<u64>(), any::<u64>(), side()).prop_map(
        |(annotator, unix_secs, seed, shown_left)| Record {
            annotator,
            unix_secs,
            seed,
            shown_left,
        },
    )
}

fn judged() -> impl Strategy<Value = Preference> {
    let context = (1..4_usize).prop_flat_map(|n| turns(2 * n - 1));
    let original = option::of(text().prop_filter("not empty", |text| !text.is_empty()));
    let answers = (text(), text());
    (
        text(),
        option::of(name()),
        context,
        original,
        answers,
        verdicts(),
        option::of(record()),
        option::of(text()),
    )
        .prop_map(
            |(id, image, turns, original_answer, outputs, asked, record, explanation)| Preference {
                id,
                image,
                turns,
                original_answer,
                outputs: outputs.into(),
                fewer_hallucinations: asked.0,
                more_helpful: asked.1,
                record,
                explanation,
            },
        )
}

/// Gives rows distinct ids, in the order of a set of them.
fn with_ids<K: Ord, T>(ids: BTreeSet<K>, rows: Vec<T>, set: impl Fn(&mut T, K)) -> Vec<T> {
    ids.into_iter()
        .zip(rows)
        .map(|(id, mut row)| {
            set(&mut row, id);
            row
        })
        .collect()
}

fn vqa_answer() -> impl Strategy<Value = vqa_v2::Answer> {
    (text(), option::of(text()), any::<u64>()).prop_map(|(answer, answer_confidence, answer_id)| {
        vqa_v2::Answer {
            answer,
            answer_confidence,
            answer_id,
        }
    })
}

fn coco_images(ids: &BTreeSet<u64>) -> impl Strategy<Value = Vec<coco::Image>> + use<> {
    let ids = ids.clone();
    vec(
        (name(), any::<Option<u32>>(), any::<Option<u32>>()),
        ids.len(),
    )
    .prop_map(move |rows| {
        ids.iter()
            .zip(rows)
            .map(|(&id, (file_name, width, height))| coco::Image {
                id,
                file_name,
                width,
                height,
            })
            .collect()
    })
}

fn coco_captions() -> impl Strategy<Value = coco::Captions> {
    btree_set(any::<u64>(), 1..5).prop_flat_map(|ids| {
        let known: Vec<u64> = ids.iter().copied().collect();
        let rows = btree_map(
            any::<u64>(),
            (proptest::sample::select(known), text()),
            1..8,
        );
        (coco_images(&ids), rows).prop_map(|(images, rows)| coco::Captions {
            images,
            annotations: rows
                .into_iter()
                .map(|(id, (image_id, caption))| coco::Caption {
                    id,
                    image_id,
                    caption,
                })
                .collect(),
        })
    })
}

fn coco_instances() -> impl Strategy<Value = coco::Instances> {
    let kinds = btree_map(any::<u64>(), (text(), option::of(text())), 1..5);
    (btree_set(any::<u64>(), 1..5), kinds).prop_flat_map(|(ids, kinds)| {
        let images: Vec<u64> = ids.iter().copied().collect();
        let categories: Vec<u64> = kinds.keys().copied().collect();
        let row = (
            proptest::sample::select(images),
            proptest::sample::select(categories),
            [number(), number(), number(), number()],
            option::of(number()),
            any::<Option<u8>>(),
            vec(text(), 0..3),
        );
        (coco_images(&ids), btree_map(any::<u64>(), row, 1..8)).prop_map(move |(images, rows)| {
            coco::Instances {
                images,
                categories: kinds
                    .iter()
                    .map(|(&id, (name, supercategory))| coco::Category {
                        id,
                        name: name.clone(),
                        supercategory: supercategory.clone(),
                    })
                    .collect(),
                annotations: rows
                    .into_iter()
                    .map(
                        |(id, (image_id, category_id, bbox, area, iscrowd, attributes))| {
                            coco::Instance {
                                id,
                                image_id,
                                category_id,
                                bbox: [bbox[0], bbox[1], bbox[2].abs(), bbox[3].abs()],
                                area,
                                iscrowd,
                                attributes,
                            }
                        },
                    )
                    .collect(),
            }
        })
    })
}

fn aok_question() -> impl Strategy<Value = a_okvqa::Question> {
    (
        image_id(),
        text(),
        [text(), text(), text(), text()],
        option::of(0..4_usize),
        vec(text(), 0..10),
        any::<Option<bool>>(),
        vec(text(), 0..3),
    )
        .prop_map(
            |(image_id, question, choices, correct, direct_answers, difficult, rationales)| {
                a_okvqa::Question {
                    split: "train".into(),
                    image_id,
                    question_id: String::new(),
                    question,
                    choices,
                    correct_choice_idx: correct,
                    direct_answers,
                    difficult_direct_answer: difficult,
                    rationales,
                }
            },
        )
}

fn bench_context() -> impl Strategy<Value = llava_bench::Context> {
    let instance = (text(), [number(), number(), number(), number()])
        .prop_map(|(category, bbox)| llava_bench::Instance { category, bbox });
    (name(), vec(text(), 0..5), vec(instance, 0..5)).prop_map(|(image, captions, instances)| {
        llava_bench::Context {
            id: String::new(),
            image,
            captions,
            instances,
        }
    })
}

fn category() -> impl Strategy<Value = llava_bench::Category> {
    proptest::sample::select(vec![
        llava_bench::Category::Conv,
        llava_bench::Category::Detail,
        llava_bench::Category::Complex,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn llava_rows(rows in vec(conversation(), 1..6)) {
        let written = llava::render(nowhere(), &rows).unwrap();
        prop_assert_eq!(llava::parse(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn ppo_rows(rows in vec((conversation(), answer_type(), number()), 1..6)) {
        let prompts: Vec<Prompt> = rows
            .into_iter()
            .map(|(conversation, answer_type, length_bonus)| Prompt { conversation, answer_type, length_bonus })
            .collect();
        let written = ppo_prompts::render(nowhere(), &prompts).unwrap();
        prop_assert_eq!(ppo_prompts::parse(nowhere(), &written).unwrap(), prompts);
    }

    #[test]
    fn preference_log_rows(ids in btree_set(text(), 1..6), rows in vec(judged(), 6)) {
        let rows = with_ids(ids, rows, |row, id| row.id = id);
        let written = preference_log::render(nowhere(), &rows).unwrap();
        prop_assert_eq!(preference_log::parse(nowhere(), &written).unwrap(), rows);
    }

    /// All but what the public format cannot hold: record and explanation, and the second answer where the first decided.
    #[test]
    fn public_preference_rows(mut rows in vec(judged(), 1..6)) {
        let written = preference::render(nowhere(), &rows).unwrap();
        for row in &mut rows {
            row.record = None;
            row.explanation = None;
            if row.fewer_hallucinations != Verdict::Tie {
                row.more_helpful = None;
            }
        }
        prop_assert_eq!(preference::parse(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn facts(known in btree_map(name(), (vec(text(), 0..4), vec(text(), 0..4)), 1..6)) {
        let mut book = FactBook::new();
        for (image, (captions, rationale)) in known {
            let says_something = !captions.is_empty() || !rationale.is_empty();
            if says_something && !image.starts_with("aok_") {
                let facts = book.entry(image);
                facts.captions = captions;
                facts.rationale = rationale;
            }
        }
        prop_assume!(!book.is_empty());
        let written = captions::render(nowhere(), &book).unwrap();
        prop_assert_eq!(captions::parse(nowhere(), &written).unwrap(), book);
    }

    #[test]
    fn vqa_questions(rows in btree_map(any::<u64>(), (image_id(), text()), 1..8)) {
        let rows: Vec<vqa_v2::Question> = rows
            .into_iter()
            .map(|(question_id, (image_id, question))| vqa_v2::Question { image_id, question, question_id })
            .collect();
        let written = vqa_v2::render_questions(nowhere(), &rows).unwrap();
        prop_assert_eq!(vqa_v2::parse_questions(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn vqa_annotations(
        rows in btree_map(any::<u64>(), (image_id(), text(), text(), vec(vqa_answer(), 1..10), option::of(text())), 1..6)
    ) {
        let rows: Vec<vqa_v2::Annotation> = rows
            .into_iter()
            .map(|(question_id, (image_id, question_type, answer_type, answers, agreed))| vqa_v2::Annotation {
                question_id, image_id, question_type, answer_type, answers, multiple_choice_answer: agreed,
            })
            .collect();
        let written = vqa_v2::render_annotations(nowhere(), &rows).unwrap();
        prop_assert_eq!(vqa_v2::parse_annotations(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn a_okvqa_questions(ids in btree_set(text(), 1..5), rows in vec(aok_question(), 5)) {
        let rows = with_ids(ids, rows, |row, id| row.question_id = id);
        let written = a_okvqa::render(nowhere(), &rows).unwrap();
        prop_assert_eq!(a_okvqa::parse(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn flickr30k_lines(rows in btree_map((name(), any::<u32>()), said(), 1..10)) {
        let rows: Vec<flickr30k::Caption> = rows
            .into_iter()
            .map(|((image, index), text)| flickr30k::Caption { image, index, text })
            .collect();
        let written = flickr30k::render(nowhere(), &rows).unwrap();
        prop_assert_eq!(flickr30k::parse(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn coco_caption_files(captions in coco_captions()) {
        let written = coco::render_captions(nowhere(), &captions).unwrap();
        prop_assert_eq!(coco::parse_captions(nowhere(), &written).unwrap(), captions);
    }

    #[test]
    fn coco_instance_files(instances in coco_instances()) {
        let written = coco::render_instances(nowhere(), &instances).unwrap();
        prop_assert_eq!(coco::parse_instances(nowhere(), &written).unwrap(), instances);
    }

    #[test]
    fn pope_questions(rows in btree_map(any::<u64>(), (name(), text(), any::<bool>()), 1..8)) {
        let rows: Vec<pope::Question> = rows
            .into_iter()
            .map(|(question_id, (image, text, yes))| pope::Question {
                question_id, image, text, label: if yes { pope::Label::Yes } else { pope::Label::No },
            })
            .collect();
        let written = pope::render(nowhere(), &rows).unwrap();
        prop_assert_eq!(pope::parse(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn mmhal_questions(rows in vec((text(), text(), text(), text(), vec(text(), 0..4), said(), text(), text()), 1..6)) {
        let rows: Vec<mmhal::Question> = rows
            .into_iter()
            .map(|(question_type, question_topic, image_id, image_src, image_content, question, gt_answer, model_answer)| {
                mmhal::Question { question_type, question_topic, image_id, image_src, image_content, question, gt_answer, model_answer }
            })
            .collect();
        let written = mmhal::render(nowhere(), &rows).unwrap();
        prop_assert_eq!(mmhal::parse(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn llava_bench_questions(rows in btree_map(any::<u64>(), (name(), text(), category()), 1..8)) {
        let rows: Vec<llava_bench::Question> = rows
            .into_iter()
            .map(|(question_id, (image, text, category))| llava_bench::Question { question_id, image, text, category })
            .collect();
        let written = llava_bench::render_questions(nowhere(), &rows).unwrap();
        prop_assert_eq!(llava_bench::parse_questions(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn llava_bench_contexts(ids in btree_set(text(), 1..5), rows in vec(bench_context(), 5)) {
        let rows = with_ids(ids, rows, |row, id| row.id = id);
        let written = llava_bench::render_contexts(nowhere(), &rows).unwrap();
        prop_assert_eq!(llava_bench::parse_contexts(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn llava_bench_answers(
        rows in btree_map(any::<u64>(), (text(), option::of(text()), option::of(text()), option::of(text())), 1..8)
    ) {
        let rows: Vec<llava_bench::Answer> = rows
            .into_iter()
            .map(|(question_id, (text, category, answer_id, model_id))| llava_bench::Answer {
                question_id, text, category, answer_id, model_id,
            })
            .collect();
        let written = llava_bench::render_answers(nowhere(), &rows).unwrap();
        prop_assert_eq!(llava_bench::parse_answers(nowhere(), &written).unwrap(), rows);
    }

    #[test]
    fn llava_bench_rules(rules in btree_map(text(), (text(), text()), 1..6)) {
        let rules: llava_bench::Rules = rules
            .into_iter()
            .map(|(category, (role, prompt))| (category, llava_bench::Rule { role, prompt }))
            .collect();
        let written = llava_bench::render_rules(nowhere(), &rules).unwrap();
        prop_assert_eq!(llava_bench::parse_rules(nowhere(), &written).unwrap(), rules);
    }
}
