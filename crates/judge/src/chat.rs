//! A judge behind an OpenAI-compatible endpoint: asked by several threads, within its limits and the cap.
//!
//! Each reply is looked up in the cache first, and kept there before anything else is done with it. Equal
//! questions are asked once. A request that went out without an answer counts as paid in full.

mod sending;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use self::sending::Failure;
use crate::JudgeError;
use crate::address::key_of;
use crate::budget::{Budget, Tokens};
use crate::cache::Cache;
use crate::clock::{Clock, SystemClock};
use crate::judge::{Cost, Identity, Judge};
use crate::judge_state::{JudgeState, Stop};
use crate::rate_limit::RateLimit;
use crate::reply::Reply;
use crate::request::{Body, Request};
use crate::settings::Settings;
use crate::transport::Transport;

/// A judge behind an endpoint.
pub struct ChatJudge {
    settings: Settings,
    transport: Transport,
    clock: Box<dyn Clock>,
    seed: u64,
    judge_state: JudgeState,
    n_sent: AtomicUsize,
}

/// One reply that is needed: which request, which sample, its key, and the most that it can cost.
struct Job<'a> {
    request: &'a Request,
    sample: u32,
    key: String,
    most: Tokens,
}

impl fmt::Debug for ChatJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatJudge")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl ChatJudge {
    /// A judge with its key from the environment. `seed` decides the pauses between tries, never a reply.
    ///
    /// # Errors
    /// The environment lacks the key, or the cache cannot be opened.
    pub fn open(path: &Path, settings: Settings, seed: u64) -> Result<Self, JudgeError> {
        let key = match &settings.endpoint.key_env {
            None => None,
            Some(name) => Some(key_of(name).ok_or_else(|| {
                JudgeError::unfit(
                    path,
                    format!("the environment variable {name} holds no key"),
                    "set it, or leave endpoint.key_env out for a server without keys",
                )
            })?),
        };
        Self::with(settings, key, Box::new(SystemClock::default()), seed)
    }

    /// A judge with a key and a clock of the caller's.
    ///
    /// # Errors
    /// The cache cannot be opened.
    pub fn with(
        settings: Settings,
        key: Option<String>,
        clock: Box<dyn Clock>,
        seed: u64,
    ) -> Result<Self, JudgeError> {
        let cache = Cache::open(&settings.cache)?;
        let charged = cache.charged();
        let limits = &settings.limits;
        let timeout = Duration::from_secs_f64(limits.timeout_secs);
        Ok(Self {
            transport: Transport::new(&settings.endpoint, key, timeout),
            clock,
            seed,
            judge_state: JudgeState::new(
                cache,
                Budget::new(settings.cap(), settings.prices(), charged),
                RateLimit::new(limits.requests_per_minute, limits.tokens_per_minute),
            ),
            n_sent: AtomicUsize::new(0),
            settings,
        })
    }

    /// Who judges by these settings, whether or not it is asked.
    #[must_use]
    pub fn identity_of(settings: &Settings) -> Identity {
        let parameters = &settings.request;
        Identity {
            model: settings.endpoint.model.clone(),
            endpoint: settings.endpoint.url.clone(),
            temperature: parameters.temperature,
            max_tokens: parameters.max_tokens,
            samples: parameters.samples,
            seed: parameters.seed,
            images: parameters.images,
            swap: parameters.swap,
        }
    }

    /// The keys of all replies to each request, and what is needed of them and not there.
    #[allow(clippy::type_complexity)] // Both come of one loop.
    fn jobs<'a>(
        &self,
        requests: &'a [Request],
    ) -> Result<(Vec<Vec<String>>, Vec<Job<'a>>), JudgeError> {
        let mut keys: Vec<Vec<String>> = Vec::with_capacity(requests.len());
        let mut needed: HashSet<String> = HashSet::new();
        let mut jobs = Vec::new();
        for request in requests {
            let mut of_request = Vec::new();
            for sample in 0..self.settings.request.samples {
                let Body { key, most, .. } = request.body(&self.settings, sample)?;
                of_request.push(key.clone());
                if !self.judge_state.has(&key) && needed.insert(key.clone()) {
                    jobs.push(Job {
                        request,
                        sample,
                        key,
                        most,
                    });
                }
            }
            keys.push(of_request);
        }
        Ok((keys, jobs))
    }

    /// How many of the replies to these requests are not there yet, and the most that they can cost.
    ///
    /// # Errors
    /// An image cannot be read.
    pub fn outstanding(&self, requests: &[Request]) -> Result<(usize, Tokens), JudgeError> {
        let (_, jobs) = self.jobs(requests)?;
        let mut most = Tokens::default();
        for job in &jobs {
            most += job.most;
        }
        Ok((jobs.len(), most))
    }

    /// The replies to each request, without those that the endpoint refuses (a filter, a text that is too long). Where nothing
    /// but refusals came, the fault is not the requests', and it is an error.
    ///
    /// # Errors
    /// A reply could not be had for another reason, or every request was refused. What could be had is kept.
    pub(crate) fn replies_or_refusals(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Vec<Reply>>, JudgeError> {
        let keys = self.ask(requests, true, &|_| ())?;
        let replies = self.judge_state.replies(&keys);
        let is_answered = |(keys, replies): (&Vec<String>, &Vec<Reply>)| {
            let n_refused = keys.iter().filter(|key| self.judge_state.is_refused(key));
            keys.len() == replies.len() + n_refused.count()
        };
        let any = requests.is_empty() || replies.iter().any(|replies| !replies.is_empty());
        if any && keys.iter().zip(&replies).all(is_answered) {
            return Ok(replies);
        }
        self.complete(&keys)
    }

    /// Whether the endpoint refused a request when it was last asked.
    pub(crate) fn has_refused(&self) -> bool {
        self.judge_state.has_refused()
    }

    /// Takes jobs until there are none, or nothing more can be asked.
    fn work(
        &self,
        jobs: &[Job<'_>],
        next: &AtomicUsize,
        may_refuse: bool,
        progress: &(dyn Fn() + Sync),
    ) -> Result<(), JudgeError> {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if self.judge_state.stop().is_some() {
                break;
            }
            let body = job.request.body(&self.settings, job.sample)?;
            match self.one(job, &body)? {
                Ok(()) => {
                    self.judge_state.went_well();
                    progress();
                }
                Err(Failure::Stop(stop)) => self.judge_state.end(stop),
                Err(Failure::Item(problem)) => {
                    self.judge_state.failed(&job.request.id, &problem, true);
                }
                Err(Failure::Refused(problem)) => {
                    self.judge_state.refused(&job.key);
                    let counts = !may_refuse;
                    self.judge_state.failed(&job.request.id, &problem, counts);
                }
            }
        }
        Ok(())
    }

    /// Asks for every reply that is not there, and says the keys of all. `may_refuse`: refusals are no sign of trouble, however
    /// many follow each other.
    fn ask(
        &self,
        requests: &[Request],
        may_refuse: bool,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<String>>, JudgeError> {
        let (keys, jobs) = self.jobs(requests)?;
        let distinct: HashSet<&String> = keys.iter().flatten().collect();
        let n_done = AtomicUsize::new(distinct.len() - jobs.len());
        progress(n_done.load(Ordering::Relaxed));
        let done = || progress(n_done.fetch_add(1, Ordering::Relaxed) + 1);
        self.judge_state.begin();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let n_threads = self.settings.limits.concurrency.min(jobs.len());
            let threads: Vec<_> = (0..n_threads)
                .map(|_| {
                    scope.spawn(|| {
                        let outcome = self.work(&jobs, &next, may_refuse, &done);
                        if let Err(error) = &outcome {
                            self.judge_state.end(Stop {
                                problem: error.to_string(),
                                remedy: "see to it, then continue".to_owned(),
                            });
                        }
                        outcome
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.collect::<Result<(), JudgeError>>()
        })?;
        Ok(keys)
    }

    /// The error for replies that are missing, if any are.
    fn complete(&self, keys: &[Vec<String>]) -> Result<Vec<Vec<Reply>>, JudgeError> {
        let replies = self.judge_state.replies(keys);
        let n_wanted: usize = keys.iter().map(Vec::len).sum();
        let n_kept: usize = replies.iter().map(Vec::len).sum();
        if n_kept == n_wanted {
            return Ok(replies);
        }
        let Stop { problem, remedy } = self.judge_state.why();
        Err(JudgeError::Stopped {
            judge: format!(
                "{} at {}",
                self.settings.endpoint.model, self.settings.endpoint.url
            ),
            problem,
            n_kept,
            n_wanted,
            cache: self.settings.cache.clone(),
            remedy,
        })
    }
}

impl Judge for ChatJudge {
    fn identity(&self) -> Identity {
        Self::identity_of(&self.settings)
    }

    fn cost(&self) -> Cost {
        let tokens = self.judge_state.spent();
        Cost {
            tokens,
            money: self.settings.prices().of(tokens),
            n_sent: self.n_sent.load(Ordering::Relaxed),
        }
    }

    fn replies(
        &self,
        requests: &[Request],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Reply>>, JudgeError> {
        let keys = self.ask(requests, false, progress)?;
        self.complete(&keys)
    }
}
