//! The written folder, read back through the public readers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use candor_data::conversation::Speaker;
use candor_data::formats;
use candor_data::formats::reward_bench::vl::Ranked;
use candor_data::preference::Side;
use candor_data::prompt::AnswerType;
use candor_world::evaluation::reward_pairs;
use candor_world::{Kind, Question, Scene, Split, Summary, World, WorldConfig};
use tempfile::TempDir;

/// A small folder, written once for all tests.
struct Written {
    dir: TempDir,
    world: World,
    summary: Summary,
}

impl Written {
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let config = WorldConfig {
        seed: 12,
        n_train: 40,
        n_preference: 10,
        n_rl: 40,
        n_eval: 150,
        image_px: 64,
        ..WorldConfig::default()
    };
    let world = World::generate(&config).unwrap();
    let summary = candor_world::write(&world, dir.path()).unwrap();
    Written {
        dir,
        world,
        summary,
    }
});

#[test]
fn ground_truth_reads_back() {
    let written = &*WRITTEN;
    let summary = candor_world::read_summary(&written.at("world.json")).unwrap();
    assert_eq!(summary, written.summary);
    assert_eq!(summary.false_additions.iter().sum::<usize>(), 40);
    let scenes = candor_world::read_scenes(&written.at("scenes.jsonl")).unwrap();
    assert_eq!(scenes, written.world.scenes());
    let grounding = formats::coco::read_instances(&written.at("grounding/instances.json")).unwrap();
    let object = &scenes[0].objects[0];
    assert_eq!(
        grounding.annotations[0].attributes,
        [object.colour.name(), object.size.name()]
    );
}

#[test]
fn conversations_read_back_and_their_images_exist() {
    let written = &*WRITTEN;
    for name in [
        "pretrain/captions",
        "pretrain/roll_calls",
        "pretrain/colour_calls",
        "sft/descriptions",
        "sft/conversations",
        "sft/checklist",
        "sft/verification",
        "preference/prompts",
    ] {
        let path = written.at(&format!("{name}.json"));
        let rows = formats::llava::read(&path).unwrap();
        formats::llava::check_placeholders(&path, &rows).unwrap();
        formats::llava::check_unique_ids(&path, &rows).unwrap();
        for row in &rows {
            assert_eq!(row.turns.last().unwrap().from, Speaker::Gpt);
            assert_image(&written.at("images"), row.image.as_deref().unwrap());
        }
    }
}

fn assert_image(dir: &Path, name: &str) {
    assert_eq!(
        image::image_dimensions(dir.join(name)).unwrap(),
        (64, 64),
        "{name}"
    );
}

#[test]
fn human_written_sources_read_back() {
    let at = |name: &str| WRITTEN.at(name);
    let questions = formats::vqa_v2::read_questions(&at("sft/vqa_questions.json")).unwrap();
    let annotations = formats::vqa_v2::read_annotations(&at("sft/vqa_annotations.json")).unwrap();
    assert_eq!((questions.len(), annotations.len()), (160, 160));
    let choices = formats::a_okvqa::read(&at("sft/aokvqa.json")).unwrap();
    let captions = formats::flickr30k::read(&at("sft/captions.token")).unwrap();
    assert_eq!((choices.len(), captions.len()), (40, 200));
}

#[test]
fn prompts_have_all_answer_types_and_facts() {
    let written = &*WRITTEN;
    let prompts = formats::ppo_prompts::read(&written.at("rl/prompts.json")).unwrap();
    let has = |test: &dyn Fn(AnswerType) -> bool| prompts.iter().any(|row| test(row.answer_type));
    assert!(has(&|kind| kind == AnswerType::General));
    assert!(has(&|kind| matches!(kind, AnswerType::Option(_))));
    assert!(has(&|kind| kind == AnswerType::Yes) && has(&|kind| kind == AnswerType::No));
    let book = formats::captions::read(&written.at("facts/image_to_caption.json")).unwrap();
    assert_eq!(book.len(), 90, "every scene but those for evaluation");
    for row in &prompts {
        let facts = book.for_prompt(row.conversation.image.as_deref().unwrap(), row.answer_type);
        let said = facts.captions.len() + facts.rationale.len();
        assert_eq!(said, if facts.correct_option.is_some() { 4 } else { 5 });
        if let Some(choice) = facts.correct_option {
            let verdict = format!("The correct option is {}.", choice.letter());
            assert_eq!(facts.rationale.last(), Some(&verdict));
        }
    }
}

