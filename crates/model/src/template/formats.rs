//! The formats of LLaVA's published conversations.
//!
//! Each is the prompt of LLaVA's `conversation.py` with the `<s>` that its tokenizer puts before it. What people and
//! models said is trimmed, and the only image of a turn stands before its words. The assistant's ranges begin after its name, with the space that its first word may own,
//! and end with the token that ends a turn; LLaVA's own labels cover the same words.

use std::borrow::Cow;

use candor_data::{Conversation, Speaker, Turn, shown};

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
        let said: &str = &image_first(turn);
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
        let said: &str = &image_first(turn);
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
        let said: &str = &image_first(turn);
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

/// What is said in a turn. Where it shows one image, that has a line of its own before the words, as `preprocess_multimodal` of
/// LLaVA and of LLaVA-RLHF puts it for fine-tuning, reward model and PPO, and as benchmarks ask. Several images stay where they are:
/// there the authors' code keeps one place of them.
fn image_first(turn: &Turn) -> Cow<'_, str> {
    let said = turn.value.trim();
    let parts: Vec<&str> = said.splitn(3, IMAGE).collect();
    match parts[..] {
        [before, after] => {
            let words = [before, after].concat();
            let placed = [IMAGE, "\n", words.trim()].concat();
            Cow::Owned(placed.trim_end().to_owned())
        }
        _ => Cow::Borrowed(said),
    }
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
    fn the_only_image_of_a_turn_stands_before_its_words() {
        let expected = "<s>USER: <image>\nWhat is it? ASSISTANT: A dog.</s>";
        for asked in [
            "What is it?\n<image>",
            "<image>\nWhat is it?",
            "<image> What is it?",
            " What is<image> it?\n",
        ] {
            let row = conversation(&[Turn::human(asked), Turn::gpt("A dog.")]);
            let r = vicuna_v1("", &row);
            assert_eq!(r.text, expected, "{asked:?}");
            assert_eq!(said(&r), [" A dog.</s>"]);
        }
        let last = conversation(&[Turn::human("Hi. <image>")]);
        assert_eq!(llama_2("", &last).text, "<s>[INST] <image>\nHi. [/INST]");
        let marked = "<|im_start|>user\n<image>\nHi.<|im_end|>";
        let [begun, ended] = [chatml("", &last).text, qwen("", &last).text];
        assert_eq!(begun, format!("<s>{marked}<|im_start|>assistant\n"));
        assert_eq!(ended, format!("{marked}\n<|im_start|>assistant\n"));
        // With no words there is no line to end, and several images have their places.
        for (asked, shown) in [
            ("<image>\n", "<image>"),
            ("Is <image> in <image>?", "Is <image> in <image>?"),
            ("<image>\n<image>\nHi.", "<image>\n<image>\nHi."),
        ] {
            let row = conversation(&[Turn::human(asked)]);
            let expected = format!("<s>USER: {shown} ASSISTANT:");
            assert_eq!(vicuna_v1("", &row).text, expected);
        }
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
