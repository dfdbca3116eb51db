//! The formats of LLaVA's published conversations.
//!
//! Each is the prompt of LLaVA's `conversation.py` with the `<s>` that its tokenizer puts before it. What people and
//! models said is trimmed. The assistant's ranges begin after its name, with the space that its first word may own,
//! and end with the token that ends a turn; LLaVA's own labels cover the same words.

use candor_data::{Conversation, Speaker, shown};

use super::Rendered;
use crate::tokenizer::{BOS, EOS, IMAGE};

const TURN_END: &str = "<|im_end|>";

/// `v1`.
pub(super) fn vicuna_v1(system: &str, conversation: &Conversation) -> Rendered {
    let mut out = Rendered::begin();
    if !system.is_empty() {
        out.put(&[system, " "]);
    }
    for turn in &conversation.turns {
        let said = turn.value.trim();
        match turn.from {
            Speaker::Human => out.put(&["USER: ", said, " "]),
            Speaker::Gpt => {
                out.put(&["ASSISTANT:"]);
                out.say(&[" ", said, EOS]);
            }
        }
    }
    if awaits_assistant(conversation) {
        out.put(&["ASSISTANT:"]);
    }
    out
}

/// `llava_llama_2`: the system sentence stands in the first human turn, and every human turn begins a sequence.
pub(super) fn llama_2(system: &str, conversation: &Conversation) -> Rendered {
    let mut out = Rendered::default();
    for (i, turn) in conversation.turns.iter().enumerate() {
        let said = turn.value.trim();
        match turn.from {
            Speaker::Human => {
                out.put(&[BOS, "[INST] "]);
                if i == 0 && !system.is_empty() {
                    out.put(&["<<SYS>>\n", system, "\n<</SYS>>\n\n"]);
                }
                out.put(&[said, " [/INST]"]);
            }
            Speaker::Gpt => out.say(&[" ", said, " ", EOS]),
        }
    }
    out
}

/// `mpt`.
pub(super) fn chatml(system: &str, conversation: &Conversation) -> Rendered {
    marked_turns(Rendered::begin(), "", system, conversation)
}

/// `qwen_1_5`: nothing at the beginning, and a new line after every turn.
pub(super) fn qwen(system: &str, conversation: &Conversation) -> Rendered {
    marked_turns(Rendered::default(), "\n", system, conversation)
}

/// Turns between `<|im_start|>` and `<|im_end|>`, with `after` after each.
fn marked_turns(
    mut out: Rendered,
    after: &str,
    system: &str,
    conversation: &Conversation,
) -> Rendered {
    if !system.is_empty() {
        out.put(&["<|im_start|>system\n", system, TURN_END, after]);
    }
    for turn in &conversation.turns {
        let said = turn.value.trim();
        match turn.from {
            Speaker::Human => out.put(&["<|im_start|>user\n", said, TURN_END, after]),
            Speaker::Gpt => {
                out.put(&["<|im_start|>assistant\n"]);
                out.say(&[said, TURN_END]);
                out.put(&[after]);
            }
        }
    }
    if awaits_assistant(conversation) {
        out.put(&["<|im_start|>assistant\n"]);
    }
    out
}

/// `plain`, which projectors are pretrained with.
pub(super) fn plain(conversation: &Conversation) -> Rendered {
    let mut out = Rendered::begin();
    for _ in 0..shown::count(conversation.image.as_deref()) {
        out.put(&[IMAGE]);
    }
    for turn in &conversation.turns {
        if turn.from == Speaker::Gpt {
            out.say(&[turn.value.trim(), EOS]);
        }
    }
    out
}

/// Whether it is the assistant's turn to speak.
pub(super) fn awaits_assistant(conversation: &Conversation) -> bool {
    let last = conversation.turns.last();
    last.is_some_and(|turn| turn.from == Speaker::Human)
}

impl Rendered {
    fn begin() -> Self {
        Self {
            text: BOS.to_owned(),
            assistant: Vec::new(),
        }
    }

