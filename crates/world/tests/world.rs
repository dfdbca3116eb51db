//! The world against its own documentation, and its texts against the judge.

use std::collections::BTreeSet;

use candor_data::formats;
use candor_data::random::stream;
use candor_world::evaluation::mmhal;
use candor_world::evaluation::pope::{self, PopeSplit};
use candor_world::judge::{Fact, Standing, Subject, judge};
use candor_world::text::{answer, caption, choice, describe, vqa};
use candor_world::{
    Colour, Cover, Edge, Kind, Question, Scene, Split, Statistics, Theme, World, WorldConfig,
    prompts, render, sft,
};
use serde_json::json;

fn world(seed: u64, n_train: usize) -> World {
    World::generate(&WorldConfig {
        seed,
        n_train,
        n_preference: 300,
        n_rl: 300,
        ..WorldConfig::default()
    })
    .unwrap()
}

#[test]
fn one_seed_makes_one_world() {
    let (a, b, other) = (world(3, 200), world(3, 200), world(4, 200));
    assert_eq!(a, b);
    assert_ne!(a.scenes(), other.scenes());
    let (first, again) = (&a.scenes()[0], &b.scenes()[0]);
    assert_eq!(
        render::render(first, 96).into_raw(),
        render::render(again, 96).into_raw()
    );
}

#[test]
fn no_content_comes_twice() {
    let world = world(0, 5000);
    let contents: BTreeSet<_> = world.scenes().iter().map(Scene::content).collect();
    assert_eq!(contents.len(), world.scenes().len());
    let files: BTreeSet<_> = world.scenes().iter().map(|scene| &scene.image).collect();
    assert_eq!(files.len(), world.scenes().len());
    let sizes = Split::ALL.map(|split| world.split(split).len());
    assert_eq!(sizes, [5000, 300, 300, 400]);
    for split in Split::ALL {
        assert!(world.split(split).iter().all(|scene| scene.split == split));
    }
}

#[test]
fn scenes_keep_their_promises() {
    for scene in world(1, 3000).scenes() {
        assert!((2..=5).contains(&scene.objects.len()));
        let cells: BTreeSet<_> = scene.objects.iter().map(|object| object.cell).collect();
        assert_eq!(cells.len(), scene.objects.len(), "two objects in one cell");
        for object in &scene.objects {
            let same = scene.first(object.kind).unwrap();
            assert_eq!((object.colour, object.size), (same.colour, same.size));
            let [x, y, side, _] = object.bbox(4.0);
            let (col, row) = (f32::from(object.cell.col), f32::from(object.cell.row));
            assert!(
                x >= col - 1e-4 && x + side <= col + 1.0 + 1e-4,
                "leaves its cell"
            );
            assert!(
                y >= row - 1e-4 && y + side <= row + 1.0 + 1e-4,
                "leaves its cell"
            );
        }
    }
}

/// The documented chance of a typical kind is 3.3 · 0.16 = 0.528, of any other 3.3 · 0.20 / 11 = 0.06.
#[test]
fn kinds_occur_as_documented() {
    let world = world(2, 16_000);
    let statistics = Statistics::count(world.split(Split::Train));
    for theme in Theme::ALL {
        let n = statistics.theme_scenes[&theme] as f64;
        // An eighth of 16000, give or take five standard deviations of 42.
        assert!((n - 2000.0).abs() < 210.0, "{theme}: {n}");
        for kind in Kind::ALL {
            let expected: f64 = if theme.typical().contains(&kind) {
                0.528
            } else {
                0.06
            };
            let found = statistics.chance(theme, kind);
            let error = (expected * (1.0 - expected) / n).sqrt();
            assert!(
                (found - expected).abs() < 5.0 * error,
                "{theme} {kind}: {found} for {expected}"
            );
        }
    }
    let kinds: usize = world
        .split(Split::Train)
        .iter()
        .map(|scene| scene.kinds().len())
        .sum();
    // The number of kinds has a standard deviation of 0.9.
    assert!((kinds as f64 / 16_000.0 - 3.3).abs() < 5.0 * 0.9 / 16_000.0_f64.sqrt());
}

