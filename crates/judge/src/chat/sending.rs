//! One question, sent until its reply is in the cache, it is refused, or nothing more can be had.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{ChatJudge, Job};
use crate::JudgeError;
use crate::judge_state::Stop;
use crate::reply;
use crate::request::Body;
use crate::retry::{self, Course};
use crate::transport::Attempt;

/// What became of one question.
pub(super) enum Failure {
    /// This one cannot be had.
    Item(String),
    /// The endpoint will never reply to this one.
    Refused(String),
    /// None can.
    Stop(Stop),
}

/// What became of sending a question once.
enum Try {
    /// Its reply is in the cache.
    Kept,
    /// It should be sent again, after this pause at least.
    Again(String, Duration),
    /// It should not.
    Failed(Failure),
}

impl ChatJudge {
    /// Gets one reply into the cache.
    pub(super) fn one(
        &self,
        job: &Job<'_>,
        body: &Body,
    ) -> Result<Result<(), Failure>, JudgeError> {
        let n_attempts = self.settings.limits.attempts;
        let mut last = String::new();
        for attempt in 0..n_attempts {
            let ticket = match self.judge_state.admit(body.most, &*self.clock) {
                Ok(ticket) => ticket,
                Err(stop) => return Ok(Err(Failure::Stop(stop))),
            };
            self.n_sent.fetch_add(1, Ordering::Relaxed);
            let (problem, asked) = match self.attempt(job, body, ticket)? {
                Try::Kept => return Ok(Ok(())),
                Try::Failed(failure) => return Ok(Err(failure)),
                Try::Again(problem, asked) => (problem, asked),
            };
            last = problem;
            if attempt + 1 < n_attempts {
                let pause = retry::back_off(attempt, self.seed, request_number(&body.key));
                self.clock.sleep(pause.max(asked));
            }
        }
        let problem = format!("no reply after {n_attempts} tries, the last: {last}");
        Ok(Err(Failure::Item(problem)))
    }

    /// Sends a request once and does the books.
    fn attempt(&self, job: &Job<'_>, body: &Body, ticket: u64) -> Result<Try, JudgeError> {
        let (status, retry_after, raw) = match self.transport.post(&body.text) {
            Attempt::Unsent(reason) => {
                self.judge_state.release(body.most, ticket);
                let problem = format!("the endpoint cannot be reached ({reason})");
                return Ok(Try::Again(problem, Duration::ZERO));
            }
            Attempt::Lost(reason) => {
                self.judge_state.lose(body.most)?;
                let problem = format!("no whole answer came back ({reason})");
                return Ok(Try::Again(problem, Duration::ZERO));
            }
            Attempt::Answered {
                status,
                retry_after,
                body,
            } => (status, retry_after, body),
        };
        let (code, words) = reply::read_error(&raw);
        let course = retry::course(status, code.as_deref());
        if course == Course::Keep {
            return match reply::read(&raw) {
                Ok(reply) => {
                    let cost = reply.tokens.unwrap_or(body.most);
                    self.judge_state.settle(body.most, cost, ticket);
                    let origin = (job.request.id.as_str(), job.sample);
                    self.judge_state.keep(&job.key, origin, &reply, raw, cost)?;
                    Ok(Try::Kept)
                }
                Err(reason) => {
                    self.judge_state.lose(body.most)?;
                    let problem = format!("its answer cannot be read: {reason}");
                    Ok(Try::Again(problem, Duration::ZERO))
                }
            };
        }
        self.judge_state.release(body.most, ticket);
        let problem = format!("status {status}: {words}");
        Ok(match course {
            Course::Skip => Try::Failed(Failure::Refused(problem)),
            Course::Again => self.pause(problem, retry_after.as_deref()),
            Course::Keep | Course::Stop => Try::Failed(Failure::Stop(Stop {
                problem,
                remedy: "correct address, model, key or account".to_owned(),
            })),
        })
    }

    /// Another try after the pause that the endpoint asks for, which holds for all threads.
    fn pause(&self, problem: String, retry_after: Option<&str>) -> Try {
        let now = self.clock.unix_secs();
        let asked = retry_after.and_then(|header| retry::retry_after(header, now));
        let asked = asked.unwrap_or_default();
        if asked.as_secs() > self.settings.limits.longest_pause_secs {
            return Try::Failed(Failure::Stop(Stop {
                problem: format!(
                    "the endpoint asks to wait {} seconds ({problem})",
                    asked.as_secs()
                ),
                remedy: "continue then, or raise limits.longest_pause_secs".to_owned(),
            }));
        }
        self.judge_state.hold(self.clock.now() + asked);
        Try::Again(problem, asked)
    }
}

/// A number for the pauses of a request, from its key.
fn request_number(key: &str) -> u64 {
    key.get(..16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or_default()
}