    fn put(&mut self, words: &[&str]) {
        self.text.extend(words.iter().copied());
    }

    fn say(&mut self, words: &[&str]) {
        let start = self.text.len();
        self.put(words);
        self.assistant.push((start, self.text.len()));
    }
}

#[cfg(test)]
mod tests {
    use candor_data::Turn;

    use super::*;

    fn conversation(turns: &[Turn]) -> Conversation {
        Conversation {
            id: "x".to_owned(),
            image: Some("x.png".to_owned()),
            turns: turns.to_vec(),
        }
    }

    fn two_rounds() -> Conversation {
        conversation(&[
            Turn::human("<image>\nWhat is it?"),
            Turn::gpt("A dog."),
            Turn::human("Which colour? "),
            Turn::gpt("Red."),
        ])
    }

    fn said(rendered: &Rendered) -> Vec<&str> {
        let ranges = rendered.assistant.iter();
        ranges.map(|&(a, b)| &rendered.text[a..b]).collect()
    }

    #[test]
    fn vicuna_has_a_space_after_each_human_turn() {
        let r = vicuna_v1("Be kind.", &two_rounds());
        assert_eq!(
            r.text,
            "<s>Be kind. USER: <image>\nWhat is it? ASSISTANT: A dog.</s>USER: Which colour? ASSISTANT: Red.</s>"
        );
        assert_eq!(said(&r), [" A dog.</s>", " Red.</s>"]);
    }

    #[test]
    fn llama_2_puts_the_system_sentence_into_the_first_turn() {
        let r = llama_2("Be kind.", &two_rounds());
        assert_eq!(
            r.text,
            "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n<image>\nWhat is it? [/INST] A dog. </s>\
             <s>[INST] Which colour? [/INST] Red. </s>"
        );
        assert_eq!(said(&r), [" A dog. </s>", " Red. </s>"]);
    }

    #[test]
    fn chatml_has_no_new_line_between_turns() {
        let r = chatml("Be kind.", &two_rounds());
        assert_eq!(
            r.text,
            "<s><|im_start|>system\nBe kind.<|im_end|><|im_start|>user\n<image>\nWhat is it?<|im_end|>\
             <|im_start|>assistant\nA dog.<|im_end|><|im_start|>user\nWhich colour?<|im_end|>\
             <|im_start|>assistant\nRed.<|im_end|>"
        );
        assert_eq!(said(&r), ["A dog.<|im_end|>", "Red.<|im_end|>"]);
    }

    #[test]
    fn qwen_ends_lines_that_nobody_says_and_begins_with_the_first_turn() {
        let r = qwen("Be kind.", &two_rounds());
        assert_eq!(
            r.text,
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n<image>\nWhat is it?<|im_end|>\n\
             <|im_start|>assistant\nA dog.<|im_end|>\n<|im_start|>user\nWhich colour?<|im_end|>\n\
             <|im_start|>assistant\nRed.<|im_end|>\n"
        );
        assert_eq!(said(&r), ["A dog.<|im_end|>", "Red.<|im_end|>"]);
    }

    #[test]
    fn a_query_ends_where_the_assistant_speaks() {
        let query = conversation(&[Turn::human("Hi")]);
        assert_eq!(vicuna_v1("", &query).text, "<s>USER: Hi ASSISTANT:");
        assert_eq!(llama_2("", &query).text, "<s>[INST] Hi [/INST]");
        assert_eq!(
            chatml("", &query).text,
            "<s><|im_start|>user\nHi<|im_end|><|im_start|>assistant\n"
        );
        assert!(vicuna_v1("", &query).assistant.is_empty());
    }

    #[test]
    fn plain_is_image_and_caption() {
        let r = plain(&conversation(&[
            Turn::human("Describe."),
            Turn::gpt("A dog."),
        ]));
        assert_eq!(r.text, "<s><image>A dog.</s>");
        assert_eq!(said(&r), ["A dog.</s>"]);
    }
}