#[test]
fn false_objects_are_added_as_configured_and_recorded() {
    let world = world(5, 6000);
    let (rows, counts) = sft::descriptions(world.config(), world.split(Split::Train));
    for (count, chance) in counts.into_iter().zip([0.30, 0.45, 0.25]) {
        let error = (chance * (1.0 - chance) / 6000.0_f64).sqrt();
        assert!(
            (count as f64 / 6000.0 - chance).abs() < 5.0 * error,
            "{counts:?}"
        );
    }
    // What was recorded is what the judge finds, and it stands in the later half.
    let mut found = [0; 3];
    for (scene, row) in world.split(Split::Train).iter().zip(&rows) {
        let text = &row.turns[1].value;
        let verdict = judge(scene, &Question::Describe, text);
        let false_claims: Vec<_> = verdict.claims.iter().filter(|claim| !claim.truth).collect();
        found[false_claims.len()] += 1;
        assert!((verdict.recall - 1.0).abs() < 1e-12, "{text}");
        let sentences: Vec<&str> = text.split(". ").skip(1).collect();
        for claim in false_claims {
            let before = text[..claim.span.start].matches(". ").count() - 1;
            assert!(2 * before + 1 >= sentences.len() - 1, "{text}");
        }
    }
    assert_eq!(found, counts);
}

#[test]
fn what_is_meant_to_be_true_is_true() {
    let world = world(6, 1500);
    for scene in world.split(Split::Train) {
        let rng = &mut stream(0, "test", &[scene.id]);
        let truthful = describe::truthful(scene, rng);
        let verdict = judge(scene, &Question::Describe, &truthful);
        assert_eq!(
            (verdict.n_false(), verdict.standing),
            (0, Standing::Right),
            "{truthful}"
        );
        let mut said = caption::facts(scene, rng);
        assert_eq!(said.len(), 5);
        let named = candor_world::judge::objects_mentioned(&said.join(" "));
        assert_eq!(named, scene.kinds(), "the facts name everything");
        said.extend([caption::short(scene, rng), caption::whole(scene, rng)]);
        for text in said {
            assert_eq!(
                judge(scene, &Question::Describe, &text).n_false(),
                0,
                "{text}"
            );
        }
        for item in vqa::draw(scene, world.config(), 6, rng) {
            for text in [Some(item.answer), answer::full(scene, &item.question)]
                .into_iter()
                .flatten()
            {
                let verdict = judge(scene, &item.question, &text);
                let seen = (verdict.n_false(), verdict.standing);
                assert_eq!(
                    seen,
                    (0, Standing::Right),
                    "{} {text}",
                    item.question.text()
                );
            }
        }
        let item = choice::draw(scene, rng).unwrap();
        let question = item.question();
        assert_eq!(
            candor_world::judge::correct_option(scene, &question),
            Some(item.correct)
        );
        for rationale in item.rationales {
            let text = format!("{}. {rationale}", item.correct.letter());
            let verdict = judge(scene, &question, &text);
            assert_eq!(
                (verdict.n_false(), verdict.standing),
                (0, Standing::Right),
                "{text}"
            );
        }
    }
}

