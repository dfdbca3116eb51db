//! Many annotators at once, over real connections to a real server process, which is killed now and then.
//!
//! Nothing may be over- or under-assigned, and no answer that a browser was told of may be lost. `cargo test` runs a
//! small version on SQLite, on PostgreSQL, and on PostgreSQL with two servers between which people go to and fro;
//! `bench/annotate` the full one: 200 people, 20,000 items, overlap 3, with and without ten kills.
//!
//! The server is this same program, started with `serve`: so it can be killed as a process.

mod annotator;
mod client;
mod crowd;
#[path = "../database/postgres.rs"]
mod postgres;
mod server;
mod siege;

use std::process::ExitCode;
use std::time::Instant;

use crowd::{Crowd, Tally};

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    annotators: usize,
    items: usize,
    overlap: usize,
    kills: usize,
    /// How long somebody reads before answering.
    pause_ms: u64,
    /// Connections that send half a request first of all; where there are any, the server may open 200 files.
    half_sent: usize,
    /// Servers of the one database.
    servers: usize,
}

/// The version of the test suite.
const SMALL: Size = Size {
    annotators: 12,
    items: 150,
    overlap: 3,
    kills: 3,
    pause_ms: 0,
    half_sent: 260,
    servers: 1,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, project] = arguments.as_slice()
        && mode == "serve"
    {
        candor_annotate::command::serve(&[project.into()]).expect("the server serves");
        return ExitCode::SUCCESS;
    }
    let named = |name: &str, default: usize| {
        let place = arguments.iter().rposition(|argument| argument == name);
        let value = place.and_then(|place| arguments.get(place + 1));
        value.map_or(default, |value| value.parse().expect("a number"))
    };
    // Names that `cargo test NAME` asks for are no business of a program that is one test.
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let size = Size {
        annotators: named("--annotators", SMALL.annotators),
        items: named("--items", SMALL.items),
        overlap: named("--overlap", SMALL.overlap),
        kills: named("--kills", SMALL.kills),
        pause_ms: named("--pause-ms", 0) as u64,
        half_sent: named("--half-sent", SMALL.half_sent),
        servers: SMALL.servers,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let chosen = |name: &str| {
        let only = arguments.iter().rposition(|argument| argument == "--only");
        only.is_none_or(|place| arguments.get(place + 1).is_some_and(|only| only == name))
    };
    runtime.block_on(async {
        if chosen("sqlite") {
            run("sqlite", "annotate.sqlite", size).await;
        }
        if chosen("postgres")
            && let Some(url) = postgres::new_database().await
        {
            run("postgres", &url, size).await;
        }
        if chosen("replicas")
            && let Some(url) = postgres::new_database().await
        {
            let size = Size {
                servers: 2,
                half_sent: 0,
                // A server takes seconds to come back, and there must be work left then.
                pause_ms: named("--pause-ms", 1000) as u64,
                ..size
            };
            run("postgres, two servers", &url, size).await;
        }
    });
    ExitCode::SUCCESS
}

async fn run(name: &str, database: &str, size: Size) {
    let folder = tempfile::tempdir().expect("a folder");
    let crowd = Crowd::gather(folder.path(), database, size).await;
    let started = Instant::now();
    let tally = crowd.work().await;
    let secs = started.elapsed().as_secs_f64();
    crowd.check(&tally).await;
    report(name, size, &tally, secs);
}

fn report(name: &str, size: Size, tally: &Tally, secs: f64) {
    let n: usize = tally.latencies.values().map(Vec::len).sum();
    println!(
        "load: {name}: {} people, {} items, overlap {}, {} ms to read, {} kills: {} answers in {secs:.1} s ({:.0} requests/s), \
         all there once",
        size.annotators,
        size.items,
        size.overlap,
        size.pause_ms,
        size.kills,
        tally.stored.len(),
        n as f64 / secs
    );
    for (name, latencies) in &tally.latencies {
        let mut sorted = latencies.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| 1000.0 * sorted[((sorted.len() - 1) as f64 * part) as usize];
        println!(
            "load: {name:>9}: n {:>7}, p50 {:>7.1} ms, p99 {:>7.1} ms, max {:>7.1} ms",
            sorted.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}
