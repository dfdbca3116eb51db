//! A function behind an address: lines are posted together, and the body of the answer holds the replies.
//!
//! What did not go out, was lost on the way, or was answered with a status that may pass is sent again after a pause, of at
//! least what `Retry-After` asks for.

use std::time::Duration;

use super::function::{Fault, Hear};
use super::recipe::HttpRecipe;
use crate::JudgeError;
use crate::address::key_of;
use crate::clock::{Clock as _, SystemClock};
use crate::retry::{self, Course};
use crate::transport::{Attempt, Transport};

/// The longest pause that an address may ask for: what `judge.toml` has where it says nothing.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// An address that is asked.
#[derive(Debug)]
pub(super) struct Http {
    url: String,
    transport: Transport,
    batch: usize,
    attempts: u32,
}

impl Http {
    pub(super) fn new(term: &str, recipe: &HttpRecipe) -> Result<Self, JudgeError> {
        let key = match &recipe.key_env {
            None => None,
            Some(name) => Some(key_of(name).ok_or_else(|| JudgeError::Reward {
                term: term.to_owned(),
                problem: format!("the environment variable {name} holds no key"),
                remedy: "set it, or leave key_env out".to_owned(),
            })?),
        };
        let timeout = Duration::from_secs_f64(recipe.timeout_secs);
        Ok(Self {
            url: recipe.url.clone(),
            transport: Transport::of_lines(&recipe.url, key, timeout),
            batch: recipe.batch,
            attempts: recipe.attempts,
        })
    }

    /// Posts the lines and hears the replies.
    pub(super) fn ask(&mut self, lines: &[String], hear: &mut Hear<'_>) -> Result<(), Fault> {
        for lines in lines.chunks(self.batch) {
            let body = self.post(&lines.concat())?;
            let mut n_replies = 0;
            for line in body.lines().filter(|line| !line.trim().is_empty()) {
                hear(line)?;
                n_replies += 1;
            }
            if n_replies != lines.len() {
                return Err(self.fault(&format!(
                    "{n_replies} lines came back for {} that were posted",
                    lines.len()
                )));
            }
        }
        Ok(())
    }

    /// The body of the answer to a body.
    fn post(&self, body: &str) -> Result<String, Fault> {
        let clock = SystemClock::default();
        let (mut last, mut asked) = (String::new(), Duration::ZERO);
        for attempt in 0..self.attempts {
            if attempt > 0 {
                let pause = retry::back_off(attempt - 1, 0, u64::from(attempt));
                clock.sleep(pause.max(asked));
            }
            (last, asked) = match self.transport.post(body) {
                Attempt::Unsent(reason) => {
                    (format!("it cannot be reached ({reason})"), Duration::ZERO)
                }
                Attempt::Lost(reason) => {
                    let problem = format!("no whole answer came back ({reason})");
                    (problem, Duration::ZERO)
                }
                Attempt::Answered {
                    status,
                    retry_after,
                    body,
                } => {
                    let problem = format!("status {status}: {}", beginning(&body));
                    let asked = retry_after
                        .and_then(|header| retry::retry_after(&header, clock.unix_secs()))
                        .unwrap_or_default();
                    match retry::course(status, None) {
                        Course::Keep => return Ok(body),
                        Course::Again if asked > LONGEST_PAUSE => {
                            let seconds = asked.as_secs();
                            let problem = format!("it asks to wait {seconds} seconds ({problem})");
                            return Err(self.fault(&problem));
                        }
                        Course::Again => (problem, asked),
                        Course::Skip | Course::Stop => return Err(self.fault(&problem)),
                    }
                }
            };
        }
        Err(self.fault(&format!("{last}, after {} tries", self.attempts)))
    }

    fn fault(&self, problem: &str) -> Fault {
        Fault::Reply(format!("{} failed: {problem}", self.url))
    }
}

fn beginning(body: &str) -> String {
    body.trim().chars().take(200).collect()
}
