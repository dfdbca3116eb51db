//! Two servers of one PostgreSQL database, as far as the database can tell: stores with connections and clocks of their own.
//! That processes may be killed is in `tests/load`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candor_annotate::answer::Answer;
use candor_annotate::clock::ManualClock;
use candor_annotate::project::{Kind, Project};
use candor_annotate::store::{Claim, Guest, NewItem, Role, Serving, Store, Submission};
use candor_annotate::{AnnotateError, Refusal};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::{sleep, timeout};

use crate::office::{Office, first, good, item, refusal};

/// PostgreSQL's advisory lock of all servers, which was that of the only one: "candor" in ASCII.
const LOCK: i64 = 0x63_61_6e_64_6f_72;

/// Takes one of the servers' advisory locks until a transaction ends.
const TAKES_LOCK: &str = "SELECT pg_advisory_xact_lock($1)";

/// Takes the row that all servers' pulses are written to.
const TAKES_CLOCK: &str = "SELECT now_ms FROM lease_clock FOR UPDATE";

/// A webhook that is told everything; nobody reads its secret here.
const HOOK: &str =
    "[[webhook]]\nname = \"dash\"\nurl = \"https://hooks.example/\"\nsecret_env = \"NONE\"\n";

/// Another server's store and clock.
struct Replica {
    store: Store,
    clock: Arc<ManualClock>,
}

/// A second server of the office's database, with a seed that may be another.
async fn beside(office: &Office, seed: u64) -> Replica {
    let project = Project {
        seed,
        ..office.project.clone()
    };
    let clock = Arc::new(ManualClock::default());
    let store = Store::open(&project, clock.clone()).await.unwrap();
    Replica { store, clock }
}

/// The office's database, beside its store.
async fn connected(office: &Office) -> PgPool {
    PgPool::connect(&office.project.database).await.unwrap()
}

/// A transaction that holds what a query takes until it ends.
async fn holding(
    pool: &PgPool,
    taking: Query<'_, Postgres, PgArguments>,
) -> Transaction<'static, Postgres> {
    let mut held = pool.begin().await.unwrap();
    taking.execute(&mut *held).await.unwrap();
    held
}

