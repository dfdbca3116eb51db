//! A paused project gives nobody anything new, and loses nothing.

use candor_annotate::store::{Claim, Role};
use candor_annotate::task::NoTask;

use crate::office::{Office, START_MS, first, good, on_both};

/// What a person who holds nothing on the page is told.
async fn asked(office: &Office, person: &str) -> Claim {
    office.store.claim(person.into(), Vec::new()).await.unwrap()
}

on_both! {
    what_is_in_hand_is_finished_and_nothing_new_is_given("overlap = 1\n") |office: Box<Office>| async move {
        office.work(2).await;
        let boss = office.person("boss", Role::Admin).await;
        let people = office.annotators(2).await;
        let task = office.claim(&people[0]).await.unwrap();
        assert_eq!(office.store.overview().await.unwrap().paused_at, None);
        office.store.pause(boss.clone(), true).await.unwrap();
        office.clock.pass(1000);
        // Said twice, it began once.
        office.store.pause(boss.clone(), true).await.unwrap();
        assert_eq!(office.store.overview().await.unwrap().paused_at, Some(START_MS));

        let paused = Claim::Nothing(NoTask::Paused);
        assert_eq!(asked(&office, &people[1]).await, paused);
        let again = office.claim(&people[0]).await.expect("what was in hand before");
        assert_eq!(again.assignment, task.assignment);
        office.answer(&people[0], &task, first(good(&task))).await.expect("stored");
        assert_eq!(asked(&office, &people[0]).await, paused);
        let back = office.store.undo(people[0].clone()).await.expect("taken back");
        office.clock.pass(1000);
        office.answer(&people[0], &back, first(good(&back))).await.expect("stored again");

        let office = office.restarted().await;
        assert_eq!(asked(&office, &people[1]).await, paused);
        office.store.pause(boss.clone(), false).await.unwrap();
        office.store.pause(boss, false).await.unwrap();
        assert!(office.claim(&people[1]).await.is_some());
        assert_eq!(office.store.overview().await.unwrap().paused_at, None);
        let events = office.store.events(0).await.unwrap();
        let told: Vec<&str> = events.iter().map(|event| event.kind.as_str()).filter(|kind| ["pause", "resume"].contains(kind)).collect();
        assert_eq!(told, ["pause", "resume"]);
    };
}
