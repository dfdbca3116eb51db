//! Databases that are copied, moved, upgraded, served.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candor_annotate::AnnotateError;
use candor_annotate::answer::{Answer, Pick};
use candor_annotate::clock::ManualClock;
use candor_annotate::project::{Kind, Project};
use candor_annotate::store::{NewItem, NewToken, Role, Scope, Store, VERSION};
use sha2::{Digest as _, Sha256};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use tokio::time::sleep;

use crate::office::{Office, bad, first, good, item};

/// An office with something in every table.
async fn busy() -> Office {
    let office = Office::sqlite("overlap = 2\ngold_rate = 0.5\n").await;
    office.known(Kind::Gold, 2).await;
    office.work(3).await;
    let people = office.annotators(3).await;
    let task = office.claim(&people[2]).await.unwrap();
    office
        .store
        .skip(people[2].clone(), task.assignment)
        .await
        .unwrap();
    office.work_through(&people[0], good).await;
    office.work_through(&people[1], bad).await;
    let several = NewItem {
        outputs: ["x", "y", "z"].map(str::to_owned).to_vec(),
        ..item(Kind::Work, "several", None)
    };
    let imported = office.store.import(Path::new("test"), vec![several]).await;
    assert_eq!(imported.unwrap(), 1);
    let task = loop {
        let task = office.claim(&people[0]).await.unwrap();
        if !task.answers.more.is_empty() {
            break task;
        }
        // Gold that was not drawn before.
        let said = first(good(&task));
        office.answer(&people[0], &task, said).await.unwrap();
    };
    let ranked = Answer {
        ranking: Some(vec![3, 1, 2]),
        ..first(Pick::Tie)
    };
    office.answer(&people[0], &task, ranked).await.unwrap();
    let judge = office.person("judge", Role::Adjudicator).await;
    let item = office.store.queue(&judge).await.unwrap().items[0].item;
    office
        .store
        .decide(judge.clone(), item, first(candor_annotate::answer::Pick::A))
        .await
        .unwrap();
    office.store.pause(judge.clone(), true).await.unwrap();
    office.store.start_session(judge).await.unwrap();
    let boss = office.person("boss", Role::Admin).await;
    let token = NewToken {
        name: "nightly".into(),
        scopes: vec![Scope::Read, Scope::Export],
        days: None,
    };
    office.store.make_token(boss, token).await.unwrap();
    office
}

async fn opened(office: &Office, database: &str) -> Store {
    let project = Project {
        database: database.into(),
        ..office.project.clone()
    };
    Store::open(&project, Arc::new(ManualClock::at(crate::office::START_MS)))
        .await
        .unwrap()
}

