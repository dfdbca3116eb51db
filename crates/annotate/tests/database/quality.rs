//! The quality that is kept is the one that is computed anew, whatever happened.

use std::sync::Arc;

use candor_annotate::answer::Pick;
use candor_annotate::project::Kind;
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

/// Changes the database behind the program's back.
pub async fn run(office: &Office, sql: &'static str) {
    if office.project.database.starts_with("postgres") {
        let pool = sqlx::PgPool::connect(&office.project.database)
            .await
            .unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
    } else {
        let path = office.folder().join(&office.project.database);
        let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display()))
            .await
            .unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
}

fn n_answers(quality: &Quality) -> usize {
    quality.people.iter().map(|person| person.n_answers).sum()
}

on_both! {
    days_count_the_answers_to_work_that_stand("overlap = 1\ngold_rate = 0.5\n") |office: Box<Office>| async move {
        office.known(Kind::Gold, 2).await;
        office.work(4).await;
        let people = office.annotators(2).await;
        // Gold is drawn now and then; it counts nowhere here.
        let mut n_work = 0;
        while n_work < 3 {
            let task = office.claim(&people[0]).await.unwrap();
            n_work += usize::from(task.answers.a.contains("w-"));
            office.answer(&people[0], &task, first(good(&task))).await.unwrap();
        }
        office.clock.pass(86_400_000);
        office.work_through(&people[1], good).await;
        let days = quality::by_day(&office.store.timed_answers().await.unwrap(), None);
        let told: Vec<_> = days.into_iter().map(|day| (day.day_at, day.name, day.n_answers, day.median_secs)).collect();
        let [first_day, second_day] = [START_MS, START_MS + 86_400_000];
        let one = |day, name: &str, n| (day, name.to_owned(), n, Some(1.0));
        assert_eq!(told, [one(second_day, "person 1", 1), one(first_day, "person 0", 3)]);
        // What the page shows beside it are the same answers.
        let overview = office.store.overview().await.unwrap();
        let by_day: Vec<(i64, i64)> = overview.answers_by_day.iter().map(|day| (day.day_at, day.n)).collect();
        assert_eq!(by_day, [(first_day, 3), (second_day, 1)]);
    };

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

    a_failure_is_told_until_something_happens_or_time_has_passed("overlap = 1\n") |office: Box<Office>| async move {
        office.work(2).await;
        let people = office.annotators(1).await;
        let task = office.claim(&people[0]).await.unwrap();
        office.answer(&people[0], &task, first(good(&task))).await.unwrap();
        let figures = Arc::new(Kept::default());
        let look = async || figures.look(&office.store, office.project.seed).await;
        run(&office, "UPDATE answers SET answer = 'x' || answer").await;
        assert!(look().await.is_err());
        run(&office, "UPDATE answers SET answer = substr(answer, 2)").await;
        // It could be computed now, and nothing has told so.
        let message = look().await.unwrap_err().to_string();
        assert!(message.contains("unreadable answer") && message.contains("in a minute"), "{message}");
        office.clock.pass(60_000);
        let (_, quality) = kept(&office, &figures).await;
        assert_eq!(n_answers(&quality), 1);

        office.clock.pass(1000);
        let task = office.claim(&people[0]).await.unwrap();
        office.answer(&people[0], &task, first(good(&task))).await.unwrap();
        run(&office, "UPDATE answers SET answer = 'x' || answer").await;
        assert!(look().await.is_err());
        run(&office, "UPDATE answers SET answer = substr(answer, 2)").await;
        assert!(look().await.is_err());
        office.store.undo(people[0].clone()).await.unwrap();
        let (_, quality) = kept(&office, &figures).await;
        assert_eq!(n_answers(&quality), 1);
    };
}
