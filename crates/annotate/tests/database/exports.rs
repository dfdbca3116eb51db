//! What leaves: readable by candor's own readers, and never gold or training.

use std::cell::Cell;
use std::path::Path;

use candor_annotate::AnnotateError;
use candor_annotate::answer::{Mark, MarkType, Pick, Which};
use candor_annotate::export::{self, Aggregate, Format};
use candor_annotate::project::Kind;
use candor_annotate::store::Role;
use candor_data::Side;
use candor_data::formats::tools::{argilla, label_studio};
use candor_data::formats::{preference, preference_log};
use serde_json::Value;

use crate::office::{Office, bad, first, good, on_both};

const FORMATS: [Format; 8] = [
    Format::PreferenceLog,
    Format::Llava,
    Format::Trl,
    Format::Segments,
    Format::Events,
    Format::Sentences,
    Format::LabelStudio,
    Format::Argilla,
];

on_both! {
    what_leaves_is_of_one_moment("overlap = 1\n") |office: Box<Office>| async move {
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        assert_eq!(office.work_through(&anna, good).await, 1);
        let is_over = Cell::new(false);
        let correct = async {
            for _ in 0..40 {
                let task = office.store.undo(anna.clone()).await.unwrap();
                office.clock.pass(1);
                office.answer(&anna, &task, first(good(&task))).await.unwrap();
            }
            is_over.set(true);
        };
        let look = async {
            while !is_over.get() {
                // An item that has lost its only answer is open and not there at all.
                for item in office.store.evidence().await.unwrap().items {
                    assert_eq!((item.is_closed, item.answers.len()), (true, 1));
                }
            }
        };
        tokio::join!(correct, look);
    };

    closed_items_leave_in_every_format("gold_rate = 0.5\noverlap = 2\n") |office: Box<Office>| async move {
        office.known(Kind::Training, 1).await;
        office.known(Kind::Gold, 3).await;
        office.work(3).await;
        for person in office.annotators(2).await {
            while let Some(task) = office.claim(&person).await {
                let mut said = first(good(&task));
                let (wrong, which) = if good(&task) == Pick::A {
                    (&mut said.corrections.b, Which::B)
                } else {
                    (&mut said.corrections.a, Which::A)
                };
                *wrong = Some("fair".into());
                said.marks = vec![Mark { answer: which, start: 0, end: 3, kind: MarkType::Attribute }];
                office.answer(&person, &task, said).await.unwrap();
            }
        }
        let mut texts = Vec::new();
        for format in FORMATS {
            texts.push(export::render(&office.store, format, Some(Aggregate::Majority), 5).await.unwrap());
        }
        let path = Path::new("export");
        let log = preference_log::parse(path, &texts[0].text).unwrap();
        let ids: Vec<&str> = log.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["w-0", "w-1", "w-2"]);
        assert!(log.iter().all(|row| row.chosen().unwrap().starts_with("good")));
        assert_eq!(preference::parse(path, &texts[1].text).unwrap().len(), 3);
        let trl: Value = serde_json::from_str(texts[2].text.lines().next().unwrap()).unwrap();
        assert_eq!(trl["rejected"][0]["content"][0]["text"], "bad w-0");
        let segment: Value = serde_json::from_str(texts[3].text.lines().next().unwrap()).unwrap();
        assert_eq!(segment["segments"][0]["words"], "bad");
        let inner: Value = serde_json::from_str(segment["text"].as_str().unwrap()).unwrap();
        assert_eq!((&inner["chosen"], &inner["rejected"]), (&"fair".into(), &"bad w-0".into()));
        assert_eq!(texts[3].n_rows, 6, "each correction of each person");
        let n_answers = texts[4].text.lines().filter(|line| line.contains("\"kind\":\"answer\"")).count();
        assert_eq!(n_answers, 6);
        assert_eq!(texts[5].n_rows, 6, "the one sentence of each marked answer");
        let sentence: Value = serde_json::from_str(texts[5].text.lines().next().unwrap()).unwrap();
        assert_eq!(sentence["completion"][0]["content"][0]["text"], "bad w-0");
        assert_eq!(sentence["label"], false);
        let file = office.folder().join("exported.json");
        std::fs::write(&file, &texts[6].text).unwrap();
        let studio = label_studio::read(&file).unwrap();
        let counted: Vec<(&str, usize)> = studio.left_behind.iter().map(|(name, &n)| (name.as_str(), n)).collect();
        assert_eq!(counted, [("labels `false_words`", 6), ("textarea `correction_b`", 6)]);
        std::fs::write(&file, &texts[7].text).unwrap();
        let records = argilla::read(&file).unwrap();
        assert_eq!(records.left_behind.len(), 1, "metadata.annotators");
        for rows in [studio.rows, records.rows] {
            let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            assert_eq!(ids, ["w-0", "w-1", "w-2"]);
            assert_eq!((rows[0].image.as_deref(), rows[0].outputs[0].as_str()), (Some("w-0.png"), "good w-0"));
            // Both people say by the first question that the good one is better, which is the item's first.
            assert!(rows.iter().all(|row| row.preferred() == Some(Side::First)));
        }
        let tasks: Value = serde_json::from_str(&texts[6].text).unwrap();
        assert_eq!(tasks[0]["annotations"].as_array().unwrap().len(), 2, "one of each person");
        let mark = &tasks[0]["annotations"][0]["result"][2];
        assert_eq!(mark["value"], serde_json::json!({"start": 0, "end": 3, "text": "bad", "labels": ["attribute"]}));
        assert_eq!(mark["to_name"], "answer_b");
        for exported in &texts {
            for word in ["gold", "training-", "m1", "\"expected\""] {
                assert!(!exported.text.contains(word), "{word} in {}", exported.text);
            }
        }
    };

    the_rule_decides_what_leaves("overlap = 2\n") |office: Box<Office>| async move {
        office.work(3).await;
        let people = office.annotators(2).await;
        let judge = office.person("judge", Role::Adjudicator).await;
        office.work_through(&people[0], good).await;
        let mut n = 0;
        while let Some(task) = office.claim(&people[1]).await {
            if n == 2 {
                break;
            }
            let pick = if n == 0 { good(&task) } else { bad(&task) };
            office.answer(&people[1], &task, first(pick)).await.unwrap();
            n += 1;
        }
        let counts = |exported: export::Exported| (exported.n_rows, exported.n_undecided);
        let majority = export::render(&office.store, Format::Llava, Some(Aggregate::Majority), 5).await.unwrap();
        assert_eq!(counts(majority), (1, 1), "one agreed, one disputed, one unfinished");
        let item = office.store.queue(&judge).await.unwrap().items[0].item;
        office.store.decide(judge, item, first(Pick::B)).await.unwrap();
        let decided = export::render(&office.store, Format::PreferenceLog, Some(Aggregate::Adjudicated), 5).await.unwrap();
        let rows = preference_log::parse(Path::new("export"), &decided.text).unwrap();
        assert_eq!(rows.iter().map(|row| row.chosen().unwrap()).collect::<Vec<_>>(), ["good w-0", "bad w-1"]);
        assert_eq!(rows[1].record.as_ref().unwrap().annotator, "judge");
        assert_eq!(rows[0].record, None, "two people stand behind it");
        let majority = export::render(&office.store, Format::Llava, Some(Aggregate::Majority), 5).await.unwrap();
        assert_eq!(counts(majority), (1, 1));
    };

    nothing_is_an_error_and_no_empty_file("") |office: Box<Office>| async move {
        office.work(1).await;
        for format in &FORMATS[..4] {
            let refused = export::render(&office.store, *format, Some(Aggregate::Majority), 5).await;
            assert!(matches!(refused, Err(AnnotateError::NothingToExport { .. })), "{format:?}");
        }
    };
}
