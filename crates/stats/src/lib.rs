//! The statistics of the whole program: pure functions of numbers, each with its definition and reference.
//!
//! Of figures over test items: [`bootstrap`] intervals, and a [`paired`] test of two models on the same items. Of
//! judgements: [`agreement`] of people beyond chance, [`repeatability`] of one judge's replies, and the strengths of
//! models from wins ([`bradley_terry`]). Of numbers: [`correlation`], and [`calibration`] of predicted probabilities.

#![warn(unreachable_pub)]

pub mod agreement;
pub mod bootstrap;
pub mod bradley_terry;
pub mod calibration;
pub mod correlation;
pub mod paired;
pub mod repeatability;
