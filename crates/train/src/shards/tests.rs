//! Who owns what, and that sharing out changes nothing.

use candor_testing::ranks::on_threads;

use super::*;
use crate::lanes;
use crate::optimizer::AdamWConfig;
use crate::parameter::Saved;
use crate::states::States;

#[test]
fn the_largest_tensors_go_first_each_to_the_rank_that_has_least() {
    // 10, 7 and 6 to ranks 0, 1 and 2; 5 to the rank with 6, 4 to that with 7, 1 to that with 10.
    assert_eq!(owners(&[4, 10, 1, 7, 5, 6], 3), [1, 0, 0, 1, 2, 2]);
    assert_eq!(owners(&[3, 3, 3], 2), [0, 1, 0]);
    assert_eq!(owners(&[5], 4), [0]);
}

#[test]
fn exchanges_are_cut_through_tensors() {
    let stretch = |parameter, first, n| Stretch {
        parameter,
        first,
        n,
    };
    let found = cut(&[4, 10, 1], [0, 2].into_iter(), 3);
    let expected = [
        vec![stretch(0, 0, 3)],
        vec![stretch(0, 3, 1), stretch(2, 0, 1)],
    ];
    assert_eq!(found, expected);
    assert!(cut(&[4], std::iter::empty(), 3).is_empty());
}

/// What a rank has in the end: norms before clipping, the weights, and on the first rank what a checkpoint holds.
type Ended = (Vec<u64>, Vec<f32>, Vec<f64>);

/// Three updates of four lanes with two passes each, of which the last tensor is in one alone.
fn trained(world: usize) -> Vec<Ended> {
    const CONFIG: AdamWConfig = AdamWConfig {
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.1,
    };
    on_threads(world, |ranks| {
        let leaf = |values: &[f32], kind| {
            let values = Tensor::from_slice(values).to_kind(kind);
            values.set_requires_grad(true)
        };
        let tensors = [
            leaf(&[1.0, -2.0, 0.5, 3.0, 0.25], Kind::Float),
            leaf(&[0.75, -1.5, 2.0], Kind::BFloat16),
            leaf(&[4.0], Kind::Float),
        ];
        let named = ["a", "b", "c"].into_iter().zip(&tensors);
        let named = named.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()));
        let groups = ParamGroup::all(named.collect(), 1.0);
        let wire = Wire::of_host(&ranks, Device::Cpu);
        let shards = (world > 1).then(|| Shards::cutting(&ranks, &[5, 3, 1], vec![REST; 3], 2));
        let owns = |number| shards.as_ref().is_none_or(|shards| shards.owns(number));
        let mut optimizer = AdamW::owning(CONFIG, groups, States::OnDevice, owns).unwrap();
        let mut norms = Vec::new();
        for update in 0..3 {
            let mut totals = vec![None, None, None];
            for first in (0..4).step_by(world) {
                optimizer.zero_grad();
                let lane = first + ranks.rank();
                for pass in (0..2).filter(|_| lane < 4) {
                    for (number, tensor) in tensors.iter().enumerate() {
                        if number == 2 && (lane, pass) != (2, 1) {
                            continue;
                        }
                        let place =
                            Tensor::arange(tensor.numel() as i64, (tensor.kind(), Device::Cpu));
                        let factor = 0.37 * (1 + lane + 5 * pass + 3 * update) as f64;
                        ((place * factor).sin() * tensor)
                            .sum(Kind::Float)
                            .backward();
                    }
                    if shards.is_none() || pass == 0 {
                        optimizer.end_pass();
                    }
                }
                let n_left = 4 - first;
                let added = tch::no_grad(|| {
                    if let Some(shards) = &shards {
                        shards.add_round(&wire, &mut optimizer, &mut totals, n_left, REST)
                    } else {
                        let values = optimizer.of_tensors().iter().map(Parameter::weight);
                        let values: Vec<Tensor> = values.collect();
                        lanes::add_round(&wire, &values, &mut totals, &optimizer.lane(), n_left)
                    }
                });
                added.unwrap();
            }
            optimizer.put_totals(totals);
            let norm = match &shards {
                Some(shards) => {
                    assert!(tensors.iter().all(|tensor| !tensor.grad().defined()));
                    tch::no_grad(|| shards.clip_grad_norm(&mut optimizer, 0.5)).unwrap()
                }
                None => optimizer.clip_grad_norm(0.5),
            };
            norms.push(norm.to_bits());
            optimizer.step(0.1);
            if let Some(shards) = &shards {
                tch::no_grad(|| shards.spread(&wire, &optimizer, REST)).unwrap();
            }
        }
        let weights = tensors.iter().flat_map(|tensor| {
            let values = tensor.detach().to_kind(Kind::Float);
            Vec::<f32>::try_from(values).unwrap()
        });
        let weights: Vec<f32> = weights.collect();
        (norms, weights, kept(&ranks, shards.as_ref(), &optimizer))
    })
}

