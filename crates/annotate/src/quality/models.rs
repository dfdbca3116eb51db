//! Which model wins, where the answers of several were compared.

use std::collections::BTreeSet;

use super::{ModelStrength, cluster, estimates};
use crate::answer::Pick;
use crate::store::Judged;
use candor_stats::bradley_terry::strengths;

/// Models that are compared at once; with more, the table is left out.
const MAX_MODELS: usize = 16;

/// One judgement between two models.
struct Duel<'a> {
    image: &'a str,
    models: [usize; 2],
    preference: Pick,
}

/// The models' strengths; none where fewer than two were compared, or more than there is room for.
pub(super) fn strengths_of(items: &[Judged], seed: u64) -> Option<Vec<ModelStrength>> {
    let names: BTreeSet<&str> = items
        .iter()
        .filter_map(|item| item.models.as_ref())
        .flatten()
        .map(String::as_str)
        .collect();
    if !(2..=MAX_MODELS).contains(&names.len()) {
        return None;
    }
    let names: Vec<&str> = names.into_iter().collect();
    let duels = duels(items, &names);
    let all: [_; MAX_MODELS] = estimates(
        &duels,
        seed,
        |duel| duel.image,
        |duels| {
            let strengths = strengths(&wins(duels, names.len()));
            std::array::from_fn(|i| {
                strengths
                    .as_ref()
                    .and_then(|strengths| strengths.get(i).copied())
            })
        },
    );
    let strength = |(i, name): (usize, &&str)| ModelStrength {
        model: (*name).to_owned(),
        strength: all[i].value,
        ci95: all[i].ci95,
        n_comparisons: duels.iter().filter(|duel| duel.models.contains(&i)).count(),
    };
    Some(names.iter().enumerate().map(strength).collect())
}

fn duels<'a>(items: &'a [Judged], names: &[&str]) -> Vec<Duel<'a>> {
    let mut duels = Vec::new();
    for item in items {
        let Some([a, b]) = &item.models else {
            continue;
        };
        let number = |name: &str| names.binary_search(&name).ok();
        if let (Some(a), Some(b)) = (number(a), number(b))
            && a != b
        {
            duels.extend(item.answers.iter().map(|given| Duel {
                image: cluster(item),
                models: [a, b],
                preference: given.answer.preference(),
            }));
        }
    }
    duels
}

/// How often each won against each; a tie is half a win for both.
fn wins(duels: &[&Duel<'_>], n_models: usize) -> Vec<Vec<f64>> {
    let mut wins = vec![vec![0.0; n_models]; n_models];
    for duel in duels {
        let [a, b] = duel.models;
        let (of_a, of_b) = match duel.preference {
            Pick::A => (1.0, 0.0),
            Pick::B => (0.0, 1.0),
            Pick::Tie => (0.5, 0.5),
        };
        wins[a][b] += of_a;
        wins[b][a] += of_b;
    }
    wins
}