/// Waits until `done` says so: servers tell each other how far they are once a second.
async fn until(what: &str, done: &impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if done().await {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not come");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_for_all_servers_by_the_clock_that_ran_and_no_time_of_day() {
    let Some(office) = Office::postgres("overlap = 1\n").await else {
        return;
    };
    office.work(1).await;
    let people = office.annotators(2).await;
    let other = beside(&office, office.project.seed).await;
    let (_one, _two) = (
        office.store.serve().await.unwrap(),
        other.store.serve().await.unwrap(),
    );
    let task = office.claim(&people[0]).await.unwrap();
    let claimed = async || {
        let claim = other.store.claim(people[1].clone(), Vec::new()).await;
        matches!(claim.unwrap(), Claim::Task(_))
    };
    let is_known = async || office.store.check().await.is_ok();
    other.clock.jump(i64::MAX / 4);
    office.clock.pass(599_000);
    until("the first server's pulse", &is_known).await;
    // Time for the second to hear of it.
    sleep(Duration::from_millis(2500)).await;
    assert!(!claimed().await, "599 of 600 seconds have gone");
    office.clock.pass(1_000);
    until("the end of the lease", &claimed).await;
    until("the first server's pulse", &is_known).await;
    let late = office.answer(&people[0], &task, first(good(&task))).await;
    assert_eq!(refusal(late), Refusal::LeaseLost);

    // A third begins where the others are by now, not where the newest lease was given.
    office.clock.pass(600_000);
    until("the first server's pulse", &is_known).await;
    let third = beside(&office, office.project.seed).await;
    let claim = third.store.claim(people[0].clone(), Vec::new()).await;
    assert!(matches!(claim.unwrap(), Claim::Task(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_go_by_the_same_rules_and_leave_nobody_alone_with_the_database() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    let serving = office.store.serve().await.unwrap();
    let other = beside(&office, office.project.seed + 1).await;
    // As if the server that runs had not known the newest step of the schema.
    let pool = connected(&office).await;
    let forgotten =
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
    sqlx::query(forgotten).execute(&pool).await.unwrap();
    let (served, held, upgraded) = tokio::join!(
        other.store.serve(),
        other.store.hold(),
        Store::open(&office.project, other.clock.clone())
    );
    for refused in [served.map(drop), held.map(drop), upgraded.map(drop)] {
        assert!(matches!(refused, Err(AnnotateError::Database { .. })));
    }
    drop(serving);
    other.store.serve().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_project_and_one_with_other_webhooks_are_kept_out_of_a_database() {
    let Some(office) = Office::postgres(HOOK).await else {
        return;
    };
    let _serving = office.store.serve().await.unwrap();
    let mut others = vec![office.project.clone(); 4];
    others[0].title = "Streets".into();
    others[1].server.path = Some("streets".into());
    others[2].webhooks.clear();
    others[3].webhooks[0].events.truncate(1);
    // Each tries for a while before it gives up, so all do at once.
    for refused in futures_util::future::join_all(others.iter().map(started)).await {
        assert!(matches!(refused, Err(AnnotateError::Database { .. })));
    }
    started(&office.project).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_the_database_has_not_heard_of_changes_nothing() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    let _serving = office.store.serve().await.unwrap();
    let invite = || office.store.invite(Role::Annotator, 1, None);
    let pool = connected(&office).await;
    let held = holding(&pool, sqlx::query(TAKES_CLOCK)).await;
    office.clock.pass(4_000);
    assert!(
        office.store.check().await.is_err(),
        "a load balancer is told at once"
    );
    invite().await.unwrap();
    // One change begins before it is too late, and waits in the middle.
    let waited_for = holding(&pool, sqlx::query(TAKES_LOCK).bind(LOCK + 3)).await;
    let too_late = async {
        sleep(Duration::from_millis(500)).await;
        office.clock.pass(6_000);
        waited_for.rollback().await.unwrap();
    };
    let login = office.store.attempt_login("anna", None);
    let (waiting, ()) = tokio::join!(login, too_late);
    for refused in [waiting, invite().await.map(drop)] {
        assert!(matches!(refused, Err(AnnotateError::NotCommitted { .. })));
    }
    held.rollback().await.unwrap();
    until("the pulse", &async || office.store.check().await.is_ok()).await;
    invite().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_servers_do_at_once_is_done_once() {
    let Some(office) = Office::postgres("overlap = 1\n").await else {
        return;
    };
    let other = beside(&office, office.project.seed).await;
    let items = || {
        (0..40)
            .map(|i| {
                let mut item = item(Kind::Work, &format!("w-{i}"), None);
                // Half of them are ranked.
                item.outputs
                    .extend((i % 2 == 0).then(|| "third".to_owned()));
                item
            })
            .collect()
    };
    let from = Path::new("test");
    let (one, two) = tokio::join!(
        office.store.import(from, items()),
        other.store.import(from, items())
    );
    let mut n_new = [one.unwrap(), two.unwrap()];
    n_new.sort_unstable();
    assert_eq!(n_new, [0, 40]);

    let (link, _) = office.store.invite(Role::Annotator, 1, None).await.unwrap();
    let (one, two) = tokio::join!(
        office.store.join(link.clone(), "one".into(), "hash".into()),
        other.store.join(link.clone(), "two".into(), "hash".into())
    );
    assert!(one.is_ok() != two.is_ok(), "a link makes one account");

    let anna = office.person("anna", Role::Annotator).await;
    for i in 0..20 {
        let task = office.claim(&anna).await.unwrap();
        let answer = if task.answers.more.is_empty() {
            first(candor_annotate::answer::Pick::A)
        } else {
            Answer {
                ranking: Some(vec![2, 3, 1]),
                ..first(candor_annotate::answer::Pick::Tie)
            }
        };
        let sent = Submission {
            assignment: task.assignment,
            id: format!("id-{i}"),
            answer,
            active_ms: 1000,
        };
        let (one, two) = tokio::join!(
            office.store.submit(anna.clone(), sent.clone()),
            other.store.submit(anna.clone(), sent)
        );
        let repeated = [one.unwrap().repeated, two.unwrap().repeated];
        assert!(repeated[0] != repeated[1], "{repeated:?}");
    }
    let events = office.store.events(0).await.unwrap();
    let n = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!((n("answer"), n("late_answer"), n("import")), (20, 0, 1));

    for _ in 0..3 {
        other.store.attempt_login("anna", None).await.unwrap();
    }
    for _ in 0..2 {
        office.store.attempt_login("anna", None).await.unwrap();
    }
    for store in [&office.store, &other.store] {
        let refused = refusal(store.attempt_login("anna", None).await);
        assert!(matches!(refused, Refusal::TooManyAttempts { .. }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_provider_vouches_for_at_two_servers_at_once_has_one_account() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    let other = beside(&office, office.project.seed).await;
    let guest = |subject: String| Guest {
        issuer: "https://login.example".into(),
        subject,
        name: "Anna".into(),
        role: Some(Role::Annotator),
        follows: false,
    };
    for i in 0..20 {
        let (one, two) = tokio::join!(
            office.store.admit(guest(format!("one {i}"))),
            other.store.admit(guest(format!("two {i}")))
        );
        assert_ne!(one.unwrap().name, two.unwrap().name);
        let (one, two) = tokio::join!(
            office.store.admit(guest(format!("both {i}"))),
            other.store.admit(guest(format!("both {i}")))
        );
        assert_eq!(one.unwrap(), two.unwrap());
    }
    assert_eq!(office.store.members().await.unwrap().0.len(), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_skip_an_item_at_once_both_count() {
    let Some(office) = Office::postgres("overlap = 2\nskip_limit = 2\n").await else {
        return;
    };
    let other = beside(&office, office.project.seed).await;
    office.work(20).await;
    let people = office.annotators(2).await;
    for _ in 0..20 {
        let (one, two) = (
            office.claim(&people[0]).await.unwrap(),
            office.claim(&people[1]).await.unwrap(),
        );
        let (one, two) = tokio::join!(
            office.store.skip(people[0].clone(), one.assignment),
            other.store.skip(people[1].clone(), two.assignment)
        );
        one.and(two).unwrap();
    }
    let judge = office.person("judge", Role::Adjudicator).await;
    assert_eq!(office.store.queue(&judge).await.unwrap().n_waiting, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_that_wait_keep_nobody_else_waiting() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    for _ in 0..5 {
        office.store.attempt_login("anna", None).await.unwrap();
    }
    let pool = connected(&office).await;
    // Another server that counts a login, and takes its time.
    let counting = holding(&pool, sqlx::query(TAKES_LOCK).bind(LOCK + 3)).await;
    let soon = Duration::from_secs(10);
    let again = timeout(soon, office.store.attempt_login("anna", None)).await;
    let refused = refusal(again.expect("what is refused is only looked up"));
    assert!(matches!(refused, Refusal::TooManyAttempts { .. }));
    let waiting: Vec<_> = (0..12)
        .map(|i| {
            let store = office.store.clone();
            tokio::spawn(async move { store.attempt_login(&format!("name {i}"), None).await })
        })
        .collect();
    sleep(Duration::from_millis(500)).await;
    let invited = timeout(soon, office.store.invite(Role::Annotator, 1, None)).await;
    invited.expect("a writer is free").unwrap();
    counting.rollback().await.unwrap();
    for login in waiting {
        login.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_before_there_were_several_keeps_others_out() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    let pool = connected(&office).await;
    let mut older = pool.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(LOCK)
        .execute(&mut *older)
        .await
        .unwrap();
    let refused = office.store.serve().await.map(drop);
    assert!(matches!(refused, Err(AnnotateError::Database { .. })));
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(LOCK)
        .execute(&mut *older)
        .await
        .unwrap();
    office.store.serve().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_ranks_do_not_all_wait_for_one_row() {
    let Some(office) = Office::postgres("overlap = 1\n").await else {
        return;
    };
    office.work(60).await;
    let pool = connected(&office).await;
    let row = "SELECT item FROM items WHERE name = 'w-59' FOR UPDATE";
    let busy = holding(&pool, sqlx::query(row)).await;
    let items = (0..60).map(|i| NewItem {
        rank: 9,
        ..item(Kind::Work, &format!("w-{i}"), None)
    });
    let n_ranked = async || -> i64 {
        let sql = "SELECT COUNT(*) FROM items WHERE rank = 9";
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    let some = async {
        until("the first new ranks", &async || n_ranked().await > 0).await;
        busy.rollback().await.unwrap();
    };
    let all = office.store.import(Path::new("test"), items.collect());
    let (n_new, ()) = tokio::join!(all, some);
    assert_eq!((n_new.unwrap(), n_ranked().await), (0, 60));
}

/// A store of the project that serves, as a process that was just started has it.
async fn started(project: &Project) -> Result<(Store, Serving), AnnotateError> {
    let store = Store::open(project, Arc::new(ManualClock::default())).await?;
    let serving = store.serve().await?;
    Ok((store, serving))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_start_at_once_on_an_empty_database_both_serve() {
    let office = Office::sqlite("").await;
    let Some(database) = crate::postgres::new_database().await else {
        return;
    };
    let project = Project {
        database,
        ..office.project.clone()
    };
    let (one, two) = tokio::join!(started(&project), started(&project));
    let (one, two) = (one.unwrap(), two.unwrap());
    one.0.check().await.unwrap();
    two.0.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beats_that_are_given_up_leave_nothing_behind() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    let _serving = office.store.serve().await.unwrap();
    let pool = connected(&office).await;
    let _held = holding(&pool, sqlx::query(TAKES_CLOCK)).await;
    // A beat begins a second after the last has ended, and is given up after three: by now it is the third.
    sleep(Duration::from_secs(10)).await;
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let n: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
    assert!(n < 2, "{n} beats wait");
}
