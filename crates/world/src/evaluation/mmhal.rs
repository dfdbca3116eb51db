//! Questions in MMHal-Bench's template: eight types in turn, type = index modulo 8, one image each.

use candor_data::formats::mmhal::Question as Row;
use candor_data::random::{Stream, stream};
use rand::RngExt as _;

use crate::kind::Group;
use crate::question::{DESCRIBE, Question};
use crate::scene::Scene;
use crate::text::{answer, describe, draw_plausible, vqa};

/// Four times the benchmark's 96: drawing is cheap, and the intervals are half as wide.
pub const N_QUESTIONS: usize = 384;
/// The benchmark's types in their order.
pub const TYPES: [&str; 8] = [
    "attribute",
    "adversarial",
    "comparison",
    "counting",
    "relation",
    "environment",
    "holistic",
    "other",
];

/// The questions; each takes the first scene from its own on that its type can be asked of.
#[must_use]
pub fn draw(seed: u64, scenes: &[Scene]) -> Vec<Row> {
    let ask = |index: usize| {
        let from = scenes.iter().cycle().skip(index).step_by(N_QUESTIONS + 1);
        from.take(scenes.len()).find_map(|scene| {
            let rng = &mut stream(seed, "world.mmhal", &[index as u64, scene.id]);
            row(index, scene, rng)
        })
    };
    (0..N_QUESTIONS).filter_map(ask).collect()
}

fn row(index: usize, scene: &Scene, rng: &mut Stream) -> Option<Row> {
    let question_type = TYPES[index % TYPES.len()];
    let question = question(question_type, scene, rng)?;
    let gt_answer = match question {
        Question::Describe => describe::truthful(scene, rng),
        _ => answer::full(scene, &question)?,
    };
    let text = match question {
        Question::Describe => DESCRIBE[rng.random_range(0..DESCRIBE.len())].to_owned(),
        _ => question.text(),
    };
    Some(Row {
        question_type: question_type.to_owned(),
        question_topic: if scene.theme.is_outdoor() {
            "outdoor"
        } else {
            "indoor"
        }
        .to_owned(),
        image_id: scene.image.trim_end_matches(".png").to_owned(),
        image_src: scene.image.clone(),
        image_content: scene
            .kinds()
            .into_iter()
            .map(|kind| kind.name().to_owned())
            .collect(),
        question: text,
        gt_answer,
        model_answer: String::new(),
    })
}

fn question(question_type: &str, scene: &Scene, rng: &mut Stream) -> Option<Question> {
    let question = match question_type {
        "attribute" => Question::Colour(vqa::present(scene, rng)?),
        "adversarial" => {
            let absent = draw_plausible(scene, &[], rng)?;
            match rng.random_range(0..3_u8) {
                0 => Question::Place(absent),
                1 => Question::Count(absent),
                _ => Question::Colour(absent),
            }
        }
        "comparison" => {
            let question = vqa::compare(scene, rng)?;
            matches!(question, Question::Larger(..) | Question::More(..)).then_some(question)?
        }
        "counting" => Question::Count(vqa::present(scene, rng)?),
        "relation" => match vqa::compare(scene, rng) {
            Some(question @ Question::LeftOf(..)) => question,
            _ => Question::Place(vqa::present(scene, rng)?),
        },
        "environment" => Question::Theme,
        "holistic" => Question::Describe,
        _ if rng.random_bool(0.5) => Question::Members(Group::ALL[rng.random_range(0..2)]),
        _ => Question::Coloured(scene.first(vqa::present(scene, rng)?)?.colour),
    };
    let answerable = question == Question::Describe || answer::full(scene, &question).is_some();
    answerable.then_some(question)
}