#[test]
fn existence_questions_are_balanced() {
    let world = world(7, 4000);
    let (questions, annotations) = sft::vqa_pairs(world.config(), world.split(Split::Train));
    let (mut yes, mut no) = (0_u32, 0_u32);
    for (question, annotation) in questions.iter().zip(annotations) {
        if matches!(Question::parse(&question.question), Question::Exists(..)) {
            match annotation.multiple_choice_answer.as_deref() {
                Some("yes") => yes += 1,
                Some("no") => no += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let n = f64::from(yes + no);
    // Slightly more noes are kept: there are more different absent kinds to ask about in one scene.
    assert!(
        (f64::from(yes) / n - 0.5).abs() < 0.03,
        "{yes} yes, {no} no"
    );
}

#[test]
fn pope_is_balanced_and_its_splits_differ() {
    let world = world(8, 4000);
    let statistics = Statistics::count(world.split(Split::Train));
    let scenes = world.split(Split::Eval);
    let mut plausible = Vec::new();
    for split in PopeSplit::ALL {
        let rows = pope::draw(8, scenes, &statistics, split);
        assert_eq!(rows.len(), 300);
        let (mut yes, mut typical) = (0, 0);
        for row in &rows {
            let scene = scenes
                .iter()
                .find(|scene| scene.image == row.image)
                .unwrap();
            let Question::Exists(kind, None) = Question::parse(&row.text) else {
                panic!("{}", row.text);
            };
            let there = scene.objects.iter().any(|object| object.kind == kind);
            assert_eq!(there, row.label == formats::pope::Label::Yes);
            yes += usize::from(there);
            typical += usize::from(!there && scene.theme.typical().contains(&kind));
        }
        assert_eq!(yes, 150);
        plausible.push(typical);
    }
    let [random, popular, adversarial] = plausible[..] else {
        unreachable!()
    };
    assert!(
        adversarial > 2 * random && adversarial > popular,
        "{plausible:?}"
    );
}

#[test]
fn mmhal_has_its_types_in_turn_and_true_answers() {
    let world = world(9, 100);
    let scenes = world.split(Split::Eval);
    let rows = mmhal::draw(9, scenes);
    assert_eq!(rows.len(), 384);
    let mut adversarial = 0;
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row.question_type, mmhal::TYPES[index % 8]);
        let scene = scenes
            .iter()
            .find(|scene| scene.image == row.image_src)
            .unwrap();
        let question = Question::parse(&row.question);
        let verdict = judge(scene, &question, &row.gt_answer);
        assert!(
            verdict.score >= 5,
            "{} {}: {verdict:?}",
            row.question,
            row.gt_answer
        );
        if row.question_type == "adversarial" {
            adversarial += usize::from(row.gt_answer.starts_with("There is no"));
        }
    }
    assert_eq!(adversarial, 48);
}

#[test]
fn impossible_configurations_are_refused() {
    let refuse = |change: &dyn Fn(&mut WorldConfig)| {
        let mut config = WorldConfig::default();
        change(&mut config);
        World::generate(&config).unwrap_err().to_string()
    };
    assert!(refuse(&|c| c.false_additions = [0.5, 0.5, 0.5]).contains("false_additions"));
    assert!(refuse(&|c| c.n_eval = 10).contains("n_eval"));
    assert!(refuse(&|c| c.faint = f64::NAN).contains("faint"));
    assert!(refuse(&|c| c.faint_opacity = [60, 25]).contains("faint_opacity"));
    assert!(refuse(&|c| c.cover = [35, 90]).contains("cover"));
    assert!(refuse(&|c| c.caption_gap = 1.5).contains("caption_gap"));
    assert!(refuse(&|c| c.noise = -1.0).contains("noise"));
    assert!(refuse(&|c| c.image_px = 0).contains("image_px"));
    assert!(refuse(&|c| c.n_rl = usize::MAX).contains("n_rl"));
}

#[test]
fn verification_reads_facts_and_not_the_image() {
    let world = world(13, 1500);
    let scenes = world.split(Split::Train);
    let rows = sft::verifications(world.config(), scenes);
    let (mut swapped, mut dropped) = (0, 0);
    for (scene, row) in scenes.iter().zip(&rows) {
        swapped += usize::from(row.image.as_ref() != Some(&scene.image));
        // The verdicts hold of the scene the facts are from.
        let verdict = judge(scene, &Question::Describe, &row.turns[1].value);
        assert_eq!(verdict.n_false(), 0, "{}", row.turns[1].value);
        let stated = verdict.claims.iter().filter(|claim| {
            matches!(claim.fact, Fact::There(Subject::Kind(_), _)) && !claim.negated
        });
        dropped += usize::from(stated.count() < scene.kinds().len());
    }
    // 0.5 of 1500 with a standard deviation of 19.4.
    assert!((650..=850).contains(&swapped), "{swapped}");
    assert!(dropped > 600, "{dropped}");
}

/// The places at which one word of `told` is missing in `said`: what stands there.
fn told_besides<'a>(told: &'a str, said: &str) -> Vec<&'a str> {
    let mut said = said.split_whitespace().peekable();
    let mut besides = Vec::new();
    for word in told.split_whitespace() {
        let bare = word.trim_end_matches(['.', ',']);
        // A verdict takes the full stop of the noun before it.
        match said.peek() {
            Some(next) if *next == word => drop(said.next()),
            Some(next) if next.trim_end_matches('.') == word => drop(said.next()),
            _ => besides.push(bare),
        }
    }
    assert!(said.next().is_none(), "{told}");
    besides
}

/// The word before the last `word` of a text.
fn word_before<'t>(text: &'t str, word: &str) -> &'t str {
    let bare = text.split_whitespace();
    let bare: Vec<&str> = bare.map(|word| word.trim_end_matches(['.', ','])).collect();
    let at = bare.iter().rposition(|found| *found == word).expect(text);
    bare[at - 1]
}

