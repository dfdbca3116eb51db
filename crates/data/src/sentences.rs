//! Where the sentences of a text end.
//!
//! A sentence ends with `.`, `!`, `?` or a line break, quotes and brackets behind it aside, where a blank or nothing follows. An
//! abbreviation ends one too early. Labels of sentences and what sentences are paid go by the same cut.

use std::ops::Range;

/// Whether a sentence may end where a text ends.
fn ends_sentence(text: &str) -> bool {
    let behind = |c: char| "\"'”’)]*_".contains(c);
    text.ends_with('\n') || text.trim_end_matches(behind).ends_with(['.', '!', '?'])
}

/// The sentences of a text as ranges of bytes, one after the other, each with the blanks before it. What follows the last end is
/// a sentence too; blanks alone are none.
#[must_use]
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let next = text[end..].chars().next();
        let may_break = c == '\n' || next.is_none_or(char::is_whitespace);
        let is_blank = text[start..end].trim().is_empty();
        if may_break && !is_blank && ends_sentence(&text[..end]) {
            found.push(start..end);
            start = end;
        }
    }
    if !text[start..].trim().is_empty() {
        found.push(start..text.len());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_with_a_mark_or_a_line() {
        for (text, expected) in [
            ("A dog.", true),
            ("It says \"stop!\"", true),
            ("(Is it?)", true),
            ("First:\n", true),
            ("A dog", false),
            ("A dog. And", false),
            ("", false),
        ] {
            assert_eq!(ends_sentence(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_is_cut_where_a_blank_follows() {
        let cut = |text: &'static str| -> Vec<&str> {
            sentences(text)
                .into_iter()
                .map(|range| &text[range])
                .collect()
        };
        for (text, expected) in [
            (
                "A dog. A cat, 3.5 m long",
                vec!["A dog.", " A cat, 3.5 m long"],
            ),
            ("He says \"stop!\" Why?", vec!["He says \"stop!\"", " Why?"]),
            (
                "Two things:\n- a cup\n\n",
                vec!["Two things:\n", "- a cup\n"],
            ),
            (" \n ", vec![]),
            ("Ein Käse. Gut…", vec!["Ein Käse.", " Gut…"]),
        ] {
            assert_eq!(cut(text), expected, "{text:?}");
        }
    }
}
