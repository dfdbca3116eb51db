//! Learning-rate schedules: a factor in `[0, 1]` as a function of the updates already done.
//!
//! The formulas are those of Hugging Face transformers (`get_constant_schedule_with_warmup`,
//! `get_linear_schedule_with_warmup`, `get_cosine_schedule_with_warmup` with half a cycle), including that
//! the first update of a warm-up runs at factor 0. No state: a resumed run asks for the factor of its step.

use std::f64::consts::PI;

/// What happens after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Stays at 1.
    Constant,
    /// Falls linearly to 0 at the last step.
    Linear,
    /// Falls to 0 along half a cosine.
    Cosine,
}

/// How long the factor rises linearly from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Warmup {
    /// A number of updates.
    Steps(u64),
    /// A share of all updates, rounded up.
    Ratio(f64),
}

/// A schedule over a known number of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    shape: Shape,
    n_warmup: u64,
    n_steps: u64,
}

impl Schedule {
    /// A schedule of `n_steps` updates in all, warm-up included.
    #[must_use]
    pub fn new(shape: Shape, warmup: Warmup, n_steps: u64) -> Self {
        let n_warmup = match warmup {
            Warmup::Steps(n) => n,
            Warmup::Ratio(ratio) => (n_steps as f64 * ratio).ceil() as u64,
        };
        Self {
            shape,
            n_warmup,
            n_steps,
        }
    }

    /// The number of warm-up updates.
    #[must_use]
    pub fn n_warmup(&self) -> u64 {
        self.n_warmup
    }

    /// The factor of the update that follows `n_done` updates: `factor(0)` is the first one's.
    ///
    /// # Reference
    /// transformers `optimization.py`, the `_get_*_schedule_with_warmup_lr_lambda` functions.
    #[must_use]
    pub fn factor(&self, n_done: u64) -> f64 {
        if n_done < self.n_warmup {
            return n_done as f64 / self.n_warmup.max(1) as f64;
        }
        let n_decay = self.n_steps.saturating_sub(self.n_warmup).max(1) as f64;
        match self.shape {
            Shape::Constant => 1.0,
            Shape::Linear => self.n_steps.saturating_sub(n_done) as f64 / n_decay,
            Shape::Cosine => {
                let progress = (n_done - self.n_warmup) as f64 / n_decay;
                (0.5 * (1.0 + (PI * progress).cos())).max(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_factors(schedule: &Schedule, expected: &[(u64, f64)]) {
        for &(step, factor) in expected {
            let got = schedule.factor(step);
            assert!((got - factor).abs() < 1e-15, "step {step}: {got}");
        }
    }

    #[test]
    fn constant_rises_and_stays() {
        let schedule = Schedule::new(Shape::Constant, Warmup::Steps(4), 10);
        assert_factors(
            &schedule,
            &[(0, 0.0), (1, 0.25), (3, 0.75), (4, 1.0), (99, 1.0)],
        );
    }

    #[test]
    fn linear_falls_to_zero_at_the_end() {
        let schedule = Schedule::new(Shape::Linear, Warmup::Steps(2), 10);
        assert_factors(
            &schedule,
            &[
                (0, 0.0),
                (1, 0.5),
                (2, 1.0),
                (6, 0.5),
                (9, 0.125),
                (10, 0.0),
                (50, 0.0),
            ],
        );
    }

    #[test]
    fn cosine_passes_its_quarter_points() {
        let schedule = Schedule::new(Shape::Cosine, Warmup::Steps(2), 10);
        // After 2, 4, 6, 8 of 8 decay updates: cos of 0, 45, 90, 135, 180 degrees is 1, 1/sqrt 2, 0, -1/sqrt 2, -1.
        let quarter = 0.853_553_390_593_273_8;
        assert_factors(
            &schedule,
            &[
                (2, 1.0),
                (4, quarter),
                (6, 0.5),
                (8, 1.0 - quarter),
                (10, 0.0),
            ],
        );
    }

    #[test]
    fn a_ratio_rounds_up() {
        assert_eq!(
            Schedule::new(Shape::Cosine, Warmup::Ratio(0.03), 101).n_warmup(),
            4
        );
        assert_eq!(
            Schedule::new(Shape::Cosine, Warmup::Ratio(0.0), 101).n_warmup(),
            0
        );
    }

    #[test]
    fn without_warmup_the_first_update_runs_at_full_rate() {
        for shape in [Shape::Constant, Shape::Linear, Shape::Cosine] {
            let schedule = Schedule::new(shape, Warmup::Steps(0), 7);
            assert!((schedule.factor(0) - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn a_warmup_longer_than_the_run_never_divides_by_zero() {
        for shape in [Shape::Constant, Shape::Linear, Shape::Cosine] {
            let schedule = Schedule::new(shape, Warmup::Steps(20), 10);
            assert!((schedule.factor(10) - 0.5).abs() < 1e-15);
            assert!(schedule.factor(25).is_finite());
        }
    }
}
