//! Whether a reward model has room for whatever may be answered to a prompt, and what to do where it has none.
//!
//! A response is read within the prompt, its image, the facts and the question about it, and once more where the reward prompt
//! repeats it. Longer sequences than those that the reward model was trained on are refused, so a run that samples looks at its
//! prompts first. Responses are tokenised anew here, and a text may have more tokens than it was sampled as, in the words of another
//! family most of all: what this passes is refused in scoring only for such texts.

use candor_data::rows::{Reason, RowFault};
use candor_model::ModelError;
use candor_model::sample::SampleRules;

use crate::RewardError;
use crate::wording::{Judged, Wording};

const REMEDY: &str = "train the reward model with a larger data.max_tokens, or use shorter answers (sampling.max_new_tokens), smaller \
                      images or fewer facts";

impl Wording {
    /// Whether every response of at most `max_new_tokens` tokens fits into `rules.max_tokens` with all that is put around it. The
    /// conversation of `item` ends in an empty response.
    pub(crate) fn check_room(
        &self,
        item: Judged<'_>,
        rules: SampleRules<'_>,
        max_new_tokens: usize,
    ) -> Result<(), RowFault> {
        let longest = rules.max_tokens;
        let unbounded = SampleRules {
            max_tokens: usize::MAX,
            ..rules
        };
        let around = self.put(item, item.id, unbounded)?.ids.len();
        let (times, read) = if self.prompt.repeats_response() {
            (2, "twice ")
        } else {
            (1, "")
        };
        if around + times * max_new_tokens <= longest {
            return Ok(());
        }
        let found = format!(
            "the reward model reads {around} tokens of prompt, image, facts and question, and {read}sampling.max_new_tokens = \
             {max_new_tokens}, which is more than the {longest} that it was trained on (its data.max_tokens)"
        );
        Err(RowFault::new(
            Reason::TooLong,
            "conversations",
            found,
            REMEDY,
        ))
    }
}

/// The same error; of a response that is too long, with what helps one who scores.
pub(crate) fn advised(error: RewardError) -> RewardError {
    match error {
        RewardError::Model(ModelError::Row { sample, fault }) => {
            let fault = Box::new(fault.advise(Reason::TooLong, REMEDY));
            RewardError::Model(ModelError::Row { sample, fault })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_data::{Conversation, Facts, Turn};
    use candor_model::{ImageTokens, Template, Tokenizer};

    use super::*;
    use crate::prompt::RewardPrompt;
    use crate::wording::{CaptionOrder, Pooling};

    /// What is around an empty response, and 20 tokens more, or 2 · 20 where the response is repeated.
    #[test]
    fn the_longest_answer_fits_to_the_token_once_or_twice() {
        let alphabet: String = ('!'..='~').collect();
        let tokenizer = Tokenizer::train([alphabet].into_iter(), 500).unwrap();
        let template = Template::VicunaV1 {
            system: String::new(),
        };
        let rules = |max_tokens| SampleRules {
            tokenizer: &tokenizer,
            template: &template,
            images: ImageTokens::Each(2),
            max_tokens,
        };
        let empty = Conversation {
            id: "c".to_owned(),
            image: Some("a.png".to_owned()),
            turns: vec![Turn::human("<image>\nWhat is it?"), Turn::gpt("")],
        };
        let facts = Facts {
            captions: vec!["a dog".to_owned()],
            ..Facts::default()
        };
        for (prompt, n_more, words) in [
            ("{facts}\nTrue?", 20, "and sampling.max_new_tokens = 20"),
            (
                "{facts}\nTrue?\nASSISTANT: {response}",
                40,
                "and twice sampling.max_new_tokens = 20",
            ),
        ] {
            let wording = Wording {
                prompt: RewardPrompt::parse(Path::new("p"), prompt).unwrap(),
                bullet: "- ".to_owned(),
                caption_order: CaptionOrder::File,
                pooling: Pooling::LastToken,
            };
            let judged = Judged {
                id: "row",
                conversation: &empty,
                facts: &facts,
            };
            let around = wording.put(judged, "row", rules(500)).unwrap().ids.len();
            let longest = around + n_more;
            let check = |max_tokens| wording.check_room(judged, rules(max_tokens), 20);
            assert!(check(longest).is_ok());
            let fault = check(longest - 1).unwrap_err();
            assert_eq!(fault.reason, Reason::TooLong);
            let limit = format!("more than the {} that", longest - 1);
            for part in [words, limit.as_str()] {
                assert!(fault.found.contains(part), "{}\nlacks {part}", fault.found);
            }
        }
    }
}
