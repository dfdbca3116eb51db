//! What people are paid, to a hundredth of the currency: a rate for each answer, or for each hour on screen.
//!
//! Amounts are whole numbers throughout, so that no sum depends on how fractions are held. Halves are rounded up.

use candor_recipe::Reader;

/// Ten thousandths of the currency in one.
const PARTS: f64 = 10_000.0;
/// Milliseconds of an hour times ten thousandths in a hundredth.
const HOUR_PARTS: i128 = 3_600_000 * 100;

/// What people are paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pay {
    /// The currency, as tables show it.
    pub currency: String,
    /// What is paid for what.
    pub rate: Rate,
}

/// What is paid for what, in ten thousandths of the currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// For each answer.
    Answer(u64),
    /// For each hour that tasks were on screen.
    Hour {
        /// For an hour.
        rate: u64,
        /// What an answer counts at most: what was on screen is what the browser says, and somebody may have left.
        max_answer_ms: i64,
    },
}

impl Pay {
    /// What answers with these times on screen, in milliseconds, are paid, in hundredths of the currency.
    #[must_use]
    pub fn cents(&self, active_ms: impl ExactSizeIterator<Item = i64>) -> i64 {
        let cents = match self.rate {
            Rate::Answer(rate) => (active_ms.len() as i128 * i128::from(rate) + 50) / 100,
            Rate::Hour {
                rate,
                max_answer_ms,
            } => {
                let counted = active_ms.map(|ms| i128::from(ms.clamp(0, max_answer_ms)));
                (counted.sum::<i128>() * i128::from(rate) + HOUR_PARTS / 2) / HOUR_PARTS
            }
        };
        i64::try_from(cents).unwrap_or(i64::MAX)
    }
}

/// Hundredths as people write them.
#[must_use]
pub fn amount(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The table `[pay]`, where the file has one.
pub(super) fn read(file: &mut Reader) -> Option<Pay> {
    if !file.has("pay") {
        return None;
    }
    file.one_of_two("pay", "per_answer", "per_hour");
    let currency = file
        .string("pay.currency", "The currency, as tables show it.")
        .check(|name| match name.trim() {
            "" => Err(("empty".to_owned(), "write EUR, say".to_owned())),
            _ => Ok(()),
        })
        .required();
    let answer = rate(file, "pay.per_answer", "What an answer to work is paid.");
    let hour = rate(file, "pay.per_hour", "What an hour on screen is paid.");
    let max_secs = file
        .u64(
            "pay.max_secs_per_answer",
            "What an answer counts at most of an hour.",
        )
        .within(1..=3600)
        .optional();
    match (hour.is_some(), max_secs.is_some()) {
        (true, false) => {
            let remedy = "write how long an answer counts at most, 300 say";
            file.mistake("pay.max_secs_per_answer", "missing beside per_hour", remedy);
        }
        (false, true) => {
            let remedy = "leave it out; answers are paid by their number";
            file.mistake(
                "pay.max_secs_per_answer",
                "goes with per_hour alone",
                remedy,
            );
        }
        _ => {}
    }
    let rate = match hour {
        Some(rate) => Rate::Hour {
            rate,
            max_answer_ms: max_secs.unwrap_or_default() as i64 * 1000,
        },
        None => Rate::Answer(answer.unwrap_or_default()),
    };
    Some(Pay { currency, rate })
}

/// A rate, in ten thousandths.
fn rate(file: &mut Reader, key: &str, meaning: &'static str) -> Option<u64> {
    let rate = file
        .f64(key, meaning)
        .positive()
        .within(..=100_000.0)
        .check(|rate| {
            let parts = rate * PARTS;
            if (parts - parts.round()).abs() < 1e-4 {
                return Ok(());
            }
            let remedy = "write it with at most four decimals";
            Err((
                format!("{rate} is finer than can be paid"),
                remedy.to_owned(),
            ))
        })
        .optional();
    rate.map(|rate| (rate * PARTS).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(rate: Rate, active_ms: &[i64]) -> i64 {
        let currency = "EUR".to_owned();
        Pay { currency, rate }.cents(active_ms.iter().copied())
    }

    #[test]
    fn answers_and_hours_are_paid_to_the_cent() {
        // Three times 0.125 is 0.375, and a half is rounded up.
        assert_eq!(paid(Rate::Answer(1250), &[1, 2, 3]), 38);
        assert_eq!(paid(Rate::Answer(1200), &[0; 120]), 1440);
        let hour = |max_answer_ms| Rate::Hour {
            rate: 145_000,
            max_answer_ms,
        };
        // 12.5 seconds of an hour at 14.50 are 5.03 cents; at most 2 seconds of each are 5 seconds, 2.01 cents.
        assert_eq!(paid(hour(60_000), &[9000, 1000, 2500]), 5);
        assert_eq!(paid(hour(2000), &[9000, 1000, 2500]), 2);
        // A browser that says 49 days is believed for five minutes: 14.50 / 12.
        assert_eq!(paid(hour(300_000), &[4_294_967_295]), 121);
        assert_eq!(paid(hour(300_000), &[]), 0);
        assert_eq!(
            (amount(1440), amount(5)),
            ("14.40".to_owned(), "0.05".to_owned())
        );
    }
}
