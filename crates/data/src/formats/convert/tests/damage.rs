//! Files that are cut off or no text.

use super::{Folder, From, Options, To};

#[test]
fn documented_examples_are_read_and_what_is_cut_off_is_not() {
    let folder = Folder::new();
    let page = include_str!("../../../../../../docs/formats.md");
    for (heading, from, to) in [
        ("TRL conversations", From::Messages, To::Llava),
        ("ShareGPT", From::Sharegpt, To::Llava),
        ("POVID", From::Povid, To::Trl),
        ("VLFeedback", From::Vlfeedback, To::Preference),
    ] {
        let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
        let example = section.split("```").nth(1).unwrap();
        let (_, example) = example.split_once('\n').unwrap();
        let example = example.trim_end();
        folder.write("in", example);
        folder.convert("in", from, "whole.jsonl", to);
        let n_rows = example.lines().count();
        assert_eq!(folder.rows("whole.jsonl").len(), n_rows, "{heading}");
        // What ends with a line is whole.
        let example = example.lines().next().unwrap();
        for end in (0..example.len()).step_by(7) {
            folder.write("in", &example.as_bytes()[..end]);
            let message = folder.refusal("in", from, "cut.jsonl", to);
            let section = format!("docs/formats.md, \"{heading}\"");
            assert!(message.contains(&section), "cut at {end}: {message}");
        }
    }
    folder.write("in", b"{}\n{\"\xFF\"}\n");
    let converted = folder.with(
        "in",
        From::Candidates,
        "a.json",
        To::Trl,
        Options::default(),
    );
    let message = converted.unwrap_err().to_string();
    assert!(message.contains("line 1, field `id`: missing"), "{message}");
    folder.write("in", b"\n{\"\xFF\"}\n");
    let message = folder.refusal("in", From::Candidates, "a.json", To::Trl);
    let expected = "line 2: the byte at offset 3 is not UTF-8; convert the file to UTF-8";
    assert!(message.contains(expected), "{message}");
}
