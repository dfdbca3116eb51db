//! Rewards of a user's own functions: what goes well, and every way in which one can fail.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use candor_data::AnswerType;
use candor_judge::reward::{Answered, Rewards, Term};
use candor_recipe::Reader;

const CHILD: &str = "CANDOR_TEST_REWARD_CHILD";

/// A process that replies half of a line's number, and writes down the prompt's name.
const HALVES: &str = r#"
while IFS= read -r line; do
    n=${line#*:}; n=${n%%,*}
    id=${line#*id\":\"}; echo "${id%%\"*}" >> asked
    echo "{\"n\": $n, \"reward\": $n.5}"
done
"#;

fn response<'a>(id: &'a str, answer: &'a str) -> Answered<'a> {
    Answered {
        id,
        image: Some("a.jpg"),
        question: "What is it?",
        answer,
        facts: &[],
        reference: None,
        answer_type: AnswerType::General,
        n_tokens: 3,
    }
}

fn terms(text: &str) -> Vec<Term> {
    let mut reader = Reader::parse("recipe.toml", text, &[]);
    let terms = Term::read_all(&mut reader);
    reader.finish().unwrap();
    terms
}

/// A term whose process is the script of a folder; `extra` are further keys.
fn command(folder: &Path, script: &str, extra: &str) -> Rewards {
    fs::write(folder.join("reward.sh"), script).unwrap();
    let at = folder.display();
    let terms = terms(&format!(
        "[[rewards]]\nname = \"mine\"\nkind = \"command\"\nweight = 1.0\n\
         command = [\"sh\", \"-c\", \"cd '{at}' && . ./reward.sh\"]\ncache = '{at}/rewards.jsonl'\n{extra}"
    ));
    Rewards::open(&terms, Path::new("images")).unwrap()
}

/// The rewards of four responses, the third of which is the first again.
fn four(rewards: &mut Rewards) -> Result<Vec<Option<f64>>, String> {
    let responses = [
        response("a", "one"),
        response("b", "two"),
        response("a", "one"),
        response("c", "three"),
    ];
    let mut all = rewards.of(&responses).map_err(|error| error.to_string())?;
    Ok(all.remove(0))
}

fn asked(folder: &Path) -> String {
    fs::read_to_string(folder.join("asked")).unwrap_or_default()
}

#[test]
fn a_process_rewards_line_after_line_and_is_asked_nothing_twice() {
    let expected = [Some(1.5), Some(2.5), Some(1.5), Some(3.5)];
    for extra in ["", "process = \"batch\"\n"] {
        let dir = tempfile::tempdir().unwrap();
        let mut rewards = command(dir.path(), HALVES, extra);
        assert_eq!(four(&mut rewards).unwrap(), expected);
        assert_eq!(four(&mut rewards).unwrap(), expected);
        assert_eq!(asked(dir.path()), "a\nb\nc\n");
        let more = [response("d", "four")];
        assert_eq!(rewards.of(&more).unwrap(), [[Some(4.5)]]);
        drop(rewards);
        // Another run.
        let mut rewards = command(dir.path(), HALVES, extra);
        assert_eq!(four(&mut rewards).unwrap(), expected);
        assert_eq!(asked(dir.path()), "a\nb\nc\nd\n");
    }
}

#[test]
fn a_process_is_told_all_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let script = "read -r line; echo \"$line\" > told; echo '{\"n\": 1, \"reward\": -2e-3, \"why\": \"short\"}'; read -r line";
    let mut rewards = command(dir.path(), script, "");
    let facts = ["It is \"red\".".to_owned(), "Grün".to_owned()];
    let told = Answered {
        facts: &facts,
        reference: Some("a bus"),
        answer_type: AnswerType::No,
        ..response("x", "one\ntwo")
    };
    assert_eq!(rewards.of(&[told]).unwrap(), [[Some(-0.002)]]);
    let line = fs::read_to_string(dir.path().join("told")).unwrap();
    let expected = r#"{"n":1,"id":"x","prompt":"What is it?","answer":"one\ntwo","facts":["It is \"red\".","Grün"],"reference":"a bus","image":"images/a.jpg","caption_type":6}"#;
    // Some shells read \n and \" as what they stand for.
    let plain = |text: &str| text.replace("\\n", "\n").replace("\\\"", "\"");
    assert_eq!(plain(line.trim_end()), plain(expected));
    // Of a prompt that shows several images all paths.
    let both = Answered {
        image: Some("a.jpg\nb.jpg"),
        ..response("y", "one")
    };
    drop(rewards);
    let mut rewards = command(dir.path(), script, "");
    assert_eq!(rewards.of(&[both]).unwrap(), [[Some(-0.002)]]);
    let line = fs::read_to_string(dir.path().join("told")).unwrap();
    let expected = r#""image":["images/a.jpg","images/b.jpg"]"#;
    assert!(line.contains(expected), "{line}");
}

#[test]
fn every_bad_process_stops_with_what_it_did() {
    let two = "read -r a; read -r b; echo '{\"n\": 1, \"reward\": 1}'; echo '{\"n\": 2, \"reward\": 1}'; read -r c; ";
    for (script, extra, said) in [
        (
            "exec sleep 60",
            "timeout_secs = 0.2\n",
            "no line came in 0.2 seconds (timeout_secs)",
        ),
        (
            "echo oh no >&2; exit 3",
            "",
            "it closed its stdout; it ended with exit status: 3; it wrote to stderr: oh no",
        ),
        (
            "exec >&-; read -r line; read -r line",
            "",
            "it closed its stdout",
        ),
        ("kill -9 $$", "", "signal: 9"),
        (
            "read -r line; echo '{\"n\": 1, \"reward\": NaN}'",
            "",
            "a finite number",
        ),
        (
            "read -r line; echo '{\"n\": 1, \"reward\": 1e999}'",
            "",
            "a finite number",
        ),
        (
            "read -r line; echo '{\"n\": 1, \"reward\": null}'",
            "",
            "a finite number",
        ),
        (
            "read -r line; echo '{\"n\": 1, \"reward\": \"1\"}'",
            "",
            "a finite number",
        ),
        (
            "read -r line; echo '{\"n\": 1}'",
            "",
            "missing field `reward`",
        ),
        ("read -r line; echo '0.5'", "", "its line \"0.5\" is no"),
        (
            "read -r line; echo 'loading'",
            "",
            "its line \"loading\" is no",
        ),
        ("echo; read -r line", "", "its line \"\" is no"),
        (
            "read -r line; echo '{\"n\": 9, \"reward\": 1}'",
            "",
            "n = 9",
        ),
        (
            "read -r line; echo '{\"n\": 1, \"reward\": 1}'; echo '{\"n\": 1, \"reward\": 1}'",
            "",
            "n = 1, which waits for no reply",
        ),
        (two, "process = \"batch\"\n", "it closed its stdout"),
        ("printf '\\377\\n'", "", "not UTF-8"),
        (
            "head -c 2000000 /dev/zero | tr '\\0' x",
            "",
            "more than 1048576 bytes",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let message = four(&mut command(dir.path(), script, extra)).unwrap_err();
        for part in [
            "reward \"mine\": ",
            "reward.sh` failed: ",
            said,
            "rewards.jsonl",
        ] {
            assert!(message.contains(part), "{script}\n{message}\nlacks {part}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let message = four(&mut command(dir.path(), two, "process = \"batch\"\n")).unwrap_err();
    assert!(
        message.contains("; 2 of 3 rewards of the step were given"),
        "{message}"
    );
    let cache = dir.path().join("r.jsonl");
    let terms = terms(&format!(
        "[[rewards]]\nname = \"mine\"\nkind = \"command\"\nweight = 1.0\ncommand = [\"/no/such/program\"]\ncache = '{}'\n",
        cache.display()
    ));
    let message = four(&mut Rewards::open(&terms, Path::new("")).unwrap()).unwrap_err();
    assert!(
        message.contains("`/no/such/program` cannot be started"),
        "{message}"
    );
}

#[test]
fn a_process_that_does_not_ask_opens_no_file_and_needs_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let terms = terms(&format!(
        "[[rewards]]\nname = \"mine\"\nkind = \"command\"\nweight = 1.0\ncommand = [\"true\"]\ncache = '{at}/mine.jsonl'\n\
         [[rewards]]\nname = \"theirs\"\nkind = \"http\"\nweight = 1.0\nurl = \"https://a.example/score\"\n\
         key_env = \"CANDOR_TEST_NO_SUCH_KEY\"\ncache = '{at}/theirs.jsonl'\n"
    ));
    let mut rewards = Rewards::open_without_asking(&terms).unwrap();
    assert!(rewards.fingerprints().unwrap().is_empty());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let message = rewards.of(&[response("a", "one")]).unwrap_err().to_string();
    assert!(message.starts_with("reward \"mine\": "), "{message}");
}

#[test]
fn a_process_that_fails_after_its_last_line_has_failed() {
    for (end, said) in [("exit 3", "exit status: 3"), ("kill -9 $$", "signal: 9")] {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("{HALVES}{end}\n");
        let mut rewards = command(dir.path(), &script, "process = \"batch\"\n");
        let message = four(&mut rewards).unwrap_err();
        for part in ["failed after the last", said, "; 3 of 3 rewards"] {
            assert!(message.contains(part), "{message}\nlacks {part}");
        }
    }
}

#[test]
fn whom_a_process_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let script = "(sleep 1; echo > late) & wait";
    let message = four(&mut command(dir.path(), script, "timeout_secs = 0.2\n")).unwrap_err();
    assert!(message.contains("no line came"), "{message}");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!dir.path().join("late").exists());
}

