//! The rows of the training files: pretraining, the paper's four sources, checklists and verification.

use candor_data::conversation::{Conversation, Turn};
use candor_data::formats::{ImageId, a_okvqa, flickr30k, vqa_v2};
use candor_data::random::stream;
use rand::RngExt as _;

use crate::config::WorldConfig;
use crate::question::DESCRIBE;
use crate::scene::Scene;
use crate::text::{answer, caption, checklist, choice, describe, reading, verify, vqa};

/// People who answered a VQA question or wrote a direct answer, as in the public sets.
const N_PEOPLE: u64 = 10;

/// A row of one question and one answer.
#[must_use]
pub fn exchange(id: String, scene: &Scene, asked: &str, answered: &str) -> Conversation {
    Conversation {
        id,
        image: Some(scene.image.clone()),
        turns: vec![
            Turn::human(format!("<image>\n{asked}")),
            Turn::gpt(answered),
        ],
    }
}

/// One whole true caption a scene; the human turn is the image alone.
#[must_use]
pub fn pretraining(config: &WorldConfig, scenes: &[Scene]) -> Vec<Conversation> {
    let row = |scene: &Scene| {
        let rng = &mut stream(config.seed, "world.pretrain", &[scene.id]);
        Conversation {
            id: format!("pretrain-{}", scene.id),
            image: Some(scene.image.clone()),
            turns: vec![
                Turn::human("<image>"),
                Turn::gpt(caption::whole(scene, rng)),
            ],
        }
    };
    scenes.iter().map(row).collect()
}

/// GPT-4-like descriptions, and how many have 0, 1 and 2 false objects.
#[must_use]
pub fn descriptions(config: &WorldConfig, scenes: &[Scene]) -> (Vec<Conversation>, [usize; 3]) {
    let mut counts = [0; 3];
    let mut rows = Vec::with_capacity(scenes.len());
    for scene in scenes {
        let rng = &mut stream(config.seed, "world.describe", &[scene.id]);
        let asked = DESCRIBE[rng.random_range(0..DESCRIBE.len())];
        let description = describe::gpt4_like(scene, config.false_additions, rng);
        counts[description.false_kinds.len().min(2)] += 1;
        rows.push(exchange(
            format!("describe-{}", scene.id),
            scene,
            asked,
            &description.text,
        ));
    }
    (rows, counts)
}

/// Turns of one conversation.
const N_TURNS: usize = 3;

/// Conversations in whole sentences, as the other part of LLaVA-Instruct has them: questions as in VQA, but
/// answered as MMHal-Bench's references are. Unlike descriptions they are true.
#[must_use]
pub fn conversations(config: &WorldConfig, scenes: &[Scene]) -> Vec<Conversation> {
    let row = |scene: &Scene| {
        let rng = &mut stream(config.seed, "world.conversation", &[scene.id]);
        let mut turns = Vec::with_capacity(2 * N_TURNS);
        for item in vqa::draw(scene, config, N_TURNS, rng) {
            let Some(answer) = answer::full(scene, &item.question) else {
                continue;
            };
            let image = if turns.is_empty() { "<image>\n" } else { "" };
            turns.push(Turn::human(format!("{image}{}", item.question.text())));
            turns.push(Turn::gpt(answer));
        }
        (!turns.is_empty()).then(|| Conversation {
            id: format!("talk-{}", scene.id),
            image: Some(scene.image.clone()),
            turns,
        })
    };
    scenes.iter().filter_map(row).collect()
}

/// VQA-v2 questions and annotations; the images are named, not numbered.
#[must_use]
pub fn vqa_pairs(
    config: &WorldConfig,
    scenes: &[Scene],
) -> (Vec<vqa_v2::Question>, Vec<vqa_v2::Annotation>) {
    let (mut questions, mut annotations) = (Vec::new(), Vec::new());
    for scene in scenes {
        let rng = &mut stream(config.seed, "world.vqa", &[scene.id]);
        let items = vqa::draw(scene, config, config.n_vqa_per_scene, rng);
        for (item, number) in items.into_iter().zip(0..) {
            // COCO's way: the image's number with three more digits.
            let question_id = scene.id * 1000 + number;
            let image_id = ImageId::Name(scene.image.clone());
            let answer = |answer_id| vqa_v2::Answer {
                answer: item.answer.clone(),
                answer_confidence: Some("yes".into()),
                answer_id,
            };
            questions.push(vqa_v2::Question {
                image_id: image_id.clone(),
                question: item.question.text(),
                question_id,
            });
            annotations.push(vqa_v2::Annotation {
                question_id,
                image_id,
                question_type: item.question_type(),
                answer_type: item.answer_type().to_owned(),
                answers: (1..=N_PEOPLE).map(answer).collect(),
                multiple_choice_answer: Some(item.answer.clone()),
            });
        }
    }
    (questions, annotations)
}

