//! Which template a model folder asks for.

use std::path::{Path, PathBuf};

use candor_data::bounded::{self, Bound};
use serde::Deserialize;

use super::Template;
use super::chat::{ChatTemplate, Source};
use crate::ModelError;
use crate::tokenizer::{Settings, read_if_there};

const BOUND: Bound = Bound {
    max_bytes: 1 << 20,
    action: "read the template",
    unreadable: "check that the file may be read",
    too_large: "a template has a few kilobytes; download the file again",
};
const REMEDY: &str =
    "put a template.json such as {\"kind\": \"vicuna_v1\", \"system\": \"…\"} into the folder";

type Format = fn() -> Template;

/// What a name has to contain, and the format that then is meant; the first that fits counts.
const BY_NAME: [(&str, Format); 6] = [
    ("llama-2", Template::llama_2),
    ("llama_2", Template::llama_2),
    ("mpt", Template::chatml),
    ("chatml", Template::chatml),
    ("v1", Template::vicuna_v1),
    ("llava-1.5", Template::vicuna_v1),
];

/// The JSON files that may hold a chat template, in the order in which transformers prefers them.
const JSON_FILES: [&str; 3] = [
    "chat_template.json",
    "processor_config.json",
    "tokenizer_config.json",
];

#[derive(Deserialize, Default)]
struct HoldsTemplate {
    chat_template: Option<Named>,
}

/// One template, or several by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    One(String),
    Several(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

#[derive(Deserialize, Default)]
struct ModelNames {
    conv_version: Option<String>,
    #[serde(rename = "_name_or_path")]
    name_or_path: Option<String>,
}

/// See [`Template::of_folder`].
pub(super) fn template(folder: &Path) -> Result<Template, ModelError> {
    let path = folder.join("template.json");
    if path.exists() {
        let bytes = bounded::read(&path, &BOUND)?;
        return serde_json::from_slice(&bytes).map_err(|e| ModelError::Config {
            path,
            problem: e.to_string(),
            remedy: "expected a template such as {\"kind\": \"vicuna_v1\", \"system\": \"…\"}",
        });
    }
    if let Some((path, jinja)) = jinja(folder)? {
        let settings = Settings::read(folder)?;
        let source = Source::new(jinja, settings.special_tokens(), settings.adds_bos());
        let template = ChatTemplate::try_from(source);
        return Ok(Template::Jinja(template.map_err(|problem| {
            ModelError::Config {
                path,
                problem,
                remedy: REMEDY,
            }
        })?));
    }
    by_name(folder)
}

/// The checkpoint's chat template and the file that it stands in.
fn jinja(folder: &Path) -> Result<Option<(PathBuf, String)>, ModelError> {
    let path = folder.join("chat_template.jinja");
    if path.exists() {
        let bytes = bounded::read(&path, &BOUND)?;
        let jinja = String::from_utf8(bytes).map_err(|e| ModelError::Config {
            path: path.clone(),
            problem: e.to_string(),
            remedy: "a template is UTF-8 text",
        })?;
        return Ok(Some((path, jinja)));
    }
    for name in JSON_FILES {
        let path = folder.join(name);
        let holds: HoldsTemplate = read_if_there(&path)?;
        let jinja = match holds.chat_template {
            None => continue,
            Some(Named::One(jinja)) => Some(jinja),
            Some(Named::Several(all)) => {
                let default = all.into_iter().find(|t| t.name == "default");
                default.map(|t| t.template)
            }
        };
        let Some(jinja) = jinja else {
            return Err(ModelError::Config {
                path,
                problem: "none of its chat templates is called `default`".to_owned(),
                remedy: REMEDY,
            });
        };
        return Ok(Some((path, jinja)));
    }
    Ok(None)
}

/// The format that the model's name says, as the original LLaVA finds it.
fn by_name(folder: &Path) -> Result<Template, ModelError> {
    let path = folder.join("config.json");
    let config: ModelNames = read_if_there(&path)?;
    let last = |path: &Path| Some(path.file_name()?.to_str()?.to_lowercase());
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let base = config.name_or_path.as_deref();
    let names: Vec<String> = [
        config.conv_version.map(|name| name.to_lowercase()),
        last(&real),
        base.and_then(|base| last(Path::new(base))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let meant = |name: &String| {
        let fits = BY_NAME.iter().find(|(part, _)| name.contains(part));
        fits.map(|(_, template)| template())
    };
    names.iter().find_map(meant).ok_or_else(|| ModelError::Config {
        path: folder.to_owned(),
        problem: format!(
            "there is no chat template, and none of the names {names:?} says which of LLaVA's formats it is"
        ),
        remedy: REMEDY,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const JINJA: &str = "{% for m in messages %}{{ m.content }}{% endfor %}";

    fn write(folder: &Path, name: &str, text: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn the_nearest_file_counts() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("llava-v1.5-7b");
        write(&folder, "config.json", "{}");
        assert_eq!(Template::of_folder(&folder).unwrap(), Template::vicuna_v1());
        let in_json = |mark: &str| format!(r#"{{"chat_template": "{mark}{JINJA}"}}"#);
        let mark = || match Template::of_folder(&folder).unwrap() {
            Template::Jinja(t) => Source::from(t).template.chars().next(),
            _ => None,
        };
        write(&folder, "tokenizer_config.json", &in_json("1"));
        assert_eq!(mark(), Some('1'));
        write(&folder, "chat_template.json", &in_json("2"));
        assert_eq!(mark(), Some('2'));
        write(&folder, "chat_template.jinja", &format!("3{JINJA}"));
        assert_eq!(mark(), Some('3'));
        write(&folder, "template.json", r#"{"kind": "plain"}"#);
        assert_eq!(Template::of_folder(&folder).unwrap(), Template::Plain);
    }

    #[test]
    fn names_say_the_format() {
        let dir = tempfile::tempdir().unwrap();
        let named = |folder: &str, config: &str| {
            let folder = dir.path().join(folder);
            write(&folder, "config.json", config);
            Template::of_folder(&folder).map_err(|e| e.to_string())
        };
        assert_eq!(
            named("llava-llama-2-13b-chat", "{}"),
            Ok(Template::llama_2())
        );
        assert_eq!(
            named("LLaVA-Lightning-MPT-7B", "{}"),
            Ok(Template::chatml())
        );
        assert_eq!(
            named("LLaVA-RLHF-7b-v1.5-224", "{}"),
            Ok(Template::vicuna_v1())
        );
        let base = r#"{"_name_or_path": "/models/vicuna-7b-v1.5"}"#;
        assert_eq!(named("mine", base), Ok(Template::vicuna_v1()));
        let version = r#"{"conv_version": "llava_llama_2"}"#;
        assert_eq!(named("other-v1", version), Ok(Template::llama_2()));
        let message = named("nameless", "{}").unwrap_err();
        assert!(
            message.contains("nameless") && message.contains("template.json"),
            "{message}"
        );
    }

    #[test]
    fn a_broken_template_is_named_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "chat_template.jinja", "{% for %}");
        let message = Template::of_folder(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("chat_template.jinja") && message.contains("line 1"),
            "{message}"
        );
        fs::remove_file(dir.path().join("chat_template.jinja")).unwrap();
        let several = r#"{"chat_template": [{"name": "rag", "template": "x"}]}"#;
        write(dir.path(), "tokenizer_config.json", several);
        let message = Template::of_folder(dir.path()).unwrap_err().to_string();
        assert!(message.contains("`default`"), "{message}");
    }
}