#[test]
fn a_reading_tells_what_of_it_the_facts_do_not_have() {
    let world = World::generate(&WorldConfig {
        seed: 14,
        n_train: 1200,
        n_preference: 0,
        n_rl: 0,
        reading_asks: 0.35,
        ..WorldConfig::default()
    })
    .unwrap();
    let scenes = world.split(Split::Train);
    let (mut n_false, mut n_asked, mut n_denied, mut n_slipped, mut n_placed) = (0, 0, 0, 0, 0);
    for (scene, row) in scenes.iter().zip(&sft::readings(world.config(), scenes)) {
        let texts: Vec<&str> = row.turns.iter().map(|turn| turn.value.as_str()).collect();
        let [asked, said, facts, told] = texts[..] else {
            panic!("{} turns", texts.len())
        };
        assert!(asked.starts_with("<image>\n"), "{asked}");
        assert!(facts.starts_with("Facts:\n- "), "{facts}");
        let verdicts = told_besides(told, said);
        assert!(!verdicts.is_empty(), "{told}");
        assert!(
            verdicts.iter().all(|word| ["yes", "no"].contains(word)),
            "{told}"
        );
        let n_no = verdicts.iter().filter(|word| **word == "no").count();
        let verdict = judge(scene, &Question::Describe, said);
        if Question::parse(asked) == Question::Describe {
            // It makes as many false claims as it says.
            assert_eq!(verdict.n_false(), n_no, "{told}");
            n_false += n_no;
            continue;
        }
        // An answer about one thing is right if all that it says is, its number, colour and place too.
        n_asked += 1;
        assert_eq!(verdicts.len(), 1, "{told}");
        let question = Question::parse(asked);
        let answer = judge(scene, &question, said);
        assert_eq!(answer.n_false() == 0, n_no == 0, "{told}");
        // The verdict stands right after the colour where that is asked for, and else after the noun.
        let is_denial = said.contains("here is no ");
        let of_colour = matches!(question, Question::Colour(_) | Question::Coloured(_));
        let before = word_before(told, verdicts[0]);
        let colours = Colour::ALL.map(Colour::name);
        if of_colour && !is_denial {
            assert!(colours.contains(&before), "{told}");
        } else {
            let is_noun = |kind: &Kind| kind.name() == before || kind.plural() == before;
            assert!(Kind::ALL.iter().any(is_noun), "{told}");
        }
        // Of several no one place is said, and that of one is its own.
        if let Question::Place(kind) = question {
            assert!(scene.count(kind) < 2 && !said.contains(" are "), "{said}");
            let place = answer::place_of(scene, kind).filter(|_| !is_denial);
            if let Some(place) = place {
                assert_eq!(said, format!("The {kind} is {}.", place.phrase()));
                n_placed += 1;
            }
        }
        let there = |claim: &&candor_world::judge::Claim| {
            matches!(claim.fact, Fact::There(Subject::Kind(_), _))
        };
        let claim = verdict.claims.iter().find(there).expect(said);
        n_denied += usize::from(claim.negated);
        n_slipped += usize::from(claim.truth && !claim.negated && n_no == 1);
    }
    assert!(n_false > 800, "{n_false}");
    // 0.35 of 1200 with a standard deviation of 16.5, and 0.3 of those with one of 9.4.
    assert!((338..=502).contains(&n_asked), "{n_asked}");
    assert!((79..=173).contains(&n_denied), "{n_denied}");
    // Half are there, 0.7 of them are not denied, 0.8 of these are not asked for their place, and 0.3 are slips.
    assert!((12..=60).contains(&n_slipped), "{n_slipped}");
    assert!(n_placed > 0);
}

#[test]
fn what_stands_before_an_object_hides_its_share_of_the_box() {
    let scene = |cover| {
        let mut scene = world(1, 1).scenes()[0].clone();
        scene.noise = 0.0;
        scene.clutter = 0.0;
        scene.objects.truncate(1);
        scene.objects[0].visibility = 1.0;
        scene.objects[0].cover = cover;
        scene
    };
    let plain = render::render(&scene(None), 224);
    for from in [Edge::Left, Edge::Right, Edge::Top, Edge::Bottom] {
        let covered = scene(Some(Cover { from, share: 0.5 }));
        let image = render::render(&covered, 224);
        let [x, y, side, _] = covered.objects[0].bbox(224.0);
        // Around the middle of both halves of the box: one is hidden by one plain colour, the other as it was.
        let at = |right: f32, down: f32| {
            let pixel = |p: f32| (p as u32).min(223);
            (pixel(x + side * right), pixel(y + side * down))
        };
        let (hidden, open): (Vec<_>, Vec<_>) = (0..100)
            .map(|i| ((i % 10) as f32 / 10.0 + 0.05, (i / 10) as f32 / 10.0 + 0.05))
            .map(|(right, down)| {
                let into = match from {
                    Edge::Left => right,
                    Edge::Right => 1.0 - right,
                    Edge::Top => down,
                    Edge::Bottom => 1.0 - down,
                };
                (into < 0.5, at(right, down))
            })
            .partition(|(is_hidden, _)| *is_hidden);
        let colours: BTreeSet<[u8; 3]> = hidden
            .iter()
            .map(|(_, (x, y))| image.get_pixel(*x, *y).0)
            .collect();
        assert_eq!(colours.len(), 1, "{from:?}");
        let same =
            |(_, (x, y)): &&(bool, (u32, u32))| image.get_pixel(*x, *y) == plain.get_pixel(*x, *y);
        assert_eq!(open.iter().filter(same).count(), open.len(), "{from:?}");
    }
}

