//! What to do with an answer of the endpoint that is no reply: how long to wait, and when to give up.

use std::time::Duration;

use candor_data::random;

/// The longest pause between two tries that is our own choice.
const LONGEST: Duration = Duration::from_mins(1);

/// What a status asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It is a reply.
    Keep,
    /// It may go better next time.
    Again,
    /// This request will never do.
    Skip,
    /// No request will do until a person changes something.
    Stop,
}

/// What a status asks for, together with the error's code where the body names one.
#[must_use]
pub fn course(status: u16, code: Option<&str>) -> Course {
    match status {
        200 => Course::Keep,
        // An empty account answers as a rate limit does, and does not fill up by waiting.
        429 if code == Some("insufficient_quota") => Course::Stop,
        408 | 409 | 425 | 429 | 500..=599 => Course::Again,
        400 | 413 | 415 | 422 => Course::Skip,
        _ => Course::Stop,
    }
}

/// The pause that a `Retry-After` header asks for: seconds, or a date.
#[must_use]
pub fn retry_after(header: &str, unix_secs: u64) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(
        date.as_secs().saturating_sub(unix_secs),
    ))
}

/// The pause before try number `attempt` + 1: doubled with each try and drawn from its upper half, so that
/// requests that failed together do not come back together. `request` counts the requests.
#[must_use]
pub fn back_off(attempt: u32, seed: u64, request: u64) -> Duration {
    let whole = Duration::from_secs(1 << attempt.min(6)).min(LONGEST);
    let part = random::uniform(seed, "judge.back_off", &[request, u64::from(attempt)]);
    whole.mul_f64(0.5 + 0.5 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
        for (status, expected) in [
            (200, Course::Keep),
            (429, Course::Again),
            (500, Course::Again),
            (503, Course::Again),
            (529, Course::Again),
            (400, Course::Skip),
            (401, Course::Stop),
            (404, Course::Stop),
            (302, Course::Stop),
        ] {
            assert_eq!(course(status, None), expected, "{status}");
        }
        assert_eq!(course(429, Some("insufficient_quota")), Course::Stop);
        assert_eq!(course(429, Some("rate_limit_exceeded")), Course::Again);
    }

    #[test]
    fn pauses_are_seconds_or_dates() {
        // The date of RFC 9110's example, 784111777 seconds after 1970.
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (header, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            (date, Some(37)),
            ("soon", None),
            ("-3", None),
        ] {
            let found = retry_after(header, 784_111_740);
            assert_eq!(found, expected.map(Duration::from_secs), "{header}");
        }
        assert_eq!(retry_after(date, 800_000_000), Some(Duration::ZERO));
    }

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_the_seed_decides_it() {
        for (attempt, most) in [(0, 1), (1, 2), (3, 8), (6, 60), (40, 60)] {
            let most = Duration::from_secs(most);
            for request in 0..50 {
                let pause = back_off(attempt, 3, request);
                assert!(pause >= most / 2 && pause <= most, "{attempt}: {pause:?}");
            }
        }
        assert_eq!(back_off(2, 1, 5), back_off(2, 1, 5));
        assert_ne!(back_off(2, 1, 5), back_off(2, 1, 6));
        assert_ne!(back_off(2, 1, 5), back_off(2, 2, 5));
    }
}
