//! What candor's servers share: the annotation app, `candor serve` and `candor watch`.
//!
//! [`serve()`] accepts connections within limits and ends them in order; [`embedded()`] answers with a file of the program;
//! [`Headers`] say what a browser may do with an answer; [`is_this_machine()`] says whether a request was sent to a name of this
//! machine; [`is_public()`] and [`public_addresses()`] say where a server may connect to because somebody told it to;
//! [`interrupted()`] waits for SIGINT or SIGTERM.

#![warn(unreachable_pub)]

mod arriving;
mod connections;
mod embedded;
mod headers;
mod host;
mod places;
mod public;
mod sending;
mod stop;

pub use connections::{Ended, Limits, STUCK, max_connections, serve};
pub use embedded::embedded;
pub use headers::Headers;
pub use host::{is_own_name, is_this_machine};
pub use public::{is_public, public_addresses};
pub use stop::interrupted;
