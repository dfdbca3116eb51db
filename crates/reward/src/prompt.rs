//! The reward prompt: the human turn after a response that asks for a judgement, with or without the facts.
//!
//! It is a text file, so that the wording is the user's to choose. A slot `{facts}` says where the facts go; a
//! prompt without the slot makes a reward model that judges without them, which is the paper's control. A line
//! that starts with `ASSISTANT:` splits what the human says from how the assistant's reply begins: the score is
//! read in the assistant's words or right behind them, so they are part of the prompt.
//!
//! The assistant's words may hold a slot `{response}`, which repeats the response after the facts. A decoder reads
//! in one direction: while it reads the response itself it has not seen the facts yet, and can hold the two
//! against each other only at the tokens after them. With the response once more, each of its words has a token
//! at which both are in view.
//!
//! # Reference
//! REFERENCE.md, section 3. The reference's file names its slot otherwise; an unknown slot is refused with the
//! name that candor wants, rather than being read as words.

use std::ops::Range;
use std::path::Path;

use crate::RewardError;

/// Where the response is repeated.
const RESPONSE: &str = "{response}";
/// Where the facts go.
const SLOT: &str = "{facts}";
/// What may stand before the human's words.
const HUMAN: &str = "USER:";
/// What begins the line with the assistant's words.
const ASSISTANT: &str = "ASSISTANT:";

/// A prompt that asks for a judgement of the last response.
/// The default is an empty prompt, which stands in where a recipe's own is a mistake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RewardPrompt {
    text: String,
    /// The human turn, in the two parts around the slot, if there is one.
    human: (String, Option<String>),
    begins: String,
}

impl RewardPrompt {
    /// Reads a prompt file.
    ///
    /// # Errors
    /// The file cannot be read, or is no prompt ([`RewardPrompt::parse`]).
    pub fn open(path: &Path) -> Result<Self, RewardError> {
        let text = std::fs::read_to_string(path).map_err(|e| RewardError::Prompt {
            path: path.to_owned(),
            problem: format!("cannot be read: {e}"),
            remedy: "name a text file in UTF-8",
        })?;
        Self::parse(path, &text)
    }

    /// Parses the text of a prompt; `path` is its name in messages.
    ///
    /// # Errors
    /// The human turn is empty, there are two slots of a kind or two `ASSISTANT:` lines, a slot is in the other
    /// speaker's words, or there is a slot by another name.
    pub fn parse(path: &Path, text: &str) -> Result<Self, RewardError> {
        let refuse = |problem: String, remedy| RewardError::Prompt {
            path: path.to_owned(),
            problem,
            remedy,
        };
        if let Some(name) = unknown_slot(text) {
            let problem = format!("there is a slot `{name}`");
            let remedy = "the slot for the facts is `{facts}`, the one that repeats the response `{response}`";
            return Err(refuse(problem, remedy));
        }
        let n_slots = text.matches(SLOT).count();
        if n_slots > 1 {
            let problem = format!("{n_slots} slots `{SLOT}`");
            return Err(refuse(problem, "the facts are shown once; keep one slot"));
        }
        let (human, begins) = split(text).ok_or_else(|| {
            refuse(
                format!("several lines start with `{ASSISTANT}`"),
                "keep one",
            )
        })?;
        if begins.contains(SLOT) {
            let problem = format!("the slot `{SLOT}` is in the assistant's words");
            return Err(refuse(problem, "move it before the line `ASSISTANT:`"));
        }
        if human.contains(RESPONSE) || begins.matches(RESPONSE).count() > 1 {
            return Err(refuse(
                format!("a slot `{RESPONSE}` before the line `{ASSISTANT}`, or twice after it"),
                "the response is repeated in the assistant's words, once",
            ));
        }
        let human = human.trim();
        let human = human.strip_prefix(HUMAN).unwrap_or(human).trim();
        if human.is_empty() {
            return Err(refuse(
                "the human says nothing".to_owned(),
                "write what the reward model is asked, before the line `ASSISTANT:` if there is one",
            ));
        }
        let human = match human.split_once(SLOT) {
            Some((before, after)) => (before.to_owned(), Some(after.to_owned())),
            None => (human.to_owned(), None),
        };
        Ok(Self {
            text: text.to_owned(),
            human,
            begins: begins.trim().to_owned(),
        })
    }

    /// Whether the facts are shown.
    #[must_use]
    pub fn with_facts(&self) -> bool {
        self.human.1.is_some()
    }

