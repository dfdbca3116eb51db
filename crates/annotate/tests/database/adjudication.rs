//! Disputes, complaints, and what adjudicators make of them.

use std::path::Path;

use candor_annotate::Refusal;
use candor_annotate::answer::Pick;
use candor_annotate::project::Kind;
use candor_annotate::store::{FlagReason, Role, Why};

use crate::office::{Office, bad, first, good, on_both, refusal};

/// An office in which two people disagree about one item; and an adjudicator.
async fn dispute(office: &Office) -> (Vec<String>, String) {
    office.work(1).await;
    let people = office.annotators(2).await;
    office.work_through(&people[0], good).await;
    office.work_through(&people[1], bad).await;
    let judge = office.person("judge", Role::Adjudicator).await;
    (people, judge)
}

on_both! {
    a_dispute_waits_and_is_decided_once("") |office: Box<Office>| async move {
        let (people, judge) = dispute(&office).await;
        let queue = office.store.queue(&judge).await.unwrap();
        assert_eq!((queue.n_waiting, queue.items[0].why.clone()), (1, vec![Why::Disputed]));
        assert_eq!(office.store.queue(&people[0]).await.unwrap().n_waiting, 0, "not one's own");
        let item = queue.items[0].item;
        let reopened = office.store.reopen(judge.clone(), item, "again".into()).await;
        assert!(matches!(refusal(reopened), Refusal::Invalid { field, .. } if field == "item"));
        let case = office.store.case(item).await.unwrap();
        let said: Vec<_> = case.judgements.iter().map(|given| (given.who.as_str(), given.answer.first)).collect();
        assert_eq!(said, [("P1", Pick::A), ("P2", Pick::B)]);
        assert!(!serde_json::to_string(&case).unwrap().contains("person"), "names stay out of it");
        assert_eq!(refusal(office.store.decide(people[0].clone(), item, first(Pick::A)).await), Refusal::OwnAnswer);
        office.store.decide(judge.clone(), item, first(Pick::B)).await.unwrap();
        assert_eq!(refusal(office.store.decide(judge, item, first(Pick::A)).await), Refusal::Decided);
        let decision = office.store.evidence().await.unwrap().items[0].decision.clone().unwrap();
        assert_eq!((decision.name.as_str(), decision.answer.first), ("judge", Pick::B));
        assert_eq!(refusal(office.store.undo(people[0].clone()).await), Refusal::NothingToUndo);
    };

    two_adjudicators_at_once_decide_once("") |office: Box<Office>| async move {
        let (_, judge) = dispute(&office).await;
        let other = office.person("other judge", Role::Adjudicator).await;
        let item = office.store.queue(&judge).await.unwrap().items[0].item;
        let outcomes = tokio::join!(
            office.store.decide(judge, item, first(Pick::A)),
            office.store.decide(other, item, first(Pick::B)),
        );
        let n_good = [outcomes.0.is_ok(), outcomes.1.is_ok()].iter().filter(|good| **good).count();
        assert_eq!(n_good, 1);
    };

    what_is_sent_back_comes_before_anything_new("lease_secs = 60\nreturn_hours = 2\n") |office: Box<Office>| async move {
        let (people, judge) = dispute(&office).await;
        let item = office.store.queue(&judge).await.unwrap().items[0].item;
        let case = office.store.case(item).await.unwrap();
        let theirs = case.judgements[1].judgement.clone();
        office.store.send_back(judge.clone(), item, theirs.clone(), "look again".into()).await.unwrap();
        office.store.import(Path::new("test"), vec![crate::office::item(Kind::Work, "new", None)]).await.unwrap();
        office.clock.pass(3_600_000);
        let task = office.claim(&people[1]).await.unwrap();
        let returned = task.returned.clone().expect("it says why it came back");
        assert_eq!((returned.note.as_str(), returned.answer.first), ("look again", bad(&task)));
        assert!(office.store.case(item).await.unwrap().judgements[1].sent_back);
        office.answer(&people[1], &task, first(good(&task))).await.unwrap();
        assert_eq!(office.store.queue(&judge).await.unwrap().n_waiting, 0, "now they agree");
        let evidence = office.store.evidence().await.unwrap();
        assert_eq!(evidence.items[0].answers.len(), 2);
        assert!(evidence.items[0].is_closed && !evidence.items[0].is_disputed);
    };

    flags_wait_and_are_dealt_with("overlap = 1\n") |office: Box<Office>| async move {
        office.work(2).await;
        let anna = office.person("anna", Role::Annotator).await;
        let judge = office.person("judge", Role::Adjudicator).await;
        for _ in 0..2 {
            let task = office.claim(&anna).await.unwrap();
            let note = Some("no image".to_owned());
            office.store.flag(anna.clone(), task.assignment, FlagReason::Image, note).await.unwrap();
        }
        assert_eq!(office.claim(&judge).await, None, "flagged items are not handed out");
        let queue = office.store.queue(&judge).await.unwrap();
        let items: Vec<i64> = queue.items.iter().map(|waiting| waiting.item).collect();
        assert_eq!(queue.items[0].why, [Why::Flagged]);
        let case = office.store.case(items[0]).await.unwrap();
        assert_eq!((case.flags[0].reason.as_str(), case.flags[0].note.as_deref()), ("image", Some("no image")));
        office.store.withdraw(judge.clone(), items[0], "broken".into()).await.unwrap();
        office.store.reopen(judge.clone(), items[1], "looks fine".into()).await.unwrap();
        let bert = office.person("bert", Role::Annotator).await;
        assert_eq!(office.work_through(&bert, good).await, 1);
        let overview = office.store.overview().await.unwrap();
        assert_eq!((overview.n_items, overview.n_done, overview.n_withdrawn, overview.n_needed), (2, 1, 1, 1));
    };

    a_withdrawn_item_is_nowhere("") |office: Box<Office>| async move {
        let (_, judge) = dispute(&office).await;
        let item = office.store.queue(&judge).await.unwrap().items[0].item;
        office.store.withdraw(judge, item, "unclear".into()).await.unwrap();
        assert_eq!(office.store.evidence().await.unwrap().items.len(), 0);
    };

    what_others_said_is_read_only_once_an_item_waits("overlap = 2\n") |office: Box<Office>| async move {
        office.work(1).await;
        office.known(Kind::Gold, 1).await;
        let people = office.annotators(2).await;
        assert_eq!(office.work_through(&people[0], good).await, 1);
        // The work has one of its two answers, and nobody complained about the gold.
        for item in [1, 2] {
            assert_eq!(refusal(office.store.case(item).await), Refusal::NotFound("item"));
        }
        assert_eq!(office.work_through(&people[1], bad).await, 1);
        assert_eq!(office.store.case(1).await.unwrap().judgements.len(), 2);
    };

    nobody_waits_for_answers_to_what_is_settled("overlap = 2\n") |office: Box<Office>| async move {
        office.work(3).await;
        let people = office.annotators(2).await;
        let judge = office.person("judge", Role::Adjudicator).await;
        assert_eq!(office.work_through(&people[0], good).await, 3);
        let disputed = office.claim(&people[1]).await.unwrap();
        office.answer(&people[1], &disputed, first(bad(&disputed))).await.unwrap();
        let flagged = office.claim(&people[1]).await.unwrap();
        office.store.flag(people[1].clone(), flagged.assignment, FlagReason::Text, None).await.unwrap();
        let queue = office.store.queue(&judge).await.unwrap();
        let waiting: Vec<(i64, i64)> = queue.items.iter().map(|waiting| (waiting.item, waiting.n_answers)).collect();
        let [(two_answers, 2), (one_answer, 1)] = waiting[..] else {
            panic!("{waiting:?}");
        };
        office.store.withdraw(judge.clone(), two_answers, "unclear".into()).await.unwrap();
        office.store.decide(judge, one_answer, first(Pick::A)).await.unwrap();
        // Two answers of the item that is withdrawn, one of that which is decided, and one of two of the last.
        let overview = office.store.overview().await.unwrap();
        assert_eq!((overview.n_answers, overview.n_needed), (4, 5));
    };

    the_overview_counts_what_is_there("overlap = 2\n") |office: Box<Office>| async move {
        office.work(4).await;
        let people = office.annotators(2).await;
        office.work_through(&people[0], good).await;
        for _ in 0..2 {
            let task = office.claim(&people[1]).await.unwrap();
            office.answer(&people[1], &task, first(good(&task))).await.unwrap();
        }
        office.claim(&people[1]).await.unwrap();
        let overview = office.store.overview().await.unwrap();
        assert_eq!((overview.n_items, overview.n_done, overview.n_in_work), (4, 2, 1));
        assert_eq!((overview.n_answers, overview.n_needed), (6, 8));
        // Six answers within a minute, so five in one; two to go: 24 seconds.
        assert_eq!(overview.eta_ms, Some(24_000));
        assert_eq!(overview.answers_by_day.len(), 1);
        assert_eq!((overview.answers_by_day[0].day_at, overview.answers_by_day[0].n), (crate::office::START_MS, 6));
    };
}
