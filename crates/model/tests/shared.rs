//! Sequences that share their beginning against the same sequences run one by one: values and gradients.
//!
//! The reference runs each whole sequence alone, without a pad, through the pass that the golden files hold to
//! transformers. Both sum in other orders, so they differ by float32 rounding: values of size 1 are compared to
//! 1e-5, and gradients to 1e-5 of their tensor's largest entry, or of a tenth of the largest of all where a tensor's
//! own gradient nearly cancels out. One wrong key in one mask exceeds that by far.

use std::ops::Range;

use candor_model::{
    Activations, Adapter, Llava, LlavaConfig, LoraConfig, ReadAt, Shared, SharedBatch, TARGETS,
};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

const TOLERANCE: f64 = 1e-5;
/// Gradients add up over every layer and token in another order; among some thousand random cases a few are a little
/// more than 1e-5 apart. A token that sees what it must not shows as 1e-2 and more.
const GRADIENT_TOLERANCE: f64 = 5e-5;
const PAD: i64 = 0;
const BOS: i64 = 1;
const IMAGE: i64 = 3;
const N_VOCAB: i64 = 40;
const N_PATCHES: usize = 4;

fn model(n_kv_heads: i64, seed: u64) -> Llava {
    let config = serde_json::json!({
        "image_token_index": IMAGE,
        "vision_feature_layer": -1,
        "text_config": {
            "vocab_size": N_VOCAB, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": n_kv_heads, "max_position_embeddings": 64
        },
        "vision_config": {
            "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 8, "patch_size": 4
        }
    });
    let config: LlavaConfig = serde_json::from_value(config).expect("a configuration");
    Llava::fresh(config, seed, Device::Cpu).expect("a fresh model")
}

/// An adapter that does something: a fresh one's B is zero.
fn adapter(model: &Llava, seed: u64) -> Adapter {
    let config = LoraConfig::new(2, 4.0, &TARGETS.map(str::to_owned));
    let adapter =
        Adapter::fresh(config, &model.config().text_config, seed, Device::Cpu).expect("an adapter");
    for (at, (name, b)) in adapter.parameters().iter().enumerate() {
        if name.ends_with("lora_B.weight") {
            let numbers = Tensor::arange(b.numel() as i64, (Kind::Float, Device::Cpu)) + at as f64;
            let filled = (numbers * 1.3).sin().reshape(b.size()) * 0.3;
            b.shallow_clone().copy_(&filled);
        }
    }
    adapter
}

/// Deterministic ids from `lowest` on.
fn words(seed: u64, n: usize, lowest: i64) -> Vec<i64> {
    let draw = |i| candor_data::random::uniform(seed, "words", &[i as u64]);
    let span = (N_VOCAB - lowest) as f64;
    (0..n).map(|i| lowest + (draw(i) * span) as i64).collect()
}

/// One item's prefix words after its `<s>` and image, whether it has an image, and its branches' words.
type Item = (usize, bool, Vec<usize>);

/// What one comparison is made of.
#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    n_kv_heads: i64,
    items: Vec<Item>,
    read: Read,
}

/// What branches are read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// Their last token.
    Last,
    /// Any span of their tokens.
    Spans,
}

impl Read {
    /// The span of a branch of `len` tokens.
    fn of(self, seed: u64, len: usize) -> Range<usize> {
        let draw = |purpose| candor_data::random::uniform(seed, purpose, &[]);
        match self {
            Self::Last => len - 1..len,
            Self::Spans => {
                let start = (draw("start") * len as f64) as usize;
                let n = 1 + (draw("length") * (len - start) as f64) as usize;
                start..start + n
            }
        }
    }
}

