//! A checkpoint's own chat template, and what in its text the assistant says.
//!
//! transformers knows the assistant's part only where the template marks it with a `generation` block. Most do not,
//! so the conversation is rendered once up to each assistant turn, asking for one, and once with it: what the second
//! text adds to the first is what the assistant says. That is only true where each text begins with the one before,
//! which is checked. Then
//!
//! - a range begins a space earlier if there is one, since a tokenizer may hold the space before a word to be part of
//!   the word,
//! - and ends with the last end token in it: what a template writes after that, the model never says.
//!
//! Messages have lists as contents, with an item for each image, if the template shows those, as Hugging Face's
//! LLaVA templates do, and those of other families with a placeholder of their own; else they are text in which
//! `<image>` stands. Which it is, is tried out.

use std::collections::BTreeMap;

use candor_data::{Conversation, Speaker};
use jiff::civil::Date;
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use super::Rendered;
use super::formats::awaits_assistant;
use super::jinja::Program;
use crate::ModelError;
use crate::tokenizer::{IMAGE, PLACEHOLDERS};

/// What a template is tried out with.
const PROBE: &str = "candor tries this template";
const REMEDY: &str = "correct the chat template, or put a template.json such as {\"kind\": \"vicuna_v1\", \"system\": \"…\"} into the folder";

/// A Jinja chat template, compiled and tried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Source", into = "Source")]
pub struct ChatTemplate {
    source: Source,
    program: Program,
    content: Content,
}

/// What a [`ChatTemplate`] is made of, and how it stands in `template.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The Jinja.
    pub template: String,
    /// Special tokens as templates know them: `bos_token`, `eos_token` and so on.
    pub special_tokens: BTreeMap<String, String>,
    /// Whether the text begins with `bos_token` where the template leaves it out.
    pub add_bos: bool,
    /// A system message put before every conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The date that the template believes it is. The default is the one that Llama 3's templates fall back to.
    #[serde(default = "date")]
    pub date: Date,
}

fn date() -> Date {
    jiff::civil::date(2024, 7, 26)
}

/// How a message holds what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// `[{"type": "image"}, {"type": "text", "text": "…"}]`
    Parts,
    /// `"<image>\n…"`
    Text,
}

impl PartialEq for ChatTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for ChatTemplate {}

impl Source {
    /// A template that is used as it is.
    #[must_use]
    pub fn new(template: String, special_tokens: BTreeMap<String, String>, add_bos: bool) -> Self {
        Self {
            template,
            special_tokens,
            add_bos,
            system: None,
            date: date(),
        }
    }

    fn token(&self, name: &str) -> &str {
        self.special_tokens.get(name).map_or("", String::as_str)
    }
}

impl TryFrom<Source> for ChatTemplate {
    type Error = String;

    fn try_from(source: Source) -> Result<Self, String> {
        let program = Program::compile(&source.template, source.date)
            .map_err(|problem| format!("the chat template is not usable: {problem}"))?;
        let mut template = Self {
            source,
            program,
            content: Content::Parts,
        };
        let mut complaints = Vec::new();
        for content in [Content::Parts, Content::Text] {
            template.content = content;
            match template.try_out() {
                Ok(()) => return Ok(template),
                Err(complaint) => complaints.push(complaint),
            }
        }
        Err(format!(
            "the chat template shows no question about an image; asked with a list: {}; asked with a text: {}",
            complaints[0], complaints[1]
        ))
    }
}

impl From<ChatTemplate> for Source {
    fn from(template: ChatTemplate) -> Self {
        template.source
    }
}

impl ChatTemplate {
    /// Whether the template shows a question and its image, in the form of `self.content`.
    fn try_out(&self) -> Result<(), String> {
        let asked = self.message("user", &format!("{IMAGE}\n{PROBE}"));
        let text = self.run(&self.with_system_message([asked]), true)?.text;
        let shown = |what: &str| text.matches(what).count() == 1;
        let shows_image = PLACEHOLDERS.into_iter().any(shown);
        // A template that prints a list as it is shows the names in it.
        if shown(PROBE) && shows_image && !text.contains("\"type\"") {
            return Ok(());
        }
        let known = PLACEHOLDERS.map(|placeholder| format!("`{placeholder}`"));
        Err(format!(
            "its text has not one {} and the question once",
            known.join(" or ")
        ))
    }

    /// The same template with a system message before every conversation.
    ///
    /// # Errors
    /// The template does not show it.
    pub fn with_system(mut self, system: String) -> Result<Self, String> {
        self.source.system = Some(PROBE.to_owned());
        let asked = self.message("user", &format!("{IMAGE}\n"));
        let shown = self.run(&self.with_system_message([asked]), true)?.text;
        if !shown.contains(PROBE) {
            return Err("the chat template leaves system messages out".to_owned());
        }
        self.source.system = Some(system);
        Ok(self)
    }

