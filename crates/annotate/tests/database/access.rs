//! Tokens, sign-ins and what webhooks are to be told, as the database keeps them.

use candor_annotate::Refusal;
use candor_annotate::store::{Amendment, Attempt, Delivery, Guest, NewToken, Role, Scope};

use crate::office::{Office, START_MS, first, good, on_both, refusal};

/// A webhook that is told everything; nobody reads its secret here.
const HOOK: &str = "overlap = 1\n[[webhook]]\nname = \"dash\"\nurl = \"https://hooks.example/\"\nsecret_env = \"NONE\"\n";

fn guest(subject: &str, role: Role) -> Guest {
    Guest {
        issuer: "https://login.example".into(),
        subject: subject.into(),
        name: "Anna".into(),
        role: Some(role),
        follows: true,
    }
}

/// What is due, taken: the types of the messages, sorted.
async fn due(office: &Office) -> Vec<String> {
    let mut kinds = Vec::new();
    while let Some(delivery) = office.store.due_delivery("dash").await.unwrap() {
        let body: serde_json::Value = serde_json::from_str(&delivery.body).unwrap();
        kinds.push(body["type"].as_str().unwrap().to_owned());
    }
    kinds.sort();
    kinds
}

on_both! {
    a_token_is_known_by_its_secret_until_it_ends("") |office: Box<Office>| async move {
        let boss = office.person("boss", Role::Admin).await;
        let new = NewToken { name: "nightly".into(), scopes: vec![Scope::Export, Scope::Read], days: Some(1) };
        let (token, secret, ends) = office.store.make_token(boss.clone(), new).await.unwrap();
        assert_eq!(ends, Some(START_MS + 86_400_000));
        assert_eq!(office.store.tokens().await.unwrap()[0].used_at, None);
        assert_eq!(office.store.scopes(&secret).await.unwrap(), Some(vec![Scope::Export, Scope::Read]));
        assert_eq!(office.store.scopes(&token).await.unwrap(), None, "its name opens nothing");
        let known = office.store.tokens().await.unwrap().remove(0);
        assert_eq!((known.used_at, known.made_by.as_str()), (Some(START_MS), "boss"));
        office.store.revoke_token(boss.clone(), token.clone()).await.unwrap();
        assert_eq!(office.store.scopes(&secret).await.unwrap(), None);
        assert_eq!(refusal(office.store.revoke_token(boss, token).await), Refusal::NotFound("token"));
        assert!(office.store.tokens().await.unwrap().is_empty());
    };

    a_sign_in_is_taken_once_and_in_time("") |office: Box<Office>| async move {
        let (begun, late) = (Attempt::fresh(), Attempt::fresh());
        office.store.begin_sign_in(begun.clone()).await.unwrap();
        office.store.begin_sign_in(late.clone()).await.unwrap();
        assert_eq!(office.store.take_sign_in(begun.state.clone()).await.unwrap(), Some(begun.clone()));
        assert_eq!(office.store.take_sign_in(begun.state).await.unwrap(), None);
        office.clock.pass(10 * 60 * 1000);
        assert_eq!(office.store.take_sign_in(late.state).await.unwrap(), None);
    };

    whom_a_provider_vouches_for_is_one_person("") |office: Box<Office>| async move {
        office.person("anna", Role::Annotator).await;
        let first = office.store.admit(guest("1", Role::Admin)).await.unwrap();
        assert_eq!((first.name.as_str(), first.role), ("Anna (2)", Role::Admin));
        let other = office.store.admit(guest("2", Role::Annotator)).await.unwrap();
        assert_eq!(other.name, "Anna (3)");
        let again = office.store.admit(guest("1", Role::Admin)).await.unwrap();
        assert_eq!(again, first);
        // The provider cannot leave the project without an administrator, but can make another one.
        let last = refusal(office.store.admit(guest("1", Role::Annotator)).await);
        assert_eq!(last, Refusal::LastAdmin);
        assert_eq!(office.store.account_of(&first.person).await.unwrap().role, Role::Admin);
        office.store.admit(guest("2", Role::Admin)).await.unwrap();
        let lowered = office.store.admit(guest("1", Role::Adjudicator)).await.unwrap();
        assert_eq!((lowered.person, lowered.role), (first.person, Role::Adjudicator));
    };

    whom_a_provider_gives_no_role_any_more_is_shut_out("") |office: Box<Office>| async move {
        let boss = office.person("boss", Role::Admin).await;
        let anna = office.store.admit(guest("1", Role::Admin)).await.unwrap().person;
        let session = office.store.start_session(anna.clone()).await.unwrap();
        let new = || NewToken { name: "nightly".into(), scopes: vec![Scope::Read], days: None };
        let (_, secret, _) = office.store.make_token(anna.clone(), new()).await.unwrap();
        let dropped = || Guest { role: None, ..guest("1", Role::Admin) };
        let kept = Guest { follows: false, ..dropped() };
        assert_eq!(refusal(office.store.admit(kept).await), Refusal::NoRole);
        assert!(office.store.session(&session, 12).await.unwrap().is_some());
        for _ in 0..2 {
            assert_eq!(refusal(office.store.admit(dropped()).await), Refusal::NoRole);
        }
        assert_eq!(office.store.session(&session, 12).await.unwrap(), None);
        assert_eq!(office.store.scopes(&secret).await.unwrap(), None);
        assert_eq!(refusal(office.store.admit(guest("1", Role::Admin)).await), Refusal::Disabled);
        // What was asked for a moment before makes no token either, which would be good again with the account.
        assert_eq!(refusal(office.store.make_token(anna.clone(), new()).await), Refusal::Forbidden);
        // Opened again, it is what the provider says, but neither session nor token comes back.
        let open = Amendment { disabled: Some(false), ..Amendment::default() };
        office.store.amend(boss, anna, open).await.unwrap();
        assert_eq!(office.store.admit(guest("1", Role::Admin)).await.unwrap().role, Role::Admin);
        assert_eq!(office.store.session(&session, 12).await.unwrap(), None);
        assert_eq!(office.store.scopes(&secret).await.unwrap(), None);
        let stranger = Guest { role: None, ..guest("2", Role::Annotator) };
        assert_eq!(refusal(office.store.admit(stranger).await), Refusal::NoRole);
        assert_eq!(office.store.members().await.unwrap().0.len(), 2, "nobody was made");
    };

    the_account_of_the_last_administrator_stays_and_whoever_is_in_is_not("") |office: Box<Office>| async move {
        let last = office.store.admit(guest("1", Role::Admin)).await.unwrap();
        let session = office.store.start_session(last.person.clone()).await.unwrap();
        let dropped = Guest { role: None, ..guest("1", Role::Admin) };
        assert_eq!(refusal(office.store.admit(dropped).await), Refusal::NoRole);
        assert_eq!(office.store.session(&session, 12).await.unwrap(), None);
        assert_eq!(office.store.admit(guest("1", Role::Admin)).await.unwrap(), last);
    };

    a_provider_is_asked_again_however_much_a_session_is_used("") |office: Box<Office>| async move {
        let own = office.person("boss", Role::Admin).await;
        let known = office.store.admit(guest("1", Role::Annotator)).await.unwrap().person;
        let own = office.store.start_session(own).await.unwrap();
        let known = office.store.start_session(known).await.unwrap();
        for hour in 1..=12 {
            office.clock.pass(3_600_000);
            assert!(office.store.session(&own, 12).await.unwrap().is_some());
            assert_eq!(office.store.session(&known, 12).await.unwrap().is_some(), hour < 12, "{hour}");
        }
    };

    of_two_last_items_that_are_closed_at_once_one_finishes_the_project(HOOK) |office: Box<Office>| async move {
        office.work(2).await;
        let people = office.annotators(2).await;
        let one = office.claim(&people[0]).await.unwrap();
        let two = office.claim(&people[1]).await.unwrap();
        let (first_done, second_done) = tokio::join!(
            office.answer(&people[0], &one, first(good(&one))),
            office.answer(&people[1], &two, first(good(&two))),
        );
        first_done.unwrap();
        second_done.unwrap();
        assert_eq!(due(&office).await, ["item_decided", "item_decided", "project_finished"]);
        assert!(due(&office).await.is_empty(), "whoever took them has them for a minute");
        office.clock.pass(60_000);
        assert_eq!(due(&office).await.len(), 3, "whoever took them is gone");
    };

    what_was_not_heard_is_told_again_and_what_was_is_not(HOOK) |office: Box<Office>| async move {
        office.work(2).await;
        let people = office.annotators(1).await;
        let task = office.claim(&people[0]).await.unwrap();
        office.answer(&people[0], &task, first(good(&task))).await.unwrap();
        let told = office.store.due_delivery("dash").await.unwrap().unwrap();
        assert_eq!((told.tries, told.hook.as_str()), (1, "dash"));
        assert_eq!(office.store.due_delivery("another").await.unwrap(), None);
        office.store.not_delivered(told.clone()).await.unwrap();
        office.clock.pass(9_999);
        assert_eq!(office.store.due_delivery("dash").await.unwrap(), None);
        let office = office.restarted().await;
        office.clock.pass(10_000);
        let again = office.store.due_delivery("dash").await.unwrap().unwrap();
        assert_eq!((again.tries, &again.delivery, &again.body), (2, &told.delivery, &told.body));
        office.store.delivered(again.delivery).await.unwrap();
        office.clock.pass(3_600_000);
        assert!(due(&office).await.is_empty());
        // Taken back and given again, it is decided again.
        let back = office.store.undo(people[0].clone()).await.unwrap();
        assert!(due(&office).await.is_empty());
        office.answer(&people[0], &back, first(good(&back))).await.unwrap();
        assert_eq!(due(&office).await, ["item_decided"]);
    };

    what_a_removed_webhook_was_to_be_told_is_given_up(HOOK) |office: Box<Office>| async move {
        office.work(2).await;
        let people = office.annotators(1).await;
        let task = office.claim(&people[0]).await.unwrap();
        office.answer(&people[0], &task, first(good(&task))).await.unwrap();
        office.store.give_up_on_removed_webhooks().await.unwrap();
        let mut office = office.restarted().await;
        office.project.webhooks[0].name = "other".into();
        let office = office.restarted().await;
        office.store.give_up_on_removed_webhooks().await.unwrap();
        let events = office.store.events(0).await.unwrap();
        let given_up: Vec<_> = events.iter().filter(|event| event.kind == "webhook_given_up").collect();
        assert_eq!(given_up.len(), 1);
        assert_eq!((given_up[0].data["webhook"].as_str(), given_up[0].data["tries"].as_i64()), (Some("dash"), Some(0)));
        assert_eq!(office.store.due_delivery("dash").await.unwrap(), None);
    };

    what_another_server_gave_up_or_told_is_not_given_up_again(HOOK) |office: Box<Office>| async move {
        office.work(3).await;
        let people = office.annotators(1).await;
        let mut last = Vec::new();
        for _ in 0..2 {
            let task = office.claim(&people[0]).await.unwrap();
            office.answer(&people[0], &task, first(good(&task))).await.unwrap();
            let taken = office.store.due_delivery("dash").await.unwrap().unwrap();
            last.push(Delivery { tries: 20, ..taken });
        }
        office.store.delivered(last[0].delivery.clone()).await.unwrap();
        for failed in [&last[0], &last[1], &last[1]] {
            office.store.not_delivered(failed.clone()).await.unwrap();
        }
        let events = office.store.events(0).await.unwrap();
        let given_up: Vec<_> = events.iter().filter(|event| event.kind == "webhook_given_up").collect();
        assert_eq!(given_up.len(), 1);
        assert_eq!(given_up[0].data["delivery"].as_str(), Some(last[1].delivery.as_str()));
    };
}

/// On SQLite alone: PostgreSQL has the same statements.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_very_many_attempts_the_oldest_is_forgotten() {
    let office = Office::sqlite("").await;
    let (first, second) = (Attempt::fresh(), Attempt::fresh());
    for attempt in [&first, &second] {
        office.store.begin_sign_in(attempt.clone()).await.unwrap();
        office.clock.pass(1);
    }
    // As if so many more had begun, without a commit for each.
    let path = office.folder().join("annotate.sqlite");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let sql = "WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < 9999) \
               INSERT INTO sign_ins (state_hash, nonce, verifier, expires_at) SELECT 'another ' || i, '', '', $1 FROM numbers";
    let ends = START_MS + 2 + 10 * 60 * 1000;
    let filled = sqlx::query(sql).bind(ends).execute(&pool).await.unwrap();
    assert_eq!(filled.rows_affected(), 9999);
    let store = &office.store;
    store.begin_sign_in(Attempt::fresh()).await.unwrap();
    assert_eq!(store.take_sign_in(first.state).await.unwrap(), None);
    let kept = store.take_sign_in(second.state.clone()).await.unwrap();
    assert_eq!(kept, Some(second));
}
