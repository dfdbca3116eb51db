//! Which key does what.

use serde::{Deserialize, Serialize};

use super::mistake::Found;

/// Keys as `KeyboardEvent.key` names them, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Pick the left answer.
    pub a: String,
    /// Pick the right answer.
    pub b: String,
    /// Equal, or cannot tell.
    pub tie: String,
    /// Skip the item.
    pub skip: String,
    /// Flag the item.
    pub flag: String,
    /// Take the last answer back.
    pub undo: String,
    /// Mark false words.
    pub mark: String,
    /// Show the keys.
    pub help: String,
    /// Highlight the differences between the answers.
    pub diff: String,
    /// Send the answer.
    pub submit: String,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            a: "1".into(),
            b: "2".into(),
            tie: "0".into(),
            skip: "s".into(),
            flag: "f".into(),
            undo: "z".into(),
            mark: "m".into(),
            help: "?".into(),
            diff: "d".into(),
            submit: "enter".into(),
        }
    }
}

impl Keys {
    fn by_name(&self) -> [(&'static str, &str); 10] {
        [
            ("a", &self.a),
            ("b", &self.b),
            ("tie", &self.tie),
            ("skip", &self.skip),
            ("flag", &self.flag),
            ("undo", &self.undo),
            ("mark", &self.mark),
            ("help", &self.help),
            ("diff", &self.diff),
            ("submit", &self.submit),
        ]
    }

    /// What is wrong with keys that cannot be used.
    pub(super) fn mistakes(&self) -> Vec<Found> {
        let keys = self.by_name();
        let mut found = Vec::new();
        for (i, (name, key)) in keys.iter().enumerate() {
            let mut refuse = |problem: String, remedy| {
                found.push(Found::new(&format!("keys.{name}"), problem, remedy));
            };
            if key.is_empty() || key.chars().any(char::is_uppercase) {
                refuse(
                    format!("found {key:?}"),
                    "give the lower-case name of a key",
                );
            }
            if matches!(*key, "tab" | "escape" | " ") {
                let problem = format!("{key:?} is what people without a mouse need to move about");
                refuse(problem, "give another key");
            }
            if let Some((first, _)) = keys[..i].iter().find(|(_, other)| other == key) {
                let problem = format!("{key:?} is that of keys.{first} too");
                refuse(problem, "give one of them another key");
            }
        }
        found
    }
}
