//! Properties of the batch order.

use candor_train::data_order::{BatchConfig, epoch_batches};
use proptest::prelude::*;

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..200, 0..400)
}

fn configs() -> impl Strategy<Value = BatchConfig> {
    (any::<u64>(), 1_usize..20, 1_usize..10).prop_map(|(seed, batch_size, window_batches)| {
        BatchConfig {
            seed,
            batch_size,
            window_batches,
        }
    })
}

/// The share of a padded epoch that is padding, were each batch padded to its longest sample.
fn padding_share(lengths: &[usize], batches: &[Vec<usize>]) -> f64 {
    let of_batch =
        |batch: &Vec<usize>| batch.iter().map(|&i| lengths[i]).max().unwrap() * batch.len();
    let padded: usize = batches.iter().map(of_batch).sum();
    1.0 - lengths.iter().sum::<usize>() as f64 / padded as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_sample_appears_once_and_one_batch_at_most_is_short(
        lengths in lengths(),
        config in configs(),
        epoch in 0_u64..5,
    ) {
        let batches = epoch_batches(&lengths, &config, epoch);
        let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        let n_short = batches.iter().filter(|b| b.len() != config.batch_size).count();
        prop_assert_eq!(n_short, usize::from(lengths.len() % config.batch_size != 0));
    }

    #[test]
    fn a_window_holds_the_samples_of_its_place_in_the_mixture(
        lengths in lengths(),
        config in configs(),
    ) {
        let batches = epoch_batches(&lengths, &config, 0);
        let window = config.batch_size * config.window_batches;
        for (w, in_window) in batches.chunks(config.window_batches).enumerate() {
            prop_assert!(in_window.iter().flatten().all(|&i| i / window == w));
        }
    }

    #[test]
    fn batches_of_a_window_never_overlap_in_length(lengths in lengths(), config in configs()) {
        prop_assume!(config.window_batches > 1);
        let batches = epoch_batches(&lengths, &config, 0);
        for in_window in batches.chunks(config.window_batches) {
            let mut spans: Vec<(usize, usize)> = in_window
                .iter()
                .map(|batch| {
                    let of_batch = || batch.iter().map(|&i| lengths[i]);
                    (of_batch().min().unwrap(), of_batch().max().unwrap())
                })
                .collect();
            spans.sort_unstable();
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        }
    }
}

#[test]
fn padding_falls_and_the_order_stays_random() {
    let lengths: Vec<usize> = (0..4096).map(|i| 10 + (i * 7919) % 300).collect();
    let bucketed = BatchConfig {
        seed: 3,
        batch_size: 8,
        window_batches: 32,
    };
    let plain = BatchConfig {
        window_batches: 1,
        ..bucketed
    };
    let first = epoch_batches(&lengths, &bucketed, 0);
    assert!(padding_share(&lengths, &epoch_batches(&lengths, &plain, 0)) > 0.3);
    assert!(padding_share(&lengths, &first) < 0.05);
    assert_ne!(first, epoch_batches(&lengths, &bucketed, 1));
    let other_seed = BatchConfig {
        seed: 4,
        ..bucketed
    };
    assert_ne!(first, epoch_batches(&lengths, &other_seed, 0));
    // Were lengths not shuffled, neighbours within a window would rise every time.
    let rising = first
        .windows(2)
        .filter(|pair| lengths[pair[0][0]] <= lengths[pair[1][0]])
        .count();
    assert!((150..=362).contains(&rising), "{rising} of 511");
}
