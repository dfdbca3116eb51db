//! Answers that are rated one by one: imported, rated, decided, exported.

use std::path::Path;

use candor_annotate::answer::{Answer, Corrections, Mark, MarkType, Pick, Which};
use candor_annotate::export::{self, Aggregate, Format};
use candor_annotate::import::{self, Imported};
use candor_annotate::project::{Import, ImportFormat, Kind};
use candor_annotate::store::Role;
use candor_annotate::{AnnotateError, Refusal, quality};
use candor_data::formats::ratings;

use crate::office::{Office, first, on_both, refusal};

const IMAGE: &[u8] = include_bytes!("../../../data/tests/golden/images/one_pixel.png");

const ANSWERS: &str = r#"{"id": "old/mmhal/0", "image": "a.png", "question": "What is it?", "answer": "A cup."}
{"id": "old/mmhal/1", "question": "And now?", "answer": "A dog."}
"#;

fn rated(rating: u8) -> Answer {
    Answer {
        rating: Some(rating),
        ..first(Pick::Tie)
    }
}

on_both! {
    answers_are_rated_and_leave_with_what_everybody_said("overlap = 2\n") |office: Box<Office>| async move {
        let folder = office.folder();
        std::fs::write(folder.join("a.png"), IMAGE).unwrap();
        std::fs::write(folder.join("answers.jsonl"), ANSWERS).unwrap();
        let mut project = office.project.clone();
        project.imports = vec![Import {
            file: "answers.jsonl".into(),
            format: ImportFormat::Answers,
            kind: Kind::Work,
            images: Some(".".into()),
            scores: None,
        }];
        let imported = import::all(&project, &office.store, &|_, _| ()).await.unwrap();
        assert_eq!(imported, Imported { n_new: 2, ..Imported::default() });
        let people = office.annotators(2).await;
        for (person, given) in people.iter().zip([[6, 1], [5, 4]]) {
            for (rating, text) in given.into_iter().zip(["A cup.", "A dog."]) {
                let task = office.claim(person).await.unwrap();
                assert_eq!((task.answers.a.as_str(), &task.answers.b), (text, &None));
                let compared = refusal(office.answer(person, &task, first(Pick::A)).await);
                assert!(matches!(compared, Refusal::Invalid { field, .. } if field == "rating"));
                let beyond = refusal(office.answer(person, &task, rated(7)).await);
                assert!(matches!(beyond, Refusal::Invalid { field, .. } if field == "rating"));
                let mut said = rated(rating);
                if rating == 6 {
                    // `cup` is false, in characters.
                    said.marks = vec![Mark { answer: Which::A, start: 2, end: 5, kind: MarkType::Object }];
                    said.corrections = Corrections { a: Some("A pot.".into()), b: None };
                    said.note = Some("near".into());
                }
                office.answer(person, &task, said).await.unwrap();
            }
        }
        let evidence = office.store.evidence().await.unwrap();
        assert!(evidence.items.is_empty());
        // 6 and 5 are on one side of 3, 1 and 4 are not.
        let disputed: Vec<bool> = evidence.rated.iter().map(|item| item.is_disputed).collect();
        assert_eq!(disputed, [false, true]);
        let undecided = export::render(&office.store, Format::Ratings, None, 5).await.unwrap();
        assert_eq!((undecided.n_rows, undecided.n_undecided), (1, 1));
        assert!(!undecided.text.contains("A dog."), "it waits for an adjudicator");
        let judge = office.person("judge", Role::Adjudicator).await;
        office.store.decide(judge, 2, rated(2)).await.unwrap();

        let exported = export::render(&office.store, Format::Ratings, None, 5).await.unwrap();
        assert_eq!((exported.n_rows, exported.n_undecided), (2, 0));
        let rows = ratings::parse(Path::new("export"), &exported.text).unwrap();
        assert_eq!((rows[0].id.as_str(), rows[0].image.as_deref()), ("old/mmhal/0", Some("a.png")));
        assert_eq!((rows[0].question.as_str(), rows[0].answer.as_str()), ("What is it?", "A cup."));
        assert_eq!((rows[0].counted(), rows[0].decided), (vec![6, 5], None));
        let said: Vec<u8> = rows[1].ratings.iter().map(|given| given.rating).collect();
        assert_eq!((said, rows[1].decided), (vec![1, 4], Some(2)));
        let first_said: serde_json::Value = serde_json::from_str(exported.text.lines().next().unwrap()).unwrap();
        let [said, silent] = [0, 1].map(|i| &first_said["ratings"][i]);
        assert_eq!(said["marks"], serde_json::json!([{"start": 2, "end": 5, "type": "object"}]));
        assert_eq!((&said["correction"], &said["note"]), (&"A pot.".into(), &"near".into()));
        assert_eq!(silent.get("marks"), None);
        let segments = export::render(&office.store, Format::Segments, None, 5).await.unwrap();
        let segment: serde_json::Value = serde_json::from_str(&segments.text).unwrap();
        assert_eq!(segment["segments"][0]["words"], "cup");
        let text: serde_json::Value = serde_json::from_str(segment["text"].as_str().unwrap()).unwrap();
        assert_eq!((&text["chosen"], &text["rejected"]), (&"A pot.".into(), &"A cup.".into()));
        let sentences = export::render(&office.store, Format::Sentences, None, 5).await.unwrap();
        let sentence: serde_json::Value = serde_json::from_str(&sentences.text).unwrap();
        assert_eq!(sentence["label"], false);
        let none = export::render(&office.store, Format::Llava, Some(Aggregate::Majority), 5).await;
        assert!(matches!(none, Err(AnnotateError::NothingToExport { .. })));

        let quality = quality::of(&office.store.evidence().await.unwrap(), 5);
        let found = quality.ratings.unwrap();
        assert_eq!((found.n_items, found.n_ratings), (2, 4));
        assert_eq!((found.mean.value, found.hallucinated.value), (Some(4.0), Some(0.25)));
        // Sum 16, squares 78: 2 (4 · 78 − 256) = 112 of all, and 2 + 18 within the items; 1 − 3 · 20 / 112.
        assert!((found.alpha.value.unwrap() - (1.0 - 60.0 / 112.0)).abs() < 1e-12);
        assert!(quality.people.iter().all(|person| person.n_answers == 2));
    };
}
