//! Who gets what: exactly as often as asked for, never twice, and back when nobody is there.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use candor_annotate::Refusal;
use candor_annotate::answer::Pick;
use candor_annotate::project::Kind;
use candor_annotate::store::{Claim, Role};
use candor_annotate::task::NoTask;
use tokio::time::sleep;

use crate::office::{Office, first, good, on_both, refusal};

on_both! {
    each_item_goes_to_exactly_as_many_people("overlap = 3\n") |office: Box<Office>| async move {
        office.work(10).await;
        let people = office.annotators(5).await;
        let mut n = 0;
        for person in &people {
            n += office.work_through(person, good).await;
        }
        assert_eq!(n, 30);
        for item in office.store.evidence().await.unwrap().items {
            let who: HashSet<_> = item.answers.iter().map(|given| given.person.clone()).collect();
            assert_eq!((item.answers.len(), who.len()), (3, 3), "{}", item.name);
        }
    };

    people_at_the_same_time_never_get_one_slot("overlap = 3\nhold = 20\n") |office: Box<Office>| async move {
        office.work(12).await;
        let people = office.annotators(12).await;
        let office = std::sync::Arc::new(office);
        let claims = people.into_iter().map(|person| {
            let office = office.clone();
            tokio::spawn(async move {
                let mut held = Vec::new();
                let mut texts = Vec::new();
                while let Claim::Task(task) = office.store.claim(person.clone(), held.clone()).await.unwrap() {
                    held.push(task.assignment.clone());
                    texts.push(task.answers.a.replace("good ", "").replace("bad ", ""));
                }
                texts
            })
        });
        let mut times: HashMap<String, usize> = HashMap::new();
        for claim in claims.collect::<Vec<_>>() {
            let texts = claim.await.unwrap();
            let distinct: HashSet<_> = texts.iter().collect();
            assert_eq!(distinct.len(), texts.len(), "somebody got an item twice");
            for text in texts {
                *times.entry(text).or_default() += 1;
            }
        }
        assert_eq!(times.len(), 12);
        assert!(times.values().all(|&n| n == 3), "{times:?}");
    };

    a_page_that_is_loaded_again_gets_its_task_back("") |office: Box<Office>| async move {
        office.work(3).await;
        let anna = office.person("anna", candor_annotate::store::Role::Annotator).await;
        let one = office.claim(&anna).await.unwrap();
        let again = office.claim(&anna).await.unwrap();
        assert_eq!((one.assignment.clone(), one.held, again.held), (again.assignment, false, true));
        let holding = vec![one.assignment.clone()];
        let Claim::Task(next) = office.store.claim(anna.clone(), holding).await.unwrap() else {
            panic!("a second task fits");
        };
        let holding = vec![one.assignment, next.assignment];
        let full = office.store.claim(anna, holding).await.unwrap();
        assert_eq!(full, Claim::Nothing(NoTask::EnoughHeld));
    };

    an_abandoned_task_returns_when_its_lease_ends("overlap = 1\nlease_secs = 60\n") |office: Box<Office>| async move {
        office.work(1).await;
        let people = office.annotators(2).await;
        let task = office.claim(&people[0]).await.unwrap();
        assert_eq!(task.lease_ms, 60_000);
        office.clock.pass(59_999);
        assert_eq!(office.claim(&people[1]).await, None);
        office.clock.pass(1);
        let taken = office.claim(&people[1]).await.expect("the lease has ended");
        assert_ne!(taken.assignment, task.assignment);
        let late = office.answer(&people[0], &task, first(Pick::A)).await;
        assert_eq!(refusal(late), Refusal::LeaseLost);
        office.answer(&people[1], &taken, first(Pick::B)).await.unwrap();
        let kinds: Vec<String> =
            office.store.events(0).await.unwrap().into_iter().map(|event| event.kind).collect();
        assert!(kinds.contains(&"late_answer".to_owned()), "{kinds:?}");
        assert_eq!(office.store.evidence().await.unwrap().items[0].answers.len(), 1);
    };

    a_late_answer_counts_while_nobody_else_has_the_task("overlap = 1\nlease_secs = 60\n") |office: Box<Office>| async move {
        office.work(2).await;
        let people = office.annotators(2).await;
        let task = office.claim(&people[0]).await.unwrap();
        office.clock.pass(3_600_000);
        // The other claim lets expired leases go and takes the first open item: that one.
        let other = office.claim(&people[1]).await.unwrap();
        assert_eq!(refusal(office.answer(&people[0], &task, first(Pick::A)).await), Refusal::LeaseLost);
        office.clock.pass(3_600_000);
        office.answer(&people[1], &other, first(Pick::A)).await.expect("nobody has taken it");
    };

    heartbeats_keep_a_lease_and_tell_what_is_lost("overlap = 1\nlease_secs = 60\n") |office: Box<Office>| async move {
        office.work(1).await;
        let people = office.annotators(2).await;
        let task = office.claim(&people[0]).await.unwrap();
        for _ in 0..5 {
            office.clock.pass(40_000);
            let showing = Some(task.assignment.clone());
            let leases = office.store.heartbeat(people[0].clone(), showing, Vec::new()).await.unwrap();
            assert_eq!(leases.leases[&task.assignment], 60_000);
            assert_eq!(office.claim(&people[1]).await, None);
        }
        office.clock.pass(60_000);
        office.claim(&people[1]).await.unwrap();
        let holding = vec![task.assignment.clone(), "made up".into()];
        let leases = office.store.heartbeat(people[0].clone(), None, holding).await.unwrap();
        assert_eq!((leases.leases.len(), leases.lost), (0, vec![task.assignment, "made up".into()]));
    };

    clocks_that_jump_end_no_lease_and_keep_none_alive("overlap = 1\nlease_secs = 60\n") |office: Box<Office>| async move {
        office.work(1).await;
        let people = office.annotators(2).await;
        office.claim(&people[0]).await.unwrap();
        office.clock.jump(crate::office::START_MS + 10 * 365 * 86_400_000);
        assert_eq!(office.claim(&people[1]).await, None, "a jump forward ended a lease");
        office.clock.jump(0);
        office.clock.pass(60_000);
        assert!(office.claim(&people[1]).await.is_some(), "a jump backward kept a lease alive");
    };

    a_restart_neither_ends_leases_nor_keeps_them_for_ever("overlap = 1\nlease_secs = 60\n") |office: Box<Office>| async move {
        office.work(1).await;
        let people = office.annotators(2).await;
        office.clock.pass(1_000_000);
        office.claim(&people[0]).await.unwrap();
        let office = office.restarted().await;
        assert_eq!(office.claim(&people[1]).await, None);
        office.clock.pass(59_999);
        assert_eq!(office.claim(&people[1]).await, None);
        office.clock.pass(1);
        assert!(office.claim(&people[1]).await.is_some());
    };

    a_skipped_item_goes_to_others_and_never_back("overlap = 1\nskip_limit = 2\n") |office: Box<Office>| async move {
        office.work(1).await;
        let people = office.annotators(3).await;
        let task = office.claim(&people[0]).await.unwrap();
        office.store.skip(people[0].clone(), task.assignment.clone()).await.unwrap();
        assert_eq!(refusal(office.store.skip(people[0].clone(), task.assignment).await), Refusal::LeaseLost);
        assert_eq!(office.claim(&people[0]).await, None);
        let task = office.claim(&people[1]).await.expect("it goes to others");
        office.store.skip(people[1].clone(), task.assignment).await.unwrap();
        assert_eq!(office.claim(&people[2]).await, None, "skipped twice, it waits for an adjudicator");
        assert_eq!(office.store.queue(&people[2]).await.unwrap().n_waiting, 1);
    };
}

