//! Log-probabilities of every token of branches against those of the same sequences run one by one.

use candor_model::{Activations, Adapter, SharedPrefix, SharedTargets, logprobs};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

use crate::setting::{
    BOS, Case, Family, IMAGE, PAD, Read, Setting, TOLERANCE, Trained, assert_same_gradients, cases,
    largest_difference, take_gradients,
};

fn targets(items: &[SharedPrefix]) -> SharedTargets {
    SharedTargets::new(&items.iter().collect::<Vec<_>>(), PAD, Device::Cpu)
}

/// log π of every token that is read, row after row, each sequence run alone and without a pad.
fn unshared(setting: &Setting, adapter: Option<&Adapter>) -> Tensor {
    let rows: Vec<Tensor> = setting
        .each(adapter)
        .into_iter()
        .map(|(item, k, hidden)| {
            let read = &item.read[k];
            let before = item.prefix.len() + read.start - 1;
            let hidden = hidden.narrow(1, before as i64, read.len() as i64);
            let logits = setting.model.decoder().logits(&hidden.squeeze_dim(0));
            let ids = Tensor::from_slice(&item.branches[k][read.clone()]);
            logprobs::token_logprobs(&logits, &ids, 1.0)
        })
        .collect();
    Tensor::cat(&rows, 0)
}

/// A loss in which every token counts differently, and none for nothing, as one may be alone.
fn loss(flat: &Tensor) -> Tensor {
    let weight = (Tensor::arange(flat.numel() as i64, (Kind::Float, Device::Cpu)) * 0.7).cos();
    (flat * weight).sum(Kind::Float)
}

fn check(case: &Case) {
    let setting = Setting::new(case);
    let (model, adapter) = (&setting.model, &setting.adapter);
    let (targets, features) = (targets(&setting.items), setting.features.as_ref());
    let flat = |matrix: &Tensor| matrix.masked_select(targets.mask());

    for adapter in [None, Some(adapter)] {
        let found = tch::no_grad(|| model.logprobs_shared(&targets, features, adapter));
        let expected = tch::no_grad(|| unshared(&setting, adapter));
        let difference = largest_difference(&flat(&found), &expected);
        assert!(difference <= TOLERANCE, "they differ by {difference}");
        let pads = found.masked_select(&targets.mask().logical_not());
        assert_eq!(pads, pads.zeros_like());
    }

    for trained in [Trained::Adapter, Trained::Weights] {
        let parameters = setting.train(trained);
        let expected_loss = loss(&unshared(&setting, Some(adapter)));
        expected_loss.backward();
        let expected = take_gradients(&parameters);
        for activations in [Activations::Keep, Activations::Recompute] {
            let found = model.backward_logprobs_shared(
                &targets,
                features,
                Some(adapter),
                activations,
                |logprobs| {
                    let loss = loss(&flat(logprobs));
                    let value = loss.detach();
                    (loss, value)
                },
            );
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn sharing_changes_neither_logprobs_nor_gradients(case in cases()) {
        check(&case);
    }
}

/// Answers of one token are predicted by the prefix alone, and are the case that the last block has a short cut for.
#[test]
fn answers_of_one_token_are_predicted_by_their_prefix() {
    check(&Case {
        family: Family::Qwen,
        seed: 19,
        n_kv_heads: 2,
        items: vec![(3, true, vec![1, 1]), (0, false, vec![1, 1])],
        read: Read::Last,
    });
}

/// The first tokens of two answers are predicted by one and the same hidden state: their probabilities and those of
/// all other words add up to one.
#[test]
fn first_tokens_share_one_distribution() {
    let setting = Setting::new(&Case {
        family: Family::Qwen,
        seed: 23,
        n_kv_heads: 4,
        items: vec![(2, false, vec![1])],
        read: Read::Last,
    });
    let item = SharedPrefix {
        branches: (0..40).map(|word| vec![word]).collect(),
        read: vec![0..1; 40],
        ..setting.items[0].clone()
    };
    let logprobs = setting.model.logprobs_shared(&targets(&[item]), None, None);
    assert_eq!(logprobs.size(), [40, 1]);
    let total = logprobs.exp().sum(Kind::Double).double_value(&[]);
    assert!((total - 1.0).abs() < 1e-5, "{total}");
}

/// The row of a target is its branch, its column its place among what is read.
#[test]
fn a_matrix_has_a_row_for_each_branch() {
    let item =
        |prefix: &[i64], branches: &[&[i64]], read: &[std::ops::Range<usize>]| SharedPrefix {
            prefix: prefix.to_vec().into(),
            branches: branches.iter().map(|branch| branch.to_vec()).collect(),
            read: read.to_vec(),
            image: None,
        };
    let items = [
        item(&[BOS, 5], &[&[6, 7, 8], &[9]], &[1..3, 0..1]),
        item(&[BOS], &[&[IMAGE + 1, 5], &[6, 5, 7]], &[0..1, 0..3]),
    ];
    let (t, f) = (true, false);
    let mask = [t, t, f, t, f, f, t, f, f, t, t, t];
    let expected = Tensor::from_slice(&mask).reshape([4, 3]);
    assert_eq!(targets(&items).mask(), &expected);
}
