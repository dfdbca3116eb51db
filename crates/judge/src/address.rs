//! Where an endpoint is and where its key comes from, as files of settings name them: what is wrong with either is said
//! without repeating it, because a secret may stand in it.

use candor_recipe::Reader;

/// A mistake where a key would be sent unencrypted to another machine: by the `url` of a table with a `key_env`.
pub(crate) fn refuse_bare_key(file: &mut Reader, table: &str, url: &str, has_key: bool) {
    let host = url.strip_prefix("http://");
    if has_key && host.is_some_and(|rest| !is_local(host_of(rest))) {
        file.mistake(
            &format!("{table}.url"),
            "the key would be sent unencrypted",
            format!("use https, or leave {table}.key_env out"),
        );
    }
}

/// What is wrong with the name of the variable that holds a key; it is not repeated, because it may be the key.
pub(crate) fn wrong_variable(name: &str) -> Option<(&'static str, &'static str)> {
    let remedy = "write the name of an environment variable, not the key";
    (!is_variable(name)).then_some(("not a name", remedy))
}

/// What is wrong with an address and what to do; it is not repeated, because a password may stand in it. `key_env` is where the
/// variable of a key is named.
pub(crate) fn wrong_url(url: &str, key_env: &str) -> Option<(&'static str, String)> {
    let Some(("http" | "https", rest)) = url.split_once("://") else {
        let remedy = "begin with http:// or https://";
        return Some(("not an address", remedy.to_owned()));
    };
    let host = host_of(rest);
    if host.contains('@') || rest.contains(['?', '#']) {
        let problem = "it must hold no user, password, query or fragment";
        return Some((problem, format!("name the key in {key_env}")));
    }
    let remedy = "write one after ://".to_owned();
    host.is_empty().then_some(("no host", remedy))
}

/// The host of what follows `://`, with its port.
fn host_of(rest: &str) -> &str {
    rest.split('/').next().unwrap_or_default()
}

/// A problem and its remedy, as the check of a field has them.
pub(crate) fn checked(wrong: Option<(&str, impl Into<String>)>) -> Result<(), (String, String)> {
    wrong.map_or(Ok(()), |(problem, remedy)| {
        Err((problem.to_owned(), remedy.into()))
    })
}

/// The key that an environment variable holds, if it holds one.
pub(crate) fn key_of(variable: &str) -> Option<String> {
    let key = std::env::var(variable).ok()?;
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

/// Whether a host with or without a port is this machine.
pub(crate) fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Upper-case letters, digits and `_`: what a key never looks like.
fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.chars().all(fits)
}
