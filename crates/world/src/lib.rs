//! The micro-world: scenes, renderer, questions, simulated annotator and exact judge.
//!
//! [`World::generate`] draws scenes, [`write()`] makes a data folder of them in public formats,
//! [`judge::judge`] scores answers against a scene, and [`Annotator`] compares two of them
//! ([`annotate_candidates`]: a whole file). The documentation
//! with all numbers and rules is `docs/micro-world.md`. Everything is decided by the configuration's seed;
//! nothing here knows tensors.

#![warn(unreachable_pub)]

pub mod annotate;
pub mod annotator;
pub mod config;
pub mod error;
pub mod evaluation;
pub mod judge;
pub mod kind;
pub mod place;
pub mod prompts;
pub mod question;
pub mod render;
pub mod scene;
pub mod sft;
pub mod statistics;
pub mod text;
pub mod theme;
pub mod world;
pub mod write;

pub use annotate::{AnnotationSummary, annotate_candidates};
pub use annotator::Annotator;
pub use config::WorldConfig;
pub use error::WorldError;
pub use kind::{Colour, Group, Kind, Size};
pub use place::{Cell, Place};
pub use question::Question;
pub use scene::{Cover, Edge, Object, Scene, Split};
pub use statistics::Statistics;
pub use theme::Theme;
pub use world::World;
pub use write::{Summary, read_scenes, read_summary, write};