impl Case {
    fn items(&self) -> Vec<Shared> {
        let item = |(at, (n_words, has_image, branches)): (usize, &Item)| {
            let seed = self.seed * 100 + 10 * at as u64;
            let patches = vec![IMAGE; if *has_image { N_PATCHES } else { 0 }];
            // A policy may sample the placeholder's id, which then is a word.
            let branch = |(k, &n): (usize, &usize)| words(seed + k as u64 + 1, n, IMAGE);
            let read = |(k, &n): (usize, &usize)| self.read.of(seed + k as u64 + 1, n);
            Shared {
                prefix: [vec![BOS], patches, words(seed, *n_words, IMAGE + 1)].concat(),
                branches: branches.iter().enumerate().map(branch).collect(),
                read: branches.iter().enumerate().map(read).collect(),
                image: has_image.then(|| format!("{at}.png")),
            }
        };
        self.items.iter().enumerate().map(item).collect()
    }
}

/// A model, an adapter and items with the features of their images.
struct Setting {
    model: Llava,
    adapter: Adapter,
    items: Vec<Shared>,
    features: Option<Tensor>,
}

impl Setting {
    fn new(case: &Case) -> Self {
        tch::set_num_threads(1);
        let model = model(case.n_kv_heads, case.seed);
        let items = case.items();
        let n_images = items.iter().filter(|item| item.image.is_some()).count();
        let numbers: Vec<f32> = (0..n_images * N_PATCHES * 8)
            .map(|i| (i as f32 * 0.7).sin())
            .collect();
        let shape = [n_images as i64, N_PATCHES as i64, 8];
        Self {
            adapter: adapter(&model, case.seed),
            model,
            items,
            features: (n_images > 0).then(|| Tensor::from_slice(&numbers).reshape(shape)),
        }
    }

    fn batch(&self) -> SharedBatch {
        batch(&self.items, PAD)
    }

    /// The sum of the hidden states of the tokens that each sequence is read at, each run alone and without a pad.
    fn unshared(&self, adapter: Option<&Adapter>) -> Tensor {
        let mut next_image = 0;
        let mut sums = Vec::new();
        for item in &self.items {
            let features = item.image.as_ref().and_then(|_| {
                next_image += 1;
                Some(self.features.as_ref()?.narrow(0, next_image - 1, 1))
            });
            for (branch, read) in item.branches.iter().zip(&item.read) {
                let row = |ids: &[i64]| Tensor::from_slice(ids).unsqueeze(0);
                let prefix = self.model.embed(&row(&item.prefix), features.as_ref());
                let branch = self.model.embed(&row(branch), None);
                let embedded = Tensor::cat(&[prefix, branch], 1);
                let start = (item.prefix.len() + read.start) as i64;
                let hidden = self.model.hidden(&embedded, adapter);
                let hidden = hidden.narrow(1, start, read.len() as i64);
                sums.push(hidden.sum_dim_intlist([1].as_slice(), false, None));
            }
        }
        Tensor::cat(&sums, 0)
    }

    /// Makes the adapter trainable, or all weights but the tower's, and forgets earlier gradients.
    fn train(&self, trained: Trained) -> Vec<(String, Tensor)> {
        let full = trained == Trained::Weights;
        let weights = self
            .model
            .set_trainable(|name| full && !name.starts_with("vision_tower."));
        self.adapter.set_trainable(!full);
        if full {
            return weights;
        }
        let named = self.adapter.parameters().iter();
        named
            .map(|(name, t)| (name.clone(), t.shallow_clone()))
            .collect()
    }
}

