//! The server process: started, killed, started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

pub struct Server {
    project: PathBuf,
    address: String,
    child: Child,
}

impl Server {
    pub async fn start(project: &Path, address: &str) -> Self {
        let mut server = Self {
            project: project.to_owned(),
            address: address.to_owned(),
            child: spawn(project),
        };
        server.wait().await;
        server
    }

    /// Ends the process as a power cut would, as far as a process can tell, and starts another.
    pub async fn kill_and_restart(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.child = spawn(&self.project);
        self.wait().await;
    }

    async fn wait(&mut self) {
        for _ in 0..600 {
            if TcpStream::connect(&self.address).await.is_ok() {
                return;
            }
            // PostgreSQL may take a moment to see that the killed server is gone, and let no other serve until then.
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                self.child = spawn(&self.project);
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

fn spawn(project: &Path) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.arg("serve").arg(project).stderr(Stdio::null());
    command.spawn().expect("the server starts")
}