/// What the first rank writes of an optimizer.
fn kept(ranks: &Ranks, shards: Option<&Shards>, optimizer: &AdamW) -> Vec<f64> {
    if let Some(shards) = shards.filter(|_| !ranks.is_first()) {
        shards.answer(optimizer).unwrap();
        return Vec::new();
    }
    let parts = [Saved::Weight, Saved::ExpAvg, Saved::ExpAvgSq, Saved::Step];
    let mut kept = Vec::new();
    for (_, number, saved) in optimizer.promises(&parts) {
        let mine = optimizer.of_tensors()[number].saved(saved);
        let ask = || shards.unwrap().ask(optimizer, number, saved).unwrap();
        let tensor = mine.unwrap_or_else(ask).detach().to_kind(Kind::Double);
        kept.extend(Vec::<f64>::try_from(tensor.view([-1])).unwrap());
    }
    if let Some(shards) = shards {
        shards.asked().unwrap();
    }
    kept
}

#[test]
fn ranks_that_share_out_an_optimizer_end_in_the_bits_of_one() {
    let one = trained(1).pop().unwrap();
    // Nine weights with two moments each and three numbers of updates, of which the last one is that of the last tensor.
    assert_eq!((one.2.len(), one.2.last()), (30, Some(&3.0)));
    let start = [1.0_f32, -2.0, 0.5, 3.0, 0.25, 0.75, -1.5, 2.0, 4.0];
    assert_ne!(one.1, start);
    for world in 2..=4 {
        for (rank, (norms, weights, kept)) in trained(world).into_iter().enumerate() {
            assert_eq!((&norms, &weights), (&one.0, &one.1), "{rank} of {world}");
            let expected: &[f64] = if rank == 0 { &one.2 } else { &[] };
            assert_eq!(kept, expected, "{rank} of {world}");
        }
    }
}

#[test]
fn what_the_first_rank_read_comes_to_its_owner_alone() {
    let found = on_threads(3, |ranks| {
        let values = Tensor::from_slice(&[1_f32, 2.0]);
        let named = |name: &str| (name.to_owned(), values.copy().set_requires_grad(true));
        let groups = ParamGroup::all(vec![named("a"), named("b")], 1.0);
        let shards = Shards::cutting(&ranks, &[2, 2], vec![REST; 2], 1);
        let config = AdamWConfig {
            beta1: 0.9,
            beta2: 0.9,
            eps: 1e-8,
            weight_decay: 0.0,
        };
        let owns = |number| shards.owns(number);
        let optimizer = AdamW::owning(config, groups, States::OnDevice, owns).unwrap();
        let brought = |number: usize| {
            let read = ranks.is_first().then(|| &values + 10.0 * number as f64);
            let parameter = &optimizer.of_tensors()[number];
            let here = shards
                .bring(parameter, number, Saved::ExpAvg, read)
                .unwrap();
            here.map(|tensor| Vec::<f32>::try_from(tensor).unwrap())
        };
        [brought(0), brought(1)]
    });
    let expected = [
        [Some(vec![1.0, 2.0]), None],
        [None, Some(vec![11.0, 12.0])],
        [None, None],
    ];
    assert_eq!(found, expected);
}