    /// The Jinja, where it says all of the text by itself: nothing is put before a conversation.
    pub(crate) fn alone(&self) -> Option<&str> {
        let source = &self.source;
        source.system.is_none().then_some(source.template.as_str())
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// The template refuses it, or does not say which part of the text is the assistant's.
    pub fn render(&self, conversation: &Conversation) -> Result<Rendered, ModelError> {
        let rendered = self.render_turns(conversation);
        rendered.map_err(|problem| ModelError::Prompt {
            sample: conversation.id.clone(),
            problem: format!("the chat template does not take this conversation: {problem}"),
            remedy: REMEDY,
        })
    }

    fn render_turns(&self, conversation: &Conversation) -> Result<Rendered, String> {
        let turns = conversation.turns.iter().map(|turn| match turn.from {
            Speaker::Human => self.message("user", turn.value.trim()),
            Speaker::Gpt => self.message("assistant", turn.value.trim()),
        });
        let messages = self.with_system_message(turns);
        let mut rendered = self.run(&messages, awaits_assistant(conversation))?;
        let answers = conversation.turns.iter().filter(|t| t.from == Speaker::Gpt);
        if !self.program.marks_assistant() {
            rendered.assistant = self.added_by_assistant(&messages, &rendered.text)?;
        } else if rendered.assistant.is_empty() && answers.count() > 0 {
            return Err("its `generation` blocks leave out what the assistant says".to_owned());
        }
        for range in &mut rendered.assistant {
            *range = self.exact(&rendered.text, *range);
        }
        Ok(self.with_bos(rendered))
    }

    /// What each assistant turn adds to the text of the messages before it.
    fn added_by_assistant(
        &self,
        messages: &[Value],
        whole: &str,
    ) -> Result<Vec<(usize, usize)>, String> {
        let mut ranges = Vec::new();
        let mut before = String::new();
        for (i, message) in messages.iter().enumerate() {
            if message.get_attr("role").map_err(|e| e.to_string())? != Value::from("assistant") {
                continue;
            }
            let asked = self.run(&messages[..i], true)?.text;
            let said = self.run(&messages[..=i], false)?.text;
            let chain = [&before, &asked, &said]
                .windows(2)
                .all(|w| w[1].starts_with(w[0]));
            if !chain || !whole.starts_with(&said) {
                return Err(format!(
                    "message {i} changes the text before it, so what the assistant says cannot be told (does the \
                     template leave out earlier turns, or end the last one in its own way?)"
                ));
            }
            ranges.push((asked.len(), said.len()));
            before = said;
        }
        Ok(ranges)
    }

    /// A range from the space before it up to its end token.
    fn exact(&self, text: &str, (from, to): (usize, usize)) -> (usize, usize) {
        let from = from - usize::from(text[..from].ends_with(' '));
        let eos = self.source.token("eos_token");
        let end = Some(eos).filter(|eos| !eos.is_empty());
        let end = end.and_then(|eos| Some(from + text[from..to].rfind(eos)? + eos.len()));
        (from, end.unwrap_or(to))
    }

    fn with_bos(&self, rendered: Rendered) -> Rendered {
        let bos = self.source.token("bos_token");
        if !self.source.add_bos || rendered.text.starts_with(bos) {
            return rendered;
        }
        let n = bos.len();
        let moved = rendered.assistant.iter();
        Rendered {
            text: format!("{bos}{}", rendered.text),
            assistant: moved.map(|&(from, to)| (from + n, to + n)).collect(),
        }
    }

    fn with_system_message(&self, turns: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let system = self.source.system.as_deref();
        let system = system.map(|words| self.message("system", words));
        system.into_iter().chain(turns).collect()
    }

    fn message(&self, role: &str, said: &str) -> Value {
        let content = match self.content {
            Content::Text => Value::from(said),
            Content::Parts => parts(said),
        };
        Value::from_pairs([("role", Value::from(role)), ("content", content)])
    }

    fn run(&self, messages: &[Value], ask: bool) -> Result<Rendered, String> {
        let special_tokens = self.source.special_tokens.iter();
        let special_tokens = special_tokens.map(|(name, text)| (name.as_str(), text.as_str()));
        self.program.run(context! {
            messages => messages,
            add_generation_prompt => ask,
            ..Value::from_pairs(special_tokens)
        })
    }
}

/// The items of a message: an image for every `<image>`, and the words between them.
fn parts(said: &str) -> Value {
    let mut items = Vec::new();
    for (i, words) in said.split(IMAGE).enumerate() {
        if i > 0 {
            items.push(Value::from_pairs([("type", "image")]));
        }
        let words = words.trim();
        if !words.is_empty() {
            items.push(Value::from_pairs([("type", "text"), ("text", words)]));
        }
    }
    Value::from(items)
}

#[cfg(test)]
mod tests {
    use candor_data::Turn;

