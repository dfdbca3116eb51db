//! A process that is killed while it judges pays for no reply twice.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use candor_judge::Judge as _;

use crate::stub::{Act, Stub, ask, judge};

const PROMPTS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
const CHILD: &str = "CANDOR_TEST_JUDGE_CHILD";

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Ok(arguments) = std::env::var(CHILD) else {
        return;
    };
    let (address, cache) = arguments.split_once(' ').unwrap();
    let (judge, _) = judge(
        address,
        &PathBuf::from(cache),
        "[limits]\nconcurrency = 1\n",
    );
    judge.replies(&ask(&PROMPTS), &|_| ()).unwrap();
}

#[test]
fn a_killed_process_loses_no_reply_that_it_had() {
    let stalling = Arc::new(AtomicBool::new(true));
    let stall = stalling.clone();
    let stub = Stub::new(move |prompt, _| {
        if prompt == "3" && stall.load(Ordering::SeqCst) {
            Act::Stall
        } else {
            Act::Say("ok")
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("replies.jsonl");
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture"])
        .env(CHILD, format!("{} {}", stub.address, cache.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // One question at a time: when the fourth is asked, three replies are there.
    while stub.seen().len() < 4 {
        assert!(
            process.try_wait().unwrap().is_none(),
            "the child ended early"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    stalling.store(false, Ordering::SeqCst);

    let (again, _) = judge(&stub.address, &cache, "[limits]\nconcurrency = 1\n");
    let replies = again.replies(&ask(&PROMPTS), &|_| ()).unwrap();
    assert!(replies.iter().all(|of| of[0].text == "ok"));
    // Only the one in flight, which never came back, is asked again.
    assert_eq!(stub.counts(&PROMPTS), [1, 1, 1, 2, 1, 1]);
    assert_eq!(again.cost().n_sent, 3);
}
