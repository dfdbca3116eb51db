//! Answers: stored once whatever the network does, taken back, refused with a reason.

use std::path::Path;

use candor_annotate::Refusal;
use candor_annotate::answer::{Answer, Draft, Mark, MarkType, Pick, Which};
use candor_annotate::store::{Role, Submission};

use crate::office::{Office, bad, first, good, on_both, refusal};

fn submission(assignment: &str, id: &str, answer: Answer) -> Submission {
    Submission {
        assignment: assignment.into(),
        id: id.into(),
        answer,
        active_ms: 1,
    }
}

on_both! {
    a_retry_is_stored_once("") |office: Box<Office>| async move {
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        let sent = submission(&task.assignment, "id-1", first(Pick::A));
        let receipts = [
            office.store.submit(anna.clone(), sent.clone()).await.unwrap(),
            office.store.submit(anna.clone(), sent.clone()).await.unwrap(),
        ];
        assert_eq!(receipts.map(|receipt| receipt.repeated), [false, true]);
        assert_eq!(office.store.evidence().await.unwrap().items[0].answers.len(), 1);
        let other = Submission { answer: first(Pick::B), ..sent.clone() };
        assert_eq!(refusal(office.store.submit(anna, other).await), Refusal::SubmissionReused);
        let bert = office.person("bert", Role::Annotator).await;
        assert_eq!(refusal(office.store.submit(bert, sent).await), Refusal::SubmissionReused);
    };

    one_task_takes_one_answer("") |office: Box<Office>| async move {
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        office.store.submit(anna.clone(), submission(&task.assignment, "id-1", first(Pick::A))).await.unwrap();
        let second = office.store.submit(anna, submission(&task.assignment, "id-2", first(Pick::B))).await;
        assert_eq!(refusal(second), Refusal::LeaseLost);
    };

    two_windows_at_once_store_one_answer("") |office: Box<Office>| async move {
        office.work(20).await;
        let anna = office.person("anna", Role::Annotator).await;
        while let Some(task) = office.claim(&anna).await {
            let send = |id: &str, pick| {
                let id = format!("{}-{id}", task.assignment);
                office.store.submit(anna.clone(), submission(&task.assignment, &id, first(pick)))
            };
            let outcomes = tokio::join!(send("1", Pick::A), send("2", Pick::B));
            let n_stored = [outcomes.0.is_ok(), outcomes.1.is_ok()].iter().filter(|good| **good).count();
            assert_eq!(n_stored, 1);
        }
        assert!(office.store.evidence().await.unwrap().items.iter().all(|item| item.answers.len() == 1));
    };

    two_windows_at_once_take_one_answer_back("overlap = 1\n") |office: Box<Office>| async move {
        for round in 0..10 {
            let item = crate::office::item(candor_annotate::project::Kind::Work, &format!("r-{round}"), None);
            office.store.import(std::path::Path::new("test"), vec![item]).await.unwrap();
            let anna = office.person(&format!("anna {round}"), Role::Annotator).await;
            assert_eq!(office.work_through(&anna, good).await, 1);
            let undone = tokio::join!(office.store.undo(anna.clone()), office.store.undo(anna.clone()));
            let n_undone = [undone.0.is_ok(), undone.1.is_ok()].iter().filter(|good| **good).count();
            assert_eq!(n_undone, 1);
            office.clock.pass(1);
            assert_eq!(office.work_through(&anna, good).await, 1);
            assert_eq!(office.store.overview().await.unwrap().n_answers, round + 1);
        }
    };

    nobody_answers_for_somebody_else("") |office: Box<Office>| async move {
        office.work(1).await;
        let people = office.annotators(2).await;
        let task = office.claim(&people[0]).await.unwrap();
        let foreign = office.store.submit(people[1].clone(), submission(&task.assignment, "id", first(Pick::A))).await;
        assert_eq!(refusal(foreign), Refusal::LeaseLost);
        let draft = office.store.keep_draft(people[1].clone(), task.assignment.clone(), Draft::default()).await;
        assert_eq!(refusal(draft), Refusal::LeaseLost);
        assert!(office.store.images_of_task(&people[1], &task.assignment).await.unwrap().is_empty());
        assert!(!office.store.images_of_task(&people[0], &task.assignment).await.unwrap().is_empty());
        office.answer(&people[0], &task, first(Pick::A)).await.expect("its own person may");
    };

    what_nobody_could_have_read_is_refused("min_reading_secs = 3\n") |office: Box<Office>| async move {
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        office.clock.pass(60_000);
        office.store.heartbeat(anna.clone(), Some(task.assignment.clone()), Vec::new()).await.unwrap();
        office.clock.pass(2_000);
        let early = office.answer(&anna, &task, first(Pick::A)).await;
        assert_eq!(refusal(early), Refusal::TooSoon { retry_after_ms: 1_000 });
        office.clock.pass(1_000);
        office.answer(&anna, &task, first(Pick::A)).await.unwrap();
    };

    a_page_that_never_says_what_it_shows_still_has_to_wait("min_reading_secs = 3\n") |office: Box<Office>| async move {
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        office.clock.pass(60_000);
        let early = office.answer(&anna, &task, first(Pick::A)).await;
        assert_eq!(refusal(early), Refusal::TooSoon { retry_after_ms: 3_000 });
        office.clock.pass(3_000);
        office.answer(&anna, &task, first(Pick::A)).await.unwrap();
    };

    what_was_said_of_left_and_right_is_stored_of_first_and_second("") |office: Box<Office>| async move {
        office.work(40).await;
        let anna = office.person("anna", Role::Annotator).await;
        let mut lefts = [0, 0];
        while let Some(task) = office.claim(&anna).await {
            let which = if good(&task) == Pick::A { Which::A } else { Which::B };
            let mut said = first(good(&task));
            said.marks = vec![Mark { answer: which, start: 0, end: 4, kind: MarkType::Object }];
            said.corrections.a = (which == Which::B).then(|| "of the bad one".into());
            said.corrections.b = (which == Which::A).then(|| "of the bad one".into());
            office.answer(&anna, &task, said).await.unwrap();
        }
        for item in office.store.evidence().await.unwrap().items {
            let given = &item.answers[0];
            lefts[given.order.left().index()] += 1;
            assert_eq!(given.answer.first, Pick::A, "the good one is the first output");
            assert_eq!(given.answer.marks[0].answer, Which::A);
            assert_eq!(given.answer.corrections.b.as_deref(), Some("of the bad one"));
        }
        // Of 40 fair coins, fewer than 8 heads or tails come once in 50 000 times.
        assert!(lefts.iter().all(|&n| n >= 8), "{lefts:?}");
    };

    people_see_an_item_with_different_sides("overlap = 20\n") |office: Box<Office>| async move {
        office.work(1).await;
        let mut sides = Vec::new();
        for person in office.annotators(20).await {
            let task = office.claim(&person).await.unwrap();
            let again = office.claim(&person).await.unwrap();
            assert_eq!(task.answers, again.answers, "a reload turned the sides");
            sides.push(good(&task));
        }
        assert!(sides.contains(&Pick::A) && sides.contains(&Pick::B));
    };

    an_answer_is_taken_back_with_its_words("undo = 2\noverlap = 1\n") |office: Box<Office>| async move {
        office.work(3).await;
        let anna = office.person("anna", Role::Annotator).await;
        assert_eq!(refusal(office.store.undo(anna.clone()).await), Refusal::NothingToUndo);
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let task = office.claim(&anna).await.unwrap();
            office.clock.pass(10);
            let mut said = first(bad(&task));
            said.note = Some("hm".into());
            office.answer(&anna, &task, said).await.unwrap();
            tasks.push(task);
        }
        let last = office.store.undo(anna.clone()).await.unwrap();
        assert_eq!(last.assignment, tasks[2].assignment);
        let draft = last.draft.clone().unwrap();
        assert_eq!((draft.first, draft.note.as_deref()), (Some(bad(&last)), Some("hm")));
        let before = office.store.undo(anna.clone()).await.unwrap();
        assert_eq!(before.assignment, tasks[1].assignment);
        assert_eq!(refusal(office.store.undo(anna.clone()).await), Refusal::NothingToUndo);
        let evidence = office.store.evidence().await.unwrap();
        assert_eq!(evidence.items.len(), 1, "what was taken back does not count");
        office.clock.pass(10);
        for task in [&before, &last] {
            office.answer(&anna, task, first(good(task))).await.unwrap();
        }
        let evidence = office.store.evidence().await.unwrap();
        let said: Vec<Pick> = evidence.items.iter().map(|item| item.answers[0].answer.first).collect();
        assert_eq!(said, [Pick::B, Pick::A, Pick::A]);
        assert!(evidence.items.iter().all(|item| item.answers.len() == 1 && item.is_closed));
    };

    what_was_taken_back_and_left_goes_to_others("overlap = 1\nlease_secs = 60\n") |office: Box<Office>| async move {
        office.work(1).await;
        let people = office.annotators(2).await;
        office.work_through(&people[0], good).await;
        office.store.undo(people[0].clone()).await.unwrap();
        assert_eq!(office.claim(&people[1]).await, None);
        office.clock.pass(60_000);
        assert_eq!(office.work_through(&people[1], good).await, 1);
        assert_eq!(office.store.evidence().await.unwrap().items[0].answers.len(), 1);
    };

    zero_characters_are_refused_and_break_nothing("") |office: Box<Office>| async move {
        let anna = office.person("anna", Role::Annotator).await;
        let beat = office.store.heartbeat(anna.clone(), Some("\u{0}".into()), Vec::new()).await;
        assert!(matches!(refusal(beat), Refusal::Invalid { .. }));
        let named = office.store.account("an\u{0}na").await.map(drop);
        assert!(matches!(refusal(named), Refusal::Invalid { .. }));
        office.work(1).await;
        office.claim(&anna).await.expect("the writer goes on");
    };

    drafts_wait_for_their_person("") |office: Box<Office>| async move {
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        let draft = Draft { first: Some(Pick::B), note: Some("later".into()), ..Draft::default() };
        office.store.keep_draft(anna.clone(), task.assignment.clone(), draft.clone()).await.unwrap();
        let again = office.claim(&anna).await.unwrap();
        assert_eq!(again.draft, Some(draft));
        let wrong = Draft {
            marks: Some(vec![Mark { answer: Which::A, start: 0, end: 999, kind: MarkType::Other }]),
            ..Draft::default()
        };
        let refused = refusal(office.store.keep_draft(anna, task.assignment, wrong).await);
        assert!(matches!(refused, Refusal::Invalid { field, .. } if field == "marks[0]"));
    };

    the_protocol_is_kept("") |office: Box<Office>| async move {
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        let half = Answer { second: None, ..first(Pick::Tie) };
        let refused = refusal(office.answer(&anna, &task, half).await);
        assert!(matches!(refused, Refusal::Invalid { field, .. } if field == "second"));
        let both = Answer { second: Some(Pick::A), ..first(Pick::B) };
        let refused = refusal(office.answer(&anna, &task, both).await);
        assert!(matches!(refused, Refusal::Invalid { field, .. } if field == "second"));
        office.answer(&anna, &task, first(Pick::Tie)).await.unwrap();
    };

    what_happened_is_never_rewritten("") |office: Box<Office>| async move {
        office.work(1).await;
        let anna = office.person("anna", Role::Annotator).await;
        office.work_through(&anna, good).await;
        office.store.undo(anna.clone()).await.unwrap();
        let kinds: Vec<String> = office.store.events(0).await.unwrap().into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["import", "invite", "join", "guidelines", "answer", "undo"]);
        if office.project.database.starts_with("postgres") {
            let pool = sqlx::PgPool::connect(&office.project.database).await.unwrap();
            for sql in ["UPDATE events SET at = 0", "DELETE FROM events"] {
                assert!(sqlx::query(sql).execute(&pool).await.is_err(), "{sql}");
            }
        } else {
            let path = office.folder().join(&office.project.database);
            let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
            for sql in ["UPDATE events SET at = 0", "DELETE FROM events"] {
                assert!(sqlx::query(sql).execute(&pool).await.is_err(), "{sql}");
            }
        }
    };

    hostile_texts_come_back_as_they_went_in("") |office: Box<Office>| async move {
        let texts = [
            "<script>alert(1)</script>'; DROP TABLE items; --".to_owned(),
            // In JSON the zero character is escaped, so both databases hold it.
            format!("\u{202e}right to left\u{2066} \u{0} \u{feff}{}", "x".repeat(1 << 20)),
        ];
        let mut item = crate::office::item(candor_annotate::project::Kind::Work, "bad\u{202e}name", None);
        item.outputs = texts.to_vec();
        assert_eq!(office.store.import(Path::new("test"), vec![item]).await.unwrap(), 1);
        let anna = office.person("anna <b>", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        let mut shown = [task.answers.a.clone(), task.answers.b.clone().unwrap()];
        if shown[0] != texts[0] {
            shown.reverse();
        }
        assert_eq!(shown, texts);
        let mut said = first(Pick::A);
        said.note = Some("\u{202e}</p><img src=x onerror=alert(1)>".into());
        office.answer(&anna, &task, said.clone()).await.unwrap();
        let given = office.store.evidence().await.unwrap().items.remove(0).answers.remove(0);
        assert_eq!(given.answer.note, said.note);
        assert_eq!(given.name, "anna <b>");
        let left = usize::from(shown != [task.answers.a.as_str(), task.answers.b.as_deref().unwrap()]);
        assert_eq!(given.order.left().index(), left);
    };
}
