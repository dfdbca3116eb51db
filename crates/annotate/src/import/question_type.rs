//! What kind of question is asked, by its first words; for statistics only.
//!
//! Knows English. Everything else is `other`, which is a kind too: disagreement by kind is then one number.

use candor_data::IMAGE_PLACEHOLDER;

/// The kind of a question.
pub(super) fn of(question: &str) -> &'static str {
    let question = question
        .replace(IMAGE_PLACEHOLDER, "")
        .trim()
        .to_lowercase();
    let starts = |words: &[&str]| words.iter().any(|word| question.starts_with(word));
    if starts(&["how many", "count "]) {
        "count"
    } else if starts(&["what color", "what colour", "which color", "which colour"]) {
        "attribute"
    } else if starts(&["where ", "what is on the left", "what is on the right"]) {
        "place"
    } else if starts(&[
        "describe",
        "what do you see",
        "what can you see",
        "write a",
        "explain what",
    ]) {
        "description"
    } else if starts(&[
        "is ", "are ", "does ", "do ", "did ", "can ", "was ", "were ", "has ", "have ",
    ]) {
        "yes or no"
    } else if starts(&["why ", "how "]) {
        "reasoning"
    } else if starts(&["what ", "which ", "who "]) {
        "object"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_first_words_tell() {
        for (question, kind) in [
            ("<image>\nHow many cups are there?", "count"),
            ("What colour is the cup?\n<image>", "attribute"),
            ("Where is the dog?", "place"),
            ("Describe the picture.", "description"),
            ("Is there a dog?", "yes or no"),
            ("Why is the floor wet?", "reasoning"),
            ("What is on the table?", "object"),
            ("Welche Farbe hat der Tisch?", "other"),
            ("", "other"),
        ] {
            assert_eq!(of(question), kind, "{question}");
        }
    }
}
