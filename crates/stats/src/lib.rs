//! The statistics of the whole program: pure functions of numbers, each with its definition and reference.
//!
//! Of figures over test items: [`bootstrap`] intervals, a [`paired`] test of two models on the same items, and both
//! [`pooled`] over training seeds, with [`student`]'s interval. Of judgements: [`agreement`] of people beyond chance,
//! [`kendall`]'s tau-b of two rankings, [`repeatability`] of one judge's replies, and the strengths of models from wins ([`bradley_terry`]). Of numbers:
//! [`correlation`], [`histogram`]s, and [`calibration`] of predicted probabilities, with [`wilson`]'s interval of a share.

#![warn(unreachable_pub)]

pub mod agreement;
pub mod bootstrap;
pub mod bradley_terry;
pub mod calibration;
pub mod correlation;
pub mod histogram;
pub mod kendall;
pub mod paired;
pub mod pooled;
pub mod repeatability;
pub mod student;
pub mod wilson;
