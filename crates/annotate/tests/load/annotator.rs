//! One simulated annotator: claims, shows, answers, until nothing is left.

use std::collections::BTreeMap;
use std::time::Duration;

use candor_data::random::stream;
use rand::RngExt as _;
use serde_json::json;

use crate::client::Client;
use crate::crowd::Progress;

/// What one annotator did.
#[derive(Default)]
pub struct Day {
    /// Names of the answers that the server said were stored.
    pub stored: Vec<String>,
    /// Seconds of each request, by what it was.
    pub latencies: BTreeMap<&'static str, Vec<f64>>,
}

pub async fn work(number: usize, mut client: Client, pause: Duration, progress: Progress) -> Day {
    let mut day = Day::default();
    let mut n = 0_u64;
    loop {
        let (status, claim, secs) = client.post("/api/claim", &json!({})).await;
        assert!(status.is_success(), "{claim}");
        day.latencies.entry("claim").or_default().push(secs);
        let Some(assignment) = claim["task"]["assignment"].as_str().map(str::to_owned) else {
            // Nothing to claim while others hold the last items; done once all is answered.
            if progress.is_done() {
                return day;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        client.move_on();
        let showing = json!({"showing": assignment, "holding": []});
        let (status, leases, secs) = client.post("/api/heartbeat", &showing).await;
        assert!(status.is_success(), "{leases}");
        day.latencies.entry("heartbeat").or_default().push(secs);
        tokio::time::sleep(pause).await;
        let mut draw = stream(11, "load.answer", &[number as u64, n]);
        let submission = format!("00000000-0000-0000-{number:04x}-{n:012x}");
        n += 1;
        let (first, second) = match draw.random_range(0..4) {
            0 => ("tie", Some("a")),
            1 => ("b", None),
            _ => ("a", None),
        };
        let answer =
            json!({"submission": submission, "first": first, "second": second, "active_ms": 4000});
        let path = format!("/api/assignments/{assignment}/answer");
        if draw.random_range(0..2) == 0 {
            client.move_on();
        }
        let (status, receipt, secs) = client.post(&path, &answer).await;
        day.latencies.entry("answer").or_default().push(secs);
        assert!(status.is_success(), "{receipt}");
        day.stored.push(submission);
        // A repeated answer was stored before the first receipt was lost on the way: it counts all the same.
        progress.step();
    }
}
