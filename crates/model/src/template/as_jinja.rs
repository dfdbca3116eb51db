//! LLaVA's formats as Jinja chat templates, for tools that know no other; and Qwen-VL's, which candor knows as Jinja alone.
//!
//! What they render is what [`super::formats`] renders (tested here and, by `parity/run exports`, in transformers),
//! with one addition: a system message takes the place of the format's own.

use std::collections::BTreeMap;

use super::chat::Source;
use super::{ChatTemplate, Template};
use crate::ModelError;
use crate::tokenizer::PLACEHOLDERS;

/// What a message says, be it text in which `<image>` stands or a list of parts; its only image is before the words.
const SAID: &str = "\
{%- macro said(content) -%}
  {%- set all = namespace(text='') -%}
  {%- if content is string -%}
    {%- set all.text = content -%}
  {%- else -%}
    {%- for part in content -%}
      {%- set all.text = all.text + ('<image>\\n' if part['type'] == 'image' else part['text']) -%}
    {%- endfor -%}
  {%- endif -%}
  {%- set words = all.text.split('<image>') -%}
  {%- if words | length == 2 -%}
    {%- set all.text = '<image>\\n' + (words | join | trim) -%}
  {%- endif -%}
  {{- all.text | trim | replace('<image>', '<image>SPACE') -}}
{%- endmacro -%}
";

/// The same where an image stands between marks of its own and nothing comes after them, as in Qwen-VL's own templates.
const SAID_WITH_MARKS: &str = "\
{%- macro said(content) -%}
  {%- if content is string -%}
    {{- content | trim -}}
  {%- else -%}
    {%- for part in content -%}
      {{- '<|vision_start|><|image_pad|><|vision_end|>' if part['type'] == 'image' else part['text'] -}}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
";

/// The system sentence: the format's own, or the first message.
const SYSTEM: &str = "\
{%- set sentence = namespace(text=SENTENCE) -%}
{%- if messages and messages[0]['role'] == 'system' -%}
  {%- set sentence.text = said(messages[0]['content']) -%}
{%- endif -%}
";

const VICUNA_V1: &str = "\
{{- '<s>SPACE' + (sentence.text + ' ' if sentence.text else '') -}}
{%- for message in messages if message['role'] != 'system' -%}
  {%- if message['role'] == 'user' -%}
    {{- 'USER: ' + said(message['content']) + ' ' -}}
  {%- else -%}
    {{- 'ASSISTANT:' -}}
    {%- generation -%}{{- ' ' + said(message['content']) + '</s>' -}}{%- endgeneration -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}
";

const LLAMA_2: &str = "\
{%- set before = namespace(begin='<s>SPACE', text='<<SYS>>\\n' + sentence.text + '\\n<</SYS>>\\n\\n' if sentence.text else '') -%}
{%- for message in messages if message['role'] != 'system' -%}
  {%- if message['role'] == 'user' -%}
    {{- before.begin + '[INST] ' + before.text + said(message['content']) + ' [/INST]' -}}
    {%- set before.begin = '<s>' -%}
    {%- set before.text = '' -%}
  {%- else -%}
    {%- generation -%}{{- ' ' + said(message['content']) + ' </s>' -}}{%- endgeneration -%}
  {%- endif -%}
{%- endfor -%}
";