/// The A-OKVQA row of a multiple-choice question.
#[must_use]
pub fn choice_row(scene: &Scene, split: &str, item: &choice::MultipleChoice) -> a_okvqa::Question {
    let right = item.options[item.correct.index()].clone();
    a_okvqa::Question {
        split: split.to_owned(),
        image_id: ImageId::Name(scene.image.clone()),
        question_id: format!("choice-{}", scene.id),
        question: item.ask.text(),
        choices: item.options.clone(),
        correct_choice_idx: Some(item.correct.index()),
        direct_answers: vec![right; N_PEOPLE as usize],
        difficult_direct_answer: Some(false),
        rationales: item.rationales.to_vec(),
    }
}

/// One multiple-choice question a scene.
#[must_use]
pub fn choices(config: &WorldConfig, scenes: &[Scene]) -> Vec<a_okvqa::Question> {
    let row = |scene: &Scene| {
        let rng = &mut stream(config.seed, "world.choice", &[scene.id]);
        Some(choice_row(scene, "train", &choice::draw(scene, rng)?))
    };
    scenes.iter().filter_map(row).collect()
}

/// Five short true captions a scene.
#[must_use]
pub fn short_captions(config: &WorldConfig, scenes: &[Scene]) -> Vec<flickr30k::Caption> {
    let mut rows = Vec::with_capacity(scenes.len() * caption::PER_IMAGE);
    for scene in scenes {
        let rng = &mut stream(config.seed, "world.short_caption", &[scene.id]);
        for index in 0..caption::PER_IMAGE as u32 {
            rows.push(flickr30k::Caption {
                image: scene.image.clone(),
                index,
                text: caption::short(scene, rng),
            });
        }
    }
    rows
}

/// One checklist a scene.
#[must_use]
pub fn checklists(config: &WorldConfig, scenes: &[Scene]) -> Vec<Conversation> {
    let row = |scene: &Scene| {
        let rng = &mut stream(config.seed, "world.checklist", &[scene.id]);
        checklist::conversation(scene, rng)
    };
    scenes.iter().map(row).collect()
}

/// One roll call a scene.
#[must_use]
pub fn roll_calls(config: &WorldConfig, scenes: &[Scene]) -> Vec<Conversation> {
    let row = |scene: &Scene| {
        checklist::roll_call(
            scene,
            &mut stream(config.seed, "world.roll_call", &[scene.id]),
        )
    };
    scenes.iter().map(row).collect()
}

/// One call of all colours a scene.
#[must_use]
pub fn colour_calls(config: &WorldConfig, scenes: &[Scene]) -> Vec<Conversation> {
    let row = |scene: &Scene| {
        checklist::colour_call(
            scene,
            &mut stream(config.seed, "world.colour_call", &[scene.id]),
        )
    };
    scenes.iter().map(row).collect()
}

/// One statement a scene, to be checked against facts; the next scene lends its image now and then.
#[must_use]
pub fn verifications(config: &WorldConfig, scenes: &[Scene]) -> Vec<Conversation> {
    let others = scenes.iter().cycle().skip(1);
    let row = |(scene, other): (&Scene, &Scene)| {
        let rng = &mut stream(config.seed, "world.verify", &[scene.id]);
        verify::conversation(scene, other, rng)
    };
    scenes.iter().zip(others).map(row).collect()
}

/// One answer a scene that tells its verdicts itself, after facts; the next scene lends its image as well.
#[must_use]
pub fn readings(config: &WorldConfig, scenes: &[Scene]) -> Vec<Conversation> {
    let others = scenes.iter().cycle().skip(1);
    let row = |(scene, other): (&Scene, &Scene)| {
        let rng = &mut stream(config.seed, "world.reading", &[scene.id]);
        reading::conversation(config, scene, other, rng)
    };
    scenes.iter().zip(others).map(row).collect()
}