    /// The human turn; each fact takes a line that begins with `bullet`.
    pub fn human<'a>(&self, bullet: &str, facts: impl IntoIterator<Item = &'a str>) -> String {
        let (before, after) = &self.human;
        let Some(after) = after else {
            return before.clone();
        };
        let lines: Vec<String> = facts
            .into_iter()
            .map(|fact| format!("{bullet}{}", fact.trim()))
            .collect();
        format!("{before}{}{after}", lines.join("\n"))
    }

    /// Whether the assistant repeats the response.
    #[must_use]
    pub fn repeats_response(&self) -> bool {
        self.begins.contains(RESPONSE)
    }

    /// How the assistant's reply begins, which may be empty, and which bytes of it are the response.
    #[must_use]
    pub fn begins(&self, response: &str) -> (String, Option<Range<usize>>) {
        let at = self.begins.find(RESPONSE);
        let repeated = at.map(|start| start..start + response.len());
        (self.begins.replacen(RESPONSE, response, 1), repeated)
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What is before the assistant's line, and the assistant's words; `None` if there are several such lines.
fn split(text: &str) -> Option<(String, String)> {
    let (mut human, mut begins) = (String::new(), None::<String>);
    for line in text.lines() {
        match (&mut begins, line.trim_start().strip_prefix(ASSISTANT)) {
            (Some(_), Some(_)) => return None,
            (None, Some(rest)) => begins = Some(rest.trim().to_owned()),
            (Some(words), None) => *words = format!("{words}\n{line}"),
            (None, None) => human = format!("{human}{line}\n"),
        }
    }
    Some((human, begins.unwrap_or_default()))
}

/// A `{name}` that is not the slot.
fn unknown_slot(text: &str) -> Option<String> {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .find(|name| is_name(name) && !["facts", "response"].contains(name))
        .map(|name| format!("{{{name}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RewardPrompt, String> {
        RewardPrompt::parse(Path::new("p.txt"), text).map_err(|e| e.to_string())
    }

    #[test]
    fn facts_take_a_line_each_where_the_slot_is() {
        let prompt = parse("Facts:\n{facts}\nIs the statement true?\n").unwrap();
        assert!(prompt.with_facts());
        assert_eq!(
            prompt.human("- ", ["a red dog", " a tree\n"]),
            "Facts:\n- a red dog\n- a tree\nIs the statement true?"
        );
        assert_eq!(prompt.begins("A dog."), (String::new(), None));
        // What stands in a fact is never taken for a slot.
        assert!(prompt.human("", ["{facts}"]).contains("{facts}"));
    }

    #[test]
    fn without_a_slot_nothing_is_shown() {
        let prompt = parse("Is the statement true?").unwrap();
        assert!(!prompt.with_facts());
        assert_eq!(prompt.human("- ", ["a dog"]), "Is the statement true?");
    }

    #[test]
    fn the_speakers_names_split_the_turns() {
        let prompt = parse(" USER: Rate it.\n{facts}\n\nASSISTANT: The score\nis:  \n").unwrap();
        assert_eq!(prompt.human("  - ", ["a"]), "Rate it.\n  - a");
        assert_eq!(prompt.begins("A dog.").0, "The score\nis:");
        let silent = parse("Rate it.\r\nASSISTANT:").unwrap();
        assert_eq!(silent.begins("A dog."), (String::new(), None));
        // Only a line that starts with the name is the assistant's.
        let talk = parse("Rate what the ASSISTANT: said.").unwrap();
        assert_eq!(talk.human("", []), "Rate what the ASSISTANT: said.");
    }

    #[test]
    fn the_assistant_may_repeat_the_response() {
        let prompt = parse("{facts}\nTrue?\nASSISTANT: Look: {response}").unwrap();
        assert_eq!(
            prompt.begins("A dog."),
            ("Look: A dog.".to_owned(), Some(6..12))
        );
        assert_eq!(prompt.human("", ["a"]), "a\nTrue?");
    }

    #[test]
    fn what_is_no_prompt_is_refused_with_the_remedy() {
        for (text, word) in [
            ("", "nothing"),
            ("USER:  \nASSISTANT: The score is", "nothing"),
            ("{facts} and {facts}", "2 slots"),
            ("{factual_prompt} Rate it.", "`{factual_prompt}`"),
            ("Rate it.\nASSISTANT: by {facts}", "assistant's words"),
            ("Rate it.\nASSISTANT: a\nASSISTANT: b", "several"),
            ("Rate {response}.", "repeated"),
            ("Rate it.\nASSISTANT: {response} {response}", "repeated"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(
                message.contains(word) && message.contains("p.txt"),
                "{text:?}: {message}"
            );
        }
        assert!(parse("Use {} and { x y } freely.").is_ok());
        let message = RewardPrompt::open(Path::new("no/such.txt"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("no/such.txt"), "{message}");
    }
}
