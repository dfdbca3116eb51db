//! Fields of a row that its format has no meaning for, so that what a reader drops can be told.

use std::collections::BTreeSet;

use serde_json::Value;

/// Fields by their paths, such as `messages[].content[].text`. All that is below `sampling.*` is known.
pub(super) struct Known(BTreeSet<String>);

impl Known {
    /// These fields, and in each of `texts` a text or a list of messages.
    pub(super) fn new(fields: &[&str], texts: &[&str]) -> Self {
        const OF_MESSAGES: [&str; 5] = [
            "",
            "[].role",
            "[].content",
            "[].content[].type",
            "[].content[].text",
        ];
        const OF_IMAGES: [&str; 3] = ["", ".path", ".url"];
        let mut paths: BTreeSet<String> = fields.iter().map(ToString::to_string).collect();
        for text in texts {
            paths.extend(OF_MESSAGES.map(|path| format!("{text}{path}")));
            for name in ["image", "path", "url", "image_url"] {
                let part = format!("{text}[].content[].{name}");
                paths.extend(OF_IMAGES.map(|path| format!("{part}{path}")));
            }
        }
        Self(paths)
    }

    /// Notes the fields of a row that are not known and say something.
    pub(super) fn unread(&self, row: &Value, found: &mut BTreeSet<String>) {
        self.below("", row, found);
    }

    fn below(&self, at: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                    let path = match at {
                        "" => name.clone(),
                        at => format!("{at}.{name}"),
                    };
                    if self.0.contains(&path) {
                        self.below(&path, value, found);
                    } else if !self.0.contains(&format!("{path}.*")) {
                        found.insert(path);
                    }
                }
            }
            Value::Array(values) => {
                let path = format!("{at}[]");
                for value in values {
                    self.below(&path, value, found);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_is_named_by_its_path() {
        let known = Known::new(&["id", "turns", "turns[].from", "sampling.*"], &["prompt"]);
        let row = json!({
            "id": 7,
            "score": 0.5,
            "nothing": null,
            "turns": [{"from": "human"}, {"from": "gpt", "weight": 1}],
            "sampling": {"seed": 1},
            "prompt": [{"role": "user", "name": "anna", "content": [{"type": "image", "path": "a.png", "alt": "a cat"}]}],
        });
        let mut found = BTreeSet::new();
        known.unread(&row, &mut found);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(
            found,
            [
                "prompt[].content[].alt",
                "prompt[].name",
                "score",
                "turns[].weight"
            ]
        );
    }
}
