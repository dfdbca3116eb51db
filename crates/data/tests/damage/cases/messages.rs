//! Conversations of messages: a text of them, and what damages of it must be answered with.

use std::cell::Cell;

use candor_data::formats::trl::messages;

use super::Case;

const MESSAGES: &str = r#"{"id":"a","images":["a.jpg","b.jpg"],"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"image"},{"type":"text","text":"or"},{"type":"image"},{"type":"text","text":"Q"}]},{"role":"assistant","content":[{"type":"text","text":"A"}]}]}
{"id":2,"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"B"}],"extra":1}"#;

pub const MESSAGES_CASE: Case = Case {
    name: "messages.jsonl",
    read: |path| {
        messages::each(
            path,
            &mut |_| unreachable!("no image is inside"),
            &Cell::new(0.0),
            |_, _| Ok(()),
        )
    },
    valid: MESSAGES,
    damages: &[
        (
            r#"{"type":"text","text":"or"}"#,
            r#"{"type":"video","video":"a.mp4"}"#,
            &[
                "line 1",
                "`content`",
                "a part of type \"video\"",
                "correct or remove",
            ],
        ),
        (
            r#"["a.jpg","b.jpg"]"#,
            r#"["a.jpg"]"#,
            &["line 1", "`messages`", "found 2 <image> and an image"],
        ),
        (
            r#""content":"Be brief.""#,
            r#""content":7"#,
            &[
                "line 1",
                "`messages[0].content`",
                "a text or a list of parts",
            ],
        ),
        (
            r#""role":"assistant","content":"B""#,
            r#""role":"tool","content":"B""#,
            &["line 2", "`messages`", "the role \"tool\""],
        ),
        (
            r#""content":"B""#,
            r#""content":"<image>""#,
            &["line 2", "`messages`", "in what the assistant says"],
        ),
        (
            r#""role":"user","content":"Q""#,
            r#""role":"assistant","content":"Q""#,
            &["line 2", "`messages`", "the alternation wants human"],
        ),
        (
            r#""messages":[{"role":"user""#,
            r#""m":[{"role":"user""#,
            &["line 2", "`messages`", "missing"],
        ),
        (
            r#""messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"B"}]"#,
            r#""messages":[]"#,
            &["line 2", "`messages`", "no turns"],
        ),
    ],
};