#[test]
fn what_a_failed_process_gave_is_kept_and_only_the_rest_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let one = HALVES.replace("done", "    exit 1\ndone");
    let message = four(&mut command(dir.path(), &one, "")).unwrap_err();
    assert!(message.contains("1 of 3 rewards"), "{message}");
    let mut mended = command(dir.path(), HALVES, "");
    // The numbers of lines begin again; the first reward is that of the first process.
    let expected = [Some(1.5), Some(1.5), Some(1.5), Some(2.5)];
    assert_eq!(four(&mut mended).unwrap(), expected);
    assert_eq!(asked(dir.path()), "a\nb\nc\n");
}

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    if let Ok(folder) = std::env::var(CHILD) {
        four(&mut command(Path::new(&folder), &waiting(), "")).unwrap();
    }
}

/// A process that waits before its last reply as long as a file is there.
fn waiting() -> String {
    let wait = "    [ \"$n\" = 3 ] && while [ -e wait ]; do sleep 0.01; done\n    echo \"{";
    HALVES.replace("    echo \"{", wait)
}

#[test]
fn a_killed_run_loses_no_reward_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("wait"), "").unwrap();
    let mut process = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "functions::child", "--nocapture"])
        .env(CHILD, dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let kept = || fs::read_to_string(dir.path().join("rewards.jsonl")).unwrap_or_default();
    // Two rewards are on the disk, and the third is waited for.
    let mut looks = 0;
    while kept().lines().count() < 2 || asked(dir.path()).lines().count() < 3 {
        looks += 1;
        assert!(looks < 4000, "the rewards that were given are not kept");
        assert!(
            process.try_wait().unwrap().is_none(),
            "the child ended early"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    fs::remove_file(dir.path().join("wait")).unwrap();
    let mut again = command(dir.path(), &waiting(), "");
    let found = four(&mut again).unwrap();
    assert_eq!(found[..3], [Some(1.5), Some(2.5), Some(1.5)]);
    // Only the one in flight is asked again.
    assert_eq!(asked(dir.path()), "a\nb\nc\nc\n");
}

/// A server that answers the n-th body, n from 0, with a status and a body.
fn server(
    answer: impl Fn(usize, &str) -> (u16, String) + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    server_with("", answer)
}

/// The same with a further header, its end of line included.
fn server_with(
    header: &'static str,
    answer: impl Fn(usize, &str) -> (u16, String) + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/score", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&seen);
    std::thread::spawn(move || {
        for (n, mut stream) in listener.incoming().flatten().enumerate() {
            let mut bytes = Vec::new();
            let body = loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).unwrap();
                bytes.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&bytes).to_lowercase();
                let Some((head, _)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                if bytes.len() >= head.len() + 4 + length {
                    break String::from_utf8_lossy(&bytes[head.len() + 4..]).into_owned();
                }
            };
            let (status, reply) = answer(n, &body);
            told.lock().unwrap().push(body);
            if status == 0 {
                // Closes without a word.
                continue;
            }
            let head = format!(
                "HTTP/1.1 {status} X\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n",
                reply.len()
            );
            let _ = stream.write_all((head + &reply).as_bytes());
        }
    });
    (url, seen)
}

