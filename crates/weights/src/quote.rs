//! Words of a file inside our own messages: a file must not be able to write to the terminal, or to fill it.

/// As many characters as somebody would read.
const SHOWN: usize = 160;

/// `text` between backticks, as [`printable`] shows it.
pub(crate) fn quote(text: &str) -> String {
    format!("`{}`", printable(text))
}

/// `text` on one line, cut where nobody would read on, with everything escaped that a terminal might obey.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (n, character) in text.chars().enumerate() {
        if n == SHOWN {
            shown.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(quote("a\u{1b}[2J\n"), r"`a\u{1b}[2J\n`");
        assert_eq!(quote("a\u{202e}b"), r"`a\u{202e}b`");
        assert_eq!(quote("mod.\"weight\""), "`mod.\"weight\"`");
    }

    #[test]
    fn long_names_are_cut() {
        let shown = quote(&"ä".repeat(10_000));
        assert_eq!(shown, format!("`{}…`", "ä".repeat(160)));
    }
}
