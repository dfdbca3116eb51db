//! What a judge is asked, and the body of the HTTP request that asks it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_data::{FileKind, sha256, shown};
use serde_json::{Value, json};

use crate::JudgeError;
use crate::budget::Tokens;
use crate::settings::Settings;

/// Larger images are refused before they are read.
const MAX_IMAGE_BYTES: u64 = 20 << 20;
/// What roles and separators may add to the tokens of one message.
const MESSAGE_TOKENS: u64 = 64;

/// One question to a judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The item that is judged, for messages and lists.
    pub id: String,
    /// What the judge is told it is.
    pub system: Option<String>,
    /// The prompt.
    pub user: String,
    /// The images, shown after the prompt.
    pub images: Vec<PathBuf>,
    /// SHA-256 of the template behind the prompt.
    pub template: String,
}

/// A request as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// JSON.
    pub text: String,
    /// Names everything that the reply depends on.
    pub key: String,
    /// What it can cost at most.
    pub most: Tokens,
}

impl Request {
    /// The body of sample number `sample`.
    pub(crate) fn body(&self, settings: &Settings, sample: u32) -> Result<Body, JudgeError> {
        let parameters = &settings.request;
        let mut content = vec![json!({"type": "text", "text": self.user})];
        for path in &self.images {
            let url = data_url(path)?;
            content.push(json!({"type": "image_url", "image_url": {"url": url}}));
        }
        // Servers without images often take only plain text.
        let content = if self.images.is_empty() {
            json!(self.user)
        } else {
            Value::Array(content)
        };
        let system = self
            .system
            .iter()
            .map(|text| json!({"role": "system", "content": text}));
        let messages: Vec<Value> = system
            .chain([json!({"role": "user", "content": content})])
            .collect();
        let mut body = json!({
            "model": settings.endpoint.model,
            "messages": messages,
            "temperature": parameters.temperature,
        });
        body[&parameters.max_tokens_field] = json!(parameters.max_tokens);
        if let Some(seed) = parameters.seed {
            body["seed"] = json!(seed.wrapping_add(u64::from(sample)));
        }
        let text = body.to_string();
        let words = self.user.len() + self.system.as_ref().map_or(0, String::len);
        let images = self.images.len() as u64 * settings.spend.image_tokens.unwrap_or_default();
        Ok(Body {
            key: sha256::of_bytes([
                &settings.endpoint.url,
                &self.template,
                &sample.to_string(),
                &text,
            ]),
            text,
            most: Tokens {
                prompt: words as u64 + 2 * MESSAGE_TOKENS + images,
                completion: parameters.max_tokens,
            },
        })
    }
}

/// The files of the images that a row shows, one or several.
pub(crate) fn files(folder: &Path, shown: &str) -> Vec<PathBuf> {
    shown::names(shown).map(|name| folder.join(name)).collect()
}

fn data_url(path: &Path) -> Result<String, JudgeError> {
    let io = |source| JudgeError::Io {
        action: "read the image",
        path: path.to_owned(),
        remedy: "check --images and that you may read it",
        source,
    };
    let bytes = std::fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_IMAGE_BYTES {
        return Err(JudgeError::unfit(
            path,
            format!("{bytes} bytes, more than the {MAX_IMAGE_BYTES} that judges take"),
            "make the image smaller",
        ));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    let Some(media_type) = FileKind::of(&bytes).and_then(FileKind::media_type) else {
        return Err(JudgeError::unfit(
            path,
            "no JPEG, PNG or WebP image",
            "convert it to one of them",
        ));
    };
    Ok(format!(
        "data:{media_type};base64,{}",
        STANDARD.encode(bytes)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(extra: &str) -> Settings {
        let text = format!(
            "cache = \"c\"\n[endpoint]\nurl = \"http://localhost/v1\"\nmodel = \"m\"\n[request]\n\
             temperature = 0.5\nmax_tokens = 7\nsamples = 2\nimages = true\n{extra}"
        );
        Settings::parse(Path::new("judge.toml"), &text).unwrap()
    }

    fn request() -> Request {
        Request {
            id: "q".to_owned(),
            system: None,
            user: "Hä?".to_owned(),
            images: Vec::new(),
            template: "t".to_owned(),
        }
    }

    #[test]
    fn a_plain_question_is_plain_text() {
        let body = request().body(&settings("seed = 3"), 1).unwrap();
        let expected = r#"{"model":"m","messages":[{"role":"user","content":"Hä?"}],"temperature":0.5,"max_tokens":7,"seed":4}"#;
        assert_eq!(body.text, expected);
        // Four bytes of text, and what messages may add.
        assert_eq!((body.most.prompt, body.most.completion), (132, 7));
    }

    #[test]
    fn images_are_sent_as_data_urls_and_cost_what_the_settings_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        std::fs::write(&path, [0x89, b'P', b'N', b'G', 1]).unwrap();
        let asked = Request {
            images: vec![path.clone()],
            ..request()
        };
        let body = asked
            .body(&settings("[spend]\nimage_tokens = 1000"), 0)
            .unwrap();
        // Base64 of 89 50 4e 47 01, by hand.
        assert!(
            body.text
                .contains(r#""url":"data:image/png;base64,iVBORwE=""#),
            "{}",
            body.text
        );
        assert_eq!(body.most.prompt, 1132);
        std::fs::write(&path, b"GIF89a").unwrap();
        let message = asked.body(&settings(""), 0).unwrap_err().to_string();
        assert!(
            message.contains("a.png") && message.contains("JPEG"),
            "{message}"
        );
    }

    #[test]
    fn each_image_that_a_row_shows_is_a_file() {
        for (shown, expected) in [
            ("a.png", vec!["images/a.png"]),
            ("a.png\nb c.png", vec!["images/a.png", "images/b c.png"]),
        ] {
            let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(files(Path::new("images"), shown), expected);
        }
    }

    #[test]
    fn everything_that_matters_changes_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let image = |byte: u8| {
            let path = dir.path().join(format!("{byte}.png"));
            std::fs::write(&path, [0x89, b'P', b'N', b'G', byte]).unwrap();
            vec![path]
        };
        let base = settings("seed = 3");
        let mut keys = vec![
            request().body(&base, 0).unwrap().key,
            request().body(&base, 1).unwrap().key,
            request().body(&settings(""), 0).unwrap().key,
            request().body(&settings(""), 1).unwrap().key,
        ];
        for changed in [
            Request {
                user: "He?".to_owned(),
                ..request()
            },
            Request {
                system: Some("s".to_owned()),
                ..request()
            },
            Request {
                template: "u".to_owned(),
                ..request()
            },
            Request {
                images: image(1),
                ..request()
            },
            Request {
                images: image(2),
                ..request()
            },
        ] {
            keys.push(changed.body(&base, 0).unwrap().key);
        }
        for change in [
            |s: &mut Settings| s.endpoint.url.push('x'),
            |s: &mut Settings| s.endpoint.model.push('x'),
            |s: &mut Settings| s.request.temperature = 1.0,
            |s: &mut Settings| s.request.max_tokens = 8,
        ] {
            let mut settings = base.clone();
            change(&mut settings);
            keys.push(request().body(&settings, 0).unwrap().key);
        }
        let n = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), n);
        // The item's name does not matter: the same question is paid for once.
        let renamed = Request {
            id: "other".to_owned(),
            ..request()
        };
        let same = renamed.body(&base, 0).unwrap().key;
        assert_eq!(same, request().body(&base, 0).unwrap().key);
    }
}
