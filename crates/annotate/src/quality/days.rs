//! How much each person did on each day, and how long they took.

use std::fmt::Write as _;

use candor_data::csv_field;
use jiff::Timestamp;
use serde::Serialize;

use super::people::median_secs;
use crate::project::{Pay, amount};
use crate::store::Timed;

/// What a person did on a day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonDay {
    /// The day's midnight (UTC), in Unix milliseconds.
    pub day_at: i64,
    /// The person.
    pub person: String,
    /// Their name.
    pub name: String,
    /// Answers to work.
    pub n_answers: usize,
    /// Median of the seconds that a task was on screen.
    pub median_secs: Option<f64>,
    /// What they are paid for it, in hundredths of the currency, where the project pays.
    pub pay_cents: Option<i64>,
}

/// Person by person and day by day what answers tell, which come with those of one person on one day side by side.
#[must_use]
pub fn by_day(answers: &[Timed], pay: Option<&Pay>) -> Vec<PersonDay> {
    answers
        .chunk_by(|a, b| (a.day_at, &a.person) == (b.day_at, &b.person))
        .map(|answers| PersonDay {
            day_at: answers[0].day_at,
            person: answers[0].person.clone(),
            name: answers[0].name.clone(),
            n_answers: answers.len(),
            median_secs: median_secs(answers.iter().map(|answer| answer.active_ms)),
            pay_cents: pay.map(|pay| pay.cents(answers.iter().map(|answer| answer.active_ms))),
        })
        .collect()
}

/// The same as CSV, with dates, and where the project pays with amounts and their currency.
#[must_use]
pub fn days_csv(days: &[PersonDay], pay: Option<&Pay>) -> String {
    let paid = if pay.is_some() { ",pay,currency" } else { "" };
    let mut text = format!("day,name,answers,median_seconds{paid}\n");
    for day in days {
        let date = Timestamp::from_millisecond(day.day_at).map_or_else(
            |_| day.day_at.to_string(),
            |at| at.strftime("%Y-%m-%d").to_string(),
        );
        let median = day
            .median_secs
            .map_or_else(String::new, |secs| secs.to_string());
        let name = csv_field(&day.name);
        let paid = day
            .pay_cents
            .zip(pay)
            .map_or_else(String::new, |(cents, pay)| {
                format!(",{},{}", amount(cents), csv_field(&pay.currency))
            });
        // Writing to a string never fails.
        let _ = writeln!(text, "{date},{name},{},{median}{paid}", day.n_answers);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Rate;

    /// 2026-01-02, in Unix milliseconds.
    const DAY: i64 = 1_767_312_000_000;

    fn timed(day_at: i64, person: &str, active_ms: i64) -> Timed {
        Timed {
            day_at,
            person: person.to_owned(),
            name: format!("={person}, \"x\""),
            active_ms,
        }
    }

    #[test]
    fn answers_are_counted_and_their_median_is_taken_by_person_and_day() {
        let answers = [
            timed(DAY, "p1", 9000),
            timed(DAY, "p1", 1000),
            timed(DAY, "p1", 2500),
            timed(DAY, "p2", 4000),
            timed(DAY, "p2", 7000),
            timed(DAY - 86_400_000, "p2", 500),
        ];
        let days = by_day(&answers, None);
        let told: Vec<_> = days
            .iter()
            .map(|day| (day.person.as_str(), day.n_answers, day.median_secs))
            .collect();
        assert_eq!(
            told,
            [
                ("p1", 3, Some(2.5)),
                ("p2", 2, Some(5.5)),
                ("p2", 1, Some(0.5))
            ]
        );
        assert_eq!(
            days_csv(&days, None),
            "day,name,answers,median_seconds\n\
             2026-01-02,\"'=p1, \"\"x\"\"\",3,2.5\n\
             2026-01-02,\"'=p2, \"\"x\"\"\",2,5.5\n\
             2026-01-01,\"'=p2, \"\"x\"\"\",1,0.5\n"
        );
        let pay = Pay {
            currency: "EUR".to_owned(),
            rate: Rate::Answer(1250),
        };
        let paid = days_csv(&by_day(&answers, Some(&pay)), Some(&pay));
        assert_eq!(
            paid,
            "day,name,answers,median_seconds,pay,currency\n\
             2026-01-02,\"'=p1, \"\"x\"\"\",3,2.5,0.38,EUR\n\
             2026-01-02,\"'=p2, \"\"x\"\"\",2,5.5,0.25,EUR\n\
             2026-01-01,\"'=p2, \"\"x\"\"\",1,0.5,0.13,EUR\n"
        );
    }
}
