//! The server process: started, killed, started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

    /// Ends the process as a power cut would, as far as a process can tell, and starts another.
    pub async fn kill_and_restart(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.child = spawn(&self.project, self.few_files);
        self.wait().await;
    }

    async fn wait(&mut self) {
        for _ in 0..600 {
            if TcpStream::connect(&self.address).await.is_ok() {
                return;
            }
            // PostgreSQL may take a moment to see that the killed server is gone, and let no other serve until then.
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                self.child = spawn(&self.project, self.few_files);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not listen at {}", self.address);
    }
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
