//! Somebody who knows what is in the images, and so judges answers without being asked in words.
//!
//! The micro-world's exact judge is the one there is. Benchmarks that a model would judge are then judged by the truth:
//! [`crate::benchmarks::Files::truth`].

use std::collections::BTreeSet;
use std::fmt::Debug;

use crate::JudgeError;
use crate::verdict::Finding;

/// The truth about images.
pub trait Truth: Debug + Send + Sync {
    /// Judges an answer to a question about an image.
    ///
    /// # Errors
    /// Nothing is known of the image.
    fn judge(&self, image: &str, question: &str, answer: &str) -> Result<Finding, JudgeError>;

    /// Names of the kinds of object that a description says are there.
    fn mentioned(&self, description: &str) -> BTreeSet<String>;
}
