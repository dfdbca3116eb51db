//! Sequences that share their beginning against the same sequences run one by one: values and gradients.
//!
//! The reference runs each whole sequence alone, without a pad, through the pass that the golden files hold to
//! transformers. Both sum in other orders, so they differ by float32 rounding: values of size 1 are compared to
//! 1e-5, and gradients to 1e-5 of their tensor's largest entry, or of a tenth of the largest of all where a tensor's
//! own gradient nearly cancels out. One wrong key in one mask exceeds that by far.

mod logprobs;
mod setting;

use candor_model::{Activations, ReadAt, SharedPrefix};
use proptest::prelude::*;
use tch::Tensor;

use setting::{
    BOS, Case, Family, IMAGE, N_PATCHES, PAD, Read, Setting, TOLERANCE, Trained,
    assert_same_gradients, batch, cases, largest_difference, loss, take_gradients,
};

fn check(case: &Case) {
    let setting = Setting::new(case);
    let (model, adapter) = (&setting.model, &setting.adapter);
    let (batch, features) = (setting.batch(), setting.features.as_ref());

    for adapter in [None, Some(adapter)] {
        let found = tch::no_grad(|| model.hidden_shared(&batch, features, adapter));
        let expected = tch::no_grad(|| setting.unshared(adapter));
        let difference = largest_difference(&found, &expected);
        assert!(difference <= TOLERANCE, "values differ by {difference}");
    }

    for trained in [Trained::Adapter, Trained::Weights] {
        let parameters = setting.train(trained);
        let expected_loss = loss(&setting.unshared(Some(adapter)));
        expected_loss.backward();
        let expected = take_gradients(&parameters);
        for activations in [Activations::Keep, Activations::Recompute] {
            let found =
                model.backward_shared(&batch, features, Some(adapter), activations, |hidden| {
                    let loss = loss(hidden);
                    let value = loss.detach();
                    (loss, value)
                });
            let difference = largest_difference(&found, &expected_loss.detach());
            assert!(
                difference <= 10.0 * TOLERANCE,
                "the loss differs by {difference}"
            );
            assert_same_gradients(&parameters, &take_gradients(&parameters), &expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn sharing_changes_neither_values_nor_gradients(case in cases()) {
        check(&case);
    }

    #[test]
    fn splitting_and_joining_is_the_identity(
        common in prop::collection::vec(0_i64..4, 0..6),
        ends in prop::collection::vec(prop::collection::vec(0_i64..2, 1..4), 1..4),
    ) {
        let sequences: Vec<Vec<i64>> = ends
            .iter()
            .map(|end| [&[BOS], common.as_slice(), end].concat())
            .collect();
        let whole: Vec<ReadAt<'_>> = sequences.iter().map(|ids| ReadAt::last(ids)).collect();
        let shared = SharedPrefix::of("row", &whole, None).unwrap();
        let joined: Vec<Vec<i64>> = shared
            .branches
            .iter()
            .map(|branch| [shared.prefix.to_vec(), branch.clone()].concat())
            .collect();
        prop_assert_eq!(&joined, &sequences);
        prop_assert_eq!(shared.n_tokens(), sequences.iter().map(Vec::len).sum::<usize>());
        prop_assert!(shared.branches.iter().all(|branch| !branch.is_empty()));
        // The longest: after it a branch has but one token, or two branches go on differently.
        let ends = |b: &Vec<i64>| b.len() == 1;
        let differ = shared.branches.iter().any(|b| b[0] != shared.branches[0][0]);
        prop_assert!(differ || shared.branches.iter().any(ends));
    }
}

#[test]
fn prefixes_of_one_length_need_one_mask_only() {
    for n_kv_heads in [2, 4] {
        check(&Case {
            family: Family::Qwen,
            seed: 7,
            n_kv_heads,
            items: vec![(3, true, vec![4, 2]), (3, true, vec![1, 5])],
            read: Read::Last,
        });
    }
}

#[test]
fn swapped_branches_swap_their_results() {
    let setting = Setting::new(&Case {
        family: Family::Qwen,
        seed: 11,
        n_kv_heads: 2,
        items: vec![(5, true, vec![3, 6]), (2, false, vec![4, 1])],
        read: Read::Spans,
    });
    let mut swapped = setting.items.clone();
    for item in &mut swapped {
        item.branches.reverse();
        item.read.reverse();
    }
    let hidden = |items: &[SharedPrefix]| {
        setting.model.hidden_shared(
            &batch(items, PAD),
            setting.features.as_ref(),
            Some(&setting.adapter),
        )
    };
    let order = Tensor::from_slice(&[1_i64, 0, 3, 2]);
    let (plain, swapped) = (hidden(&setting.items), hidden(&swapped));
    assert!(largest_difference(&plain.index_select(0, &order), &swapped) <= 1e-6);
    assert!(
        largest_difference(&plain, &swapped) > 0.1,
        "the branches are told apart"
    );
}

#[test]
fn a_pad_changes_nothing() {
    let setting = Setting::new(&Case {
        family: Family::Qwen,
        seed: 13,
        n_kv_heads: 2,
        items: vec![(5, true, vec![3, 6]), (0, false, vec![4, 1])],
        read: Read::Spans,
    });
    let hidden = |pad: i64| {
        let batch = batch(&setting.items, pad);
        setting
            .model
            .hidden_shared(&batch, setting.features.as_ref(), None)
    };
    assert_eq!(hidden(PAD), hidden(IMAGE + 1));
}

#[test]
fn a_batch_computes_the_prefix_once() {
    let setting = Setting::new(&Case {
        family: Family::Qwen,
        seed: 17,
        n_kv_heads: 4,
        items: vec![(5, true, vec![3, 3]), (5, true, vec![3, 3])],
        read: Read::Last,
    });
    let prefix = 1 + N_PATCHES + 5;
    assert_eq!(setting.batch().n_tokens(), 2 * (prefix + 2 * 3));
    assert_eq!(setting.items[0].n_tokens(), 2 * (prefix + 3));
}

#[test]
fn sequences_with_nothing_in_common_are_refused_by_name() {
    let none: &[&[i64]] = &[];
    let different: &[&[i64]] = &[&[BOS, 5], &[6, 5]];
    let single: &[&[i64]] = &[&[BOS]];
    let empty: &[&[i64]] = &[&[BOS, 5], &[]];
    for sequences in [none, different, single, empty] {
        let whole: Vec<ReadAt<'_>> = sequences.iter().map(|ids| ReadAt::last(ids)).collect();
        let message = SharedPrefix::of("pair 7", &whole, None)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("`pair 7`") && message.contains("<s>"),
            "{message}"
        );
    }
}

/// Everything that is read must be in the branches, where the sequences have more in common too.
#[test]
fn what_is_read_is_never_shared() {
    let sequences = [[BOS, 5, 6, 7, 8], [BOS, 5, 6, 7, 9]];
    let whole = sequences
        .iter()
        .zip([2..4, 3..5])
        .map(|(ids, read)| ReadAt { ids, read });
    let shared = SharedPrefix::of("row", &whole.collect::<Vec<_>>(), None).unwrap();
    assert_eq!(shared.prefix.to_vec(), [BOS, 5]);
    assert_eq!(shared.branches, [[6, 7, 8], [6, 7, 9]]);
    assert_eq!(shared.read, [0..2, 1..3]);
}

#[test]
#[should_panic(expected = "read at some of its own tokens")]
fn a_branch_that_is_read_nowhere_is_a_mistake() {
    let item = SharedPrefix {
        prefix: vec![BOS].into(),
        branches: vec![vec![5]],
        read: vec![1..1; 1],
        image: None,
    };
    let _ = batch(&[item], PAD);
}

#[test]
#[should_panic(expected = "the same number of branches")]
fn items_with_different_numbers_of_branches_are_a_mistake() {
    let item = |k: usize| SharedPrefix {
        prefix: vec![BOS].into(),
        branches: vec![vec![5]; k],
        read: vec![0..1; k],
        image: None,
    };
    let _ = batch(&[item(1), item(2)], PAD);
}

#[test]
#[should_panic(expected = "no prefix or branch is empty")]
fn an_empty_prefix_is_a_mistake() {
    let item = SharedPrefix {
        prefix: Vec::<i64>::new().into(),
        branches: vec![vec![BOS, 5]],
        read: vec![1..2; 1],
        image: None,
    };
    let _ = batch(&[item], PAD);
}
