//! The images that a row shows, as one text: the file name of an image, or the names of several, each on a line of its own.
//!
//! Rows are grouped, split and shared out by what they show, for which one text is as good as one name; whoever opens, counts
//! or measures images asks for the [`names`]. In files several images are a list, in the field `image` or `images`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserializer, Serialize as _, Serializer};

/// The file names, in the order of their places in the row's text.
pub fn names(shown: &str) -> impl Iterator<Item = &str> {
    shown.split('\n')
}

/// How many images a row shows.
#[must_use]
pub fn count(shown: Option<&str>) -> usize {
    shown.map_or(0, |shown| names(shown).count())
}

/// What a row shows that has images of these names; none where there are none.
///
/// # Errors
/// A name is empty though it is not the only one, or has a line break; says so.
pub fn together(names: &[String]) -> Result<Option<String>, String> {
    if let Some(name) = names.iter().find(|name| name.contains('\n')) {
        return Err(format!(
            "found a line break in the name of an image, {name:?}"
        ));
    }
    if names.len() > 1 && names.iter().any(String::is_empty) {
        return Err("found an empty name".to_owned());
    }
    Ok((!names.is_empty()).then(|| names.join("\n")))
}

/// What is shown besides the images that are left out; none if that is nothing.
#[must_use]
pub fn without(shown: &str, left_out: impl Fn(&str) -> bool) -> Option<String> {
    let left: Vec<&str> = names(shown).filter(|name| !left_out(name)).collect();
    (!left.is_empty()).then(|| left.join("\n"))
}

/// What every row shares with others, in the place of what it shows: one name for all rows that are connected by images which
/// they show together.
#[must_use]
pub fn connected(shown: &[String]) -> Vec<String> {
    /// The name that stands for `name`: that of the least image that it is connected with.
    fn root<'a>(least: &BTreeMap<&'a str, &'a str>, mut name: &'a str) -> &'a str {
        while let Some(less) = least.get(name) {
            name = less;
        }
        name
    }
    let mut least: BTreeMap<&str, &str> = BTreeMap::new();
    for row in shown {
        let mut of_row = names(row);
        let first = of_row.next().unwrap_or_default();
        for other in of_row {
            let mut both = [first, other].map(|name| root(&least, name));
            both.sort_unstable();
            if both[0] != both[1] {
                least.insert(both[1], both[0]);
            }
        }
    }
    let stands_for = |row: &String| root(&least, names(row).next().unwrap_or_default()).to_owned();
    shown.iter().map(stands_for).collect()
}

/// Writes one name as a text, several as a list.
#[expect(clippy::ref_option, reason = "serde asks for it")]
pub(crate) fn serialize<S: Serializer>(
    shown: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match shown {
        Some(several) if several.contains('\n') => serializer.collect_seq(names(several)),
        one => one.serialize(serializer),
    }
}

/// Reads a name, or a list of names, which may be empty.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    struct Shown;
    impl<'de> Visitor<'de> for Shown {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string with the file name of an image, or a list of such")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
            together(&[name.to_owned()]).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut names = Vec::new();
            while let Some(name) = list.next_element()? {
                names.push(name);
            }
            together(&names).map_err(A::Error::custom)
        }
    }
    deserializer.deserialize_any(Shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conversation;

    fn row(image: &str) -> Result<Conversation, String> {
        let json = format!(r#"{{"id": "r", {image} "conversations": []}}"#);
        serde_json::from_str(&json).map_err(|error| error.to_string())
    }

    #[test]
    fn images_are_read_alone_and_in_lists_and_written_so() {
        for (written, shown, again) in [
            (r#""image": "a.png","#, Some("a.png"), Some("\"a.png\"")),
            (r#""images": ["a.png"],"#, Some("a.png"), Some("\"a.png\"")),
            (
                r#""image": ["a.png", "b c.png"],"#,
                Some("a.png\nb c.png"),
                Some(r#"["a.png","b c.png"]"#),
            ),
            (r#""images": [],"#, None, None),
            (r#""image": null,"#, None, None),
            ("", None, None),
        ] {
            let read = row(written).unwrap();
            assert_eq!(read.image.as_deref(), shown, "{written}");
            let value = serde_json::to_value(&read).unwrap();
            let image = value.get("image").map(ToString::to_string);
            assert_eq!(image.as_deref(), again, "{written}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for (written, words) in [
            (r#""image": ["a.png", ""],"#, "an empty name"),
            (r#""image": "a\nb.png","#, "a line break"),
            (r#""image": ["a\nb.png"],"#, "a line break"),
            (r#""image": 7,"#, "the file name of an image, or a list"),
            (r#""image": [7],"#, "a string"),
            (
                r#""image": "a.png", "images": ["b.png"],"#,
                "duplicate field",
            ),
        ] {
            let message = row(written).unwrap_err();
            assert!(message.contains(words), "{written}: {message}");
        }
    }

    #[test]
    fn rows_that_show_images_together_share_one_name() {
        let shown = ["c", "b\nc", "d", "a\nb", "e\nd", "f"].map(str::to_owned);
        assert_eq!(connected(&shown), ["a", "a", "d", "a", "d", "f"]);
    }
}
