//! The triple-quoted texts of a Python script, found without running it.
//!
//! Comments and other strings are skipped. Texts with a prefix other than `r` and `u` are left out: an
//! f-string is no constant, and bytes are no text.

/// What a backslash and the character after it stand for; `None` for what is kept as it is written.
fn escaped(c: char) -> Option<&'static str> {
    Some(match c {
        '\n' => "",
        '\\' => "\\",
        '\'' => "'",
        '"' => "\"",
        'n' => "\n",
        't' => "\t",
        'r' => "\r",
        _ => return None,
    })
}

/// All triple-quoted constants, in order.
pub(super) fn triple_quoted(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = script;
    let mut prefix = String::new();
    while let Some(c) = rest.chars().next() {
        if c == '#' {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            prefix.clear();
        } else if c == '\'' || c == '"' {
            let quotes = if rest.starts_with(&[c; 3].iter().collect::<String>()) {
                3
            } else {
                1
            };
            let is_raw = prefix.eq_ignore_ascii_case("r");
            let (text, after) = string(&rest[quotes..], c, quotes, is_raw);
            let is_text = prefix.is_empty() || is_raw || prefix.eq_ignore_ascii_case("u");
            if let Some(text) = text.filter(|_| quotes == 3 && is_text) {
                found.push(text);
            }
            rest = after;
            prefix.clear();
        } else {
            if c.is_alphanumeric() || c == '_' {
                prefix.push(c);
            } else {
                prefix.clear();
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// The string that ends with so many of these quotes, and what comes after it; no string if it never ends.
fn string(text: &str, quote: char, quotes: usize, is_raw: bool) -> (Option<String>, &str) {
    let end: String = std::iter::repeat_n(quote, quotes).collect();
    let mut value = String::new();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix(end.as_str()) {
            return (Some(value), after);
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return (None, ""),
            Some('\n') if quotes == 1 => return (None, rest),
            Some('\\') => {
                let next = chars.next();
                let meant = next.filter(|_| !is_raw).and_then(escaped);
                if let Some(meant) = meant {
                    value.push_str(meant);
                } else {
                    value.push('\\');
                    value.extend(next);
                }
            }
            Some(c) => value.push(c),
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_found_and_nothing_else() {
        for (script, expected) in [
            ("a = '''x'''", vec!["x"]),
            ("a = \"\"\"x'y\"z\"\"\"; b = '''w'''", vec!["x'y\"z", "w"]),
            (
                "# '''no'''\na = 'it''s' + \"'''\"\nb = '''yes'''",
                vec!["yes"],
            ),
            (
                "f'''{x}'''; b'''y'''; r'''a\\n'''; u'''b\\n'''",
                vec!["a\\n", "b\n"],
            ),
            ("'''a\\\nb\\t\\'\\q'''", vec!["ab\t'\\q"]),
            ("'''never", vec![]),
            ("a = 'never\nb = '''x'''", vec!["x"]),
            ("''", vec![]),
        ] {
            assert_eq!(triple_quoted(script), expected, "{script}");
        }
    }
}
