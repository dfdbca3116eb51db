//! Runs are sent to a server that takes and refuses what MLflow takes and refuses.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

/// What the server has.
#[derive(Debug, Default)]
struct Store {
    experiments: Vec<String>,
    runs: Vec<Value>,
    /// Numbers in the order in which they came: run, key, step, value.
    numbers: Vec<(usize, String, u64, f64)>,
    /// By run and key.
    parameters: HashMap<(usize, String), String>,
    /// Requests to log so many numbers are left until one fails.
    n_until_failure: Option<usize>,
}

impl Store {
    /// The answer to a request.
    fn answer(&mut self, target: &str, body: &Value) -> (u16, Value) {
        let route = target.strip_prefix("/api/2.0/mlflow/").unwrap();
        let missing = || {
            (
                404,
                json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not there"}),
            )
        };
        match route.split('?').next().unwrap() {
            "experiments/get-by-name" => {
                let name = target.split_once("experiment_name=").unwrap().1;
                let found = self.experiments.iter().position(|known| known == name);
                found.map_or_else(missing, |at| {
                    (
                        200,
                        json!({"experiment": {"experiment_id": at.to_string()}}),
                    )
                })
            }
            "experiments/create" => {
                self.experiments
                    .push(body["name"].as_str().unwrap().to_owned());
                (200, json!({"experiment_id": "0"}))
            }
            "runs/create" => {
                assert_eq!(body["experiment_id"], "0");
                let id = format!("run{}", self.runs.len());
                let info = json!({"run_id": id, "status": "RUNNING", "run_name": body["run_name"]});
                let run = json!({"info": info, "tags": body["tags"]});
                self.runs.push(run.clone());
                (200, json!({"run": run}))
            }
            "runs/search" => {
                let filter = body["filter"].as_str().unwrap();
                let mark = filter.strip_prefix("tags.candor_run = '").unwrap();
                let tag = json!({"key": "candor_run", "value": mark.trim_end_matches('\'')});
                let has = |run: &Value| run["tags"].as_array().unwrap().contains(&tag);
                let Some(at) = self.runs.iter().position(has) else {
                    return (200, json!({}));
                };
                let mut run = self.runs[at].clone();
                let own = self.numbers.iter().filter(|number| number.0 == at);
                // As text, as protobuf has integers of 64 bits.
                let latest =
                    own.map(|(_, key, step, _)| json!({"key": key, "step": step.to_string()}));
                run["data"]["metrics"] = latest.collect();
                (200, json!({"runs": [run]}))
            }
            "runs/log-batch" => self.log(body),
            "runs/update" => {
                let at = at(body);
                self.runs[at]["info"]["status"] = body["status"].clone();
                (200, json!({"run_info": {}}))
            }
            other => panic!("{other}"),
        }
    }

    fn parameter(&self, run: usize, name: &str) -> &str {
        &self.parameters[&(run, name.to_owned())]
    }

    fn log(&mut self, body: &Value) -> (u16, Value) {
        let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let (metrics, params) = (list("metrics"), list("params"));
        if metrics.len() > 1000 || params.len() > 100 {
            return (
                400,
                json!({"error_code": "INVALID_PARAMETER_VALUE", "message": "too many"}),
            );
        }
        for param in params {
            let text = |name: &str| param[name].as_str().unwrap().to_owned();
            let place = (at(body), text("key"));
            let before = self.parameters.insert(place, text("value"));
            assert!(
                before.is_none_or(|before| before == text("value")),
                "{param}"
            );
        }
        for metric in metrics {
            if let Some(n) = &mut self.n_until_failure {
                if *n == 0 {
                    self.n_until_failure = None;
                    return (
                        500,
                        json!({"error_code": "INTERNAL_ERROR", "message": "no disk"}),
                    );
                }
                *n -= 1;
            }
            assert!(metric["timestamp"].as_u64().unwrap() > 1_000_000_000_000);
            let key = metric["key"].as_str().unwrap().to_owned();
            let step = metric["step"].as_u64().unwrap();
            self.numbers
                .push((at(body), key, step, metric["value"].as_f64().unwrap()));
        }
        (200, json!({}))
    }
}

/// The place of the run that a request is about.
fn at(body: &Value) -> usize {
    let id = body["run_id"].as_str().unwrap();
    id.strip_prefix("run").unwrap().parse().unwrap()
}

