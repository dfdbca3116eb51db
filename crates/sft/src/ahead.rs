//! The conversations of the steps: those of the next step are read from the disk while a step is computed.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use candor_data::DataError;
use candor_model::sample::Sample;

use crate::corpus::{Corpus, Order};

/// The passes of a step.
type Passes = Vec<Vec<Sample>>;

/// Reads a corpus in its order.
pub(crate) struct Ahead {
    corpus: Arc<Corpus>,
    order: Order,
    /// Steps of the run.
    n_steps: u64,
    /// What is being read, and the step that it is of.
    reading: Option<(u64, JoinHandle<Result<Passes, DataError>>)>,
}

impl Ahead {
    /// Before anything is read.
    pub(crate) fn new(corpus: &Arc<Corpus>, n_steps: u64) -> Self {
        Self {
            corpus: Arc::clone(corpus),
            order: Order::default(),
            n_steps,
            reading: None,
        }
    }

    /// The conversations of the update after `done` updates, in passes of the recipe's micro-batch.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn of_step(&mut self, done: u64) -> Result<Passes, DataError> {
        let read = match self.reading.take() {
            Some((step, thread)) if step == done => {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            }
            _ => self.corpus.samples(&self.order.of_step(&self.corpus, done)),
        };
        let next = done + 1;
        if next < self.n_steps {
            let corpus = Arc::clone(&self.corpus);
            let rows = self.order.of_step(&self.corpus, next);
            // Without a thread they are read when they are asked for.
            let thread = thread::Builder::new().name("rows".to_owned());
            let thread = thread.spawn(move || corpus.samples(&rows));
            self.reading = thread.ok().map(|thread| (next, thread));
        }
        read
    }
}
