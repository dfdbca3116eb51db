//! How POPE reads answers (arXiv 2305.10355): by its own rule, which takes whatever is not a no for a yes; so the number
//! of answers that say neither is reported beside.
//!
//! Departure: words are separated by any white space, where the official script splits at single spaces and so reads
//! "No\nThere" as a yes.

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Whether the benchmark's rule takes it for a yes.
    pub yes: bool,
    /// Whether it holds neither a yes nor a no.
    pub neither: bool,
}

/// Reads an answer: up to the first full stop, commas removed, no if one of the words is No, no or not.
#[must_use]
pub fn read(answer: &str) -> Read {
    let sentence = answer
        .split('.')
        .next()
        .unwrap_or_default()
        .replace(',', "");
    let no = sentence
        .split_whitespace()
        .any(|word| matches!(word, "No" | "no" | "not"));
    let yes = sentence
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word.eq_ignore_ascii_case("yes"));
    Read {
        yes: !no,
        neither: !no && !yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_the_official_rule() {
        let yes = Read {
            yes: true,
            neither: false,
        };
        let no = Read {
            yes: false,
            neither: false,
        };
        let neither = Read {
            yes: true,
            neither: true,
        };
        for (answer, expected) in [
            ("Yes", yes),
            ("yes.", yes),
            ("Yes, there is a dog in the image.", yes),
            ("No, there is no dog.", no),
            ("There is not a dog. Yes.", no),
            ("no", no),
            ("No\nThere is none", no),
            ("Yes. No.", yes),
            // Only exactly these spellings count as a no.
            ("NO", neither),
            ("Nothing", neither),
            ("A dog", neither),
            ("", neither),
            // The rule reads only up to the first full stop.
            ("Hm. No", neither),
            // Commas vanish, so this becomes the word "Nothere".
            ("No,there", neither),
            ("Yes!", yes),
        ] {
            assert_eq!(read(answer), expected, "{answer:?}");
        }
    }
}