const CHATML: &str = "\
{{- '<s>SPACE' + ('<|im_start|>system\\n' + sentence.text + '<|im_end|>' if sentence.text else '') -}}
{%- for message in messages if message['role'] != 'system' -%}
  {%- if message['role'] == 'user' -%}
    {{- '<|im_start|>user\\n' + said(message['content']) + '<|im_end|>' -}}
  {%- else -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- generation -%}{{- said(message['content']) + '<|im_end|>' -}}{%- endgeneration -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
";

const QWEN: &str = "\
{{- '<|im_start|>system\\n' + sentence.text + '<|im_end|>\\n' if sentence.text else '' -}}
{%- for message in messages if message['role'] != 'system' -%}
  {%- if message['role'] == 'user' -%}
    {{- '<|im_start|>user\\n' + said(message['content']) + '<|im_end|>\\n' -}}
  {%- else -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- generation -%}{{- said(message['content']) + '<|im_end|>' -}}{%- endgeneration -%}
    {{- '\\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
";

impl Template {
    /// The Jinja template that renders conversations as this one does, with `space` after the token at the beginning and
    /// after images. A template that is Jinja needs none, and the captions of [`Template::Plain`] are no chat.
    #[must_use]
    pub fn as_jinja(&self, space: &str) -> Option<String> {
        let (system, turns) = match self {
            Self::VicunaV1 { system } => (system, VICUNA_V1),
            Self::Llama2 { system } => (system, LLAMA_2),
            Self::Chatml { system } => (system, CHATML),
            Self::Qwen { system } => (system, QWEN),
            Self::Plain | Self::Jinja(_) => return None,
        };
        let spaced = |part: &str| part.replace("SPACE", space);
        Some(spaced(SAID) + &beginning(system) + &spaced(turns))
    }

    /// ChatML as [`Template::Qwen`] has it, with the marks that Qwen-VL has around an image: the template of a model of that
    /// family that is made anew. The system sentence may be empty.
    ///
    /// # Errors
    /// The system sentence holds what stands for an image.
    pub fn qwen_vl(system: &str) -> Result<Self, ModelError> {
        let refuse = |problem: String| ModelError::Prompt {
            sample: "system sentence".to_owned(),
            problem,
            remedy: "take what stands for an image out of the system sentence",
        };
        if let Some(placeholder) = PLACEHOLDERS.iter().find(|word| system.contains(*word)) {
            return Err(refuse(format!("it holds `{placeholder}`")));
        }
        let jinja = [SAID_WITH_MARKS, beginning(system).as_str(), QWEN].concat();
        let tokens = [("eos_token", "<|im_end|>"), ("pad_token", "<|endoftext|>")];
        let tokens = tokens.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let source = Source::new(jinja, BTreeMap::from(tokens), false);
        let template = ChatTemplate::try_from(source).map_err(refuse)?;
        Ok(Self::Jinja(template))
    }
}

/// What finds the system sentence, this one unless a message has another.
fn beginning(system: &str) -> String {
    // The strings of JSON are strings of Jinja.
    SYSTEM.replace("SENTENCE", &serde_json::Value::from(system).to_string())
}

#[cfg(test)]
mod tests {
    use candor_data::{Conversation, Turn};

    use super::*;

    #[test]
    fn both_languages_render_the_same() {
        let question = Turn::human("<image>\nWhat is \"this\"? ");
        let answer = Turn::gpt(" A cat's toy.");
        let last = Turn::human("Is it this? <image>");
        let turns = [question, answer, last, Turn::gpt("There.")];
        let quoted = "Be \"kind\",\nand brief: {{ not Jinja }} \\ é";
        let mut templates = vec![
            Template::vicuna_v1(),
            Template::llama_2(),
            Template::chatml(),
            Template::qwen(),
        ];
        for system in [String::new(), quoted.to_owned()] {
            templates.push(Template::VicunaV1 {
                system: system.clone(),
            });
            templates.push(Template::Llama2 {
                system: system.clone(),
            });
            templates.push(Template::Chatml {
                system: system.clone(),
            });
            templates.push(Template::Qwen { system });
        }
        for template in templates {
            let jinja = template.as_jinja("").unwrap();
            let chat = ChatTemplate::try_from(Source::new(jinja, BTreeMap::new(), false)).unwrap();
            for n in 1..=turns.len() {
                let conversation = Conversation {
                    id: "x".to_owned(),
                    image: Some("x.png".to_owned()),
                    turns: turns[..n].to_vec(),
                };
                let expected = template.render(&conversation).unwrap();
                assert_eq!(chat.render(&conversation).unwrap(), expected);
            }
        }
        assert_eq!(Template::Plain.as_jinja(""), None);
    }

    #[test]
    fn qwen_vls_images_stand_between_their_marks() {
        let conversation = Conversation {
            id: "x".to_owned(),
            image: Some("x.png".to_owned()),
            turns: vec![
                Turn::human("<image>\nWhat is it?"),
                Turn::gpt(" A dog."),
                Turn::human("Which colour?"),
            ],
        };
        let turns = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What is it?<|im_end|>\n\
                     <|im_start|>assistant\nA dog.<|im_end|>\n<|im_start|>user\nWhich colour?<|im_end|>\n\
                     <|im_start|>assistant\n";
        let rendered = Template::qwen_vl("")
            .unwrap()
            .render(&conversation)
            .unwrap();
        assert_eq!(rendered.text, turns);
        let said = rendered.assistant.iter().map(|&(a, b)| &turns[a..b]);
        assert_eq!(said.collect::<Vec<_>>(), ["A dog.<|im_end|>"]);
        let kind = Template::qwen_vl("Be kind.").unwrap();
        let system = "<|im_start|>system\nBe kind.<|im_end|>\n".to_owned();
        assert_eq!(kind.render(&conversation).unwrap().text, system + turns);
        let problem = Template::qwen_vl("<|image_pad|>").unwrap_err().to_string();
        assert!(problem.contains("holds `<|image_pad|>`"), "{problem}");
    }
}
