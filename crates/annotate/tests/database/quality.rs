//! The quality that is kept is the one that is computed anew, whatever happened.

use std::sync::Arc;

use candor_annotate::answer::Pick;
use candor_annotate::quality::{self, Aged, Kept, Quality};
use candor_annotate::store::Role;

use crate::office::{Office, START_MS, bad, first, good, on_both};

/// What is kept, once it is current; it must be what is computed of the evidence.
async fn kept(office: &Office, kept: &Arc<Kept>) -> (Aged, Quality) {
    let seed = office.project.seed;
    let mut aged = kept.look(&office.store, seed).await.unwrap();
    while !aged.is_current {
        aged = kept.look(&office.store, seed).await.unwrap();
    }
    let evidence = office.store.evidence().await.unwrap();
    let quality = quality::of(&evidence, seed);
    assert_eq!(aged.quality.as_ref(), Some(&quality));
    (aged, quality)
}

/// That what is kept is known to be old.
async fn is_old(office: &Office, kept: &Arc<Kept>) -> bool {
    !kept.newest(&office.store).await.unwrap().is_current
}

fn n_answers(quality: &Quality) -> usize {
    quality.people.iter().map(|person| person.n_answers).sum()
}

on_both! {
    kept_figures_follow_answers_corrections_and_withdrawals("overlap = 2\n") |office: Box<Office>| async move {
        let figures = Arc::new(Kept::default());
        let none = figures.newest(&office.store).await.unwrap();
        assert_eq!(none, Aged { computed_at: None, is_current: false, quality: None });
        office.work(3).await;
        let people = office.annotators(2).await;
        let judge = office.person("judge", Role::Adjudicator).await;
        let (aged, quality) = kept(&office, &figures).await;
        assert_eq!((aged.computed_at, n_answers(&quality)), (Some(START_MS), 0));

        office.work_through(&people[0], good).await;
        office.work_through(&people[1], bad).await;
        assert!(is_old(&office, &figures).await);
        office.clock.pass(1000);
        let (aged, quality) = kept(&office, &figures).await;
        assert_eq!((aged.computed_at, n_answers(&quality), quality.n_disputed), (Some(START_MS + 1000), 6, 3));
        // Time alone makes nothing old.
        office.clock.pass(1000);
        assert_eq!(kept(&office, &figures).await.0.computed_at, Some(START_MS + 1000));

        office.store.undo(people[1].clone()).await.unwrap();
        assert!(is_old(&office, &figures).await);
        let (_, quality) = kept(&office, &figures).await;
        assert_eq!((n_answers(&quality), quality.n_disputed), (5, 2));

        let task = office.claim(&people[1]).await.unwrap();
        office.answer(&people[1], &task, first(good(&task))).await.unwrap();
        assert!(is_old(&office, &figures).await);
        let (_, quality) = kept(&office, &figures).await;
        assert_eq!((n_answers(&quality), quality.n_disputed), (6, 2));

        let queue = office.store.queue(&judge).await.unwrap();
        office.store.withdraw(judge.clone(), queue.items[0].item, "unclear".into()).await.unwrap();
        assert!(is_old(&office, &figures).await);
        let (_, quality) = kept(&office, &figures).await;
        assert_eq!((n_answers(&quality), quality.n_disputed), (4, 1));

        office.store.decide(judge, queue.items[1].item, first(Pick::A)).await.unwrap();
        assert!(is_old(&office, &figures).await);
        let (_, quality) = kept(&office, &figures).await;
        assert_eq!((n_answers(&quality), quality.n_disputed), (4, 0));
    };
}
