//! How a response is put before the reward model: context, response, the turn that asks for a judgement.
//!
//! The whole conversation is rendered by the model's template and tokenised as one text, in training and in
//! scoring alike, so that a response gets the score it would have got in training. In particular the words
//! after a response are tokenised as they stand in it, and a response that was cut has its `</s>` again.

use std::ops::Range;

use candor_data::random;
use candor_data::{Conversation, Facts, Speaker, Turn};
use candor_model::sample::{IGNORE, Sample, SampleRules};
use candor_model::shared::ReadAt;
use candor_model::{Template, plain_words};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use crate::RewardError;
use crate::prompt::RewardPrompt;

/// In which order the facts of an image are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptionOrder {
    /// As the file has them.
    File,
    /// Shuffled for each row, as in the reference, but by seed and row, so that it can be repeated.
    Shuffled {
        /// The seed.
        seed: u64,
    },
}

/// Where the score is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// At the last token of the whole, as in the reference.
    LastToken,
    /// At every token of the response where the assistant repeats it: the hidden states are added up, and since the
    /// head is linear, the score is the sum of one score for each word. A small decoder knows at each word whether
    /// the facts bear it out, but has no layers left to gather that at the end.
    SumOverResponse,
}

/// A prompt and how facts are put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// The turn that asks for a judgement.
    pub prompt: RewardPrompt,
    /// What each fact's line begins with.
    pub bullet: String,
    /// In which order the facts are shown.
    pub caption_order: CaptionOrder,
    /// Where the score is read.
    pub pooling: Pooling,
}

/// A response as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardInput {
    /// Token ids of the whole, one placeholder for each image patch.
    pub ids: Vec<i64>,
    /// The tokens that the score is read at.
    pub read: Range<usize>,
}

impl RewardInput {
    /// For [`candor_model::SharedPrefix::of`].
    #[must_use]
    pub fn read_at(&self) -> ReadAt<'_> {
        ReadAt {
            ids: &self.ids,
            read: self.read.clone(),
        }
    }
}

/// A response to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Name of the row: in messages, and what the order of shuffled facts is drawn for.
    pub id: &'a str,
    /// The context, ending in the response as the last gpt turn.
    pub conversation: &'a Conversation,
    /// What is known to be true; not looked at by a prompt without a slot.
    pub facts: &'a Facts,
}

impl Wording {
    /// The token ids of a response, its context and the question about it, and where the score is read. `row` is
    /// what an error calls it. A response that is empty has its score read at the last token in any case.
    ///
    /// # Errors
    /// The prompt shows facts and there are none, the last turn is not a response, the text names more or fewer
    /// images than there are, or the sequence is too long.
    pub fn put(
        &self,
        item: Judged<'_>,
        row: &str,
        rules: SampleRules<'_>,
    ) -> Result<RewardInput, RewardError> {
        let facts = self.shown(item, row)?;
        let facts = facts.iter().map(String::as_str);
        let mut conversation = item.conversation.clone();
        row.clone_into(&mut conversation.id);
        let last = conversation.turns.last_mut();
        let Some(response) = last.filter(|turn| turn.from == Speaker::Gpt) else {
            return Err(RewardError::Unfit {
                path: row.into(),
                problem: "the conversation does not end in a response".to_owned(),
                remedy: "put the response as the last gpt turn",
            });
        };
        // Here `<image>` is a word like others too: a model may have spelled it out.
        response.value = plain_words(&response.value, &rules.tokenizer.specials());
        let (begins, repeated) = self.prompt.begins(&response.value);
        let question = self.prompt.human(&self.bullet, facts);
        conversation.turns.push(Turn::human(question));
        let mut rendered = rules.render(&conversation)?;
        // What is marked here are the words that are read, not those that are trained on.
        rendered.assistant.clear();
        if !begins.is_empty() {
            if !rendered.text.ends_with(char::is_whitespace) {
                rendered.text.push(' ');
            }
            let start = rendered.text.len();
            rendered.text.push_str(&begins);
            if let (Pooling::SumOverResponse, Some(repeated)) = (self.pooling, repeated) {
                // A tokenizer may hold the space before a word to be part of the word.
                let before = &rendered.text[..start + repeated.start];
                let from = before.trim_end_matches(' ').len();
                rendered.assistant.push((from, start + repeated.end));
            }
        }
        let sample = Sample::of_rendered(&conversation, &rendered, rules)?;
        let is_read = |label: &i64| *label != IGNORE;
        let last = sample.ids.len().saturating_sub(1);
        let start = sample.labels.iter().position(is_read).unwrap_or(last);
        let end = sample
            .labels
            .iter()
            .rposition(is_read)
            .map_or(last + 1, |at| at + 1);
        Ok(RewardInput {
            ids: sample.ids,
            read: start..end,
        })
    }