/// A transaction that holds a row of the office's database which another one needs.
struct Held {
    pool: sqlx::PgPool,
    transaction: sqlx::Transaction<'static, sqlx::Postgres>,
}

impl Held {
    async fn new(office: &Office, sql: &'static str, value: &str) -> Self {
        let pool = sqlx::PgPool::connect(&office.project.database)
            .await
            .unwrap();
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query(sql)
            .bind(value)
            .execute(&mut *transaction)
            .await
            .unwrap();
        Self { pool, transaction }
    }

    /// Takes a task's row as well, at once, when somebody waits for the first row; then lets both go.
    async fn take(mut self, assignment: &str) {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        for _ in 0..200 {
            let n: i64 = sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap();
            if n > 0 {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        sqlx::query("SELECT item FROM slots WHERE assignment = $1 FOR UPDATE NOWAIT")
            .bind(assignment)
            .execute(&mut *self.transaction)
            .await
            .expect("whoever waits holds nothing yet");
        self.transaction.rollback().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_of_two_pages_take_rows_in_one_order() {
    let Some(office) = Office::postgres("overlap = 1\nhold = 2\n").await else {
        return;
    };
    office.work(2).await;
    let anna = office.person("anna", Role::Annotator).await;
    let one = office.claim(&anna).await.unwrap().assignment;
    let two = office.store.claim(anna.clone(), vec![one.clone()]).await;
    let Claim::Task(two) = two.unwrap() else {
        panic!("two may be held");
    };
    let (low, high) = (
        one.clone().min(two.assignment.clone()),
        one.max(two.assignment),
    );
    let sql = "SELECT item FROM slots WHERE assignment = $1 FOR UPDATE";
    let held = Held::new(&office, sql, &low).await;
    let beat = office
        .store
        .heartbeat(anna, Some(high.clone()), vec![low.clone()]);
    let (leases, ()) = tokio::join!(beat, held.take(&high));
    assert_eq!(leases.unwrap().leases.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_answer_of_a_round_takes_rows_as_a_claim_does() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    office.known(Kind::Training, 1).await;
    let anna = office.person("anna", Role::Annotator).await;
    let task = office.claim(&anna).await.unwrap();
    // As a claim does, before it looks at the person's tasks.
    let sql = "UPDATE people SET n_claims = n_claims + 1 WHERE person = $1";
    let held = Held::new(&office, sql, &anna).await;
    let answer = office.answer(&anna, &task, first(good(&task)));
    let (receipt, ()) = tokio::join!(answer, held.take(&task.assignment));
    let feedback = receipt.unwrap().feedback.expect("a training item");
    assert!(feedback.result.expect("the round is over").passed);
}
