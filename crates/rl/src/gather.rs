//! What a step learns from: responses to its prompts with their scores, a group for each prompt.
//!
//! Where the recipe says so (`advantages.refill_rounds`), the place of a group without spread, none of whose responses is better
//! than another, is given to a further prompt, round after round, until all groups have spread or the rounds are over. A round
//! asks as many prompts as groups are missing, the next ones of the order, so that no group that could be learned from is thrown
//! away. Places that are left without spread keep the group that they had first, which is not trained on.
//!
//! # Reference
//! DAPO (arXiv 2503.14476, section 3.2, dynamic sampling). Its authors' code asks whole batches, cuts off the groups that are too
//! many, and ends the run with an error where its rounds do not fill a step; here the step goes on with what it has and says so.

use std::ops::Range;

use candor_judge::reward::Rewards;
use candor_train::Session;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::RlError;
use crate::advantages::without_spread;
use crate::models::{Images, Models};
use crate::prompts::PromptRow;
use crate::recipe::RlRecipe;
use crate::rollout::{Rollout, Sampler};
use crate::scoring::{Score, score, segments, terms, verdict};

/// What was asked for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Drawn {
    /// Prompts that were answered.
    #[serde(rename = "n_drawn_prompts")]
    pub n_prompts: usize,
    /// Of these, prompts whose responses were thrown away because all earned the same.
    #[serde(rename = "n_thrown_prompts")]
    pub n_thrown: usize,
    /// Rounds after the first.
    #[serde(rename = "n_refill_rounds")]
    pub n_rounds: usize,
}

/// What a step learns from.
pub(crate) struct Gathered<'p> {
    /// Responses, those to one prompt beside each other.
    pub(crate) rollouts: Vec<Rollout<'p>>,
    /// Their scores.
    pub(crate) scores: Vec<Score>,
    /// What it took.
    pub(crate) drawn: Drawn,
    /// Response tokens, those that were thrown away included.
    pub(crate) n_tokens: usize,
}

/// The responses to one prompt.
struct Group<'p> {
    rollouts: Vec<Rollout<'p>>,
    scores: Vec<Score>,
    is_flat: bool,
}

/// Who answers and who judges.
pub(crate) struct Gatherer<'a> {
    pub(crate) recipe: &'a RlRecipe,
    pub(crate) models: &'a Models,
    pub(crate) images: &'a Images,
    pub(crate) sampler: Sampler<'a>,
}

