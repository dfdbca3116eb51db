//! What a provider vouches for: its ID token, and everything that must hold of one before anybody is let in by it
//! (OpenID Connect Core 1.0, section 3.1.3.7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::keys::{Algorithm, Keys, Signed};

/// How far the provider's clock may be from this one, in seconds.
const LEEWAY_SECS: i64 = 60;
/// Longest subject that the specification allows, in bytes.
const MAX_SUBJECT: usize = 255;

/// What a token must say to be for this sign-in.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now_secs: i64,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Signed by a key that is not known; it may be a new one.
    UnknownKey,
    /// Anything else, in words.
    Wrong(&'static str),
}

/// The head of a token.
#[derive(Deserialize)]
struct Head {
    alg: Algorithm,
    kid: Option<String>,
    crit: Option<Value>,
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The claims of a token that holds, in which `sub` is a text.
pub(super) fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Value, Fault> {
    let wrong = Fault::Wrong;
    let parts: Vec<&str> = token.split('.').collect();
    let [head, payload, signature] = parts[..] else {
        return Err(wrong("it has not three parts"));
    };
    let signed = &token[..head.len() + 1 + payload.len()];
    let head: Head = part(head).ok_or(wrong("its algorithm is neither RS256 nor ES256"))?;
    if head.crit.is_some() {
        return Err(wrong("it asks for an extension"));
    }
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| wrong("its signature cannot be read"))?;
    match keys.have_signed(head.alg, head.kid.as_deref(), signed.as_bytes(), &signature) {
        Signed::Yes => {}
        Signed::No => return Err(wrong("its signature does not hold")),
        Signed::UnknownKey => return Err(Fault::UnknownKey),
    }
    let claims: Value = part(payload).ok_or(wrong("its claims cannot be read"))?;
    check(&claims, expected).map_err(wrong)?;
    Ok(claims)
}

fn check(claims: &Value, expected: &Expected<'_>) -> Result<(), &'static str> {
    if claims["iss"] != expected.issuer {
        return Err("it is by another issuer");
    }
    let is_for = |audience: &Value| audience == expected.client_id;
    let others = match &claims["aud"] {
        Value::Array(audiences) if audiences.iter().any(is_for) => audiences.len() > 1,
        audience if is_for(audience) => false,
        _ => return Err("it is for another app"),
    };
    match claims.get("azp") {
        None if others => return Err("it is for several apps and does not say who asked"),
        Some(asked) if !is_for(asked) => return Err("another app asked for it"),
        _ => {}
    }
    // Seconds may have a fraction.
    let secs = |name: &str| claims.get(name).and_then(Value::as_f64);
    let (now, leeway) = (expected.now_secs as f64, LEEWAY_SECS as f64);
    if secs("exp").is_none_or(|end| end + leeway <= now) {
        return Err("it has expired");
    }
    if secs("iat").is_none_or(|made| made - leeway > now) {
        return Err("it is of the future; check the clocks");
    }
    if claims.get("nbf").is_some() && secs("nbf").is_none_or(|begin| begin - leeway > now) {
        return Err("it does not hold yet; check the clocks");
    }
    if claims["nonce"] != expected.nonce {
        return Err("it is of another sign-in");
    }
    match claims["sub"].as_str() {
        Some(subject) if !subject.is_empty() && subject.len() <= MAX_SUBJECT => Ok(()),
        _ => Err("it does not say who signed in"),
    }
}
