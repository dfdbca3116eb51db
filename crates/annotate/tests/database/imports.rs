//! What comes in: once, whole, and never under another's name.

use std::path::Path;

use candor_annotate::AnnotateError;
use candor_annotate::project::Kind;
use candor_annotate::store::Role;

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
}
