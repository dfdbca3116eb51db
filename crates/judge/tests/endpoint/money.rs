//! The cap holds, whatever is in flight, and what was paid is not lost.

use candor_judge::Judge as _;

use crate::stub::{Act, Stub, ask, judge};

const PROMPTS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

#[test]
fn the_cap_is_never_exceeded_and_a_second_run_pays_only_for_the_rest() {
    // A request may cost 1 + 128 + 20 = 149 tokens at most, and does cost 15.
    for concurrency in [1, 8] {
        let stub = Stub::new(|_, _| Act::Say("ok"));
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("c");
        let capped = |tokens: u64| {
            format!("[limits]\nconcurrency = {concurrency}\n[spend]\ntokens = {tokens}\n")
        };
        let (first, _) = judge(&stub.address, &cache, &capped(200));
        let message = first
            .replies(&ask(&PROMPTS), &|_| ())
            .unwrap_err()
            .to_string();
        // 149 + 15 n <= 200 lets requests go while at most 3 are paid.
        for part in [
            "the cap is reached: 60 tokens are spent of 200",
            "4 of 8",
            "raise the cap",
        ] {
            assert!(message.contains(part), "{message}\nlacks {part}");
        }
        assert_eq!(first.cost().tokens.total(), 60);
        drop(first);
        // The cap is one over all runs with this cache.
        let (second, _) = judge(&stub.address, &cache, &capped(200));
        assert!(second.replies(&ask(&PROMPTS), &|_| ()).is_err());
        assert_eq!(second.cost().n_sent, 0);
        drop(second);
        let (third, _) = judge(&stub.address, &cache, &capped(1000));
        third.replies(&ask(&PROMPTS), &|_| ()).unwrap();
        assert_eq!(stub.counts(&PROMPTS), [1; 8]);
        assert_eq!(third.cost().tokens.total(), 8 * 15);
    }
}

#[test]
fn what_is_in_flight_cannot_break_the_cap_even_where_every_reply_costs_the_most() {
    // The stub tells no usage, so each reply counts as the 149 tokens it can have cost.
    let stub = Stub::new(|_, _| Act::Body(r#"{"choices":[{"message":{"content":"ok"}}]}"#));
    let dir = tempfile::tempdir().unwrap();
    let limits = "[limits]\nconcurrency = 8\n[spend]\ntokens = 450\n";
    let (judge, _) = judge(&stub.address, &dir.path().join("c"), limits);
    assert!(judge.replies(&ask(&PROMPTS), &|_| ()).is_err());
    assert_eq!(judge.cost().tokens.total(), 3 * 149);
    assert_eq!(stub.seen().len(), 3);
}

#[test]
fn money_is_capped_by_the_prices_given() {
    let stub = Stub::new(|_, _| Act::Say("ok"));
    let dir = tempfile::tempdir().unwrap();
    // At most 129 · 10 + 20 · 100 = 3290 millionths each; in fact 10 · 10 + 5 · 100 = 600.
    let limits = "[limits]\nconcurrency = 2\n[spend]\nmoney = 0.005\nprompt_price = 10.0\ncompletion_price = 100.0\n";
    let (judge, _) = judge(&stub.address, &dir.path().join("c"), limits);
    let message = judge
        .replies(&ask(&PROMPTS), &|_| ())
        .unwrap_err()
        .to_string();
    // 3290 + 600 n <= 5000 lets requests go while at most 2 are paid.
    assert!(
        message.contains("3 of 8") && message.contains("0.0018 of 0.005"),
        "{message}"
    );
    assert!((judge.cost().money - 0.0018).abs() < 1e-12);
}
