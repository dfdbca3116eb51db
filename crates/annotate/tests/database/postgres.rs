//! A PostgreSQL server of the tests' own: in a temporary folder, at a Unix socket, gone when the tests are.
//!
//! PostgreSQL refuses to run as root, so root becomes the user `postgres`. Where there is no server to start, one line on
//! stderr says that the tests are skipped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs until its standard input ends, which is when the tests do.
const SCRIPT: &str = r#"
set -e
for bin in /usr/lib/postgresql/*/bin; do PATH="$bin:$PATH"; done
command -v initdb >/dev/null && command -v postgres >/dev/null
dir=$(mktemp -d /tmp/candor-postgres.XXXXXX)
trap 'rm -rf "$dir"' EXIT
initdb -D "$dir/data" -A trust -U candor --no-sync >"$dir/log" 2>&1
postgres -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=300 >>"$dir/log" 2>&1 &
server=$!
for _ in $(seq 100); do [ -S "$dir/.s.PGSQL.5432" ] && break; sleep 0.1; done
echo "$dir"
cat >/dev/null
kill -INT $server
wait $server || true
"#;

struct Server {
    folder: String,
    /// Held open as long as the tests run.
    _stdin: ChildStdin,
}

fn start() -> Option<Server> {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout == b"0\n");
    let mut command = if is_root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh", "-c", SCRIPT]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]);
        command
    };
    let command = command
        .current_dir("/tmp")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().ok()?;
    let stdin = child.stdin.take()?;
    let mut folder = String::new();
    BufReader::new(child.stdout.take()?)
        .read_line(&mut folder)
        .ok()?;
    let folder = folder.trim().to_owned();
    (!folder.is_empty()).then_some(Server {
        folder,
        _stdin: stdin,
    })
}

/// The server, or a word on why there is none.
fn started_or_said() -> Option<Server> {
    let server = start();
    if server.is_none() {
        // Written past the test harness, which keeps what a passing test prints to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: the tests on PostgreSQL, because no server can be started (scripts/test-programs installs one)"
        );
    }
    server
}

/// The URL of a new, empty database; none where no server can be started.
pub async fn new_database() -> Option<String> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(started_or_said).as_ref()?;
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
    let url = |database: &str| {
        format!(
            "postgres://candor@localhost/{database}?host={}",
            server.folder
        )
    };
    let pool = sqlx::PgPool::connect(&url("postgres"))
        .await
        .expect("the server was just started");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create)
        .execute(&pool)
        .await
        .expect("a new database");
    pool.close().await;
    Some(url(&name))
}
