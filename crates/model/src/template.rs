//! From a conversation to the text a model was trained on, and which part of it is the assistant's.
//!
//! LLaVA's own formats are written here as code (`formats`); a checkpoint of Hugging Face's brings its format as a
//! Jinja template, which is run ([`ChatTemplate`]). Either way the text has everything that a tokenizer would add, the
//! token at the beginning above all, because tokenising adds nothing.

use std::path::Path;

use candor_data::Conversation;
use serde::{Deserialize, Serialize};

use crate::ModelError;

mod as_jinja;
mod chat;
mod folder;
mod formats;
mod jinja;
mod methods;

pub use chat::ChatTemplate;

/// How turns become text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Template {
    /// `<s>SYSTEM USER: … ASSISTANT: …</s>USER: …`
    VicunaV1 {
        /// The system sentence; may be empty.
        system: String,
    },
    /// `<s>[INST] <<SYS>>\nSYSTEM\n<</SYS>>\n\n… [/INST] … </s><s>[INST] …`
    #[serde(rename = "llama_2")]
    Llama2 {
        /// The system sentence; may be empty.
        system: String,
    },
    /// `<s><|im_start|>system\nSYSTEM<|im_end|><|im_start|>user\n…<|im_end|><|im_start|>assistant\n…<|im_end|>`, in
    /// LLaVA's spelling, which has no new line after `<|im_end|>`.
    Chatml {
        /// The system sentence; may be empty.
        system: String,
    },
    /// `<|im_start|>system\nSYSTEM<|im_end|>\n<|im_start|>user\n…<|im_end|>\n<|im_start|>assistant\n…<|im_end|>\n`, without a
    /// token at the beginning.
    Qwen {
        /// The system sentence; may be empty.
        system: String,
    },
    /// `<s><image>caption</s>`; the human turn's words are dropped.
    Plain,
    /// The checkpoint's own Jinja template.
    Jinja(ChatTemplate),
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

    /// Llama 2 with the system sentence of LLaVA's `llava_llama_2`.
    #[must_use]
    pub fn llama_2() -> Self {
        let system = "You are a helpful language and vision assistant. You are able to understand the visual content \
                      that the user provides, and assist the user with a variety of tasks using natural language.";
        Self::Llama2 {
            system: system.to_owned(),
        }
    }

    /// ChatML with the system sentence of LLaVA's `mpt`.
    #[must_use]
    pub fn chatml() -> Self {
        let system = "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and \
                      honest answers.";
        Self::Chatml {
            system: system.to_owned(),
        }
    }

    /// ChatML as Qwen has it, with the system sentence of LLaVA's `qwen_1_5`, which LLaVA-OneVision was trained with.
    #[must_use]
    pub fn qwen() -> Self {
        Self::Qwen {
            system: "You are a helpful assistant.".to_owned(),
        }
    }

    /// The template of a model folder: `template.json`; or else the Jinja template in `chat_template.jinja`,
    /// `chat_template.json` or `tokenizer_config.json`; or else, as the original LLaVA chooses it, by name:
    /// `conv_version` in `config.json`, the folder's name, or `_name_or_path` in `config.json`.
    ///
    /// # Errors
    /// A file is damaged, a Jinja template cannot be used, or no name says which format it is.
    pub fn of_folder(folder: &Path) -> Result<Self, ModelError> {
        folder::template(folder)
    }

    /// The same template with another system sentence.
    ///
    /// # Errors
    /// It has no place for one.
    pub fn with_system(self, system: &str) -> Result<Self, ModelError> {
        let refuse = |problem: String| ModelError::Prompt {
            sample: "system sentence".to_owned(),
            problem,
            remedy: "leave the system sentence out, or put a template with a place for it into template.json",
        };
        let system = system.to_owned();
        Ok(match self {
            Self::VicunaV1 { .. } => Self::VicunaV1 { system },
            Self::Llama2 { .. } => Self::Llama2 { system },
            Self::Chatml { .. } => Self::Chatml { system },
            Self::Qwen { .. } => Self::Qwen { system },
            Self::Plain => return Err(refuse("the plain template has no place for it".to_owned())),
            Self::Jinja(template) => Self::Jinja(template.with_system(system).map_err(refuse)?),
        })
    }

    /// Renders a conversation. When its last turn is the human's, the text ends where the assistant is about
    /// to speak.
    ///
    /// # Errors
    /// A Jinja template refuses the conversation, or does not say which part of the text is the assistant's.
    pub fn render(&self, conversation: &Conversation) -> Result<Rendered, ModelError> {
        Ok(match self {
            Self::VicunaV1 { system } => formats::vicuna_v1(system, conversation),
            Self::Llama2 { system } => formats::llama_2(system, conversation),
            Self::Chatml { system } => formats::chatml(system, conversation),
            Self::Qwen { system } => formats::qwen(system, conversation),
            Self::Plain => formats::plain(conversation),
            Self::Jinja(template) => template.render(conversation)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_keep_their_spelling_in_files() {
        let read = |json: &str| serde_json::from_str::<Template>(json).unwrap();
        let system = || "Be kind.".to_owned();
        let spelled = [
            (
                r#"{"kind":"vicuna_v1","system":"Be kind."}"#,
                Template::VicunaV1 { system: system() },
            ),
            (
                r#"{"kind":"llama_2","system":"Be kind."}"#,
                Template::Llama2 { system: system() },
            ),
            (
                r#"{"kind":"chatml","system":"Be kind."}"#,
                Template::Chatml { system: system() },
            ),
            (
                r#"{"kind":"qwen","system":"Be kind."}"#,
                Template::Qwen { system: system() },
            ),
            (r#"{"kind":"plain"}"#, Template::Plain),
        ];
        for (json, template) in spelled {
            assert_eq!(read(json), template);
            assert_eq!(serde_json::to_string(&template).unwrap(), json);
        }
    }

    #[test]
    fn a_system_sentence_takes_the_place_of_the_old_one() {
        let conversation = Conversation {
            id: "x".to_owned(),
            image: None,
            turns: vec![candor_data::Turn::human("Hi")],
        };
        let text = |template: Template| template.render(&conversation).unwrap().text;
        let vicuna = Template::vicuna_v1().with_system("Be brief.").unwrap();
        assert_eq!(text(vicuna), "<s>Be brief. USER: Hi ASSISTANT:");
        let message = Template::Plain
            .with_system("Be brief.")
            .unwrap_err()
            .to_string();
        assert!(message.contains("no place"), "{message}");
    }

    #[test]
    fn the_documented_templates_read() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let (_, section) = docs.split_once("## Tokenizers and templates").unwrap();
        let (_, json) = section.split_once("1. `template.json`").unwrap();
        let json = json.split("```").nth(1).unwrap();
        let templates: Vec<Template> =
            serde_json::from_str(json.strip_prefix("json").unwrap()).unwrap();
        assert_eq!(templates.len(), 6);
        assert!(matches!(templates[5], Template::Jinja(_)));
    }
}
