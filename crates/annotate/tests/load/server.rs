//! The server process: started, killed, started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub struct Server {
    project: PathBuf,
    address: String,
    few_files: bool,
    child: Child,
}

impl Server {
    /// Starts a server; one with `few_files` may open 200.
    pub async fn start(project: &Path, address: &str, few_files: bool) -> Self {
        let mut server = Self {
            project: project.to_owned(),
            address: address.to_owned(),
            few_files,
            child: spawn(project, few_files),
        };
        server.wait().await;
        server
    }

    /// Ends the process as a power cut would, as far as a process can tell.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Asks the process to end, as whoever administers it would, and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        let ask = format!("kill -TERM {}", self.child.id());
        let asked = Command::new("sh").args(["-c", &ask]).status();
        assert!(asked.is_ok_and(|asked| asked.success()), "it runs");
        for _ in 0..1200 {
            if let Some(ended) = self.child.try_wait().expect("it can be asked") {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not stop");
    }

    /// Starts another process in the place of one that has ended.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.project, self.few_files);
        self.wait().await;
    }

    /// Waits until a load balancer would send people here.
    pub async fn wait(&mut self) {
        for _ in 0..600 {
            if is_ready(&self.address).await {
                return;
            }
            // PostgreSQL may take a moment to see that the killed server is gone, and let no other serve until then.
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                self.child = spawn(&self.project, self.few_files);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not get ready at {}", self.address);
    }
}

/// Whether a load balancer would send people there.
pub async fn is_ready(address: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        std::io::Result::Ok(reply)
    };
    let reply = tokio::time::timeout(Duration::from_secs(10), asked).await;
    matches!(reply, Ok(Ok(reply)) if reply.starts_with("HTTP/1.1 200 "))
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(project: &Path, few_files: bool) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut command = if few_files {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 200 && exec \"$0\" \"$@\""]);
        shell.arg(program);
        shell
    } else {
        Command::new(program)
    };
    command.arg("serve").arg(project).stderr(Stdio::null());
    command.spawn().expect("the server starts")
}
