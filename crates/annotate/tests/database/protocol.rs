//! Training before the work, gold hidden in it.

use std::collections::BTreeSet;

use candor_annotate::Refusal;
use candor_annotate::answer::Pick;
use candor_annotate::project::Kind;
use candor_annotate::store::{Claim, Role, Stage};
use candor_annotate::task::{NoTask, Task, TaskKind};

use crate::office::{Office, bad, first, good, on_both, refusal};

/// What an annotator's browser could tell a task by, besides the texts.
fn looks(task: &Task) -> String {
    let mut task = task.clone();
    for image in &mut task.image {
        *image = image.replace(&task.assignment, "…");
    }
    task.assignment = format!("{} characters", task.assignment.len());
    task.answers.a.clear();
    task.answers.b = None;
    serde_json::to_string(&task).unwrap()
}

on_both! {
    training_teaches_and_lets_through("") |office: Box<Office>| async move {
        office.known(Kind::Training, 5).await;
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        for i in 0..5 {
            let task = office.claim(&anna).await.unwrap();
            assert_eq!(task.kind, TaskKind::Training);
            assert_eq!(task.training.as_ref().unwrap().n_done, i);
            assert_eq!(refusal(office.store.skip(anna.clone(), task.assignment.clone()).await), Refusal::NotInTraining);
            // Three of five are right: just the pass mark of 0.6.
            let pick = if i < 3 { good(&task) } else { bad(&task) };
            let feedback = office.answer(&anna, &task, first(pick)).await.unwrap().feedback.unwrap();
            assert_eq!((feedback.correct, feedback.n_done), (i < 3, i + 1));
            assert_eq!(feedback.expected.first, good(&task), "told as the sides stand on the page");
            assert_eq!(feedback.explanation.as_deref(), Some("because"));
            let passed = feedback.result.map(|result| (result.passed, result.share));
            assert_eq!(passed, (i == 4).then_some((true, 0.6)));
        }
        let task = office.claim(&anna).await.unwrap();
        assert_eq!(task.kind, TaskKind::Work);
        assert_eq!(refusal(office.store.undo(anna).await), Refusal::NothingToUndo);
    };

    training_is_failed_after_its_attempts_and_may_be_given_anew("") |office: Box<Office>| async move {
        office.known(Kind::Training, 2).await;
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        let admin = office.person("admin", Role::Admin).await;
        for attempts_left in [1, 0] {
            let mut last = None;
            for _ in 0..2 {
                let task = office.claim(&anna).await.unwrap();
                last = office.answer(&anna, &task, first(bad(&task))).await.unwrap().feedback.unwrap().result;
            }
            let last = last.expect("the round is over");
            assert_eq!((last.passed, last.share, last.attempts_left), (false, 0.0, attempts_left));
        }
        let failed = office.store.claim(anna.clone(), Vec::new()).await.unwrap();
        assert_eq!(failed, Claim::Nothing(NoTask::FailedTraining));
        let retrain = candor_annotate::store::Amendment { retrain: true, ..Default::default() };
        office.store.amend(admin, anna.clone(), retrain).await.unwrap();
        for _ in 0..2 {
            let task = office.claim(&anna).await.unwrap();
            office.answer(&anna, &task, first(good(&task))).await.unwrap();
        }
        assert_eq!(office.claim(&anna).await.unwrap().kind, TaskKind::Work);
    };

    training_items_in_hand_come_before_the_verdict("hold = 5\n") |office: Box<Office>| async move {
        office.known(Kind::Training, 2).await;
        let anna = office.person("anna", Role::Annotator).await;
        let mut holding = Vec::new();
        for _ in 0..2 {
            let Claim::Task(task) = office.store.claim(anna.clone(), holding.clone()).await.unwrap() else {
                panic!("two training items");
            };
            holding.push(task.assignment);
        }
        let third = office.store.claim(anna, holding).await.unwrap();
        assert_eq!(third, Claim::Nothing(NoTask::TrainingPending));
    };

    guidelines_come_first("") |office: Box<Office>| async move {
        office.work(1).await;
        let (secret, _) = office.store.invite(Role::Annotator, 1, None).await.unwrap();
        let anna = office.store.join(secret, "anna".into(), "hash".into()).await.unwrap();
        assert_eq!(office.store.standing(&anna).await.unwrap().stage, Stage::Guidelines);
        let claim = office.store.claim(anna.person.clone(), Vec::new()).await.unwrap();
        assert_eq!(claim, Claim::Nothing(NoTask::Guidelines));
        office.store.accept_guidelines(anna.person.clone()).await.unwrap();
        assert!(office.claim(&anna.person).await.is_some());
    };

    gold_cannot_be_told_from_work("gold_rate = 0.3\noverlap = 1\n") |office: Box<Office>| async move {
        office.work(60).await;
        office.known(Kind::Gold, 20).await;
        let anna = office.person("anna", Role::Annotator).await;
        let (mut gold, mut work) = (BTreeSet::new(), BTreeSet::new());
        let mut n = [0, 0];
        while let Some(task) = office.claim(&anna).await {
            let is_gold = task.answers.a.contains("gold-");
            let leases = office.store.heartbeat(anna.clone(), Some(task.assignment.clone()), Vec::new()).await.unwrap();
            let standing = |office: &Office, person: &str| {
                let (store, person) = (office.store.clone(), person.to_owned());
                async move {
                    let person = store.account_of(&person).await.unwrap();
                    store.standing(&person).await.unwrap()
                }
            };
            let before = standing(&office, &anna).await;
            let receipt = office.answer(&anna, &task, first(good(&task))).await.unwrap();
            let after = standing(&office, &anna).await;
            let seen = format!(
                "{} {} {:?} {} {}",
                looks(&task),
                leases.leases[&task.assignment],
                receipt.feedback,
                after.n_answered - before.n_answered,
                before.n_left - after.n_left
            );
            if is_gold { gold.insert(seen) } else { work.insert(seen) };
            n[usize::from(is_gold)] += 1;
        }
        assert_eq!(gold, work);
        assert_eq!(n[0], 60);
        // 60 work items at a gold rate of 0.3 bring about 26 gold items, of which there are 20.
        assert!(n[1] >= 12, "{n:?}");
        let evidence = office.store.evidence().await.unwrap();
        assert_eq!(evidence.gold.len(), n[1]);
        assert!(evidence.gold.iter().all(|answer| answer.correct));
        assert_eq!(evidence.items.len(), 60, "gold is not among the items of work");
    };

    gold_that_cannot_be_shown_is_passed_over("gold_rate = 0.99\n") |office: Box<Office>| async move {
        office.known(Kind::Gold, 1).await;
        office.work(1).await;
        let people = office.annotators(2).await;
        let gold = office.claim(&people[0]).await.unwrap();
        assert!(gold.answers.a.contains("gold-0"), "drawn by seed");
        let pass_over = |task: &Task| office.store.pass_over(people[0].clone(), task.assignment.clone());
        assert!(pass_over(&gold).await.unwrap());
        assert!(!pass_over(&gold).await.unwrap(), "once is enough");
        let late = office.answer(&people[0], &gold, first(bad(&gold))).await;
        assert_eq!(refusal(late), Refusal::LeaseLost);
        let unshown = office.store.overview().await.unwrap().unshown;
        assert_eq!(unshown.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["gold-0"]);
        for person in &people {
            let work = office.claim(person).await.unwrap();
            assert!(work.answers.a.contains("w-0"), "{work:?}");
        }
        let work = office.claim(&people[0]).await.unwrap();
        assert!(!pass_over(&work).await.unwrap(), "work is for people to report");
        assert!(office.store.evidence().await.unwrap().gold.is_empty());
    };

    gold_that_is_taken_back_never_goes_to_others("gold_rate = 0.99\nlease_secs = 60\n") |office: Box<Office>| async move {
        office.known(Kind::Gold, 1).await;
        let people = office.annotators(2).await;
        let mut task = None;
        while task.is_none() {
            task = office.claim(&people[0]).await;
        }
        let task = task.unwrap();
        office.answer(&people[0], &task, first(Pick::Tie)).await.unwrap();
        office.store.undo(people[0].clone()).await.unwrap();
        office.clock.pass(120_000);
        for _ in 0..5 {
            if let Some(other) = office.claim(&people[1]).await {
                assert_ne!(other.assignment, task.assignment);
            }
        }
        office.answer(&people[0], &task, first(good(&task))).await.expect("it is still theirs");
        assert!(office.store.evidence().await.unwrap().gold[0].correct);
    };
}
