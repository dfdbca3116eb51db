//! Which prompts are asked, and by what their answers are judged.

use std::path::Path;

use candor_data::formats::{captions, ppo_prompts};
use candor_data::rows::{Look, OnBadRow, Reason};
use candor_data::{AnswerType, Turn};
use candor_rl::prompts::{Asking, Judge, Prompts};
use candor_rl::recipe::{DataRecipe, QuirksRecipe};

use crate::fixture::{bundle, facts, prompts};

const NO_QUIRKS: QuirksRecipe = QuirksRecipe {
    misalign_dropped_queries: false,
    cut_at_question_mark: false,
    shuffle_captions: false,
    drop_partial_mini_batch: false,
};

/// Id, query, image, first fact and type of every prompt; the second row is too long.
fn read(quirks: QuirksRecipe) -> (Vec<[String; 4]>, Vec<AnswerType>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut rows: Vec<_> = prompts().into_iter().step_by(4).collect();
    rows[1].conversation.turns[0] = Turn::human(format!("<image>\n{}", "very ".repeat(40)));
    rows[2].answer_type = AnswerType::No;
    let path = dir.path().join("prompts.json");
    ppo_prompts::write(&path, &rows).unwrap();
    captions::write(&dir.path().join("facts.json"), &facts()).unwrap();
    let data = DataRecipe {
        images: dir.path().to_owned(),
        prompts: path,
        facts: Some(dir.path().join("facts.json")),
        on_bad_row: OnBadRow::Stop,
        max_query_tokens: 40,
    };
    let bundle = bundle(1);
    let asking = Asking {
        policy: bundle.rules(usize::MAX, Path::new("")),
        judge: Judge {
            rules: bundle.rules(usize::MAX, Path::new("")),
            with_facts: true,
            reward: None,
            segments: &[],
        },
        max_new_tokens: 8,
        tells_facts: false,
        look: Look::Not,
    };
    let read = Prompts::read(&data, &quirks, asking, Some(dir.path())).unwrap();
    let rows = read.rows(0..read.len()).unwrap();
    let shown = rows.iter().map(|row| {
        [
            row.id.clone(),
            row.conversation.query().unwrap().to_owned(),
            row.conversation.image.clone().unwrap(),
            row.facts.captions[0].clone(),
        ]
    });
    let types = rows.iter().map(|row| row.answer_type).collect();
    assert!(rows.iter().all(|row| row.conversation.turns.len() == 1));
    (shown.collect(), types, read.n_dropped)
}

#[test]
fn an_overlong_prompt_is_dropped_as_a_whole() {
    let (rows, types, n_dropped) = read(NO_QUIRKS);
    let asked = "<image>\nWhat color is the wall?";
    assert_eq!(
        rows,
        [
            ["red-1", asked, "red.png", "It is a red wall."],
            ["blue-1", asked, "blue.png", "It is a blue wall."],
        ]
    );
    assert_eq!(types, [AnswerType::General, AnswerType::No]);
    assert_eq!(n_dropped, 1);
}

/// The reference's list of images, facts and types still has the dropped row, so the next query gets its.
#[test]
fn the_quirk_judges_later_prompts_by_what_belongs_to_others() {
    let (rows, types, n_dropped) = read(QuirksRecipe {
        misalign_dropped_queries: true,
        ..NO_QUIRKS
    });
    let asked = "<image>\nWhat color is the wall?";
    assert_eq!(
        rows,
        [
            ["red-1", asked, "red.png", "It is a red wall."],
            ["blue-1", asked, "green.png", "It is a green wall."],
        ]
    );
    assert_eq!(types, [AnswerType::General, AnswerType::General]);
    assert_eq!(n_dropped, 1);
}

/// What becomes of prompts of which the second is too long, the third has no image and the fourth no facts.
fn sorted_out(on_bad_row: OnBadRow, with_facts: bool) -> Result<Prompts, String> {
    let dir = tempfile::tempdir().unwrap();
    let mut rows: Vec<_> = prompts().into_iter().take(4).collect();
    rows[1].conversation.turns[0] = Turn::human(format!("<image>\n{}", "very ".repeat(40)));
    rows[2].conversation.image = None;
    rows[2].conversation.turns[0] = Turn::human("What is a wall?");
    rows[3].conversation.image = Some("unknown.png".into());
    let path = dir.path().join("prompts.json");
    ppo_prompts::write(&path, &rows).unwrap();
    captions::write(&dir.path().join("facts.json"), &facts()).unwrap();
    let data = DataRecipe {
        images: dir.path().to_owned(),
        prompts: path,
        facts: Some(dir.path().join("facts.json")),
        on_bad_row,
        max_query_tokens: 40,
    };
    let bundle = bundle(1);
    let rules = bundle.rules(60, Path::new(""));
    let asking = Asking {
        policy: rules,
        judge: Judge {
            rules,
            with_facts,
            reward: None,
            segments: &[],
        },
        max_new_tokens: 8,
        tells_facts: false,
        look: Look::Not,
    };
    Prompts::read(&data, &NO_QUIRKS, asking, Some(dir.path())).map_err(|error| error.to_string())
}

#[test]
fn bad_prompts_are_named_with_their_rows_or_left_out_and_counted() {
    let message = sorted_out(OnBadRow::Stop, true).unwrap_err();
    for part in [
        "2 rows cannot be used (2 no_facts)",
        "prompts.json: row 2 (id \"red-6\"), field `image`",
        "a row without an image (caption_type 6)",
        "prompts.json: row 3 (id \"red-2\"), field `image`",
        "unknown.png",
        "data.on_bad_row",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    let read = sorted_out(OnBadRow::Skip, true).unwrap();
    let rows = read.rows(0..read.len()).unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!((ids, read.n_dropped), (vec!["red-1"], 1));
    let skipped = read.skipped.unwrap();
    let skipped: Vec<_> = skipped.rows().iter().map(|row| row.fault.reason).collect();
    assert_eq!(skipped, [Reason::TooLong, Reason::NoFacts, Reason::NoFacts]);
}

#[test]
fn a_prompt_without_a_image_is_asked_where_no_facts_are_shown() {
    let read = sorted_out(OnBadRow::Stop, false).unwrap();
    let rows = read.rows(0..read.len()).unwrap();
    let images: Vec<_> = rows
        .iter()
        .map(|row| row.conversation.image.as_deref())
        .collect();
    assert_eq!(images, [Some("red.png"), None, Some("unknown.png")]);
    assert!(read.skipped.is_none());
}
