//! A project and its server, at a port of its own, for as long as one test runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candor_annotate::answer::{Answer, Corrections, Pick};
use candor_annotate::clock::SystemClock;
use candor_annotate::project::{Kind, Project};
use candor_annotate::server::{self, App};
use candor_annotate::store::{Claim, Given, Judged, Known, NewItem, Role, Store, Submission};
use candor_annotate::task::{Expected, Task};
use candor_data::Turn;
use image::{Rgb, RgbImage};
use tokio::net::TcpListener;

/// What a project's protocol says, besides what every test's does.
#[derive(Clone, Copy)]
pub struct Rules {
    pub overlap: u32,
    pub gold_rate: f64,
    pub min_reading_secs: u32,
    /// Where the project lies on its server, if not at its start.
    pub path: Option<&'static str>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            overlap: 1,
            gold_rate: 0.0,
            min_reading_secs: 0,
            path: None,
        }
    }
}

pub struct Site {
    pub store: Store,
    pub url: String,
    folder: tempfile::TempDir,
}

impl Site {
    /// Starts a server without items.
    pub async fn open(rules: Rules) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its number");
        let url = format!("http://{address}");
        let Rules {
            overlap,
            gold_rate,
            min_reading_secs,
            path,
        } = rules;
        let own = path.map_or_else(String::new, |path| format!("path = \"{path}\"\n"));
        let text = format!(
            "title = \"Kitchens\"\ndatabase = \"annotate.sqlite\"\nseed = 5\n\
             [server]\nlisten = \"{address}\"\npublic_url = \"{url}\"\n{own}\
             [protocol]\noverlap = {overlap}\ngold_rate = {gold_rate:?}\nmin_reading_secs = {min_reading_secs}\n\
             dispute = \"any_difference\"\nranking_ties = true\nheartbeat_secs = 2\n\
             [training]\npass_mark = 0.6\nattempts = 2\n\
             [guidelines]\ntext = \"# Look first\\n\\n1. Read *both* answers.\\n2. Compare them.\\n\"\n"
        );
        let project =
            Project::parse(&folder.path().join("project.toml"), &text).expect("a valid project");
        let url = project.url();
        let store = Store::open(&project, Arc::new(SystemClock::default()))
            .await
            .expect("a database");
        let app = App::new(project, store.clone()).expect("an app");
        // It ends with the runtime of the test.
        tokio::spawn(server::serve(app, listener, std::future::pending()));
        RgbImage::from_fn(96, 64, |x, y| Rgb([x as u8 * 2, 120, y as u8 * 3]))
            .save(folder.path().join("image.png"))
            .expect("an image");
        Self { store, url, folder }
    }

    /// The folder of the project.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds `n` items of work.
    pub async fn work(&self, n: usize) {
        self.add((0..n).map(|i| Site::item(Kind::Work, i)).collect())
            .await;
    }

    /// Adds items whose right answer is the one that begins with "Good".
    pub async fn known(&self, kind: Kind, n: usize) {
        self.add((0..n).map(|i| Site::item(kind, i)).collect())
            .await;
    }

    /// Adds one item of work with these outputs.
    pub async fn pair(&self, outputs: [&str; 2]) {
        let item = NewItem {
            outputs: outputs.map(str::to_owned).to_vec(),
            ..Site::item(Kind::Work, 0)
        };
        self.add(vec![item]).await;
    }

    /// Adds items.
    pub async fn add(&self, items: Vec<NewItem>) {
        self.store
            .import(Path::new("test"), items)
            .await
            .expect("new items");
    }

    /// Item number `i` of a kind.
    pub fn item(kind: Kind, i: usize) -> NewItem {
        // No two kinds have the same texts.
        let i = i + 100 * kind as usize;
        let known = Known {
            expected: Expected {
                first: Pick::A,
                second: None,
            },
            explanation: Some("There is one cup and no cat.".into()),
        };
        NewItem {
            kind,
            name: format!("{}-{i}", kind.name()),
            image: Some("image.png".into()),
            image_folder: Some(".".into()),
            turns: vec![Turn::human("<image>\nWhat is on the table?")],
            outputs: vec![
                format!("Good {i}: there is one red cup on the table."),
                format!("Bad {i}: there are two blue cats on the table."),
            ],
            original_answer: None,
            known: (kind != Kind::Work).then_some(known),
            question_type: None,
            models: None,
            rank: i as i64,
        }
    }

    /// The path of a new invitation.
    pub async fn invitation(&self, role: Role) -> String {
        let (secret, _) = self
            .store
            .invite(role, 1, None)
            .await
            .expect("an invitation");
        format!("/invite/{secret}")
    }

    /// Somebody who has accepted the guidelines; their password works nowhere.
    pub async fn person(&self, name: &str, role: Role) -> String {
        let (secret, _) = self
            .store
            .invite(role, 1, None)
            .await
            .expect("an invitation");
        let person = self
            .store
            .join(secret, name.into(), "none".into())
            .await
            .expect("a new person")
            .person;
        self.store
            .accept_guidelines(person.clone())
            .await
            .expect("accepted");
        person
    }

    /// Lets a person answer all that is left for them.
    pub async fn answer_all(&self, person: &str, answer: impl Fn(&Task) -> Answer) {
        while let Claim::Task(task) = self
            .store
            .claim(person.into(), Vec::new())
            .await
            .expect("a claim")
        {
            let submission = Submission {
                assignment: task.assignment.clone(),
                id: format!("test-{}", task.assignment),
                answer: answer(&task),
                active_ms: 5_000,
            };
            self.store
                .submit(person.into(), submission)
                .await
                .expect("stored");
        }
    }

    /// Lets a person answer the task that they were given first, as from another tab.
    pub async fn answer_first(&self, person: &str) {
        let Claim::Task(task) = self
            .store
            .claim(person.into(), Vec::new())
            .await
            .expect("a claim")
        else {
            panic!("there is nothing to answer");
        };
        let submission = Submission {
            assignment: task.assignment.clone(),
            id: "another tab".into(),
            answer: first(good(&task)),
            active_ms: 5_000,
        };
        self.store
            .submit(person.into(), submission)
            .await
            .expect("stored");
    }

    /// The items of work that somebody said something about.
    pub async fn judged(&self) -> Vec<Judged> {
        self.store.evidence().await.expect("evidence").items
    }

    /// The answers to work, item by item, once there are `n`.
    pub async fn answers(&self, n: usize) -> Vec<Given> {
        let mut given: Vec<Given> = Vec::new();
        for _ in 0..500 {
            given = self
                .judged()
                .await
                .into_iter()
                .flat_map(|item| item.answers)
                .collect();
            if given.len() == n {
                return given;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        panic!("waited in vain for {n} answers, there are {}", given.len());
    }
}

/// An answer to the first question alone.
pub fn first(first: Pick) -> Answer {
    Answer {
        first,
        second: None,
        rating: None,
        ranking: None,
        marks: Vec::new(),
        corrections: Corrections::default(),
        note: None,
    }
}

/// The pick of the good answer of a task.
pub fn good(task: &Task) -> Pick {
    if task.answers.a.starts_with("Good") {
        Pick::A
    } else {
        Pick::B
    }
}

/// The pick of the bad answer of a task.
pub fn bad(task: &Task) -> Pick {
    if task.answers.a.starts_with("Good") {
        Pick::B
    } else {
        Pick::A
    }
}
