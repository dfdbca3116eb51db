//! What comes in: once, whole, and never under another's name.

use std::path::Path;

use candor_annotate::AnnotateError;
use candor_annotate::export::{self, Aggregate, Format};
use candor_annotate::import::{self, Imported};
use candor_annotate::project::{Import, ImportFormat, Kind};
use candor_annotate::store::{Role, Store};
use candor_data::formats::{preference, preference_log, trl};
use candor_data::preference::placeholder_fault;
use candor_data::{Comparison, ComparisonFormat, Preference, Turn};

use crate::office::{Office, good, item, on_both};

on_both! {
    importing_again_adds_only_what_is_new("overlap = 1\n") |office: Box<Office>| async move {
        office.work(3).await;
        let items = (0..5).map(|i| item(Kind::Work, &format!("w-{i}"), None)).collect();
        assert_eq!(office.store.import(Path::new("test"), items).await.unwrap(), 2);
        let anna = office.person("anna", Role::Annotator).await;
        assert_eq!(office.work_through(&anna, good).await, 5);
    };

    changed_content_is_refused_and_nothing_is_imported("overlap = 1\n") |office: Box<Office>| async move {
        office.work(1).await;
        let mut changed = item(Kind::Work, "w-0", None);
        changed.outputs[1] = "something else".into();
        let outcome = office.store.import(Path::new("test"), vec![item(Kind::Work, "new", None), changed]).await;
        assert!(matches!(outcome, Err(AnnotateError::Changed { name, .. }) if name == "w-0"));
        let anna = office.person("anna", Role::Annotator).await;
        assert_eq!(office.work_through(&anna, good).await, 1);
    };

    one_id_may_be_work_and_gold("") |office: Box<Office>| async move {
        office.work(1).await;
        let gold = item(Kind::Gold, "w-0", Some(candor_annotate::answer::Pick::A));
        assert_eq!(office.store.import(Path::new("test"), vec![gold]).await.unwrap(), 1);
    };

    new_scores_change_the_order_of_what_is_there("overlap = 1\n") |office: Box<Office>| async move {
        office.work(3).await;
        let mut items: Vec<_> = (0..3).map(|i| item(Kind::Work, &format!("w-{i}"), None)).collect();
        items[0].rank = 9;
        office.store.import(Path::new("test"), items).await.unwrap();
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        assert!(task.answers.a.ends_with("w-1"), "{}", task.answers.a);
    };

    images_may_lie_in_another_folder_later("overlap = 1\n") |office: Box<Office>| async move {
        office.work(2).await;
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        let mut moved = item(Kind::Work, "w-0", None);
        moved.image_folder = Some("/disk/images".into());
        assert_eq!(office.store.import(Path::new("test"), vec![moved]).await.unwrap(), 0);
        let images = office.store.images_of_task(&anna, &task.assignment).await.unwrap();
        let places: Vec<_> = images.iter().map(|image| (image.folder.as_str(), image.image.as_str())).collect();
        assert_eq!(places, [("/disk/images", "w-0.png")]);
        let images = office.store.images_of_item(2).await.unwrap();
        assert_eq!(images[0].folder, "images", "the other was not imported again");
    };

    items_keep_the_overlap_that_they_came_with("overlap = 1\n") |office: Box<Office>| async move {
        office.work(2).await;
        assert_eq!(office.store.n_of_other_overlap().await.unwrap(), 0);
        let mut project = office.project.clone();
        project.protocol.overlap = 2;
        let store = Store::open(&project, office.clock.clone()).await.unwrap();
        store.import(Path::new("test"), vec![item(Kind::Work, "new", None)]).await.unwrap();
        assert_eq!(store.n_of_other_overlap().await.unwrap(), 2);
        assert_eq!(store.overview().await.unwrap().n_needed, 1 + 1 + 2);
    };

    smaller_ranks_come_first("overlap = 1\n") |office: Box<Office>| async move {
        let items = [("late", 2), ("early", 0), ("middle", 1)].map(|(name, rank)| {
            let mut item = item(Kind::Work, name, None);
            item.rank = rank;
            item
        });
        office.store.import(Path::new("test"), items.into()).await.unwrap();
        let anna = office.person("anna", Role::Annotator).await;
        office.work_through(&anna, good).await;
        let events = office.store.events(0).await.unwrap();
        let order: Vec<i64> = events.iter().filter(|event| event.kind == "answer").filter_map(|event| event.item).collect();
        assert_eq!(order, [2, 3, 1]);
    };

    a_file_that_is_added_takes_no_place_from_what_has_scores("overlap = 1\n") |office: Box<Office>| async move {
        let row = |name: &str| {
            format!("{{\"id\": \"{name}\", \"prompt\": \"Hello?\", \"chosen\": \"good {name}\", \"rejected\": \"bad {name}\"}}\n")
        };
        let folder = office.folder();
        std::fs::write(folder.join("rows.jsonl"), row("sure") + &row("unsure")).unwrap();
        let scores = "{\"id\": \"sure\", \"scores\": [5.0, 0.0]}\n{\"id\": \"unsure\", \"scores\": [0.1, 0.0]}\n";
        std::fs::write(folder.join("scores.jsonl"), scores).unwrap();
        let added = folder.join("added.jsonl");
        std::fs::write(&added, row("new") + &row("sure")).unwrap();
        let mut project = office.project.clone();
        project.imports = vec![Import {
            file: "rows.jsonl".into(),
            format: ImportFormat::Comparisons(ComparisonFormat::Trl),
            kind: Kind::Work,
            images: None,
            scores: Some("scores.jsonl".into()),
        }];
        import::all(&project, &office.store, &|_, _| ()).await.unwrap();
        for n_new in [1, 0] {
            let imported = import::added(&project, &office.store, &project.imports[0], &added).await.unwrap();
            assert_eq!(imported, Imported { n_new, ..Imported::default() });
        }
        let anna = office.person("anna", Role::Annotator).await;
        office.work_through(&anna, good).await;
        let events = office.store.events(0).await.unwrap();
        let order: Vec<i64> = events.iter().filter(|event| event.kind == "answer").filter_map(|event| event.item).collect();
        assert_eq!(order, [2, 1, 3], "unsure, sure, new");
    };

    what_is_imported_is_exported_so_that_it_can_be_trained_on("overlap = 1\n") |office: Box<Office>| async move {
        let folder = office.folder();
        std::fs::write(folder.join("a.png"), IMAGE).unwrap();
        std::fs::write(folder.join("rows.jsonl"), TRL).unwrap();
        let mut project = office.project.clone();
        project.imports = vec![Import {
            file: "rows.jsonl".into(),
            format: ImportFormat::Comparisons(ComparisonFormat::Trl),
            kind: Kind::Work,
            images: Some(".".into()),
            scores: None,
        }];
        let imported = import::all(&project, &office.store, &|_, _| ()).await.unwrap();
        assert_eq!(imported, Imported { n_new: 4, n_equal: 1, left_behind: None });
        let anna = office.person("anna", Role::Annotator).await;
        assert_eq!(office.work_through(&anna, good).await, 4);
        let path = Path::new("export");
        for format in [Format::PreferenceLog, Format::Llava, Format::Trl] {
            let text = export::render(&office.store, format, Some(Aggregate::Majority), 5).await.unwrap().text;
            let rows: Vec<Preference> = match format {
                Format::PreferenceLog => preference_log::parse(path, &text).unwrap(),
                Format::Llava => preference::parse(path, &text).unwrap(),
                _ => trl::parse(path, &text).unwrap().into_iter().filter_map(Comparison::into_preference).collect(),
            };
            let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            assert_eq!(ids, ["7", "row-1", "row-2", "row-3"], "{format:?}");
            for row in &rows {
                let [first, second] = &row.outputs;
                assert_eq!(placeholder_fault(&row.turns, row.image.as_deref(), [first, second]), None, "{format:?}");
                assert!(row.chosen().unwrap().starts_with("good"), "{format:?}");
            }
            assert_eq!(rows[0].turns, [Turn::human("<image>\nWhat is it?")], "{format:?}");
            assert_eq!(rows[3].image, None, "{format:?}");
        }
    };

    a_placeholder_that_was_forgotten_is_added_and_answers_stay("overlap = 1\n") |office: Box<Office>| async move {
        let asked = |question: &str| {
            let mut item = item(Kind::Work, "w", None);
            item.turns = vec![Turn::human(question)];
            item.image = Some("a.png".into());
            vec![item]
        };
        office.store.import(Path::new("test"), asked("What?")).await.unwrap();
        let anna = office.person("anna", Role::Annotator).await;
        assert_eq!(office.work_through(&anna, good).await, 1);
        for _ in 0..2 {
            let n_new = office.store.import(Path::new("test"), asked("<image>\nWhat?")).await.unwrap();
            assert_eq!(n_new, 0);
        }
        let evidence = office.store.evidence().await.unwrap();
        assert_eq!(evidence.items[0].turns, [Turn::human("<image>\nWhat?")]);
        assert_eq!(evidence.items[0].answers.len(), 1);
        let other = office.store.import(Path::new("test"), asked("<image>\nWhere?")).await;
        assert!(matches!(other, Err(AnnotateError::Changed { .. })));
    };
}

const IMAGE: &[u8] = include_bytes!("../../../data/tests/golden/images/one_pixel.png");
/// Rows about an image as other tools write them, one of two equal answers, and one without an image.
const TRL: &str = r#"{"id": 7, "images": ["a.png"], "prompt": [{"role": "user", "content": "What is it?"}], "chosen": "good a", "rejected": "bad a"}
{"prompt": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What is it?"}]}], "chosen": "good b", "rejected": "bad b"}
{"question": "What is it?", "image": "a.png", "chosen": "good c", "rejected": "bad c"}
{"prompt": "Say hello.", "chosen": "good d", "rejected": "bad d"}
{"prompt": "Say hello.", "chosen": "same", "rejected": "same "}
"#;