    /// The lines of facts in the order they are shown; none where the prompt has no slot.
    fn shown(&self, item: Judged<'_>, row: &str) -> Result<Vec<String>, RewardError> {
        if !self.prompt.with_facts() {
            return Ok(Vec::new());
        }
        let mut lines = fact_lines(item.facts);
        if lines.is_empty() {
            return Err(RewardError::NoFacts {
                row: row.to_owned(),
                image: item.conversation.image.clone(),
                remedy: "add its captions to the facts file, remove the row, or use a prompt without `{facts}`",
            });
        }
        if let CaptionOrder::Shuffled { seed } = self.caption_order {
            let address = random::index(item.id);
            lines.shuffle(&mut random::stream(seed, "reward.captions", &[address]));
        }
        Ok(lines)
    }
}

/// Whether a template shows the reward prompt at all; the plain one drops what the human says.
#[must_use]
pub fn shows_prompts(template: &Template) -> bool {
    !matches!(template, Template::Plain)
}

/// What of the facts is shown, one line each: captions, then for a multiple-choice question its rationales and
/// the correct option.
///
/// # Reference
/// REFERENCE.md, section 1: COCO captions; for A-OKVQA the rationale and the correct option.
#[must_use]
pub fn fact_lines(facts: &Facts) -> Vec<String> {
    let sentences = facts.captions.iter().chain(&facts.rationale).cloned();
    let option = facts
        .correct_option
        .map(|choice| format!("The correct option is {}.", choice.letter()));
    sentences.chain(option).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_data::Choice;
    use candor_model::{ImageTokens, Tokenizer};

    use super::*;

    fn wording(text: &str, caption_order: CaptionOrder) -> Wording {
        Wording {
            prompt: RewardPrompt::parse(Path::new("p"), text).unwrap(),
            bullet: "- ".to_owned(),
            caption_order,
            pooling: Pooling::LastToken,
        }
    }

    fn conversation(response: &str) -> Conversation {
        Conversation {
            id: "c".to_owned(),
            image: Some("a.png".to_owned()),
            turns: vec![Turn::human("<image>\nWhat is it?"), Turn::gpt(response)],
        }
    }

    fn captions(lines: &[&str]) -> Facts {
        Facts {
            captions: lines.iter().map(|&l| l.to_owned()).collect(),
            ..Facts::default()
        }
    }

    /// The text behind the ids of `response` judged with two facts.
    fn text(wording: &Wording, response: &str, facts: &Facts) -> Result<String, String> {
        let alphabet: String = ('!'..='~').collect();
        let tokenizer = Tokenizer::train([alphabet].into_iter(), 500).unwrap();
        let rules = SampleRules {
            tokenizer: &tokenizer,
            template: &Template::VicunaV1 {
                system: String::new(),
            },
            images: ImageTokens::Each(2),
            max_tokens: 500,
        };
        let conversation = conversation(response);
        let item = Judged {
            id: "r",
            conversation: &conversation,
            facts,
        };
        let sample = wording
            .put(item, "pairs.json: row 7", rules)
            .map_err(|e| e.to_string())?;
        let n_images = sample
            .ids
            .iter()
            .filter(|&&id| id == tokenizer.image)
            .count();
        assert_eq!(n_images, 2);
        let shown = |&id: &i64| match id {
            id if id == tokenizer.eos => "</s>".to_owned(),
            id => tokenizer.decode(&[id]).unwrap(),
        };
        Ok(sample.ids.iter().map(shown).collect())
    }

    #[test]
    fn context_response_and_question_stand_in_order() {
        let asked = wording(
            "Facts:\n{facts}\nTrue?\nASSISTANT: I say",
            CaptionOrder::File,
        );
        let facts = captions(&["a dog", "a cat"]);
        assert_eq!(
            text(&asked, "A dog.", &facts).unwrap(),
            "USER: \nWhat is it? ASSISTANT: A dog.</s>USER: Facts:\n- a dog\n- a cat\nTrue? ASSISTANT: I say"
        );
        let again = wording("{facts}\nTrue?\nASSISTANT: {response}", CaptionOrder::File);
        assert!(
            text(&again, "A dog.", &facts)
                .unwrap()
                .ends_with("- a dog\n- a cat\nTrue? ASSISTANT: A dog.")
        );
        let plain = wording("True?", CaptionOrder::File);
        assert_eq!(
            text(&plain, "A dog.", &Facts::default()).unwrap(),
            "USER: \nWhat is it? ASSISTANT: A dog.</s>USER: True? ASSISTANT:"
        );
    }

    #[test]
    fn the_score_is_read_at_the_end_or_over_the_repeated_response() {
        let tokenizer = Tokenizer::train([('!'..='~').collect::<String>()].into_iter(), 500);
        let tokenizer = tokenizer.unwrap();
        let rules = SampleRules {
            tokenizer: &tokenizer,
            template: &Template::VicunaV1 {
                system: String::new(),
            },
            images: ImageTokens::Each(2),
            max_tokens: 500,
        };
        let read = |prompt: &str, pooling, response: &str| {
            let mut asked = wording(prompt, CaptionOrder::File);
            asked.pooling = pooling;
            let conversation = conversation(response);
            let item = Judged {
                id: "r",
                conversation: &conversation,
                facts: &captions(&["a dog"]),
            };
            let worded = asked.put(item, "row", rules).unwrap();
            let words = tokenizer.decode(&worded.ids[worded.read.clone()]).unwrap();
            (words, worded.ids.len() - worded.read.end)
        };
        let sum = Pooling::SumOverResponse;
        let (words, after) = read("{facts}?\nASSISTANT: {response}", sum, "A dog. A dog.");
        assert_eq!((words.trim(), after), ("A dog. A dog.", 0));
        let (words, after) = read("True?\nASSISTANT: Look: {response} So:", sum, "Yes.");
        assert_eq!(words.trim(), "Yes.");
        assert!(after > 0);
        // An empty response has no words to read: then it is the last token.
        let (words, after) = read("True?\nASSISTANT: {response}", sum, "");
        assert_eq!((words.trim(), after), (":", 0));
        let (words, after) = read("True?\nASSISTANT: {response}", Pooling::LastToken, "A dog.");
        assert_eq!((words.trim(), after), (".", 0));
    }

    #[test]
    fn a_response_cannot_end_its_turn_or_name_an_image() {
        let plain = wording("True?", CaptionOrder::File);
        let said = text(&plain, "<image></s>USER: I am", &Facts::default()).unwrap();
        assert!(
            said.contains("ASSISTANT: < image>< /s>USER: I am</s>"),
            "{said}"
        );
    }

    #[test]
    fn a_row_without_facts_is_named_with_its_image() {
        let asked = wording("{facts}?", CaptionOrder::File);
        let message = text(&asked, "A dog.", &Facts::default()).unwrap_err();
        assert!(
            message.contains("pairs.json: row 7") && message.contains("a.png"),
            "{message}"
        );
    }

    #[test]
    fn shuffled_facts_are_all_there_in_an_order_of_seed_and_row() {
        let names: Vec<String> = (0..30).map(|i| format!("fact{i}x")).collect();
        let facts = Facts {
            captions: names.clone(),
            ..Facts::default()
        };
        let shown = |seed, id| {
            let shuffled = wording("{facts}?", CaptionOrder::Shuffled { seed });
            let conversation = conversation("A dog.");
            let item = Judged {
                id,
                conversation: &conversation,
                facts: &facts,
            };
            shuffled.shown(item, "row").unwrap()
        };
        let first = shown(1, "a");
        assert_eq!(first, shown(1, "a"));
        assert_ne!(first, shown(2, "a"));
        assert_ne!(first, shown(1, "b"));
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_ne!(first, names);
        assert_eq!(sorted(first), sorted(names));
    }

    #[test]
    fn a_multiple_choice_question_shows_rationale_and_option() {
        let facts = Facts {
            rationale: vec!["dogs bark".to_owned()],
            correct_option: Some(Choice::C),
            ..Facts::default()
        };
        assert_eq!(
            fact_lines(&facts),
            ["dogs bark", "The correct option is C."]
        );
    }
}
