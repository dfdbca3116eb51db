//! The app as people use it: a real Chromium, driven by its own driver, before a server of the test's.
//!
//! Where Chromium or its driver is missing, each test says that it is skipped. `scripts/test-programs` installs both, and
//! axe-core for the accessibility checks.

mod accessibility;
mod adjudication;
mod administration;
mod connection;
mod hostile;
mod images;
mod joining;
mod marking;
mod modules;
mod page;
mod protocol;
mod rankings;
mod ratings;
mod site;
mod training;
mod undo;
