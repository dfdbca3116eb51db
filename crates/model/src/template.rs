//! From a conversation to the text a model was trained on, and which part of it is the assistant's.
//!
//! The template is Vicuna v1's: a system sentence, then `USER: … ASSISTANT: …</s>` turn after turn. The plain
//! template of projector pretraining is the image followed by its caption.

use candor_data::{Conversation, Speaker};
use serde::{Deserialize, Serialize};

use crate::tokenizer::{BOS, EOS, IMAGE};

/// How turns become text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Template {
    /// `<s>SYSTEM USER: … ASSISTANT: …</s>USER: …`
    VicunaV1 {
        /// The system sentence; may be empty.
        system: String,
    },
    /// `<s><image>caption</s>`; the human turn's words are dropped.
    Plain,
}

/// Rendered text, and the byte ranges in it that the assistant says (its `</s>` included).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// What is trained on.
    pub assistant: Vec<(usize, usize)>,
}

impl Template {
    /// Vicuna v1 with the system sentence of LLaVA v1.5.
    #[must_use]
    pub fn vicuna_v1() -> Self {
        let system = "A chat between a curious user and an artificial intelligence assistant. \
                      The assistant gives helpful, detailed, and polite answers to the user's questions.";
        Self::VicunaV1 {
            system: system.to_owned(),
        }
    }

    /// Renders a conversation. When its last turn is the human's, the text ends where the assistant is about
    /// to speak.
    #[must_use]
    pub fn render(&self, conversation: &Conversation) -> Rendered {
        match self {
            Self::VicunaV1 { system } => vicuna(system, conversation),
            Self::Plain => plain(conversation),
        }
    }
}

fn vicuna(system: &str, conversation: &Conversation) -> Rendered {
    let mut out = Rendered {
        text: BOS.to_owned(),
        assistant: Vec::new(),
    };
    if !system.is_empty() {
        out.text.push_str(system);
        out.text.push(' ');
    }
    let last = conversation.turns.len().saturating_sub(1);
    for (i, turn) in conversation.turns.iter().enumerate() {
        match turn.from {
            Speaker::Human => {
                out.text.push_str("USER: ");
                out.text.push_str(turn.value.trim());
                out.text.push(' ');
                if i == last {
                    out.text.push_str("ASSISTANT:");
                }
            }
            Speaker::Gpt => {
                out.text.push_str("ASSISTANT:");
                out.say(&format!(" {}", turn.value.trim()));
            }
        }
    }
    out
}

fn plain(conversation: &Conversation) -> Rendered {
    let mut out = Rendered {
        text: BOS.to_owned(),
        assistant: Vec::new(),
    };
    if conversation.image.is_some() {
        out.text.push_str(IMAGE);
    }
    for turn in conversation.turns.iter().filter(|t| t.from == Speaker::Gpt) {
        out.say(turn.value.trim());
    }
    out
}

impl Rendered {
    fn say(&mut self, words: &str) {
        let start = self.text.len();
        self.text.push_str(words);
        self.text.push_str(EOS);
        self.assistant.push((start, self.text.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candor_data::Turn;

    fn conversation(turns: &[(Speaker, &str)]) -> Conversation {
        let turns = turns.iter().map(|(from, value)| Turn {
            from: *from,
            value: (*value).to_owned(),
        });
        Conversation {
            id: "x".to_owned(),
            image: Some("x.png".to_owned()),
            turns: turns.collect(),
        }
    }

    #[test]
    fn two_turns_by_vicuna() {
        let c = conversation(&[
            (Speaker::Human, "<image>\nWhat is it?"),
            (Speaker::Gpt, "A dog."),
            (Speaker::Human, "Which colour?"),
            (Speaker::Gpt, "Red."),
        ]);
        let r = Template::VicunaV1 {
            system: "Be kind.".to_owned(),
        }
        .render(&c);
        assert_eq!(
            r.text,
            "<s>Be kind. USER: <image>\nWhat is it? ASSISTANT: A dog.</s>USER: Which colour? ASSISTANT: Red.</s>"
        );
        let said: Vec<&str> = r.assistant.iter().map(|&(a, b)| &r.text[a..b]).collect();
        assert_eq!(said, [" A dog.</s>", " Red.</s>"]);
    }

    #[test]
    fn a_query_ends_where_the_assistant_speaks() {
        let r = Template::VicunaV1 {
            system: String::new(),
        }
        .render(&conversation(&[(Speaker::Human, "Hi")]));
        assert_eq!(r.text, "<s>USER: Hi ASSISTANT:");
        assert!(r.assistant.is_empty());
    }

    #[test]
    fn plain_is_image_and_caption() {
        let r = Template::Plain.render(&conversation(&[
            (Speaker::Human, "Describe."),
            (Speaker::Gpt, "A dog."),
        ]));
        assert_eq!(r.text, "<s><image>A dog.</s>");
        assert_eq!(&r.text[r.assistant[0].0..], "A dog.</s>");
    }
}
