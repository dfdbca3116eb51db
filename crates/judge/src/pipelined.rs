//! Judging while answers are still being made: requests are handed over as they come up, and a thread asks them.
//!
//! The replies go where the judge keeps them. Whoever scores afterwards asks for all of them again, gets those from there,
//! and is told what went wrong with the others: nothing here is final, it only happens earlier.

use std::sync::mpsc::{Receiver, Sender, channel};

use crate::{Judge, Request};

/// Where requests are handed over.
#[derive(Debug)]
pub struct JudgeQueue {
    requests: Option<Sender<Request>>,
}

impl JudgeQueue {
    /// Hands over a request; without a judge, and after the judge gave up, nothing happens.
    pub fn ask(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // A judge that gave up does not listen any more.
            let _ = requests.send(request);
        }
    }
}

/// Does `work`, which hands over requests, while `judge` replies to them; returns when both are done.
pub fn while_judging<T>(judge: Option<&dyn Judge>, work: impl FnOnce(&JudgeQueue) -> T) -> T {
    let Some(judge) = judge else {
        return work(&JudgeQueue { requests: None });
    };
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || listen(judge, &receiver));
        // Dropped when the work is done, which ends the listening.
        work(&JudgeQueue {
            requests: Some(sender),
        })
    })
}

/// Asks what has come in, all of it at once, until nobody is left to hand over more or the judge fails.
fn listen(judge: &dyn Judge, requests: &Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let waiting: Vec<Request> = std::iter::once(first).chain(requests.try_iter()).collect();
        if judge.replies(&waiting, &|_| ()).is_err() {
            return;
        }
    }
}
