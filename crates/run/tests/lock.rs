//! The lock of a run folder ends with the process that holds it, however it ends.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use candor_run::{RunError, RunFolder, RunOptions};

/// Names the folder in the child process that is to be killed.
const CHILD: &str = "CANDOR_TEST_LOCK_CHILD";

fn options(dir: &Path) -> RunOptions<'_> {
    RunOptions {
        dir,
        stage: "sft",
        resolved: "seed = 1\n",
        n_keep_checkpoints: 1,
        resume_command: "candor sft r.toml --resume",
        may_change: &[],
    }
}

#[test]
fn a_killed_process_leaves_no_lock() {
    if let Some(dir) = std::env::var_os(CHILD) {
        let _folder = RunFolder::start(&options(Path::new(&dir))).unwrap();
        std::fs::write(Path::new(&dir).join("ready"), "").unwrap();
        std::thread::sleep(Duration::from_mins(1));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_leaves_no_lock"])
        .env(CHILD, dir.path())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !dir.path().join("ready").exists() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the child never started its run"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let locked = RunFolder::resume(&options(dir.path())).unwrap_err();
    let holder = format!("process {}", child.id());
    assert!(matches!(locked, RunError::RunLocked { holder: found, .. } if found == holder));
    // SIGKILL on Unix: the child cannot clean up.
    child.kill().unwrap();
    child.wait().unwrap();
    RunFolder::resume(&options(dir.path())).unwrap();
}
