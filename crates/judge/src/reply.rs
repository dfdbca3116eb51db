//! What an endpoint answers, and what of it is a reply.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Tokens;

/// One reply of a judge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reply {
    /// What it says; empty where the judge said nothing.
    pub text: String,
    /// Why it ended, where the endpoint says: `stop`, `length`, `content_filter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// The judge's words where it declined to judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The model that replied, by its own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it cost, where the endpoint says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// Reads a body with status 200.
///
/// # Errors
/// What is wrong with it: it is cut off, not JSON, or has no choice.
pub fn read(body: &str) -> Result<Reply, String> {
    let value: Value = serde_json::from_str(body).map_err(|error| format!("not JSON: {error}"))?;
    let choice = value.pointer("/choices/0").ok_or("it has no choice")?;
    let message = choice.get("message").ok_or("its choice has no message")?;
    let words = |value: Option<&Value>| Some(value?.as_str()?.to_owned());
    let count = |name: &str| value.pointer(&format!("/usage/{name}"))?.as_u64();
    let tokens = count("prompt_tokens").zip(count("completion_tokens"));
    Ok(Reply {
        text: content(message.get("content")),
        finish: words(choice.get("finish_reason")),
        refusal: words(message.get("refusal")).filter(|text| !text.is_empty()),
        model: words(value.get("model")),
        tokens: tokens.map(|(prompt, completion)| Tokens { prompt, completion }),
    })
}

/// The content of a message: a text, or a list of parts with texts among them.
fn content(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let text = |part: &Value| Some(part.get("text")?.as_str()?.to_owned());
            parts.iter().filter_map(text).collect()
        }
        _ => String::new(),
    }
}

/// The code and the message in the body of an error, as far as it has them.
#[must_use]
pub fn read_error(body: &str) -> (Option<String>, String) {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    let words = |name: &str| Some(value.pointer(name)?.as_str()?.to_owned());
    let code = words("/error/code").or_else(|| words("/error/type"));
    let message = words("/error/message")
        .or_else(|| words("/message"))
        .unwrap_or_else(|| body.trim().to_owned());
    (code, message.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_with_what_they_cost() {
        let body = r#"{"model":"m-1","choices":[{"message":{"content":"Rating: 4"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":11,"completion_tokens":3}}"#;
        let reply = read(body).unwrap();
        assert_eq!(
            (reply.text.as_str(), reply.finish.as_deref()),
            ("Rating: 4", Some("stop"))
        );
        assert_eq!(
            reply.tokens,
            Some(Tokens {
                prompt: 11,
                completion: 3
            })
        );
        assert_eq!(reply.model.as_deref(), Some("m-1"));
        let parts = r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"x"},{"text":"b"}]}}]}"#;
        assert_eq!(read(parts).unwrap().text, "ab");
    }

    #[test]
    fn silence_and_refusals_are_replies_but_half_a_body_is_not() {
        let silent = r#"{"choices":[{"message":{"content":null,"refusal":"I cannot."},"finish_reason":"content_filter"}]}"#;
        let reply = read(silent).unwrap();
        assert_eq!(
            (reply.text.as_str(), reply.refusal.as_deref()),
            ("", Some("I cannot."))
        );
        assert_eq!(reply.tokens, None);
        for body in [
            "",
            r#"{"choices":[{"mess"#,
            "{}",
            r#"{"choices":[]}"#,
            "<html>",
            r#"{"choices":[{}]}"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn errors_say_what_they_say() {
        let body =
            r#"{"error":{"message":"No money left","type":"insufficient_quota","code":null}}"#;
        assert_eq!(
            read_error(body),
            (
                Some("insufficient_quota".to_owned()),
                "No money left".to_owned()
            )
        );
        assert_eq!(
            read_error("Bad gateway\n"),
            (None, "Bad gateway".to_owned())
        );
        assert_eq!(read_error(&"x".repeat(9999)).1.len(), 300);
    }
}
