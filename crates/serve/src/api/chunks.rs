//! Answers as OpenAI's clients read them, whole and in chunks.

use serde_json::{Value, json};

use crate::engine::{End, Said};

/// What all parts of an answer begin with.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub id: String,
    pub created_unix_secs: u64,
    pub model: String,
    /// What decided the draws.
    pub seed: u64,
}

/// Numbers of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub n_prompt: usize,
    pub n_answers: usize,
}

/// One of the answers to a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub text: String,
    pub said: Vec<Said>,
    pub end: Option<End>,
}

impl Usage {
    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.n_prompt,
            "completion_tokens": self.n_answers,
            "total_tokens": self.n_prompt + self.n_answers,
        })
    }
}

impl Head {
    fn json(&self, object: &str, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created_unix_secs,
            "model": self.model,
            "system_fingerprint": concat!("candor-", env!("CARGO_PKG_VERSION")),
            "seed": self.seed,
            "choices": choices,
        })
    }

    /// All answers at once. `told`: with log-probabilities.
    pub(crate) fn whole(&self, answers: &[Answer], usage: Usage, told: bool) -> Value {
        let choices = answers.iter().enumerate().map(|(index, answer)| {
            json!({
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": null},
                "logprobs": logprobs(&answer.said, told),
                "finish_reason": answer.end.map(reason),
            })
        });
        let mut whole = self.json("chat.completion", &choices.collect());
        whole["usage"] = usage.json();
        whole
    }

    /// A part of one answer; the first of each says who speaks.
    pub(crate) fn chunk(
        &self,
        index: usize,
        delta: &Value,
        said: &[Said],
        told: bool,
        end: Option<End>,
    ) -> Value {
        let choice = json!({
            "index": index, "delta": delta, "logprobs": logprobs(said, told), "finish_reason": end.map(reason),
        });
        self.json("chat.completion.chunk", &json!([choice]))
    }

    /// The chunk that ends a stream with the numbers of tokens.
    pub(crate) fn usage(&self, usage: Usage) -> Value {
        let mut chunk = self.json("chat.completion.chunk", &json!([]));
        chunk["usage"] = usage.json();
        chunk
    }
}

fn reason(end: End) -> &'static str {
    match end {
        End::Finished => "stop",
        End::Length => "length",
    }
}

fn logprobs(said: &[Said], told: bool) -> Value {
    if !told || said.is_empty() {
        return Value::Null;
    }
    let content: Vec<Value> = said
        .iter()
        .map(|said| {
            let mut token = token(&said.text, said.logprob);
            let likeliest = said.likeliest.iter();
            token["top_logprobs"] = likeliest
                .map(|(text, logprob)| self::token(text, *logprob))
                .collect();
            token
        })
        .collect();
    json!({"content": content, "refusal": null})
}

fn token(text: &str, logprob: f32) -> Value {
    // A token that holds a part of a character has no text of its own.
    let bytes = (!text.contains(char::REPLACEMENT_CHARACTER)).then(|| text.as_bytes().to_vec());
    json!({"token": text, "logprob": logprob, "bytes": bytes})
}
