//! Everybody together: the project, the people, the work, and the reckoning.

use std::collections::{BTreeMap, HashSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use candor_annotate::clock::SystemClock;
use candor_annotate::project::{Kind, Project};
use candor_annotate::store::{NewItem, Role, Store};
use candor_data::Turn;
use candor_data::random::stream;
use futures_util::future::join_all;
use rand::RngExt as _;
use serde_json::json;

use crate::Size;
use crate::annotator::{self, Day};
use crate::client::Client;
use crate::server::{Server, is_ready};
use crate::siege;

/// How many answers there are, of how many.
#[derive(Clone)]
pub struct Progress {
    n: Arc<AtomicUsize>,
    needed: usize,
}

impl Progress {
    fn n(&self) -> usize {
        self.n.load(Ordering::SeqCst)
    }

    /// Waits until there are so many, or all.
    async fn reach(&self, n: usize) {
        while self.n() < n.min(self.needed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// One answer more.
    pub fn step(&self) {
        self.n.fetch_add(1, Ordering::SeqCst);
    }

    pub fn is_done(&self) -> bool {
        self.n() >= self.needed
    }
}

/// What everybody did.
#[derive(Default)]
pub struct Tally {
    pub stored: HashSet<String>,
    pub latencies: BTreeMap<&'static str, Vec<f64>>,
}

pub struct Crowd {
    size: Size,
    /// One for each server; they differ in where it listens.
    projects: Vec<PathBuf>,
    addresses: Vec<String>,
    sessions: Vec<String>,
}

impl Crowd {
    pub async fn gather(folder: &Path, database: &str, size: Size) -> Self {
        let free: Vec<TcpListener> = (0..size.servers)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
            .collect();
        let addresses: Vec<String> = free
            .iter()
            .map(|listener| listener.local_addr().expect("an address").to_string())
            .collect();
        drop(free);
        let mut projects = Vec::new();
        for (i, address) in addresses.iter().enumerate() {
            let project = folder.join(format!("project-{i}.toml"));
            let text = format!(
                "title = \"Load\"\ndatabase = \"{database}\"\nseed = 1\n[server]\nlisten = \"{address}\"\n\
                 public_url = \"http://{}\"\n[protocol]\noverlap = {}\ngold_rate = 0.0\nmin_reading_secs = 0\n\
                 dispute = \"no_majority\"\n[training]\npass_mark = 1.0\nattempts = 1\n[guidelines]\ntext = \"x\"\n",
                addresses[0], size.overlap
            );
            std::fs::write(&project, text).expect("the project file");
            projects.push(project);
        }
        let store = open(&projects[0]).await;
        store
            .import(&projects[0], (0..size.items).map(item).collect())
            .await
            .expect("imported");
        let mut sessions = Vec::new();
        for i in 0..size.annotators {
            let (secret, _) = store
                .invite(Role::Annotator, 1, None)
                .await
                .expect("an invitation");
            let person = store
                .join(secret, format!("person {i}"), "hash".into())
                .await
                .expect("a person");
            store
                .accept_guidelines(person.person.clone())
                .await
                .expect("accepted");
            sessions.push(store.start_session(person.person).await.expect("a session"));
        }
        store.close().await;
        Self {
            size,
            projects,
            addresses,
            sessions,
        }
    }

    /// Lets everybody work until all is answered, and kills a server on every part of the way.
    pub async fn work(&self) -> Tally {
        let is_besieged = self.size.half_sent > 0;
        let starting = self.projects.iter().zip(&self.addresses);
        let starting =
            starting.map(|(project, address)| Server::start(project, address, is_besieged));
        let mut servers = join_all(starting).await;
        let siege = siege::lay(&self.addresses[0], &self.sessions[0], self.size.half_sent);
        if is_besieged {
            let shown = json!({"showing": null, "holding": []});
            let mut somebody = Client::new(&self.addresses, 0, &self.sessions[0]);
            somebody.post("/api/heartbeat", &shown).await;
            assert!(
                siege.iter().any(siege::waits),
                "somebody was answered only after all others had been given up"
            );
        }
        let needed = self.size.items * self.size.overlap;
        let progress = Progress {
            n: Arc::default(),
            needed,
        };
        let people: Vec<_> = self
            .sessions
            .iter()
            .enumerate()
            .map(|(i, session)| {
                tokio::spawn(annotator::work(
                    i,
                    Client::new(&self.addresses, i, session),
                    Duration::from_millis(self.size.pause_ms),
                    progress.clone(),
                ))
            })
            .collect();
        // Servers that have others are also asked to stop, on a part of the way of its own.
        let stops = usize::from(self.size.servers > 1);
        let part = needed / (self.size.kills + 1 + stops);
        for kill in 0..self.size.kills {
            let mut draw = stream(11, "load.kill", &[kill as u64]);
            progress
                .reach(part * (kill + 1) + draw.random_range(0..=part / 4))
                .await;
            let server = &mut servers[draw.random_range(0..self.size.servers)];
            assert!(!progress.is_done(), "work is left when a server is killed");
            server.kill();
            if self.size.servers > 1 {
                // The others go on without it.
                progress.reach(progress.n() + part / 4).await;
            }
            server.restart().await;
        }
        if self.size.servers > 1 {
            assert!(!progress.is_done(), "work is left when a server stops");
            let ended = servers[0].stop().await;
            assert!(
                ended.success(),
                "a server that is stopped ends in order: {ended}"
            );
            assert!(!is_ready(&self.addresses[0]).await, "it is gone");
            servers[1].wait().await;
        }
        let mut tally = Tally::default();
        for person in people {
            let Day { stored, latencies } = person.await.expect("nobody fails");
            tally.stored.extend(stored);
            for (name, more) in latencies {
                tally.latencies.entry(name).or_default().extend(more);
            }
        }
        tally
    }

    /// Every item has as many answers as it should, each by somebody else; every receipt has its answer.
    pub async fn check(&self, tally: &Tally) {
        let store = open(&self.projects[0]).await;
        let evidence = store.evidence().await.expect("readable");
        assert_eq!(evidence.items.len(), self.size.items);
        for item in &evidence.items {
            let people: HashSet<&str> = item
                .answers
                .iter()
                .map(|given| given.person.as_str())
                .collect();
            let counts = (item.answers.len(), people.len());
            assert_eq!(
                counts,
                (self.size.overlap, self.size.overlap),
                "item {}",
                item.name
            );
            assert!(item.is_closed, "item {}", item.name);
        }
        assert_eq!(
            tally.stored.len(),
            self.size.items * self.size.overlap,
            "answers that people were told of"
        );
        let mut kept = HashSet::new();
        let mut after = 0;
        loop {
            let events = store.events(after).await.expect("readable");
            let Some(last) = events.last() else {
                break;
            };
            after = last.seq;
            assert!(
                events.iter().all(|event| event.kind != "late_answer"),
                "nobody lost a lease"
            );
            kept.extend(
                events
                    .iter()
                    .filter_map(|event| event.data["submission"].as_str().map(str::to_owned)),
            );
        }
        assert_eq!(
            kept, tally.stored,
            "each receipt has its answer in the log, and each answer its receipt"
        );
    }
}

async fn open(project: &Path) -> Store {
    let project = Project::read(project).expect("a project");
    Store::open(&project, Arc::new(SystemClock::default()))
        .await
        .expect("a database")
}

fn item(i: usize) -> NewItem {
    NewItem {
        kind: Kind::Work,
        name: format!("p-{i}"),
        image: None,
        image_folder: None,
        turns: vec![Turn::human(format!("What is in picture {i}?"))],
        outputs: vec![
            format!("A cup and a spoon ({i})."),
            format!("A cup, a spoon and a very red fish ({i})."),
        ],
        original_answer: None,
        known: None,
        question_type: Some("object".into()),
        models: None,
        rank: 0,
    }
}
