//! The best weights so far by what is evaluated along the way, and when to stop looking for better ones.
//!
//! They are part of what a checkpoint holds, figures included, so that a resumed run stops at the same step and
//! writes the same weights.
//!
//! # Reference
//! The reference stopped its reward model at step 200 of its one epoch; here the validation pairs choose.

use tch::{Device, Kind, Tensor};

use crate::error::TrainError;
use crate::finite::check_finite;

/// What makes weights better than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BestBy {
    /// A higher accuracy, and where that is equal a lower loss.
    Accuracy,
    /// A lower loss.
    Loss,
}

/// What an evaluation found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Steps done.
    pub step: u64,
    /// Share of what was evaluated that is right.
    pub accuracy: f64,
    /// Mean loss of it.
    pub loss: f64,
}

impl Found {
    /// The same where its loss is a number. Nothing would beat one that is not finite and came first, and a checkpoint that
    /// holds it cannot be read again.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] with the step.
    pub fn checked(self) -> Result<Self, TrainError> {
        check_finite("validation loss", self.loss, self.step, Vec::new)?;
        Ok(self)
    }
}

/// The best weights so far.
#[derive(Debug)]
pub struct Best {
    by: BestBy,
    live: Vec<(String, Tensor)>,
    kept: Vec<(String, Tensor)>,
    /// `[4]` f64: step, accuracy, loss, and evaluations since; a step of 0 is none yet.
    figures: Tensor,
}

impl Best {
    /// Nothing found yet; `live` are the tensors in training, of which a copy is kept.
    #[must_use]
    pub fn new(by: BestBy, live: &[(String, Tensor)]) -> Self {
        let copy = |(name, tensor): &(String, Tensor)| (name.clone(), tensor.detach().copy());
        Self::keeping(by, live, live.iter().map(copy).collect())
    }

    /// The same with the copy in the host's memory, wherever the live tensors are.
    #[must_use]
    pub fn on_host(by: BestBy, live: &[(String, Tensor)]) -> Self {
        let room = |(name, tensor): &(String, Tensor)| {
            let options = (tensor.kind(), Device::Cpu);
            (name.clone(), Tensor::empty(tensor.size(), options))
        };
        let kept: Vec<(String, Tensor)> = live.iter().map(room).collect();
        copy(live, &kept);
        Self::keeping(by, live, kept)
    }

    fn keeping(by: BestBy, live: &[(String, Tensor)], kept: Vec<(String, Tensor)>) -> Self {
        Self {
            by,
            live: live
                .iter()
                .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
                .collect(),
            kept,
            figures: Tensor::zeros([4], (Kind::Double, Device::Cpu)),
        }
    }

    /// What a checkpoint must hold; a resume overwrites the tensors in place.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let weights = self
            .kept
            .iter()
            .map(|(name, tensor)| (format!("best.{name}"), tensor.shallow_clone()));
        weights
            .chain([("best_figures".to_owned(), self.figures.shallow_clone())])
            .collect()
    }

    /// The best evaluation, if there was one.
    #[must_use]
    pub fn found(&self) -> Option<Found> {
        let step = self.figure(0) as u64;
        (step > 0).then(|| Found {
            step,
            accuracy: self.figure(1),
            loss: self.figure(2),
        })
    }

    /// Whether `patience` evaluations in a row found nothing better; a patience of 0 never ends.
    #[must_use]
    pub fn given_up(&self, patience: u64) -> bool {
        patience > 0 && self.figure(3) as u64 >= patience
    }

    /// Takes an evaluation of the live weights, and keeps them if they are the best so far; of equally good ones the first.
    ///
    /// # Errors
    /// As [`Found::checked`]; nothing is changed then.
    pub fn offer(&mut self, found: Found) -> Result<(), TrainError> {
        let found = found.checked()?;
        let better = self.found().is_none_or(|best| match self.by {
            BestBy::Accuracy if found.accuracy > best.accuracy => true,
            BestBy::Accuracy => found.accuracy >= best.accuracy && found.loss < best.loss,
            BestBy::Loss => found.loss < best.loss,
        });
        let figures = if better {
            copy(&self.live, &self.kept);
            [found.step as f64, found.accuracy, found.loss, 0.0]
        } else {
            [0, 1, 2, 3].map(|i| self.figure(i) + if i == 3 { 1.0 } else { 0.0 })
        };
        tch::no_grad(|| self.figures.copy_(&Tensor::from_slice(&figures)));
        Ok(())
    }

    /// Puts the best weights into the live tensors.
    pub fn recall(&self) {
        copy(&self.kept, &self.live);
    }

    fn figure(&self, index: i64) -> f64 {
        self.figures.double_value(&[index])
    }
}

