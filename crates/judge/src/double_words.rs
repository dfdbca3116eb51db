//! Two words that stand together and are read as one, whatever the table of synonyms says of each: a young animal is its kind and
//! no person, a passenger train a train, a home plate no plate, a bow tie a tie, a toilet's seat no chair.
//!
//! # Reference
//! `double_word_dict` of the scripts of CHAIR (`utils/chair.py`) and Object-HalBench (`eval_gpt_obj_halbench.py`). The other double
//! words that they list are terms of the tables that they publish, and are found as those.

/// Animals of which "baby" and "adult" say nothing of the kind.
const ANIMALS: [&str; 12] = [
    "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    "animal", "cub",
];

/// What the first two of these words, which are in the singular, are read as.
pub(crate) fn read_as(words: &[String]) -> Option<&'static str> {
    let [first, second, ..] = words else {
        return None;
    };
    match (first.as_str(), second.as_str()) {
        ("baby" | "adult", animal) => ANIMALS.into_iter().find(|known| *known == animal),
        ("passenger", "jet") => Some("jet"),
        ("passenger", "train") => Some("train"),
        ("home", "plate") => Some("home plate"),
        ("train", "track") => Some("train track"),
        ("bow", "tie") => Some("tie"),
        ("toilet", "seat") => Some("toilet"),
        _ => None,
    }
}

/// Leaves out the seats of a text that has a toilet, "the seat of the toilet".
pub(crate) fn without_toilet_seats(words: &mut Vec<String>) {
    if words.iter().any(|word| word == "toilet") {
        words.retain(|word| word != "seat");
    }
}
