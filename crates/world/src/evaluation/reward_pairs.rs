//! Pairs of answers that reward models are measured on, in the form of VL-RewardBench: a question about an evaluation scene,
//! a true answer and a false one, in either order.
//!
//! Both answers have the same form and differ in what makes one of them false; a yes is as often true as a no, and every number
//! as often true as false. So neither length nor wording gives the false one away. Which one is better is the exact judge's to
//! say: a pair is taken only where it finds nothing false in one answer and something false in the other.

use candor_data::formats::reward_bench::vl::Ranked;
use candor_data::random::{Stream, stream};
use rand::RngExt as _;

use crate::judge::judge;
use crate::kind::Colour;
use crate::place::{Horizontal, Place, Vertical};
use crate::question::{DESCRIBE, Question};
use crate::scene::Scene;
use crate::text::{NUMBERS, answer, describe, sentence, vqa, with_article};

/// What is asked about, in turns: what a pair counts under.
pub const GROUPS: [&str; 5] = ["existence", "attribute", "counting", "place", "description"];
/// Pairs of each group.
pub const PER_GROUP: usize = 100;
/// How far the groups begin from each other, so that they do not ask about the same scenes.
const APART: usize = 20;
/// Numbers that are told from each other, in turns: each twice, and either of them is true once.
const NUMBER_PAIRS: [[usize; 2]; 4] = [[1, 2], [1, 2], [1, 3], [2, 3]];

/// The pairs; each takes the first scene from its own on that its group can be asked of: in wide steps, and one by one where those
/// come back to the same few scenes. What no scene can be asked is left out.
#[must_use]
pub fn draw(seed: u64, scenes: &[Scene]) -> Vec<Ranked> {
    let ask = |index: usize| {
        let (group, turn) = (index % GROUPS.len(), index / GROUPS.len());
        let own = turn + APART * group;
        let from = || scenes.iter().cycle().skip(own);
        let wide = from().step_by(PER_GROUP + 1).take(scenes.len());
        wide.chain(from().take(scenes.len())).find_map(|scene| {
            let rng = &mut stream(seed, "world.reward_pairs", &[index as u64, scene.id]);
            row(index, scene, rng)
        })
    };
    let pairs: Vec<Option<Ranked>> = (0..GROUPS.len() * PER_GROUP).map(ask).collect();
    // Two numbers are told from each other in two turns, and either turn alone would give the true one away.
    let has_both = |index: usize| {
        let (group, turn) = (index % GROUPS.len(), index / GROUPS.len());
        GROUPS[group] != "counting" || pairs[(turn ^ 1) * GROUPS.len() + group].is_some()
    };
    let has_both: Vec<bool> = (0..pairs.len()).map(has_both).collect();
    let kept = pairs.into_iter().zip(has_both);
    kept.filter_map(|(pair, has_both)| pair.filter(|_| has_both))
        .collect()
}

fn row(index: usize, scene: &Scene, rng: &mut Stream) -> Option<Ranked> {
    let (group, turn) = (GROUPS[index % GROUPS.len()], index / GROUPS.len());
    let (question, [right, wrong]) = pair(group, turn, scene, rng)?;
    let query = match question {
        Question::Describe => DESCRIBE[rng.random_range(0..DESCRIBE.len())].to_owned(),
        _ => question.text(),
    };
    let [better, worse] = [&right, &wrong].map(|answer| judge(scene, &question, answer));
    // Three and more: nothing hallucinated, and something said.
    if better.score < 3 || worse.score >= 3 || worse.n_false() == 0 {
        return None;
    }
    let (response, human_ranking) = if rng.random_bool(0.5) {
        ([right, wrong], [0, 1])
    } else {
        ([wrong, right], [1, 0])
    };
    Some(Ranked {
        id: format!("{group}-{index}"),
        image: scene.image.clone(),
        query,
        response,
        human_ranking,
        group: group.to_owned(),
    })
}

/// A question, its true answer and a false one, in this turn of the group.
fn pair(
    group: &str,
    turn: usize,
    scene: &Scene,
    rng: &mut Stream,
) -> Option<(Question, [String; 2])> {
    match group {
        "existence" => existence(scene, rng),
        "attribute" => attribute(scene, rng),
        "counting" => counting(turn, scene, rng),
        "place" => place(scene, rng),
        _ => Some((Question::Describe, describe::true_and_false(scene, rng)?)),
    }
}

fn existence(scene: &Scene, rng: &mut Stream) -> Option<(Question, [String; 2])> {
    let question = vqa::exists(scene, rng)?;
    let [kind] = question.subjects()[..] else {
        return None;
    };
    let right = answer::full(scene, &question)?;
    let wrong = if scene.count(kind) > 0 {
        format!("no, there is no {kind}")
    } else {
        let colour = Colour::ALL[rng.random_range(0..Colour::ALL.len())];
        // As many as of a kind that is there: the true answers say more than one now and then, too.
        match scene.count(vqa::present(scene, rng)?) {
            1 => format!(
                "yes, there is {}",
                with_article(&format!("{colour} {kind}"))
            ),
            n => format!(
                "yes, there are {} {colour} {}",
                NUMBERS[n.min(5)],
                kind.plural()
            ),
        }
    };
    Some((question, [right, sentence(&wrong)]))
}

fn attribute(scene: &Scene, rng: &mut Stream) -> Option<(Question, [String; 2])> {
    let kind = vqa::present(scene, rng)?;
    let colour = scene.first(kind)?.colour;
    let other = one_of(Colour::ALL.into_iter().filter(|of| *of != colour), rng)?;
    let said = |colour: Colour| match scene.count(kind) {
        1 => sentence(&format!("the {kind} is {colour}")),
        _ => sentence(&format!("the {} are {colour}", kind.plural())),
    };
    Some((Question::Colour(kind), [said(colour), said(other)]))
}

/// Most kinds are there once, so which number is true is not left to the scene: it is asked only where the number is there.
fn counting(turn: usize, scene: &Scene, rng: &mut Stream) -> Option<(Question, [String; 2])> {
    let [one, other] = NUMBER_PAIRS[turn / 2 % NUMBER_PAIRS.len()];
    let (n, wrong) = if turn.is_multiple_of(2) {
        (one, other)
    } else {
        (other, one)
    };
    let kinds = scene.kinds().into_iter();
    let kind = one_of(kinds.filter(|&kind| scene.count(kind) == n), rng)?;
    let said = |n: usize| {
        let verb = if n == 1 { "is" } else { "are" };
        sentence(&format!("there {verb} {} {}", NUMBERS[n], kind.noun(n)))
    };
    Some((Question::Count(kind), [said(n), said(wrong)]))
}

fn place(scene: &Scene, rng: &mut Stream) -> Option<(Question, [String; 2])> {
    let kind = vqa::present(scene, rng)?;
    let own = answer::place_of(scene, kind)?;
    let quadrants = [Vertical::Top, Vertical::Bottom]
        .into_iter()
        .flat_map(|v| [Horizontal::Left, Horizontal::Right].map(|h| Place::quadrant(v, h)));
    let other = one_of(quadrants.filter(|of| *of != own), rng)?;
    let said = |place: Place| sentence(&format!("the {kind} is {}", place.phrase()));
    Some((Question::Place(kind), [said(own), said(other)]))
}

/// One of these, evenly.
fn one_of<T: Copy>(all: impl Iterator<Item = T>, rng: &mut Stream) -> Option<T> {
    let all: Vec<T> = all.collect();
    (!all.is_empty()).then(|| all[rng.random_range(0..all.len())])
}
