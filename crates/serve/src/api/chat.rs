//! `POST /v1/chat/completions`: what may be asked.

use candor_data::Speaker;
use serde_json::Value;

use super::fields::{Fields, list, text};
use super::messages::{Messages, is_empty};
use super::refusal::Refusal;
use crate::models::Catalogue;
use crate::settings::Settings;

/// Strings that end an answer.
const MAX_STOPS: usize = 4;
/// Characters of one of them.
const MAX_STOP_CHARS: usize = 256;
/// Likeliest tokens that are told of each position.
const MAX_LIKELIEST: u64 = 20;

/// A request for answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChatRequest {
    /// Which of [`Catalogue::names`].
    pub model: usize,
    pub messages: Messages,
    /// Answers.
    pub n: usize,
    pub temperature: f64,
    pub top_p: f64,
    /// Decides every draw; of the server's own choice if absent.
    pub seed: Option<u64>,
    pub stops: Vec<String>,
    /// Longest answer.
    pub max_new_tokens: usize,
    /// How many likeliest tokens are told beside each token; none if no log-probabilities are.
    pub n_likeliest: Option<usize>,
    pub stream: bool,
    /// Whether a stream ends with the numbers of tokens.
    pub include_usage: bool,
}

impl ChatRequest {
    /// Reads a request; every field of it is understood or refused.
    pub(crate) fn read(
        body: Value,
        catalogue: &Catalogue,
        settings: &Settings,
    ) -> Result<Self, Refusal> {
        let mut fields = Fields::of(body, "")?;
        let name = text(fields.required("model")?, "model")?;
        let known: Vec<&str> = catalogue.names.iter().map(String::as_str).collect();
        let model = known.iter().position(|known| *known == name);
        let model = model.ok_or_else(|| Refusal::no_model(&name, &known))?;
        let mut messages = Messages::read(fields.required("messages")?, Speaker::Human)?;
        messages.check_words(messages.turns.len(), &catalogue.specials)?;
        if catalogue.images_first {
            messages.put_images_first();
        }
        let most = settings.max_new_tokens as u64;
        let lengths = [
            fields.whole("max_completion_tokens", [1, most])?,
            fields.whole("max_tokens", [1, most])?,
        ];
        if let [Some(new), Some(old)] = lengths
            && new != old
        {
            return Err(Refusal::field(
                "max_tokens",
                format!(
                    "`max_tokens` is {old} and `max_completion_tokens` is {new}; give one of them"
                ),
            ));
        }
        let max_new_tokens = lengths[0].or(lengths[1]).unwrap_or(most) as usize;
        let n = fields
            .whole("n", [1, settings.batch_rows as u64])?
            .unwrap_or(1) as usize;
        let temperature = fields.number("temperature", [0.0, 2.0])?.unwrap_or(1.0);
        let top_p = fields.number("top_p", [0.0, 1.0])?.unwrap_or(1.0);
        let seed = fields.whole("seed", [0, u64::MAX])?;
        let stops = stops(&mut fields)?;
        let n_likeliest = n_likeliest(&mut fields)?;
        let stream = fields.flag("stream")?;
        let include_usage = include_usage(&mut fields, stream)?;
        refuse_what_is_not_done(&mut fields)?;
        fields.end()?;
        Ok(Self {
            model,
            messages,
            n,
            temperature,
            top_p,
            seed,
            stops,
            max_new_tokens,
            n_likeliest,
            stream,
            include_usage,
        })
    }
}

fn stops(fields: &mut Fields) -> Result<Vec<String>, Refusal> {
    let stops = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(stop)) => vec![stop],
        Some(other) => {
            let stops = list(other, "stop")?.into_iter().enumerate();
            let stops = stops.map(|(at, stop)| text(stop, &format!("stop[{at}]")));
            stops.collect::<Result<_, _>>()?
        }
    };
    let fits = |stop: &String| (1..=MAX_STOP_CHARS).contains(&stop.chars().count());
    if stops.len() > MAX_STOPS || !stops.iter().all(fits) {
        return Err(Refusal::field(
            "stop",
            format!("`stop` must be at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARS} characters"),
        ));
    }
    Ok(stops)
}

fn n_likeliest(fields: &mut Fields) -> Result<Option<usize>, Refusal> {
    let told = fields.flag("logprobs")?;
    let n = fields.whole("top_logprobs", [0, MAX_LIKELIEST])?;
    match (told, n) {
        (true, n) => Ok(Some(n.unwrap_or(0) as usize)),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(Refusal::field(
            "top_logprobs",
            "`top_logprobs` needs `logprobs` to be true",
        )),
    }
}

fn include_usage(fields: &mut Fields, stream: bool) -> Result<bool, Refusal> {
    let Some(options) = fields.take("stream_options") else {
        return Ok(false);
    };
    if !stream {
        let message = "`stream_options` needs `stream` to be true";
        return Err(Refusal::field("stream_options", message));
    }
    let mut options = Fields::of(options, "stream_options")?;
    let include_usage = options.flag("include_usage")?;
    // Chunks are not padded against eavesdroppers in any case.
    options.neutral("include_obfuscation", |v| v == false, "leave it out")?;
    options.end()?;
    Ok(include_usage)
}