    use super::*;

    fn template(jinja: &str) -> Result<ChatTemplate, String> {
        let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")];
        let tokens = tokens.map(|(name, text)| (name.to_owned(), text.to_owned()));
        ChatTemplate::try_from(Source::new(jinja.to_owned(), tokens.into(), true))
    }

    fn conversation(n: usize) -> Conversation {
        let turns = [
            Turn::human("<image>\nWhat?"),
            Turn::gpt("A dog."),
            Turn::human("Sure?"),
            Turn::gpt("Yes."),
        ];
        Conversation {
            id: "x".to_owned(),
            image: Some("x.png".to_owned()),
            turns: turns[..n].to_vec(),
        }
    }

    fn said(rendered: &Rendered) -> Vec<&str> {
        let ranges = rendered.assistant.iter();
        ranges.map(|&(a, b)| &rendered.text[a..b]).collect()
    }

    const PLAIN_TEXT: &str = "{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\n\
        {% else %}A: {{ m.content }}{{ eos_token }}\n{% endif %}{% endfor %}\
        {% if add_generation_prompt %}A:{% endif %}";

    #[test]
    fn what_the_assistant_adds_is_its_own_up_to_the_end_token() {
        let template = template(PLAIN_TEXT).unwrap();
        assert_eq!(template.content, Content::Text);
        let r = template.render(&conversation(4)).unwrap();
        assert_eq!(
            r.text,
            "<s>Q: <image>\nWhat?\nA: A dog.</s>\nQ: Sure?\nA: Yes.</s>\n"
        );
        assert_eq!(said(&r), [" A dog.</s>", " Yes.</s>"]);
        let asked = template.render(&conversation(3)).unwrap();
        assert!(asked.text.ends_with("Q: Sure?\nA:"));
        assert_eq!(said(&asked), [" A dog.</s>"]);
    }

    #[test]
    fn a_template_of_lists_gets_lists() {
        let jinja = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {% for c in m.content %}\
            {% if c.type == 'image' %}<image>\n{% else %}{% generation %}{{ c.text }} {% endgeneration %}\
            {% endif %}{% endfor %}{% endfor %}";
        let template = template(jinja).unwrap();
        assert_eq!(template.content, Content::Parts);
        let r = template.render(&conversation(2)).unwrap();
        assert_eq!(r.text, "<s>user: <image>\nWhat? assistant: A dog. ");
        assert_eq!(said(&r), ["What? ", " A dog. "]);
    }

    #[test]
    fn a_system_message_is_shown_or_refused() {
        let shows = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
        let system = || "Be brief.".to_owned();
        let brief = template(shows).unwrap().with_system(system()).unwrap();
        let text = brief.render(&conversation(1)).unwrap().text;
        assert_eq!(text, "<s>system: Be brief.\nuser: <image>\nWhat?\n");
        let problem = template(
            PLAIN_TEXT
                .replace("else", "elif m.role == 'assistant'")
                .as_str(),
        );
        let problem = problem.unwrap().with_system(system()).unwrap_err();
        assert!(problem.contains("leaves system messages out"), "{problem}");
    }

    #[test]
    fn a_template_that_rewrites_the_past_is_refused() {
        let last_only =
            "{% for m in messages %}{% if loop.last %}{{ m.content }}{% endif %}{% endfor %}";
        let message = template(last_only)
            .unwrap()
            .render(&conversation(4))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("sample `x`") && message.contains("changes the text before it"),
            "{message}"
        );
    }

    #[test]
    fn a_template_that_shows_no_image_is_refused() {
        let problem = template("{% for m in messages %}{{ m.role }}{% endfor %}").unwrap_err();
        assert!(
            problem.contains("shows no question about an image"),
            "{problem}"
        );
        let problem = template("{% for m in messages %}").unwrap_err();
        assert!(problem.contains("not usable: line 1"), "{problem}");
    }

    #[test]
    fn a_chat_template_survives_template_json() {
        let template = super::super::Template::Jinja(template(PLAIN_TEXT).unwrap());
        let json = serde_json::to_string(&template).unwrap();
        assert!(json.starts_with(r#"{"kind":"jinja","template":"#), "{json}");
        let again: super::super::Template = serde_json::from_str(&json).unwrap();
        assert_eq!(again, template);
        let broken = json.replace("endfor", "endfro");
        assert!(serde_json::from_str::<super::super::Template>(&broken).is_err());
    }
}