fn address(url: &str, folder: &Path, extra: &str) -> Rewards {
    let terms = terms(&format!(
        "[[rewards]]\nname = \"mine\"\nkind = \"http\"\nweight = 1.0\nurl = \"{url}\"\ncache = '{}/rewards.jsonl'\n{extra}",
        folder.display()
    ));
    Rewards::open(&terms, Path::new("images")).unwrap()
}

/// The reply to every line of a body, the last one first.
fn replies(body: &str) -> String {
    let reply = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let answer = line["answer"].as_str().unwrap().len();
        format!("{{\"n\": {}, \"reward\": {answer}}}\n", line["n"])
    };
    body.lines().rev().map(reply).collect()
}

#[test]
fn an_address_rewards_batches_and_is_asked_again_where_that_may_help() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = server(|n, body| match n {
        0 => (503, "busy".to_owned()),
        _ => (200, replies(body)),
    });
    let mut rewards = address(&url, dir.path(), "batch = 2\n");
    let expected = [Some(3.0), Some(3.0), Some(3.0), Some(5.0)];
    assert_eq!(four(&mut rewards).unwrap(), expected);
    assert_eq!(four(&mut rewards).unwrap(), expected);
    let lines: Vec<usize> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|b| b.lines().count())
        .collect();
    assert_eq!(lines, [2, 2, 1]);
}

