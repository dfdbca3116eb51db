//! Which prompts are asked, and by what their answers are judged.

use candor_data::formats::{captions, ppo_prompts};
use candor_data::rows::{Look, OnBadRow};
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
        policy: bundle.rules(usize::MAX),
        judge: Judge {
            rules: bundle.rules(usize::MAX),
            with_facts: true,
        },
        max_new_tokens: 8,
        look: Look::Not,
    };
    let read = Prompts::read(&data, &quirks, asking).unwrap();
    let shown = read.rows.iter().map(|row| {
        [
            row.id.clone(),
            row.conversation.query().unwrap().to_owned(),
            row.conversation.image.clone().unwrap(),
            row.facts.captions[0].clone(),
        ]
    });
    let types = read.rows.iter().map(|row| row.answer_type).collect();
    assert!(
        read.rows
            .iter()
            .all(|row| row.conversation.turns.len() == 1)
    );
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
