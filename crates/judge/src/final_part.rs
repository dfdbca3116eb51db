//! The part of an answer that answers, where a model reasons first or was asked to mark it; and of a judge's reply that replies.
//!
//! Reasoning between `<think>` and `</think>` is left out, of answers and of replies, which a server may send with the thoughts
//! in them; every reader of a judge's words begins with [`without_reasoning`]. If something stands in `<answer>…</answer>` or
//! in LaTeX's `\boxed{…}`, that alone is the answer; several of them are several answers.

/// The parts; one, the whole of it, for an ordinary answer.
#[must_use]
pub(crate) fn final_parts(answer: &str) -> Vec<&str> {
    let spoken = without_reasoning(answer);
    let mut parts = between(spoken, "<answer>", "</answer>");
    if parts.is_empty() {
        parts = boxed(spoken);
    }
    if parts.is_empty() {
        parts.push(spoken);
    }
    parts
}

/// What follows the reasoning; nothing where it does not end.
#[must_use]
pub(crate) fn without_reasoning(answer: &str) -> &str {
    match (find(answer, "</think>"), find(answer, "<think>")) {
        (Some(_), _) => answer
            .rmatch_indices('>')
            .map(|(at, _)| &answer[..=at])
            .find(|text| text.len() >= 8 && ends_with(text, "</think>"))
            .map_or(answer, |thought| answer[thought.len()..].trim_start()),
        (None, Some(at)) => &answer[..at],
        (None, None) => answer,
    }
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = find(rest, open) {
        rest = &rest[at + open.len()..];
        let end = find(rest, close).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = &rest[end..];
    }
    parts
}

/// What stands in each `\boxed{…}`, braces in it counted.
fn boxed(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for (at, command) in text.match_indices("\\boxed{") {
        let inside = &text[at + command.len()..];
        let mut depth = 1_usize;
        let end = inside.char_indices().find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        parts.push(end.map_or(inside, |(end, _)| &inside[..end]));
    }
    parts
}

/// Where an ASCII text begins, in any case of letters.
fn find(text: &str, wanted: &str) -> Option<usize> {
    let windows = text.as_bytes().windows(wanted.len());
    windows
        .enumerate()
        .find(|(_, part)| part.eq_ignore_ascii_case(wanted.as_bytes()))
        .map(|(at, _)| at)
}

fn ends_with(text: &str, wanted: &str) -> bool {
    let start = text.len().saturating_sub(wanted.len());
    text.as_bytes()[start..].eq_ignore_ascii_case(wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_as_the_answer_is_the_answer() {
        for (answer, expected) in [
            ("B", vec!["B"]),
            ("<think>A or B?</think>\nB", vec!["B"]),
            ("A, no <b></THINK> B", vec!["B"]),
            ("<think>A or", vec![""]),
            ("It is <answer>B</answer>.", vec!["B"]),
            ("<Answer>B", vec!["B"]),
            ("<answer>A</answer><answer>B</answer>", vec!["A", "B"]),
            (r"So $\boxed{\text{B}}$.", vec![r"\text{B}"]),
            (r"\boxed{B", vec!["B"]),
            ("ä<answer>ö</answer>", vec!["ö"]),
            ("", vec![""]),
        ] {
            assert_eq!(final_parts(answer), expected, "{answer:?}");
        }
    }
}
