//! Candidates read back as they were written, whatever the text in them and whatever the numbers.

use std::path::Path;

use candor_data::Turn;
use candor_data::formats::candidates::{self, Candidate, Sampling};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Turns that end in a human one.
fn context() -> impl Strategy<Value = Vec<Turn>> {
    (0..3_usize)
        .prop_flat_map(|n| vec(any::<String>(), 2 * n + 1))
        .prop_map(|texts| {
            let turn = |(i, text): (usize, String)| match i % 2 {
                0 => Turn::human(text),
                _ => Turn::gpt(text),
            };
            texts.into_iter().enumerate().map(turn).collect()
        })
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let names = (
        any::<String>(),
        any::<String>(),
        option::of(any::<String>()),
        option::of(any::<String>()),
    );
    let numbers = (
        any::<(u64, u64)>(),
        0.0..1e3_f64,
        0.0..=1.0_f64,
        any::<usize>(),
    );
    let answers = (any::<[bool; 2]>(), any::<(u16, u16)>());
    (names, numbers, any::<(usize, usize)>(), answers).prop_map(
        |(names, numbers, (batch_rows, chunk), (finished, n_tokens))| Sampling {
            model: names.0,
            model_fingerprint: names.1,
            adapter: names.2,
            adapter_fingerprint: names.3,
            seed: numbers.0.0,
            index: numbers.0.1,
            temperature: numbers.1,
            top_p: numbers.2,
            max_new_tokens: numbers.3.max(usize::from(u16::MAX)),
            batch_rows,
            chunk,
            finished,
            n_tokens: [n_tokens.0.into(), n_tokens.1.into()],
        },
    )
}

fn candidate() -> impl Strategy<Value = Candidate> {
    (
        option::of("[a-z#é ]{1,9}\\.png"),
        context(),
        option::of(any::<String>()),
        any::<[String; 2]>(),
        sampling(),
    )
        .prop_map(
            |(image, turns, original_answer, outputs, sampling)| Candidate {
                id: String::new(),
                image,
                turns,
                original_answer,
                outputs,
                sampling,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn candidate_rows(rows in vec(candidate(), 1..6)) {
        let mut rows = rows;
        for (i, row) in rows.iter_mut().enumerate() {
            row.id = format!("pair\n{i}");
        }
        let path = Path::new("round-trip");
        let written = candidates::render(path, &rows).unwrap();
        prop_assert_eq!(written.lines().count(), rows.len());
        prop_assert_eq!(candidates::parse(path, &written).unwrap(), rows);
    }
}