/// A server that wants a key, with what it has.
fn server() -> (String, Arc<Mutex<Store>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let store = Arc::<Mutex<Store>>::default();
    let kept = Arc::clone(&store);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(&stream, &kept);
        }
    });
    (url, store)
}

fn serve(mut stream: &TcpStream, store: &Mutex<Store>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head.push_str(&line.to_ascii_lowercase());
        line.clear();
    }
    let header = |name: &str| {
        let lines = head.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next().unwrap_or_default().to_owned()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let target = head.split(' ').nth(1).unwrap();
    let (status, answer) = if header("authorization") == "bearer secret" {
        store.lock().unwrap().answer(target, &body)
    } else {
        (401, json!({"message": "who are you"}))
    };
    let answer = answer.to_string();
    let n = answer.len();
    let head =
        format!("HTTP/1.1 {status} Said\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + &answer).as_bytes()).unwrap();
}

fn key() -> String {
    "Bearer secret".to_owned()
}

/// A run of so many steps with two numbers each.
fn write_run(folder: &Path, n_steps: u64) {
    let lines = (1..=n_steps).map(|step| {
        format!("{{\"step\":{step},\"kl_mean\":{step}.5,\"rewards\":{{\"my judge:1\":-1,\"none\":null}}}}\n")
    });
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("metrics.jsonl"), lines.collect::<String>()).unwrap();
    let recipe = "a = [\"x\", 2]\n[run]\nsteps = 602\nout = \"runs/ppo\"\n[optimizer]\nlearning_rate = 1e-5\n";
    fs::write(folder.join("resolved.toml"), recipe).unwrap();
}

#[test]
fn a_run_is_sent_once_however_often_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ppo");
    write_run(&folder, 600);
    fs::write(folder.join("timings.jsonl"), "{\"step\":1,\"secs\":2}\n").unwrap();
    let (url, store) = server();
    let watch = Watch::open(vec![folder.clone()]).unwrap();
    let mut mlflow = Mlflow::open(&format!("{url}/"), "demo", Some(key())).unwrap();
    let sent = mlflow.send(&watch).unwrap();
    // 600 steps of two numbers, more than a request may hold, and one timing.
    let of_all = Sent {
        n_runs: 1,
        n_numbers: 1201,
        n_without: 0,
    };
    assert_eq!(sent, of_all);
    assert_eq!(mlflow.send(&watch).unwrap().n_numbers, 0);
    {
        let store = store.lock().unwrap();
        assert_eq!(store.experiments, ["demo"]);
        assert_eq!(store.runs[0]["info"]["run_name"], "ppo");
        assert_eq!(store.runs[0]["info"]["status"], "RUNNING");
        let shown = |at: usize| {
            let (_, key, step, value) = &store.numbers[at];
            (key.as_str(), *step, *value)
        };
        assert_eq!(shown(0), ("rl/kl_mean", 1, 1.5));
        assert_eq!(shown(1), ("rl/rewards/my judge_1", 1, -1.0));
        assert_eq!(shown(1198), ("rl/kl_mean", 600, 600.5));
        assert_eq!(shown(1200), ("timing/secs", 1, 2.0));
        for (name, value) in [
            ("run.steps", "602"),
            ("run.out", "runs/ppo"),
            ("a", "[\"x\", 2]"),
        ] {
            assert_eq!(store.parameter(0, name), value, "{name}");
        }
        let rate = store.parameter(0, "optimizer.learning_rate");
        assert_eq!(rate.parse(), Ok(1e-5));
    }
    // The run goes on; who sends it then has never seen it before, and its request breaks off behind one number.
    write_run(&folder, 602);
    store.lock().unwrap().n_until_failure = Some(1);
    let mut another = Mlflow::open(&url, "demo", Some(key())).unwrap();
    let error = another.send(&watch).unwrap_err().to_string();
    assert!(
        error.contains("answered 500 to runs/log-batch: no disk"),
        "{error}"
    );
    // Two new steps of two numbers, of which it has one already; nothing of the steps before, and no timing.
    assert_eq!(another.send(&watch).unwrap().n_numbers, 3);
    let store = store.lock().unwrap();
    assert_eq!((store.runs.len(), store.experiments.len()), (1, 1));
    assert_eq!(store.runs[0]["info"]["status"], "FINISHED");
    for step in 1..=602 {
        let own = store.numbers.iter().filter(|number| number.2 == step);
        let kl = own.filter(|number| number.1 == "rl/kl_mean");
        let differences: Vec<f64> = kl.map(|number| number.3 - step as f64).collect();
        assert_eq!(differences, [0.5], "{step}");
    }
}

