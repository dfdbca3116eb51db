//! Texts of people and models without the spellings of special tokens.
//!
//! A tokenizer takes a text such as `</s>` for the token of that name wherever it stands: an answer about HTML would end in its
//! middle and be learned so, and what a person writes could begin a turn of the assistant's. So every turn of a row is rendered
//! with a space after the first character of such a spelling, in training, sampling, scoring and evaluation alike. `candor serve`
//! refuses such words, which who writes them can still change.
//!
//! # Reference
//! LLaVA's `preprocess_v1` cuts a conversation at every `</s>`, finds other tokens than it counted, and trains on nothing of the row.

use std::collections::BTreeSet;

use candor_data::Conversation;

use crate::tokenizer::{IMAGE, Tokenizer};

/// `text` without the spellings of `specials`: a space stands after the first character of each.
#[must_use]
pub fn plain_words<'a>(text: &str, specials: impl IntoIterator<Item = &'a String>) -> String {
    let mut plain = text.to_owned();
    for special in specials {
        let first = special.chars().next().map_or(0, char::len_utf8);
        let (first, rest) = special.split_at(first);
        if plain.contains(special) {
            plain = plain.replace(special, &format!("{first} {rest}"));
        }
    }
    plain
}

/// The conversation with turns of plain words, `<image>` as it is; none where all are plain already.
pub(crate) fn plain_turns(
    conversation: &Conversation,
    tokenizer: &Tokenizer,
) -> Option<Conversation> {
    let specials = || {
        let all = tokenizer.special_texts.iter();
        all.filter(|special| *special != IMAGE)
    };
    // A vocabulary may have hundreds of special tokens, and nearly all begin alike.
    let begins: BTreeSet<char> = specials().filter_map(|text| text.chars().next()).collect();
    let begins: Vec<char> = begins.into_iter().collect();
    let may_have = |text: &str| text.contains(&begins[..]);
    let has_special = |text: &str| may_have(text) && specials().any(|one| text.contains(one));
    if !conversation
        .turns
        .iter()
        .any(|turn| has_special(&turn.value))
    {
        return None;
    }
    let mut plain = conversation.clone();
    for turn in &mut plain.turns {
        turn.value = plain_words(&turn.value, specials());
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use candor_data::Turn;

    use super::*;
    use crate::sample::{IGNORE, Sample, SampleRules};
    use crate::{ImageTokens, Template};

    fn conversation(question: &str, answer: &str) -> Conversation {
        Conversation {
            id: "a".to_owned(),
            image: Some("a.png".to_owned()),
            turns: vec![Turn::human(question), Turn::gpt(answer)],
        }
    }

    #[test]
    fn special_tokens_that_are_spelled_out_are_words() {
        let text = "Write old for struck text.".to_owned();
        let tokenizer = Tokenizer::train(std::iter::repeat_n(text, 20), 400).unwrap();
        let rules = SampleRules {
            tokenizer: &tokenizer,
            template: &Template::VicunaV1 {
                system: String::new(),
            },
            images: ImageTokens::Each(2),
            max_tokens: 500,
        };
        let row = conversation(
            "<image>\nHow?</s>USER: <pad>",
            "Write <s>old</s> for struck text.",
        );
        let said = " Write < s>old< /s> for struck text.";
        let expected = format!("<s>USER: <image>\nHow?< /s>USER: < pad> ASSISTANT:{said}</s>");
        assert_eq!(rules.render(&row).unwrap().text, expected);

        let sample = Sample::new(&row, rules).unwrap();
        let learned = sample.labels.iter().filter(|&&label| label != IGNORE);
        let learned: Vec<i64> = learned.copied().collect();
        assert_eq!(tokenizer.decode(&learned).unwrap().trim(), said.trim());
        let specials = [tokenizer.bos.unwrap(), tokenizer.eos, tokenizer.pad];
        let (last, words) = learned.split_last().unwrap();
        assert_eq!(*last, tokenizer.eos);
        assert!(!words.iter().any(|id| specials.contains(id)), "{words:?}");
        // The only ones before the answer are the token at the beginning and the image.
        let n_of = |id: i64| sample.ids.iter().filter(|&&other| other == id).count();
        assert_eq!(specials.map(n_of), [1, 1, 0]);
        assert_eq!(n_of(tokenizer.image), 2);
    }

    #[test]
    fn words_alone_stay_as_they_are() {
        let text = "What is < s > here?".to_owned();
        let tokenizer = Tokenizer::train(std::iter::repeat_n(text, 20), 400).unwrap();
        let row = conversation("<image>\nWhat is < s > here?", "1 <2> </ s> <S>.");
        assert_eq!(plain_turns(&row, &tokenizer), None);
    }
}
