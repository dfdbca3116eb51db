//! From numbers to places on the page, and the round numbers that label an axis.

/// A straight or logarithmic map from a range of values to a range of coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

/// A value with its label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// Where it is.
    pub value: f64,
    /// How it is written.
    pub label: String,
}

impl Scale {
    /// A straight scale of `[low, high]`. A range without width is widened, so that one value can be shown.
    #[must_use]
    pub(crate) fn linear([low, high]: [f64; 2]) -> Self {
        let widen = if high > low {
            0.0
        } else {
            low.abs().max(1.0) * 0.05
        };
        Self {
            low: low - widen,
            high: high + widen,
            from: 0.0,
            to: 1.0,
            logarithmic: false,
        }
    }

    /// A logarithmic scale of `[low, high]`; both must be above zero, or the scale is straight.
    #[must_use]
    pub(crate) fn logarithmic(range: [f64; 2]) -> Self {
        let straight = Self::linear(range);
        Self {
            logarithmic: straight.low > 0.0,
            ..straight
        }
    }

    /// The same scale onto other coordinates; `to` may lie before `from`, as it does for an upward axis.
    #[must_use]
    pub(crate) fn onto(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    /// The coordinate of a value.
    #[must_use]
    pub(crate) fn at(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value.max(self.low * 1e-3) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + part * (self.to - self.from)
    }

    /// Whether a value lies in the range.
    #[must_use]
    pub(crate) fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Round values inside the range, about `wanted` of them.
    #[must_use]
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<Tick> {
        if wanted == 0 {
            return Vec::new();
        }
        let straight = || linear_ticks(self.low, self.high, wanted);
        if self.logarithmic {
            let decades = logarithmic_ticks(self.low, self.high);
            // Less than a decade has too few powers to read a value from.
            return if decades.len() < 2 {
                straight()
            } else {
                decades
            };
        }
        straight()
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    let step = round_step((high - low) / wanted as f64);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    // A little slack, so that rounding does not lose the ends.
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|multiple| {
            let value = multiple as f64 * step;
            Tick {
                value,
                label: number(value, decimals),
            }
        })
        .collect()
}

/// The smallest of 1, 2, 5 and 10 times a power of ten that is not below `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let fits = |factor: &f64| factor * power >= rough * (1.0 - 1e-9);
    factors.into_iter().find(fits).unwrap_or(10.0) * power
}

/// 1, 2 and 5 times the powers of ten; over many decades the powers alone.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<Tick> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let factors: &[f64] = if last - first > 3 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let mut ticks = Vec::new();
    for exponent in first..=last {
        for factor in factors {
            let value = factor * 10_f64.powi(exponent);
            if value >= low * (1.0 - 1e-9) && value <= high * (1.0 + 1e-9) {
                let label = number(value, (-exponent).max(0) as usize);
                ticks.push(Tick { value, label });
            }
        }
    }
    ticks
}

/// A number with a true minus sign, and never a negative zero.
#[must_use]
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| c == '0' || c == '.') => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// The smallest range that holds all values, with `margin` of its width added at both ends.
#[must_use]
pub(crate) fn range(values: impl IntoIterator<Item = f64>, margin: f64) -> Option<[f64; 2]> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let [low, high] = finite.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
        [low.min(value), high.max(value)]
    });
    let more = (high - low) * margin;
    (low <= high).then_some([low - more, high + more])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn straight_ticks_worked_by_hand() {
        let ticks = |range, wanted| Scale::linear(range).ticks(wanted);
        assert_eq!(
            labels(&ticks([0.0, 1.0], 5)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels(&ticks([0.0, 60.0], 4)), ["0", "20", "40", "60"]);
        assert_eq!(labels(&ticks([-0.7, 0.3], 4)), ["−0.5", "0.0"]);
        assert_eq!(
            labels(&ticks([0.12, 0.19], 4)),
            ["0.12", "0.14", "0.16", "0.18"]
        );
        assert_eq!(labels(&ticks([990.0, 2010.0], 3)), ["1000", "1500", "2000"]);
    }

    #[test]
    fn logarithmic_ticks_worked_by_hand() {
        let ticks = Scale::logarithmic([0.04, 3.6]).ticks(4);
        assert_eq!(labels(&ticks), ["0.05", "0.1", "0.2", "0.5", "1", "2"]);
        // Not enough powers of ten: straight ticks on the logarithmic scale.
        let ticks = Scale::logarithmic([0.6, 0.9]).ticks(3);
        assert_eq!(labels(&ticks), ["0.6", "0.7", "0.8", "0.9"]);
    }

    #[test]
    fn places_worked_by_hand() {
        let upward = Scale::linear([10.0, 20.0]).onto(100.0, 0.0);
        assert!((upward.at(10.0) - 100.0).abs() < 1e-9);
        assert!((upward.at(12.5) - 75.0).abs() < 1e-9);
        let powers = Scale::logarithmic([1.0, 100.0]).onto(0.0, 50.0);
        assert!((powers.at(10.0) - 25.0).abs() < 1e-9);
        // Zero has no logarithm; a scale over it is straight.
        let straight = Scale::logarithmic([0.0, 4.0]).onto(0.0, 8.0);
        assert!((straight.at(1.0) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_value_alone_has_a_place_and_no_value_has_no_range() {
        let scale = Scale::linear([3.0, 3.0]).onto(0.0, 10.0);
        assert!((scale.at(3.0) - 5.0).abs() < 1e-9);
        assert_eq!(range([], 0.1), None);
        assert_eq!(range([f64::NAN], 0.1), None);
        assert_eq!(range([2.0, f64::INFINITY, 4.0], 0.5), Some([1.0, 5.0]));
    }

    #[test]
    fn numbers_have_no_negative_zero() {
        assert_eq!(number(-0.04, 1), "0.0");
        assert_eq!(number(-1.25, 1), "−1.2");
        assert_eq!(number(12.0, 0), "12");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn ticks_rise_inside_the_range_and_are_neither_too_few_nor_too_many(
            low in -1e4..1e4_f64, width in 1e-3..1e4_f64, wanted in 3..8_usize,
        ) {
            let scale = Scale::linear([low, low + width]);
            let ticks = scale.ticks(wanted);
            prop_assert!(ticks.len() >= wanted / 3 && ticks.len() <= wanted + 1, "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0].value < pair[1].value));
            let slack = width * 1e-6;
            prop_assert!(ticks.iter().all(|t| t.value >= low - slack && t.value <= low + width + slack));
            // Labels tell the ticks apart.
            prop_assert!(ticks.windows(2).all(|pair| pair[0].label != pair[1].label));
        }
    }
}
