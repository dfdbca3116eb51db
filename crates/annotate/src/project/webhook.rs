//! Webhooks: addresses of others that are told when something has happened.

use std::path::PathBuf;

use candor_recipe::Reader;
use url::{Host, Url};

use super::secret::{self, SecretPlace};

/// What webhooks are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEvent {
    /// An item has its preference: all answers agree enough, or an adjudicator decided.
    ItemDecided,
    /// An item waits for an adjudicator, because its answers disagree.
    ItemDisputed,
    /// No item of work is left that somebody has to answer or decide.
    ProjectFinished,
}

impl HookEvent {
    const ALL: [Self; 3] = [Self::ItemDecided, Self::ItemDisputed, Self::ProjectFinished];

    /// As the project file and messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ItemDecided => "item_decided",
            Self::ItemDisputed => "item_disputed",
            Self::ProjectFinished => "project_finished",
        }
    }
}

/// An address that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What it is called in messages, and in the database.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Where the secret is that messages are signed with.
    pub secret: SecretPlace,
    /// What it is told.
    pub events: Vec<HookEvent>,
    /// Whether it may be in a private network or on this machine, and without HTTPS.
    pub allow_private: bool,
}

/// Whether an address is public as far as its text tells; a name is looked up when it is asked.
fn is_public_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(_)) => true,
        Some(Host::Ipv4(address)) => candor_web::is_public(address.into()),
        Some(Host::Ipv6(address)) => candor_web::is_public(address.into()),
        None => false,
    }
}

/// All `[[webhook]]`s of a file.
pub(super) fn read(file: &mut Reader) -> Vec<Webhook> {
    let keys = file
        .tables("webhook", "Who is told when something has happened.")
        .optional()
        .unwrap_or_default();
    let hooks: Vec<Webhook> = keys.iter().map(|key| one(file, key)).collect();
    for (i, hook) in hooks.iter().enumerate() {
        if hooks[..i].iter().any(|other| other.name == hook.name) {
            let problem = format!("{:?} is that of another webhook too", hook.name);
            file.mistake(
                &format!("{}.name", keys[i]),
                problem,
                "give it another name",
            );
        }
    }
    hooks
}

fn one(file: &mut Reader, key: &str) -> Webhook {
    let of = |name: &str| format!("{key}.{name}");
    let allow_private = file
        .bool(
            &of("allow_private"),
            "Whether it may be in a private network, and without HTTPS.",
        )
        .or(false, "false");
    let secret = secret::place(file, &of("secret"));
    if secret.is_none() {
        let remedy = "name a variable of the environment here, or a file in secret_file";
        file.mistake(&of("secret_env"), "missing", remedy);
    }
    Webhook {
        name: file
            .string(&of("name"), "What it is called in messages.")
            .check(|name| match name.trim() {
                "" => Err(("empty".to_owned(), "give it a name".to_owned())),
                _ => Ok(()),
            })
            .required(),
        url: file
            .string(&of("url"), "Where it is.")
            .check(|url| check_url(url, allow_private))
            .required(),
        secret: secret.unwrap_or(SecretPlace::File(PathBuf::new())),
        events: events(file, &of("events")),
        allow_private,
    }
}

fn check_url(url: &str, allow_private: bool) -> Result<(), (String, String)> {
    let found = |remedy: &str| Err((format!("found {url:?}"), remedy.to_owned()));
    let Ok(parsed) = Url::parse(url) else {
        return found("give an https:// address");
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        // What is in it is a secret, so it is not shown.
        let remedy = "leave it out; messages are signed";
        return Err(("holds a name or password".to_owned(), remedy.to_owned()));
    }
    match parsed.scheme() {
        "https" if allow_private || is_public_url(&parsed) => Ok(()),
        "http" if allow_private => Ok(()),
        _ => found("give a public https:// address, or set allow_private"),
    }
}

fn events(file: &mut Reader, key: &str) -> Vec<HookEvent> {
    let event = |name: &String| {
        HookEvent::ALL
            .into_iter()
            .find(|event| event.name() == name)
    };
    let all = HookEvent::ALL.map(|event| event.name().to_owned());
    let names = file
        .strings(key, "What it is told.")
        .check(
            |names| match names.iter().find(|name| event(name).is_none()) {
                None => Ok(()),
                Some(name) => Err((
                    format!("{name:?} is no event"),
                    "use item_decided, item_disputed and project_finished".to_owned(),
                )),
            },
        )
        .or(all.to_vec(), "all of them");
    names.iter().filter_map(event).collect()
}
