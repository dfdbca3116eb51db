//! A project with people and items, in a database of its own, at a clock that is moved by hand.

use std::path::Path;
use std::sync::Arc;

use candor_annotate::answer::{Answer, Corrections, Pick};
use candor_annotate::clock::ManualClock;
use candor_annotate::project::{Kind, Project};
use candor_annotate::store::{Claim, Known, NewItem, Receipt, Role, Store, Submission};
use candor_annotate::task::{Expected, Task};
use candor_annotate::{AnnotateError, Refusal};
use candor_data::Turn;

/// Where the clock begins: 2026-01-01, in Unix milliseconds.
pub const START_MS: i64 = 1_767_225_600_000;

pub struct Office {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub project: Project,
    folder: tempfile::TempDir,
}

/// The project file of the tests: `rules` are added to the protocol's.
fn project(folder: &Path, database: &str, rules: &str) -> Project {
    let with_default = |key: &str, value: &str| {
        if rules.contains(key) {
            String::new()
        } else {
            format!("{key} = {value}\n")
        }
    };
    let text = format!(
        "title = \"Test\"\ndatabase = \"{database}\"\nseed = 5\n[protocol]\n{}{}{}{}{rules}\n\
         [training]\npass_mark = 0.6\nattempts = 2\n[guidelines]\ntext = \"be kind\"\n",
        with_default("overlap", "2"),
        with_default("gold_rate", "0.0"),
        with_default("min_reading_secs", "0"),
        with_default("dispute", "\"no_majority\""),
    );
    Project::parse(&folder.join("project.toml"), &text).expect("a valid project")
}

impl Office {
    /// An office with a SQLite database.
    pub async fn sqlite(rules: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let project = project(folder.path(), "annotate.sqlite", rules);
        Self::open(folder, project).await
    }

    /// An office with a PostgreSQL database, where there can be one.
    pub async fn postgres(rules: &str) -> Option<Self> {
        let url = crate::postgres::new_database().await?;
        let folder = tempfile::tempdir().expect("a folder");
        let project = project(folder.path(), &url, rules);
        Some(Self::open(folder, project).await)
    }

    async fn open(folder: tempfile::TempDir, project: Project) -> Self {
        let clock = Arc::new(ManualClock::at(START_MS));
        let store = Store::open(&project, clock.clone())
            .await
            .expect("a database");
        Self {
            store,
            clock,
            project,
            folder,
        }
    }

    /// The office's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The office after its server was restarted: the process's clock begins anew.
    pub async fn restarted(self) -> Self {
        self.store.close().await;
        Self::open(self.folder, self.project).await
    }

    /// Somebody who has accepted the guidelines.
    pub async fn person(&self, name: &str, role: Role) -> String {
        let (secret, _) = self
            .store
            .invite(role, 1, None)
            .await
            .expect("an invitation");
        let person = self
            .store
            .join(secret, name.into(), "hash".into())
            .await
            .expect("a new person");
        self.store
            .accept_guidelines(person.person.clone())
            .await
            .expect("accepted");
        person.person
    }

    /// `n` annotators.
    pub async fn annotators(&self, n: usize) -> Vec<String> {
        let mut people = Vec::new();
        for i in 0..n {
            people.push(self.person(&format!("person {i}"), Role::Annotator).await);
        }
        people
    }

    /// Adds `n` items of work, `w-0` and so on.
    pub async fn work(&self, n: usize) {
        let items = (0..n)
            .map(|i| item(Kind::Work, &format!("w-{i}"), None))
            .collect();
        assert_eq!(
            self.store.import(Path::new("test"), items).await.unwrap(),
            n
        );
    }

    /// Adds items whose right answer is `a`: `a` is always the output that begins with "good".
    pub async fn known(&self, kind: Kind, n: usize) {
        let items = (0..n)
            .map(|i| item(kind, &format!("{}-{i}", kind.name()), Some(Pick::A)))
            .collect();
        assert_eq!(
            self.store.import(Path::new("test"), items).await.unwrap(),
            n
        );
    }

    /// The next task of a person who holds nothing on the page.
    pub async fn claim(&self, person: &str) -> Option<Task> {
        match self.store.claim(person.into(), Vec::new()).await.unwrap() {
            Claim::Task(task) => Some(*task),
            Claim::Nothing(_) => None,
        }
    }

    /// Answers a task.
    pub async fn answer(
        &self,
        person: &str,
        task: &Task,
        answer: Answer,
    ) -> Result<Receipt, AnnotateError> {
        let submission = Submission {
            assignment: task.assignment.clone(),
            id: format!(
                "{}-{}-{:?}",
                task.assignment,
                self.clock_ms(),
                answer.preference()
            ),
            answer,
            active_ms: 1000,
        };
        self.store.submit(person.into(), submission).await
    }

    fn clock_ms(&self) -> i64 {
        self.store.unix_ms()
    }

    /// Claims and answers until nothing is left; returns the number of answers.
    pub async fn work_through(&self, person: &str, pick: impl Fn(&Task) -> Pick) -> usize {
        let mut n = 0;
        while let Some(task) = self.claim(person).await {
            self.answer(person, &task, first(pick(&task)))
                .await
                .expect("stored");
            n += 1;
        }
        n
    }
}

/// An item whose outputs say which is the first.
pub fn item(kind: Kind, name: &str, right: Option<Pick>) -> NewItem {
    NewItem {
        kind,
        name: name.into(),
        image: Some(format!("{name}.png")),
        image_folder: Some("images".into()),
        turns: vec![Turn::human("<image>\nWhat is it?")],
        outputs: vec![format!("good {name}"), format!("bad {name}")],
        original_answer: None,
        known: right.map(|first| Known {
            expected: Expected {
                first,
                second: None,
            },
            explanation: Some("because".into()),
        }),
        question_type: None,
        models: Some(["m1".into(), "m2".into()]),
        rank: 0,
    }
}

/// An answer that the first question decides, or a double tie.
pub fn first(pick: Pick) -> Answer {
    Answer {
        first: pick,
        second: (pick == Pick::Tie).then_some(Pick::Tie),
        rating: None,
        ranking: None,
        marks: Vec::new(),
        corrections: Corrections::default(),
        note: None,
    }
}

/// The side of the page on which the good answer stands.
pub fn good(task: &Task) -> Pick {
    if task.answers.a.starts_with("good") {
        Pick::A
    } else {
        Pick::B
    }
}

/// The other side.
pub fn bad(task: &Task) -> Pick {
    if task.answers.a.starts_with("good") {
        Pick::B
    } else {
        Pick::A
    }
}

/// The refusal in an error.
pub fn refusal<T: std::fmt::Debug>(outcome: Result<T, AnnotateError>) -> Refusal {
    match outcome {
        Err(AnnotateError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// Makes each test run on both databases, with the project's rules. The office is boxed, because an async block takes
/// only the fields that it names, and the folder would go before the test ends.
macro_rules! on_both {
    ($($(#[$note:meta])* $name:ident($rules:expr) $test:expr;)*) => {
        mod sqlite {
            #[allow(unused_imports, reason = "not every file needs all")]
            use super::*;
            $($(#[$note])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() {
                let test: fn(Box<$crate::office::Office>) -> _ = $test;
                test(Box::new($crate::office::Office::sqlite($rules).await)).await;
            })*
        }
        mod postgres {
            #[allow(unused_imports, reason = "not every file needs all")]
            use super::*;
            $($(#[$note])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() {
                let test: fn(Box<$crate::office::Office>) -> _ = $test;
                if let Some(office) = $crate::office::Office::postgres($rules).await {
                    test(Box::new(office)).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;