#[test]
fn settings_from_before_a_setting_are_what_the_world_was_then() {
    let then = r#"{
        "seed": 3, "n_train": 8000, "n_preference": 8000, "n_rl": 2000, "n_eval": 400, "n_prompts_per_scene": 2,
        "n_vqa_per_scene": 4, "image_px": 224, "false_additions": [0.3, 0.45, 0.25], "false_premise": 0.08,
        "annotator_error": 0.035, "noise": 8.0, "clutter": 14.0, "faint": 0.25
    }"#;
    let config: WorldConfig = serde_json::from_str(then).unwrap();
    let written = serde_json::to_value(&config).unwrap();
    for (field, value) in [
        ("compared_describe", json!(0.7)),
        ("rl_describe", json!(1.0)),
        ("prompt_premise", json!(0.0)),
        ("reading_asks", json!(0.0)),
        ("reading_denies", json!(0.3)),
        ("caption_gap", json!(0.0)),
        ("faint_opacity", json!([60, 80])),
        ("covered", json!(0.0)),
        ("cover", json!([35, 60])),
    ] {
        assert_eq!(written[field], value, "{field}");
    }
    let expected = WorldConfig {
        seed: 3,
        ..WorldConfig::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn prompts_ask_as_often_for_what_is_not_there_as_configured() {
    let config = WorldConfig {
        seed: 16,
        n_rl: 2000,
        n_train: 1,
        n_preference: 0,
        n_prompts_per_scene: 1,
        rl_describe: 0.5,
        prompt_premise: 0.4,
        ..WorldConfig::default()
    };
    let world = World::generate(&config).unwrap();
    let scenes = world.split(Split::Rl);
    let (mut questions, mut absent, mut counts) = (0, 0, 0);
    for (scene, prompt) in scenes.iter().zip(prompts::rl(&config, scenes)) {
        let question = prompts::question_of(&prompt.conversation);
        if question == Question::Describe {
            continue;
        }
        questions += 1;
        let answer = &prompt.conversation.turns[1].value;
        assert_eq!(judge(scene, &question, answer).n_false(), 0, "{answer}");
        // "Is there …" may ask for what is not there in any case.
        let premise = !question.is_yes_no() && answer.starts_with("There is no ");
        absent += usize::from(premise);
        counts += i32::from(premise && matches!(question, Question::Count(_)));
    }
    // Half of 2000 give or take some that have no answer, and 0.4 of those with a standard deviation of 15.
    assert!((850..=1050).contains(&questions), "{questions}");
    let share = f64::from(absent as u32) / f64::from(questions as u32);
    assert!((share - 0.4).abs() < 5.0 * 0.016, "{share}");
    // Of 38 questions about one present kind 10 ask for its number, and so do those of about 380 that are about none.
    let share = f64::from(counts) / f64::from(absent as u32);
    assert!((share - 10.0 / 38.0).abs() < 5.0 * 0.023, "{share}");
}

#[test]
fn facts_leave_out_as_many_kinds_as_configured() {
    let world = world(15, 4000);
    let (mut left_out, mut kinds) = (0, 0);
    for scene in world.split(Split::Train) {
        let rng = &mut stream(0, "test", &[scene.id]);
        let captions = caption::facts_with_gaps(scene, 0.25, rng).join(" ");
        let said = judge(scene, &Question::Describe, &captions);
        assert_eq!(said.n_false(), 0, "{captions}");
        let said = candor_world::judge::objects_mentioned(&captions);
        assert!(!said.is_empty());
        kinds += scene.kinds().len() - 1;
        left_out += scene.kinds().len() - said.len();
    }
    // The first kind is always said; of about 9200 others a quarter is not, with a standard deviation of .0045.
    let share = f64::from(left_out as u32) / f64::from(kinds as u32);
    assert!((share - 0.25).abs() < 5.0 * 0.0045, "{share}");
}