#[test]
fn an_address_is_given_the_time_that_it_asks_for_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let busy_once = |n: usize, body: &str| match n {
        0 => (429, "busy".to_owned()),
        _ => (200, replies(body)),
    };
    let (url, _) = server_with("Retry-After: 2\r\n", busy_once);
    let start = std::time::Instant::now();
    four(&mut address(&url, dir.path(), "")).unwrap();
    // A pause of its own has at most a second.
    assert!(start.elapsed() >= Duration::from_secs(2));

    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = server_with("Retry-After: 901\r\n", busy_once);
    let message = four(&mut address(&url, dir.path(), "")).unwrap_err();
    assert!(
        message.contains("it asks to wait 901 seconds (status 429: busy)"),
        "{message}"
    );
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn the_key_of_an_address_goes_nowhere_in_the_clear() {
    for (keys, said) in [
        (
            "url = \"http://10.0.0.5/score\"\nkey_env = \"SCORE_KEY\"",
            "rewards[0].url: the key would be sent unencrypted (use https, or leave rewards[0].key_env out)",
        ),
        (
            "url = \"https://a.example/score\"\nkey_env = \"sk-secret1\"",
            "rewards[0].key_env: not a name (write the name of an environment variable, not the key)",
        ),
        (
            "url = \"https://a.example/score?key=secret1\"",
            "(name the key in rewards[0].key_env)",
        ),
    ] {
        let text = format!(
            "[[rewards]]\nname = \"mine\"\nkind = \"http\"\nweight = 1.0\n{keys}\ncache = 'r.jsonl'\n"
        );
        let mut reader = Reader::parse("recipe.toml", &text, &[]);
        Term::read_all(&mut reader);
        let message = reader.finish().unwrap_err().to_string();
        assert!(message.contains(said), "{message}\nlacks {said}");
        assert!(!message.contains("secret1"), "{message}");
    }
    terms(
        "[[rewards]]\nname = \"mine\"\nkind = \"http\"\nweight = 1.0\nurl = \"http://localhost:8000/score\"\n\
         key_env = \"SCORE_KEY\"\ncache = 'r.jsonl'\n",
    );
}

/// What came before an answer that does not come is kept, and only the rest is asked for again.
#[test]
fn an_address_that_does_not_answer_in_time_stops_and_gives_nothing_twice() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (url, seen) = server(move |n, body| {
        if n == 1 {
            // Until the client has given up.
            let _ = held.recv();
        }
        (200, replies(body))
    });
    let dir = tempfile::tempdir().unwrap();
    let short = "batch = 1\nattempts = 1\ntimeout_secs = 2\n";
    let message = four(&mut address(&url, dir.path(), short)).unwrap_err();
    release.send(()).unwrap();
    for part in [
        "reward \"mine\": ",
        "no whole answer came back",
        "1 of 3 rewards",
        "rewards.jsonl",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    let found = four(&mut address(&url, dir.path(), "batch = 1\n")).unwrap();
    assert_eq!(found, [Some(3.0), Some(3.0), Some(3.0), Some(5.0)]);
    let asked: Vec<String> = (seen.lock().unwrap().iter())
        .map(|body| serde_json::from_str::<serde_json::Value>(body).unwrap()["id"].to_string())
        .collect();
    assert_eq!(asked, ["\"a\"", "\"b\"", "\"b\"", "\"c\""]);
}

#[test]
fn every_bad_address_stops_with_what_it_did() {
    for (status, reply, said) in [
        (404, "no such thing", "status 404: no such thing"),
        (500, "", "status 500: , after 1 tries"),
        (0, "", "no whole answer came back"),
        (200, "", "0 lines came back for 3"),
        (
            200,
            "{\"n\": 1, \"reward\": 1}\n",
            "1 lines came back for 3",
        ),
        (200, "{\"n\": 1, \"reward\": NaN}\n", "a finite number"),
        (200, "<html>", "its line \"<html>\" is no"),
        (200, "{\"n\": 7, \"reward\": 1}\n", "n = 7"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (url, _) = server(move |_, _| (status, reply.to_owned()));
        let message = four(&mut address(&url, dir.path(), "attempts = 1\n")).unwrap_err();
        for part in ["reward \"mine\": ", said, "rewards.jsonl"] {
            assert!(message.contains(part), "{reply}\n{message}\nlacks {part}");
        }
    }
}