#[test]
fn evaluation_sets_read_back() {
    let at = |name: &str| WRITTEN.at("eval").join(name);
    assert_eq!(formats::mmhal::read(&at("mmhal.json")).unwrap().len(), 384);
    for split in ["random", "popular", "adversarial"] {
        let rows = formats::pope::read(&at(&format!("pope_{split}.jsonl"))).unwrap();
        assert_eq!(rows.len(), 300);
    }
    let captions = formats::coco::read_captions(&at("chair_captions.json")).unwrap();
    let instances = formats::coco::read_instances(&at("chair_instances.json")).unwrap();
    assert_eq!((captions.images.len(), instances.images.len()), (150, 150));
    let bench = at("llava_bench");
    let questions = formats::llava_bench::read_questions(&bench.join("questions.jsonl")).unwrap();
    let contexts = formats::llava_bench::read_contexts(&bench.join("context.jsonl")).unwrap();
    let answers = formats::llava_bench::read_answers(&bench.join("answers.jsonl")).unwrap();
    assert_eq!(
        (questions.len(), contexts.len(), answers.len()),
        (90, 30, 90)
    );
    assert_eq!(
        formats::llava_bench::read_rules(&bench.join("rule.json"))
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn of_a_pair_for_reward_models_the_true_answer_is_preferred_in_either_place() {
    let written = &*WRITTEN;
    let path = written.at("eval/reward_pairs.jsonl");
    let rows = formats::reward_bench::vl::read(&path, &mut |_| unreachable!("no image is inside"));
    let rows = rows.unwrap();
    let groups = ["existence", "attribute", "counting", "place", "description"];
    for group in groups {
        let of = rows
            .iter()
            .filter(|row| row.group.as_deref() == Some(group));
        assert_eq!(of.count(), 100, "{group}");
    }
    assert_eq!(rows.len(), 500);
    let first = rows
        .iter()
        .filter(|row| row.preferred() == Some(Side::First));
    assert!((200..300).contains(&first.count()), "one place is favoured");
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), 500);
    let book = formats::captions::read(&written.at("eval/reward_facts.json")).unwrap();
    let mut shown = BTreeSet::new();
    for row in &rows {
        let image = row.image.as_deref().unwrap();
        shown.insert(image);
        let scene = written.world.split(Split::Eval);
        let scene = scene.iter().find(|scene| scene.image == image).unwrap();
        let [first, second] = &row.outputs;
        let (right, wrong) = if row.preferred() == Some(Side::First) {
            (first, second)
        } else {
            (second, first)
        };
        // What the words must be, of what is in the scene.
        let tells = |word: &str| right.contains(word) && !wrong.contains(word);
        let asked = row.turns[0].value.as_str();
        let is_true = match Question::parse(asked) {
            Question::Exists(kind, _) => tells(if scene.count(kind) > 0 {
                "Yes, "
            } else {
                "No, "
            }),
            Question::Colour(kind) => tells(scene.first(kind).unwrap().colour.name()),
            Question::Count(kind) => tells(["one", "two", "three"][scene.count(kind) - 1]),
            Question::Place(kind) => tells(scene.first(kind).unwrap().cell.place().words()),
            Question::Describe => {
                let says = |text: &str, kind: Kind| {
                    text.to_lowercase()
                        .split(|c: char| !c.is_alphabetic())
                        .any(|word| [kind.name(), kind.plural()].contains(&word))
                };
                let names = |text: &str| scene.kinds().into_iter().all(|kind| says(text, kind));
                // As many sentences, so that length says nothing.
                names(right)
                    && !names(wrong)
                    && right.matches('.').count() == wrong.matches('.').count()
            }
            other => panic!("{other:?}"),
        };
        assert!(is_true, "{asked}: {right} / {wrong}");
        assert_eq!(book.get(image).unwrap().captions.len(), 5);
    }
    assert_eq!(book.len(), shown.len());
}