impl Gatherer<'_> {
    /// The responses of a step and their scores; `done` is the number of steps done before it, and `asked` are the next prompts,
    /// as many as all rounds may ask.
    ///
    /// # Errors
    /// A model fails, a term of the reward gives no number, or another rank has ended or hangs.
    pub(crate) fn gather<'p>(
        &self,
        session: &mut Session,
        rewards: &mut Rewards,
        asked: &'p [PromptRow],
        done: u64,
    ) -> Result<Gathered<'p>, RlError> {
        let n = self.recipe.prompts_per_step();
        let rounds = self.recipe.ppo.advantages.refill_rounds();
        let mut n_tokens = 0;
        let draw = |places: Range<usize>| {
            let first = places.start as u64;
            let prompts: Vec<&PromptRow> = asked[places].iter().collect();
            let groups = self.groups(session, rewards, [done, first], &prompts)?;
            let rollouts = groups.iter().flat_map(|group| &group.rollouts);
            n_tokens += rollouts.map(|r| r.response.ids.len()).sum::<usize>();
            Ok::<_, RlError>(groups)
        };
        let (groups, drawn) = refilled(n, rounds, draw, |group| group.is_flat)?;
        let n_flat = groups.iter().filter(|group| group.is_flat).count();
        if rounds > 0 && n_flat > 0 {
            tracing::warn!(
                "step {}: all responses to {n_flat} of {n} prompts earned the same still, after {rounds} rounds of further prompts \
                 (advantages.refill_rounds); it learns from the others",
                done + 1
            );
        }
        let (mut rollouts, mut scores) = (Vec::new(), Vec::new());
        for group in groups {
            rollouts.extend(group.rollouts);
            scores.extend(group.scores);
        }
        Ok(Gathered {
            rollouts,
            scores,
            drawn,
            n_tokens,
        })
    }

    /// Answers and scores prompts of step `done`, of which the first has the place `first` among all that the step asks.
    fn groups<'p>(
        &self,
        session: &mut Session,
        rewards: &mut Rewards,
        [done, first]: [u64; 2],
        prompts: &[&'p PromptRow],
    ) -> Result<Vec<Group<'p>>, RlError> {
        let recipe = self.recipe;
        session.phase("rollout");
        let (ranks, lanes) = (session.ranks().clone(), recipe.session.lanes);
        let rollouts = (self.sampler).sample([done, first], prompts, lanes, &ranks)?;

        session.phase("score");
        let (models, images, pass_rows) = (self.models, self.images, recipe.sampling.pass_rows);
        let unscored = |error: RlError| match error {
            RlError::Reward(error) => RlError::Unscored {
                step: done + 1,
                error: Box::new(error),
            },
            other => other,
        };
        let said = score(models, images, &rollouts, &recipe.score, pass_rows, &ranks);
        let said = said.map_err(unscored)?;
        let segments = segments(models, images, &rollouts, pass_rows, &ranks).map_err(unscored)?;
        // A judge is asked once, whoever else computes.
        let numbers = ranks.made_by_first(|| {
            let numbers = terms(rewards, &rollouts).map_err(|error| RlError::Unrewarded {
                step: done + 1,
                error: Box::new(error),
            })?;
            Ok::<_, RlError>(mapped(numbers, f64::to_bits))
        })?;
        let numbers = mapped(numbers, f64::from_bits);
        let (weighted, how) = (&recipe.rewards, &recipe.score);
        let scores = (rollouts.iter().zip(said).zip(numbers).zip(&segments))
            .map(|(((rollout, said), numbers), segments)| {
                verdict(rollout, said, numbers, segments, weighted, how)
            })
            .collect();
        Ok(self.grouped(rollouts, scores))
    }

    fn grouped<'p>(&self, rollouts: Vec<Rollout<'p>>, scores: Vec<Score>) -> Vec<Group<'p>> {
        let n = self.recipe.sampling.samples_per_prompt;
        let flat = match self.recipe.ppo.advantages.refill_rounds() {
            0 => vec![false; scores.len()],
            _ => flat(&scores, n, self.recipe.score.reward_scale),
        };
        let (mut rollouts, mut scores) = (rollouts.into_iter(), scores.into_iter());
        let group = |&is_flat: &bool| Group {
            rollouts: rollouts.by_ref().take(n).collect(),
            scores: scores.by_ref().take(n).collect(),
            is_flat,
        };
        flat.iter().step_by(n).map(group).collect()
    }
}

/// Which responses belong to a group without spread. Nothing is taken off for the KL here, which the recipe holds to be none; so
/// these are the numbers, to the bit, by which advantages are estimated.
fn flat(scores: &[Score], n: usize, reward_scale: f64) -> Vec<bool> {
    let earned: Vec<f64> = scores.iter().map(|score| score.terminal.total).collect();
    let earned = Tensor::from_slice(&earned).to_kind(Kind::Float) * reward_scale;
    let earned = earned.unsqueeze(1);
    let counted = Tensor::ones(earned.size(), (Kind::Bool, Device::Cpu));
    without_spread(&earned, &counted, n)
}

/// `n` groups, those without spread replaced in up to `n_rounds` rounds. `draw` makes the groups of some places, which follow each
/// other from 0 on; what has spread takes the first places of those that have none.
///
/// # Errors
/// As `draw`.
pub fn refilled<G, E>(
    n: usize,
    n_rounds: usize,
    mut draw: impl FnMut(Range<usize>) -> Result<Vec<G>, E>,
    is_flat: impl Fn(&G) -> bool,
) -> Result<(Vec<G>, Drawn), E> {
    let mut groups = draw(0..n)?;
    let mut drawn = Drawn {
        n_prompts: n,
        n_thrown: 0,
        n_rounds: 0,
    };
    while drawn.n_rounds < n_rounds {
        let places: Vec<usize> = (0..n).filter(|&place| is_flat(&groups[place])).collect();
        if places.is_empty() {
            break;
        }
        let further = draw(drawn.n_prompts..drawn.n_prompts + places.len())?;
        drawn.n_prompts += places.len();
        drawn.n_thrown += places.len();
        drawn.n_rounds += 1;
        let with_spread = further.into_iter().filter(|group| !is_flat(group));
        for (place, group) in places.into_iter().zip(with_spread) {
            groups[place] = group;
        }
    }
    Ok((groups, drawn))
}

/// Numbers of terms in another form.
fn mapped<T, U>(numbers: Vec<Vec<Option<T>>>, form: fn(T) -> U) -> Vec<Vec<Option<U>>> {
    let of_response = |numbers: Vec<Option<T>>| numbers.into_iter().map(|n| n.map(form)).collect();
    numbers.into_iter().map(of_response).collect()
}
