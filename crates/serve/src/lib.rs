//! An OpenAI-compatible server for what candor trains: a model, adapters on it that are chosen per request, and reward
//! models that score answers.
//!
//! One thread owns the model (`engine`) and writes all answers together, token by token; new prompts are read between
//! two tokens. Requests come in over HTTP (`http`), are understood field by field (`api`), have their images decoded on
//! other threads, and wait in a queue that is fair between clients. `docs/serve.md` says what each route takes and gives.

#![warn(unreachable_pub)]

mod api;
mod engine;
mod error;
mod http;
mod models;
mod settings;

pub use error::ServeError;
pub use http::{Server, run};
pub use models::Models;
pub use settings::{ApiKeys, Settings};