fn copy(from: &[(String, Tensor)], to: &[(String, Tensor)]) {
    tch::no_grad(|| {
        for ((_, from), (_, to)) in from.iter().zip(to) {
            to.shallow_clone().copy_(from);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(step: u64, accuracy: f64, loss: f64) -> Found {
        Found {
            step,
            accuracy,
            loss,
        }
    }

    #[test]
    fn the_best_weights_come_back_and_patience_counts_evaluations() {
        let mut live = Tensor::from_slice(&[0.0_f32]).set_requires_grad(true);
        let mut best = Best::new(BestBy::Accuracy, &[("w".to_owned(), live.shallow_clone())]);
        assert_eq!(best.found(), None);
        let mut at = |value: f64, evaluation: Found| {
            let _ = tch::no_grad(|| live.fill_(value));
            best.offer(evaluation).unwrap();
            (best.given_up(2), best.found().map(|found| found.step))
        };
        assert_eq!(at(1.0, found(5, 0.6, 0.7)), (false, Some(5)));
        assert_eq!(at(2.0, found(10, 0.6, 0.8)), (false, Some(5)));
        // Equal accuracy at a lower loss is better.
        assert_eq!(at(3.0, found(15, 0.6, 0.6)), (false, Some(15)));
        assert_eq!(at(4.0, found(20, 0.5, 0.1)), (false, Some(15)));
        assert_eq!(at(5.0, found(25, 0.6, 0.6)), (true, Some(15)));
        assert!(!best.given_up(0) && !best.given_up(3));
        best.recall();
        assert!((live.double_value(&[0]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn by_the_loss_the_accuracy_decides_nothing() {
        let live = [("w".to_owned(), Tensor::from_slice(&[0.0_f32]))];
        let mut best = Best::new(BestBy::Loss, &live);
        for (evaluation, expected) in [
            (found(5, 0.6, 0.7), 5),
            (found(10, 0.9, 0.7), 5),
            (found(15, 0.1, 0.5), 15),
        ] {
            best.offer(evaluation).unwrap();
            assert_eq!(best.found().map(|found| found.step), Some(expected));
        }
    }

    #[test]
    fn a_loss_that_is_no_number_is_refused_also_where_it_comes_first() {
        let live = [("w".to_owned(), Tensor::from_slice(&[0.0_f32]))];
        for by in [BestBy::Accuracy, BestBy::Loss] {
            let mut best = Best::new(by, &live);
            for (loss, said) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
                let refused = best.offer(found(5, 0.6, loss)).unwrap_err().to_string();
                let expected = format!(
                    "validation loss is {said} at step 5; lower the learning rate or clip the gradient norm"
                );
                assert_eq!(refused, expected);
                assert_eq!(best.found(), None);
            }
            best.offer(found(10, 0.5, 0.7)).unwrap();
            assert!(best.offer(found(15, 0.9, f64::NAN)).is_err());
            assert_eq!(best.found(), Some(found(10, 0.5, 0.7)));
        }
    }

    #[test]
    fn the_state_is_all_there_is() {
        let one = |value: f32| vec![("w".to_owned(), Tensor::from_slice(&[value]))];
        let mut first = Best::new(BestBy::Accuracy, &one(2.0));
        first.offer(found(5, 0.6, 0.7)).unwrap();
        first.offer(found(10, 0.5, 0.7)).unwrap();
        // As a session does it: the stored tensors are copied over those of a run that has just begun.
        let live = one(9.0);
        let resumed = Best::on_host(BestBy::Accuracy, &live);
        for ((_, from), (_, mut to)) in first.state().into_iter().zip(resumed.state()) {
            to.copy_(&from);
        }
        assert_eq!(resumed.found(), Some(found(5, 0.6, 0.7)));
        assert!(resumed.given_up(1) && !resumed.given_up(2));
        resumed.recall();
        assert!((live[0].1.double_value(&[0]) - 2.0).abs() < f64::EPSILON);
    }
}
