//! Which key does what.

use serde::Serialize;

/// Keys as `KeyboardEvent.key` names them, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// Each with its name in the file.
    pub(super) fn by_name(&self) -> [(&'static str, &str); 10] {
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
}