fn batch(items: &[Shared], pad: i64) -> SharedBatch {
    SharedBatch::new(&items.iter().collect::<Vec<_>>(), pad, Device::Cpu)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Trained {
    Adapter,
    Weights,
}

/// A loss in which every entry of every row counts differently.
fn loss(hidden: &Tensor) -> Tensor {
    let n = hidden.numel() as i64;
    let weight = (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.7).sin();
    (hidden.flatten(0, 1) * weight).sum(Kind::Float)
}

/// Takes the gradients away; a tensor that got none has `None`.
fn take_gradients(trained: &[(String, Tensor)]) -> Vec<Option<Tensor>> {
    let take = |(_, parameter): &(String, Tensor)| {
        let gradient = parameter.grad();
        let taken = gradient.defined().then(|| gradient.copy());
        parameter.shallow_clone().zero_grad();
        taken
    };
    trained.iter().map(take).collect()
}

fn largest(x: &Tensor) -> f64 {
    x.abs().max().double_value(&[])
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let difference = largest(&(a - b));
    assert!(difference.is_finite(), "not a number");
    difference
}

fn assert_same_gradients(
    trained: &[(String, Tensor)],
    found: &[Option<Tensor>],
    expected: &[Option<Tensor>],
) {
    let size = |g: &Option<Tensor>| g.as_ref().map_or(0.0, largest);
    let floor = expected.iter().map(size).fold(0.0, f64::max) / 10.0;
    let mut n_compared = 0;
    for ((name, _), (found, expected)) in trained.iter().zip(found.iter().zip(expected)) {
        let (Some(found), Some(expected)) = (found, expected) else {
            let nothing = size(found) == 0.0 && size(expected) == 0.0;
            assert!(nothing, "only one way reaches {name}");
            continue;
        };
        n_compared += usize::from(largest(expected) > 0.0);
        let relative = largest_difference(found, expected) / largest(expected).max(floor);
        assert!(
            relative <= GRADIENT_TOLERANCE,
            "the gradient of {name} differs by {relative} of its size"
        );
    }
    assert!(n_compared > 20, "only {n_compared} gradients are not zero");
}

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
            let found = model.backward_shared(&batch, features, Some(adapter), activations, loss);
            let difference = largest_difference(&found, &expected_loss.detach());
            assert!(
                difference <= 10.0 * TOLERANCE,
                "the loss differs by {difference}"
            );
            assert_same_gradients(&parameters, &take_gradients(&parameters), &expected);
        }
    }
}

/// One to three items of different lengths, with one to three branches each.
fn cases() -> impl Strategy<Value = Case> {
    let heads = prop::sample::select(vec![1_i64, 2, 4]);
    let reads = prop::sample::select(vec![Read::Last, Read::Spans]);
    (0_u64..1 << 40, heads, 1_usize..=3, reads).prop_flat_map(|(seed, n_kv_heads, k, read)| {
        let item = (
            0_usize..6,
            any::<bool>(),
            prop::collection::vec(1_usize..6, k),
        );
        prop::collection::vec(item, 1..=3).prop_map(move |items| Case {
            seed,
            n_kv_heads,
            items,
            read,
        })
    })
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
        let shared = Shared::of("row", &whole, None).unwrap();
        let joined: Vec<Vec<i64>> = shared
            .branches
            .iter()
            .map(|branch| [shared.prefix.clone(), branch.clone()].concat())
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
    let hidden = |items: &[Shared]| {
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
        let message = Shared::of("pair 7", &whole, None).unwrap_err().to_string();
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
    let shared = Shared::of("row", &whole.collect::<Vec<_>>(), None).unwrap();
    assert_eq!(shared.prefix, [BOS, 5]);
    assert_eq!(shared.branches, [[6, 7, 8], [6, 7, 9]]);
    assert_eq!(shared.read, [0..2, 1..3]);
}

#[test]
#[should_panic(expected = "read at some of its own tokens")]
fn a_branch_that_is_read_nowhere_is_a_mistake() {
    let item = Shared {
        prefix: vec![BOS],
        branches: vec![vec![5]],
        read: vec![1..1; 1],
        image: None,
    };
    let _ = batch(&[item], PAD);
}

#[test]
#[should_panic(expected = "the same number of branches")]
fn items_with_different_numbers_of_branches_are_a_mistake() {
    let item = |k: usize| Shared {
        prefix: vec![BOS],
        branches: vec![vec![5]; k],
        read: vec![0..1; k],
        image: None,
    };
    let _ = batch(&[item(1), item(2)], PAD);
}

#[test]
#[should_panic(expected = "no prefix or branch is empty")]
fn an_empty_prefix_is_a_mistake() {
    let item = Shared {
        prefix: Vec::new(),
        branches: vec![vec![BOS, 5]],
        read: vec![1..2; 1],
        image: None,
    };
    let _ = batch(&[item], PAD);
}
