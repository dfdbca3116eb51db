//! The page in a real Chromium while a run goes on, with axe-core on it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;

use candor_testing_browser::{Page, visit};
use candor_watch::{Watch, serve};
use serde_json::json;

/// The figures of a step of a run whose reward rises while its answers get worse.
fn line(step: u64) -> String {
    let metrics = json!({
        "step": step, "kl_mean": 0.1 * step as f64, "reward_mean": step, "correctness_mean": -0.1 * step as f64,
        "response_tokens_mean": 40, "rewards": {"model": step},
    });
    format!("{metrics}\n")
}

fn run(folder: &Path, n_steps: u64) {
    fs::create_dir_all(folder.join("samples")).unwrap();
    let lines: String = (1..=n_steps).map(line).collect();
    let timings = (1..=n_steps).map(|step| {
        let phases = json!({"rollout": 1.5, "update": 0.5});
        let peaks = json!({"rollout": 2_000_000_000_u64});
        let timing = json!({"step": step, "secs": 2.0, "tokens_per_sec": 900, "phase_secs": phases, "phase_peak_bytes": peaks});
        format!("{timing}\n")
    });
    let sample = json!({
        "id": "a", "image": "none.png", "query": "<image>\nWhat is it?", "score": 0.5, "facts": ["A red bus."],
        "response": "<b>A bus</b><img src=x onerror=\"document.title='taken'\">",
    });
    for (name, text) in [
        ("resolved.toml", "[run]\nsteps = 30\n".to_owned()),
        ("metrics.jsonl", lines),
        ("timings.jsonl", timings.collect()),
        ("samples/step-20.jsonl", format!("{sample}\n")),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn a_run_is_watched_while_it_trains() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    for name in ["ppo", "ppo-plain"] {
        run(&runs.join(name), 20);
    }
    let watch = Watch::open(vec![runs.clone()]).unwrap();
    let (told, address) = mpsc::channel();
    // It ends with the tests.
    std::thread::spawn(move || {
        serve(watch, "127.0.0.1:0".parse().unwrap(), |address| {
            told.send(address).unwrap();
        })
    });
    let url = format!("http://{}/", address.recv().unwrap());
    visit("the page of candor watch", dir.path(), async |page| {
        look(page, &url, &runs).await;
    });
}

/// What a person looks at.
async fn look(page: &Page, url: &str, runs: &Path) {
    page.go(url).await;
    page.until("document.querySelectorAll('#runs > li').length === 2")
        .await;
    page.until("document.querySelector('#charts figure')").await;
    page.until("document.querySelector('#samples article')")
        .await;
    let shown = page.js("return document.body.innerText").await;
    let shown = shown.as_str().unwrap();
    // Ten steps of two seconds are left, and the hint says what is odd about the reward.
    for words in [
        "step 20 of 30",
        "20 s left",
        "2.0 GB",
        "rollout 1.5 s",
        "reward rises",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    // What a model wrote is text.
    let markup = "return [document.querySelectorAll('#samples b').length, document.title]";
    assert_eq!(page.js(markup).await, json!([0, "candor watch"]));
    page.check("one run").await;
    if let Some(path) = std::env::var_os("WATCH_PAGE_PNG") {
        page.screenshot(Path::new(&path)).await;
    }
    // The other run beside it.
    page.js("document.querySelector('#runs input:not(:checked)').click()")
        .await;
    page.until("document.querySelector('#charts figure').querySelectorAll('path').length === 2")
        .await;
    page.check("two runs").await;
    // It goes on, and the page sees it.
    let metrics = fs::OpenOptions::new()
        .append(true)
        .open(runs.join("ppo/metrics.jsonl"));
    metrics.unwrap().write_all(line(21).as_bytes()).unwrap();
    page.until("document.body.innerText.includes('step 21 of 30')")
        .await;
}
