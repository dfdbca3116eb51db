//! Changes, one group at a time.
//!
//! A commit waits for the disk. So changes that arrive while one commit is under way are collected and committed
//! together: each runs inside a savepoint of its own, so that one that fails takes nothing else with it, and each is
//! answered only after the commit that holds it. SQLite has one writer; PostgreSQL takes several at once, and groups
//! their commits itself.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::database::{Connection, Dialect, Pool};
use crate::error::AnnotateError;

/// A change under way.
pub(crate) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, AnnotateError>> + Send + 'c>>;

/// Most changes in one commit.
const MAX_GROUP: usize = 64;
/// Changes that may wait; more make their senders wait.
const MAX_WAITING: usize = 1024;
/// Writers to PostgreSQL.
const POSTGRES_WRITERS: usize = 8;

/// One change, its outcome, and whoever waits for it.
trait Change: Send {
    /// Runs the change; says whether it may be kept.
    fn run<'c>(
        &'c mut self,
        connection: &'c mut Connection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'c>>;
    /// Tells the waiting side, after the commit or the failure of it.
    fn settle(self: Box<Self>, committed: Result<(), String>);
}

struct Pending<F, T> {
    work: Option<F>,
    outcome: Option<Result<T, AnnotateError>>,
    reply: oneshot::Sender<Result<T, AnnotateError>>,
}

impl<F, T> Change for Pending<F, T>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut Connection) -> Work<'c, T> + Send,
{
    fn run<'c>(
        &'c mut self,
        connection: &'c mut Connection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'c>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return false;
            };
            let outcome = work(connection).await;
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        })
    }

    fn settle(self: Box<Self>, committed: Result<(), String>) {
        let outcome = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(reason)) => Err(AnnotateError::NotCommitted { reason }),
            (None, Ok(())) => Err(AnnotateError::NotCommitted {
                reason: "the change failed in the middle of it; report this as a bug".into(),
            }),
        };
        // Whoever asked may have gone; the change stands all the same.
        drop(self.reply.send(outcome));
    }
}

/// The way to change the database.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Change>>,
}

impl Writer {
    /// Starts the writers of a database. They end when the last `Writer` is dropped.
    pub(crate) fn start(pool: &Pool) -> Self {
        let (queue, changes) = mpsc::channel(MAX_WAITING);
        let changes = Arc::new(Mutex::new(changes));
        let (n_writers, max_group) = match pool {
            Pool::Sqlite(_) => (1, MAX_GROUP),
            Pool::Postgres(_) => (POSTGRES_WRITERS, 1),
        };
        for _ in 0..n_writers {
            tokio::spawn(serve(pool.clone(), Arc::clone(&changes), max_group));
        }
        Self { queue }
    }

    /// Runs `work` in a transaction; returns after it is committed and on the disk.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, AnnotateError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Work<'c, T> + Send + 'static,
    {
        let gone = || AnnotateError::NotCommitted {
            reason: "the writer stopped in the middle of it".into(),
        };
        let (reply, outcome) = oneshot::channel();
        let pending = Pending {
            work: Some(work),
            outcome: None,
            reply,
        };
        self.queue
            .send(Box::new(pending))
            .await
            .map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

async fn serve(pool: Pool, changes: Arc<Mutex<mpsc::Receiver<Box<dyn Change>>>>, max_group: usize) {
    loop {
        let mut group = Vec::new();
        if changes.lock().await.recv_many(&mut group, max_group).await == 0 {
            return;
        }
        let committed = commit(&pool, &mut group)
            .await
            .map_err(|error| reason(&error));
        for change in group {
            change.settle(committed.clone());
        }
    }
}

/// What went wrong and why, in one sentence.
pub(super) fn reason(error: &AnnotateError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

async fn commit(pool: &Pool, group: &mut [Box<dyn Change>]) -> Result<(), AnnotateError> {
    let mut connection = pool.acquire().await?;
    let begin = match connection.dialect() {
        // Takes the write lock at once, so that no change fails half-way for want of it.
        Dialect::Sqlite => "BEGIN IMMEDIATE",
        Dialect::Postgres => "BEGIN",
    };
    connection.execute(begin, &[]).await?;
    let outcome = run_all(&mut connection, group).await;
    if outcome.is_err() {
        drop(connection.execute("ROLLBACK", &[]).await);
    }
    outcome
}

async fn run_all(
    connection: &mut Connection,
    group: &mut [Box<dyn Change>],
) -> Result<(), AnnotateError> {
    for change in group {
        connection.execute("SAVEPOINT change", &[]).await?;
        // A panic in one change must not leave a transaction open, nor end the writer.
        let kept = AssertUnwindSafe(change.run(connection))
            .catch_unwind()
            .await;
        if !matches!(kept, Ok(true)) {
            connection
                .execute("ROLLBACK TO SAVEPOINT change", &[])
                .await?;
        }
        connection.execute("RELEASE SAVEPOINT change", &[]).await?;
    }
    connection.execute("COMMIT", &[]).await.map(drop)
}