#[test]
fn no_number_tells_the_true_answer_from_the_false_one() {
    let path = WRITTEN.at("eval/reward_pairs.jsonl");
    let rows = formats::reward_bench::vl::read(&path, &mut |_| unreachable!("no image is inside"));
    let rows = rows.unwrap();
    let answers = |group: &str, is_true: bool| -> Vec<String> {
        let of = rows
            .iter()
            .filter(|row| row.group.as_deref() == Some(group));
        of.map(|row| {
            let [first, second] = &row.outputs;
            let is_first = (row.preferred() == Some(Side::First)) == is_true;
            let said = if is_first { first } else { second };
            said.clone()
        })
        .collect()
    };
    let n_with = |all: &[String], word: &str| all.iter().filter(|said| said.contains(word)).count();
    let (right, wrong) = (answers("counting", true), answers("counting", false));
    for word in [" one ", " two ", " three "] {
        let n = [&right, &wrong].map(|all| n_with(all, word));
        assert!(n[0] > 10 && n[0].abs_diff(n[1]) <= 10, "{word}: {n:?}");
    }
    // More than one of what is not there is claimed as well.
    assert!(n_with(&answers("existence", false), "Yes, there are ") > 0);
}

/// How many true and how many false answers to counting questions say one, two and three.
fn numbers(scenes: &[Scene]) -> [[usize; 2]; 3] {
    let rows = reward_pairs::draw(12, scenes);
    let rows: Vec<_> = rows.iter().filter(|row| row.group == "counting").collect();
    [" one ", " two ", " three "].map(|word| {
        [0, 1].map(|rank| {
            let says = |row: &&&Ranked| {
                let mut said = row.response.iter().zip(row.human_ranking);
                said.any(|(answer, of)| of == rank && answer.contains(word))
            };
            rows.iter().filter(says).count()
        })
    })
}

#[test]
fn numbers_are_as_often_true_as_false_however_many_scenes_there_are() {
    // Of fifty pairs of numbers 26 are one and two, 12 one and three, and 12 two and three; either is true once. The scenes are
    // twice as many as the width of a step, so that steps come to two of them alone.
    let config = WorldConfig {
        n_train: 40,
        n_preference: 10,
        n_rl: 40,
        n_eval: 202,
        image_px: 64,
        ..WorldConfig::default()
    };
    let world = World::generate(&config).unwrap();
    let scenes = world.split(Split::Eval);
    assert_eq!(scenes.len(), 202);
    assert_eq!(numbers(scenes), [[38; 2], [38; 2], [24; 2]]);
    // Where nothing is there three times, no answer says so.
    let mut fewer = scenes.to_vec();
    fewer.retain(|scene| scene.kinds().iter().all(|&kind| scene.count(kind) < 3));
    assert_eq!(numbers(&fewer), [[26; 2], [26; 2], [0; 2]]);
}

#[test]
fn damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scenes.jsonl");
    let missing = candor_world::read_scenes(&path).unwrap_err().to_string();
    assert!(missing.contains("scenes.jsonl"), "{missing}");
    let world = &WRITTEN.world;
    let good = serde_json::to_string(&world.scenes()[0]).unwrap();
    std::fs::write(&path, format!("{good}\n{}\n", &good[..good.len() / 2])).unwrap();
    let cut = candor_world::read_scenes(&path).unwrap_err().to_string();
    assert!(cut.contains("scenes.jsonl:2"), "{cut}");
    let mut scene = world.scenes()[0].clone();
    scene.objects[0].cell.row = 9;
    std::fs::write(&path, serde_json::to_string(&scene).unwrap()).unwrap();
    let outside = candor_world::read_scenes(&path).unwrap_err().to_string();
    assert!(outside.contains("row 9"), "{outside}");
}