/// That `other` holds what the office does, and goes on counting events.
async fn assert_same(office: &Office, other: &Store) {
    assert_eq!(
        other.evidence().await.unwrap(),
        office.store.evidence().await.unwrap()
    );
    assert_eq!(
        other.members().await.unwrap(),
        office.store.members().await.unwrap()
    );
    assert_eq!(
        other.overview().await.unwrap(),
        office.store.overview().await.unwrap()
    );
    let tokens = office.store.tokens().await.unwrap();
    assert_eq!(tokens.len(), 1);
    assert_eq!(other.tokens().await.unwrap(), tokens);
    let events = office.store.events(0).await.unwrap();
    assert_eq!(other.events(0).await.unwrap(), events);
    other
        .invite(Role::Annotator, 1, None)
        .await
        .expect("the next event has a number of its own");
    assert_eq!(other.events(0).await.unwrap().len(), events.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_the_database_at_one_moment() {
    let office = busy().await;
    let path = office.folder().join("backup.sqlite");
    office.store.backup(&path).await.unwrap();
    assert_same(&office, &opened(&office, "backup.sqlite").await).await;
    let again = office.store.backup(&path).await;
    assert!(
        matches!(again, Err(AnnotateError::Io { .. })),
        "no backup is written over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_moves_to_postgres_and_back() {
    let office = busy().await;
    let Some(url) = crate::postgres::new_database().await else {
        return;
    };
    let other = opened(&office, &url).await;
    let n_rows = office.store.copy_to(&other).await.unwrap();
    assert_same(&office, &other).await;
    let twice = office.store.copy_to(&other).await;
    assert!(
        matches!(twice, Err(AnnotateError::Database { .. })),
        "only into an empty one"
    );
    let back = opened(&office, "back.sqlite").await;
    assert_eq!(
        other.copy_to(&back).await.unwrap(),
        n_rows + 2,
        "one invitation more, and its event"
    );
    assert!(
        other
            .backup(&office.folder().join("x.sqlite"))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_database_that_was_moved_has_no_server_any_more() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    drop(office.store.serve().await.unwrap());
    let other = opened(&office, "moved.sqlite").await;
    office.store.copy_to(&other).await.unwrap();
    let served = office.store.serve().await.map(drop);
    let held = office.store.hold().await.map(drop);
    for refused in [served, held] {
        let error = refused.expect_err("it was moved");
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(reason.as_deref(), Some("it was moved"), "{error}");
    }
    other.serve().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_takes_what_was_still_being_written_with_it() {
    let Some(office) = Office::postgres("").await else {
        return;
    };
    let url = crate::postgres::new_database().await.unwrap();
    let other = opened(&office, &url).await;
    let pool = sqlx::PgPool::connect(&office.project.database)
        .await
        .unwrap();
    let mut writing = pool.begin().await.unwrap();
    let sql = "INSERT INTO pauses (number, began_at, ended_at) VALUES (7, 1, 2)";
    sqlx::query(sql).execute(&mut *writing).await.unwrap();
    let store = office.store.clone();
    let moved = tokio::spawn(async move { store.copy_to(&other).await });
    sleep(Duration::from_millis(500)).await;
    assert!(!moved.is_finished(), "it waits for who writes");
    writing.commit().await.unwrap();
    moved.await.unwrap().unwrap();
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let sql = "SELECT COUNT(*) FROM pauses WHERE number = 7";
    let n: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
    assert_eq!(n, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_one_server() {
    let office = Office::sqlite("").await;
    let serving = office.store.serve().await.unwrap();
    let other = opened(&office, "annotate.sqlite").await;
    assert!(matches!(
        other.serve().await,
        Err(AnnotateError::Database { .. })
    ));
    drop(serving);
    other.serve().await.unwrap();
}

/// The steps that were released, with their hashes: a released step is never edited.
const RELEASED: [(i64, &str, &str, [&str; 2]); 6] = [
    (
        1,
        include_str!("../../migrations/sqlite/1_start.sql"),
        include_str!("../../migrations/postgres/1_start.sql"),
        [
            "08ee518ff3144ef42cf59cc209133048b58e5de41a5e7c814d3799d50871d015",
            "fec7fbe58a0882e6235df6b49c512e9d3fd6331daaa73e499ef6638b9122d6b9",
        ],
    ),
    (
        2,
        include_str!("../../migrations/sqlite/2_renewals.sql"),
        include_str!("../../migrations/postgres/2_renewals.sql"),
        [
            "8349e7175fcbca9a0a39c0c8fbf342b9b22f73ddafa9d6efe607f0e907c9f3e0",
            "8349e7175fcbca9a0a39c0c8fbf342b9b22f73ddafa9d6efe607f0e907c9f3e0",
        ],
    ),
    (
        3,
        include_str!("../../migrations/sqlite/3_pauses.sql"),
        include_str!("../../migrations/postgres/3_pauses.sql"),
        [
            "076f3c078542047d2e1ca6c60b74aa790b0461840a5ed3a9aed7252ca41b68cb",
            "076f3c078542047d2e1ca6c60b74aa790b0461840a5ed3a9aed7252ca41b68cb",
        ],
    ),
    (
        4,
        include_str!("../../migrations/sqlite/4_replicas.sql"),
        include_str!("../../migrations/postgres/4_replicas.sql"),
        [
            "35ae3ab7e2433aa0bb9066d2a818602e4a2bde3560ea5176a05d08d851741327",
            "35ae3ab7e2433aa0bb9066d2a818602e4a2bde3560ea5176a05d08d851741327",
        ],
    ),
    (
        5,
        include_str!("../../migrations/sqlite/5_access.sql"),
        include_str!("../../migrations/postgres/5_access.sql"),
        [
            "797e50fdde91f306c7c7a57d62a6688df500ce1d5cfabcbc3e82dc88fd2bbfd6",
            "797e50fdde91f306c7c7a57d62a6688df500ce1d5cfabcbc3e82dc88fd2bbfd6",
        ],
    ),
    (
        6,
        include_str!("../../migrations/sqlite/6_rankings.sql"),
        include_str!("../../migrations/postgres/6_rankings.sql"),
        [
            "5ed3ffa6fb5649ea8e633d060efc598de0d357cc09a973f644b7ed4ef45d71fa",
            "5ed3ffa6fb5649ea8e633d060efc598de0d357cc09a973f644b7ed4ef45d71fa",
        ],
    ),
];

/// Rows that every schema since the first can hold.
const ROWS: &str = include_str!("released/1.sql");

#[test]
fn released_steps_stay_as_they_were() {
    for (version, sqlite, postgres, hashes) in RELEASED {
        for (sql, expected) in [sqlite, postgres].into_iter().zip(hashes) {
            let mut hash = String::new();
            for byte in Sha256::digest(sql) {
                write!(hash, "{byte:02x}").expect("writing to a string never fails");
            }
            assert_eq!(
                hash, expected,
                "step {version} was edited; add a new one instead"
            );
        }
    }
    assert_eq!(RELEASED[RELEASED.len() - 1].0, VERSION);
}

/// The steps up to a version.
fn steps(postgres: bool, version: usize) -> Migrator {
    let step = |&(version, sqlite, pg, _): &(i64, &'static str, &'static str, [&str; 2])| {
        let sql = AssertSqlSafe(if postgres { pg } else { sqlite }).into_sql_str();
        Migration::new(version, "a step".into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(RELEASED[..version].iter().map(step).collect())
}

/// That the rows say today what they said then.
async fn assert_readable(store: &Store) {
    let evidence = store.evidence().await.unwrap();
    let row = &evidence.items[0];
    assert_eq!(
        (row.name.as_str(), row.image.as_deref(), row.is_closed),
        ("p-1", Some("a.png"), true)
    );
    assert_eq!(row.outputs, ["A cup.", "A dog."]);
    assert_eq!(
        row.answers[0].answer.first,
        candor_annotate::answer::Pick::A
    );
    assert_eq!(
        row.answers[0].answer.corrections.b.as_deref(),
        Some("A cat.")
    );
    assert_eq!((evidence.gold.len(), evidence.gold[0].correct), (1, true));
    let (anna, _) = store.account("anna").await.unwrap().unwrap();
    assert_eq!(
        (anna.role, anna.knows_guidelines, anna.trained),
        (Role::Admin, true, false)
    );
    assert_eq!(store.events(0).await.unwrap()[0].kind, "answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_databases_of_all_released_schemas_open() {
    let office = Office::sqlite("").await;
    for version in 1..=RELEASED.len() {
        let name = format!("old-{version}.sqlite");
        let url = format!("sqlite:{}?mode=rwc", office.folder().join(&name).display());
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        steps(false, version).run(&pool).await.unwrap();
        sqlx::raw_sql(ROWS).execute(&pool).await.unwrap();
        pool.close().await;
        assert_readable(&opened(&office, &name).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_databases_of_all_released_schemas_open() {
    let office = Office::sqlite("").await;
    for version in 1..=RELEASED.len() {
        let Some(url) = crate::postgres::new_database().await else {
            return;
        };
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        steps(true, version).run(&pool).await.unwrap();
        sqlx::raw_sql(ROWS).execute(&pool).await.unwrap();
        pool.close().await;
        assert_readable(&opened(&office, &url).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_refused() {
    let office = Office::sqlite("").await;
    office.store.close().await;
    let path = office.folder().join(&office.project.database);
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'later', 1, x'00', 0)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    pool.close().await;
    let clock = Arc::new(ManualClock::at(0));
    let refused = Store::open(&office.project, clock).await;
    assert!(matches!(refused, Err(AnnotateError::Database { .. })));
}