/// Of tensors of three, two and one numbers the first rank owns the first, and the second the others. Each has added 10 to its own.
#[test]
fn weights_of_a_block_are_here_while_it_is_in_use() {
    let found = on_threads(2, |ranks| {
        let leaf = |values: &[f32]| Tensor::from_slice(values).set_requires_grad(true);
        let tensors = [leaf(&[1.0, 2.0, 3.0]), leaf(&[4.0, 5.0]), leaf(&[6.0])];
        let ends = ["layers.0.up.weight", "layers.1.up.weight", "norm.weight"];
        let named = ends.iter().zip(&tensors).map(|(name, tensor)| {
            let name = format!("language_model.model.{name}");
            (name, tensor.shallow_clone())
        });
        let groups = ParamGroup::all(named.collect(), 1.0);
        let shards = Shards::of(&ranks, &groups, true).unwrap().unwrap();
        let config = AdamWConfig {
            beta1: 0.9,
            beta2: 0.9,
            eps: 1e-8,
            weight_decay: 0.0,
        };
        let owns = |number| shards.owns(number);
        let mut optimizer = AdamW::owning(config, groups, States::OnDevice, owns).unwrap();
        let wire = Wire::of_host(&ranks, Device::Cpu);
        for (number, tensor) in tensors.iter().enumerate() {
            if shards.owns(number) {
                let _ = tch::no_grad(|| tensor.shallow_clone().g_add_scalar_(10.0));
            }
        }
        let values = || {
            tensors
                .each_ref()
                .map(|tensor| Vec::<f32>::try_from(tensor.detach()).unwrap())
        };
        shards.release_blocks(&optimizer);
        let before = values();
        tch::no_grad(|| {
            shards.gather_block(&wire, &optimizer, 0).unwrap();
            shards.spread(&wire, &optimizer, REST).unwrap();
        });
        let during = values();
        let factor = (1 + ranks.rank()) as f64;
        (&tensors[0] * factor).sum(Kind::Float).backward();
        let mut totals = vec![None, None, None];
        tch::no_grad(|| {
            let added = shards.add_round(&wire, &mut optimizer, &mut totals, 2, 1);
            added.unwrap();
        });
        shards.release_block(&optimizer, 0);
        assert!(!optimizer.of_tensors().iter().any(Parameter::has_gradient));
        let total = totals[0]
            .as_ref()
            .map(|total| Vec::<f32>::try_from(total).unwrap());
        assert!(totals[1].is_none() && totals[2].is_none());
        (shards.n_blocks(), before, during, total, values())
    });
    let first = vec![11.0, 12.0, 13.0];
    let second = vec![14.0, 15.0];
    let gone = Vec::<f32>::new;
    assert_eq!(
        found[0],
        (
            2,
            [first.clone(), gone(), vec![6.0]],
            [first.clone(), gone(), vec![16.0]],
            // Once the gradients of the first lane, and twice those of the second.
            Some(vec![3.0; 3]),
            [first.clone(), gone(), vec![16.0]],
        )
    );
    assert_eq!(
        found[1],
        (
            2,
            [gone(), second.clone(), vec![16.0]],
            [first, second.clone(), vec![16.0]],
            None,
            [gone(), second, vec![16.0]],
        )
    );
}

#[test]
fn a_tensor_is_of_the_block_that_its_name_says() {
    let of = |name: &str| block_of(&format!("language_model.model.{name}"));
    assert_eq!(of("layers.31.self_attn.q_proj.weight"), Some(31));
    assert_eq!(of("norm.weight"), None);
    assert_eq!(of("embed_tokens.weight"), None);
    assert_eq!(
        block_of("vision_tower.vision_model.encoder.layers.3.x"),
        None
    );
}