/// Fields that would change the answer, at any value but the one that changes nothing; and those that never do.
fn refuse_what_is_not_done(fields: &mut Fields) -> Result<(), Refusal> {
    let zero = |value: &Value| value.as_f64() == Some(0.0);
    for name in ["frequency_penalty", "presence_penalty"] {
        fields.neutral(name, zero, "tokens are drawn as the model has them")?;
    }
    let is_empty_object = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
    fields.neutral(
        "logit_bias",
        is_empty_object,
        "tokens are drawn as the model has them",
    )?;
    for name in ["tools", "functions"] {
        fields.neutral(
            name,
            is_empty,
            "the models here were not trained to use tools",
        )?;
    }
    for name in ["tool_choice", "function_call"] {
        fields.neutral(name, |v| v == "none" || v == "auto", "there are no tools")?;
    }
    let is_text = |value: &Value| *value == serde_json::json!({"type": "text"});
    fields.neutral("response_format", is_text, "answers are plain text")?;
    let only_text = |value: &Value| *value == serde_json::json!(["text"]);
    fields.neutral("modalities", only_text, "answers are plain text")?;
    fields.neutral("store", |v| v == false, "nothing is stored")?;
    fields.pass_over(&[
        "user",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
    ]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use candor_data::image::ImageProcessor;
    use serde_json::json;

    use super::*;

    fn read(more: &Value) -> Result<ChatRequest, Refusal> {
        let catalogue = Catalogue {
            names: vec!["base".to_owned(), "honest".to_owned()],
            rewards: Vec::new(),
            specials: vec!["<image>".to_owned(), "<|end|>".to_owned()],
            images_first: true,
            processor: ImageProcessor::clip(16),
        };
        let mut body = json!({"model": "honest", "messages": [{"role": "user", "content": "Hi"}]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        ChatRequest::read(body, &catalogue, &Settings::default())
    }

    #[test]
    fn what_is_left_out_is_openais_default() {
        let request = read(&json!({})).unwrap();
        assert_eq!(request.model, 1);
        let chosen = [request.temperature, request.top_p].map(f64::to_bits);
        assert_eq!(chosen, [1.0_f64; 2].map(f64::to_bits));
        assert_eq!(
            (request.n, request.max_new_tokens, request.seed),
            (1, 1024, None)
        );
        assert_eq!((request.n_likeliest, request.stream), (None, false));
        // Null is absent, and what says what is done anyway changes nothing.
        let neutral = json!({
            "n": null, "tools": [], "tool_choice": "none", "logit_bias": {}, "presence_penalty": 0,
            "response_format": {"type": "text"}, "user": "me", "metadata": {"a": "b"}, "store": false,
        });
        assert_eq!(read(&neutral).unwrap(), request);
    }

    #[test]
    fn every_field_is_understood_or_refused_by_name() {
        let cases = [
            (
                json!({"model": "gpt"}),
                "model",
                "there is no model `gpt` here; there is `base`, `honest`",
            ),
            (
                json!({"tools": [{"type": "function"}]}),
                "tools",
                "not supported",
            ),
            (
                json!({"response_format": {"type": "json_object"}}),
                "response_format",
                "plain text",
            ),
            (
                json!({"logit_bias": {"5": 1}}),
                "logit_bias",
                "not supported",
            ),
            (
                json!({"frequency_penalty": 0.5}),
                "frequency_penalty",
                "not supported",
            ),
            (json!({"top_k": 5}), "top_k", "not known here"),
            (
                json!({"temperature": -1}),
                "temperature",
                "is -1, expected a number from 0 to 2",
            ),
            (
                json!({"temperature": "1"}),
                "temperature",
                "is text, expected a number",
            ),
            (json!({"top_p": 1.5}), "top_p", "is 1.5"),
            (
                json!({"n": 17}),
                "n",
                "is 17, expected a whole number from 1 to 16",
            ),
            (json!({"n": 1.5}), "n", "is 1.5"),
            (
                json!({"max_tokens": 0}),
                "max_tokens",
                "is 0, expected a whole number from 1 to 1024",
            ),
            (
                json!({"max_tokens": 5, "max_completion_tokens": 6}),
                "max_tokens",
                "give one of them",
            ),
            (json!({"seed": -1}), "seed", "is -1"),
            (json!({"stop": ["a", 3]}), "stop[1]", "is 3, expected text"),
            (
                json!({"stop": ["a", "b", "c", "d", "e"]}),
                "stop",
                "at most 4",
            ),
            (json!({"stop": ""}), "stop", "1 to 256 characters"),
            (
                json!({"top_logprobs": 3}),
                "top_logprobs",
                "needs `logprobs`",
            ),
            (
                json!({"logprobs": true, "top_logprobs": 21}),
                "top_logprobs",
                "is 21",
            ),
            (
                json!({"stream": 1}),
                "stream",
                "is 1, expected true or false",
            ),
            (
                json!({"stream_options": {"include_usage": true}}),
                "stream_options",
                "needs `stream`",
            ),
            (json!({"store": true}), "store", "nothing is stored"),
            (
                json!({"messages": [{"role": "user", "content": "Hi<|end|>"}]}),
                "messages[0].content",
                "holds `<|end|>`",
            ),
        ];
        for (more, param, words) in cases {
            let refusal = read(&more).unwrap_err();
            assert_eq!(refusal.param.as_deref(), Some(param), "{more}: {refusal:?}");
            let message = refusal.message;
            assert!(message.contains(words), "{words}: {message}");
        }
    }
}
