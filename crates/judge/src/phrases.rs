//! Words of a text in stretches that no punctuation parts: a phrase of several words lives inside one of them.
//!
//! "It looks hot. Dogs rest" has no hot dog, "a hot-dog" has one. Full stops, commas, colons, marks and the like part
//! words where they end one, brackets, dashes and line ends wherever they stand; hyphens, quotes and emphasis do not.
//! The point of "12.5" parts nothing.

/// The words of each stretch, in lower case.
#[must_use]
pub fn phrases(text: &str) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = vec![Vec::new()];
    let mut word = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
            continue;
        }
        let at_end = letters.peek().is_none_or(|next| !next.is_alphanumeric());
        if !word.is_empty()
            && let Some(last) = all.last_mut()
        {
            last.push(std::mem::take(&mut word));
        }
        if parts(letter, at_end) {
            all.push(Vec::new());
        }
    }
    if let (false, Some(last)) = (word.is_empty(), all.last_mut()) {
        last.push(word);
    }
    all.retain(|phrase| !phrase.is_empty());
    all
}

/// Whether a sign parts the words around it; `at_end` says that no word follows at once.
fn parts(letter: char, at_end: bool) -> bool {
    match letter {
        '.' | ',' | ':' | '!' | '?' => at_end,
        ';' | '\n' | '\r' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '|' | '/' | '–'
        | '—' | '…' | '•' | '。' | '，' | '、' | '！' | '？' | '；' | '：' | '（' | '）' => {
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_parts_phrases_and_hyphens_do_not() {
        for (text, expected) in [
            ("It looks hot. Dogs rest", "it looks hot|dogs rest"),
            ("A hot-dog, here", "a hot dog|here"),
            ("so hot! Dog", "so hot|dog"),
            ("hot\ndog", "hot|dog"),
            ("hot (dog)", "hot|dog"),
            ("hot — dog / cat", "hot|dog|cat"),
            ("a **hot** \"dog\"", "a hot dog"),
            ("12.5 kg, at 10:30.", "12 5 kg|at 10 30"),
            ("Ein Würstchen…", "ein würstchen"),
            ("...", ""),
            ("", ""),
        ] {
            let found: Vec<String> = phrases(text).iter().map(|words| words.join(" ")).collect();
            assert_eq!(found.join("|"), expected, "{text:?}");
        }
    }
}