#[test]
fn a_run_that_is_refused_keeps_no_other_from_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let folders = ["a", "b"].map(|name| dir.path().join(name));
    write_run(&folders[0], 2);
    write_run(&folders[1], 3);
    // Two runs of one recipe and one first line would be one.
    fs::write(folders[1].join("resolved.toml"), "[run]\nsteps = 9\n").unwrap();
    let (url, store) = server();
    let watch = Watch::open(vec![dir.path().to_owned()]).unwrap();
    let mut mlflow = Mlflow::open(&url, "demo", Some(key())).unwrap();
    store.lock().unwrap().n_until_failure = Some(0);
    let error = mlflow.send(&watch).unwrap_err().to_string();
    assert!(
        error.contains("no disk; the server's log") && !error.contains("--mlflow"),
        "{error}"
    );
    let n_of = |run: usize| {
        let store = store.lock().unwrap();
        store
            .numbers
            .iter()
            .filter(|number| number.0 == run)
            .count()
    };
    assert_eq!([n_of(0), n_of(1)], [0, 3 * 2]);
    // What was refused is sent with the next look.
    let sent = mlflow.send(&watch).unwrap();
    assert_eq!((sent.n_runs, sent.n_numbers), (2, 2 * 2));
    assert_eq!([n_of(0), n_of(1)], [2 * 2, 3 * 2]);
}

#[test]
fn a_run_that_was_begun_anew_is_another() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path(), 2);
    let (url, store) = server();
    let watch = Watch::open(vec![dir.path().to_owned()]).unwrap();
    let mut mlflow = Mlflow::open(&url, "demo", Some(key())).unwrap();
    mlflow.send(&watch).unwrap();
    fs::write(dir.path().join("resolved.toml"), "[run]\nsteps = 1\n").unwrap();
    fs::write(
        dir.path().join("metrics.jsonl"),
        "{\"step\":1,\"kl_mean\":9}\n",
    )
    .unwrap();
    mlflow.send(&watch).unwrap();
    let store = store.lock().unwrap();
    assert_eq!(store.runs.len(), 2);
    assert_eq!(
        store.numbers.last(),
        Some(&(1, "rl/kl_mean".to_owned(), 1, 9.0))
    );
    // It has its own recipe, and is done when that says so.
    let steps = [0, 1].map(|run| store.parameter(run, "run.steps"));
    assert_eq!(steps, ["602", "1"]);
    let status = |run: usize| &store.runs[run]["info"]["status"];
    assert_eq!([status(0), status(1)], ["RUNNING", "FINISHED"]);
}

#[test]
fn what_cannot_be_sent_is_said_without_the_key() {
    let (url, _store) = server();
    // Nobody listens any more where this one did.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let wrong = || Some("Bearer hunter2".to_owned());
    for (url, authorization, words) in [
        (url.as_str(), None, "MLFLOW_TRACKING_TOKEN"),
        (url.as_str(), wrong(), "answered 401"),
        (nobody.as_str(), wrong(), "was not reached"),
        ("http://mlflow.example:5000", wrong(), "unencrypted"),
        ("http://me:hunter2@127.0.0.1", None, "a user"),
        ("127.0.0.1:5000", None, "no address"),
        ("http:///", None, "without a host"),
    ] {
        let error = Mlflow::open(url, "demo", authorization).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(words) && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn the_key_is_that_of_mlflows_own_clients() {
    let found = |set: &[(&str, &str)]| {
        authorization(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    let token = "MLFLOW_TRACKING_TOKEN";
    let (name, password) = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD");
    assert_eq!(found(&[]), None);
    assert_eq!(found(&[(token, ""), (password, "x")]), None);
    assert_eq!(found(&[(token, "t")]).as_deref(), Some("Bearer t"));
    // `printf me:secret | base64`
    let both = found(&[(name, "me"), (password, "secret")]);
    assert_eq!(both.as_deref(), Some("Basic bWU6c2VjcmV0"));
    // MLflow's clients take them before a token, and a name alone never.
    let all = found(&[(token, "t"), (name, "me"), (password, "secret")]);
    assert_eq!(all, both);
    assert_eq!(
        found(&[(token, "t"), (name, "me")]).as_deref(),
        Some("Bearer t")
    );
    assert_eq!(found(&[(name, "me")]), None);
}
