//! The simulated annotator: its error rate, its sides, its two questions.

use candor_data::preference::{Side, Verdict as Fewer};
use candor_data::random::stream;
use candor_data::{Conversation, Turn};
use candor_world::text::describe;
use candor_world::{Annotator, Split, World, WorldConfig, prompts, sft};

fn world(seed: u64) -> World {
    World::generate(&WorldConfig {
        seed,
        n_train: 1,
        n_preference: 1,
        n_rl: 0,
        ..WorldConfig::default()
    })
    .unwrap()
}

/// Two answers, one of them all false: without slips the first question decides; with them it is wrong at
/// the stated rate.
#[test]
fn the_annotator_errs_at_the_stated_rate() {
    let world = world(10);
    let rows = prompts::preference(world.config(), world.split(Split::Preference));
    let scene = &world.split(Split::Preference)[0];
    let prompt = &rows[0];
    let absent = scene.absent();
    let lies = format!(
        "There is a red {}. There is a blue {}.",
        absent[0], absent[1]
    );
    let honest = describe::truthful(scene, &mut stream(0, "test", &[]));
    let outputs = || [honest.clone(), lies.clone()];
    let prompt = Conversation {
        turns: vec![
            Turn::human("<image>\nDescribe the image."),
            prompt.turns[1].clone(),
        ],
        ..prompt.clone()
    };
    let faithful = Annotator::new(1, 0.0);
    let erring = Annotator::new(1, 0.07);
    let (mut slips, mut left) = (0.0, 0.0);
    for index in 0..8000 {
        let truth = faithful.compare(scene, &prompt, outputs(), index).unwrap();
        assert_eq!(
            (truth.fewer_hallucinations, truth.more_helpful),
            (Fewer::First, None)
        );
        let row = erring.compare(scene, &prompt, outputs(), index).unwrap();
        slips += f64::from(u8::from(row.fewer_hallucinations != Fewer::First));
        left += f64::from(u8::from(row.record.unwrap().shown_left == Side::First));
    }
    // Standard deviations: 22.8 slips of 560 expected, 44.7 left sides of 4000.
    assert!((slips - 560.0_f64).abs() < 5.0 * 22.8, "{slips}");
    assert!((left - 4000.0_f64).abs() < 5.0 * 44.7, "{left}");
}

#[test]
fn the_annotator_follows_both_questions() {
    let world = world(11);
    let scene = &world.split(Split::Preference)[0];
    let prompt = sft::exchange("p".into(), scene, "Describe the image.", "");
    let annotator = Annotator::new(0, 0.0);
    let [a, b] = [
        scene.objects[0].kind,
        scene.objects[scene.objects.len() - 1].kind,
    ];
    let compare = |one: &str, two: &str| {
        let row = annotator.compare(scene, &prompt, [one.to_owned(), two.to_owned()], 0)?;
        Some((row.fewer_hallucinations, row.more_helpful))
    };
    let full = describe::truthful(scene, &mut stream(0, "test", &[]));
    let (short, longer) = (
        format!("There is a {a}."),
        format!("There is a {a}. There is a {b}."),
    );
    assert_eq!(
        compare(&short, &full),
        Some((Fewer::Tie, Some(Side::Second)))
    );
    assert_eq!(
        compare(&full, &short),
        Some((Fewer::Tie, Some(Side::First)))
    );
    assert_eq!(
        compare(&longer, &short),
        None,
        "one claim more is not told apart"
    );
    assert_eq!(compare(&short, &short), None, "nothing to tell apart");
    // Repeating does not help.
    assert_eq!(compare(&short, &short.repeat(3)), None);
    // Silence is no honesty.
    let absent = scene.absent();
    // One slip among five things is a tie to the first question, and the more helpful answer wins the second; one
    // among two is not.
    let slip = |said: &str| format!("{said} There is a {}.", absent[0]);
    assert_eq!(
        compare(&slip(&full), &short),
        Some((Fewer::Tie, Some(Side::First)))
    );
    assert_eq!(compare(&slip(&short), &short), Some((Fewer::Second, None)));
    let lies = format!(
        "There is a {}. There is a {}. There is a {}.",
        absent[0], absent[1], absent[2]
    );
    assert_eq!(compare("", &short), Some((Fewer::Tie, Some(Side::Second))));
    assert_eq!(
        compare("I am not sure.", &lies),
        Some((Fewer::Tie, Some(Side::Second)))
    );
    assert_eq!(compare("", "I do not know."), None);
}
