//! Sign-in by a provider that people have an account with already (OpenID Connect), and who gets which role by it.

use candor_recipe::Reader;
use serde_json::Value;
use url::{Host, Url};

use super::secret::{self, SecretPlace};
use crate::store::Role;

/// A provider of sign-in, as the project file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Its issuer identifier, below which its configuration is found.
    pub issuer: String,
    /// What it calls this app.
    pub client_id: String,
    /// Where the secret is that it gave this app; none for a public client.
    pub client_secret: Option<SecretPlace>,
    /// What the button says: "Sign in with …".
    pub name: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim with the name of a new person.
    pub name_claim: String,
    /// The claim with the names that give roles; dots lead into objects.
    pub role_claim: Option<String>,
    /// Which of these names give which role, the highest first.
    pub roles: [(Role, Vec<String>); 3],
    /// The role of whoever has none of these names; without one they are refused.
    pub everybody: Option<Role>,
}

impl Oidc {
    /// The role that an ID token gives.
    #[must_use]
    pub fn role(&self, claims: &Value) -> Option<Role> {
        let names = self.role_claim.as_deref().map(|path| {
            path.split('.')
                .fold(claims, |value, part| &value[part])
                .clone()
        });
        let has = |wanted: &String| match &names {
            Some(Value::String(name)) => name == wanted,
            Some(Value::Array(names)) => names.iter().any(|name| name == wanted.as_str()),
            _ => false,
        };
        let given = self.roles.iter().find(|(_, names)| names.iter().any(has));
        given.map(|(role, _)| *role).or(self.everybody)
    }
}

/// Whether nobody on the way can read or change what is sent to an address: HTTPS, or this machine itself.
#[must_use]
pub fn is_private_way(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_plain = url.username().is_empty() && url.password().is_none();
    is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_local))
}

/// The table `[oidc]`, where the file has one.
pub(super) fn read(file: &mut Reader) -> Option<Oidc> {
    if !file.has("oidc") {
        return None;
    }
    let roles = [
        ("annotator", Role::Annotator),
        ("adjudicator", Role::Adjudicator),
        ("admin", Role::Admin),
    ];
    let oidc = Oidc {
        issuer: file
            .string("oidc.issuer", "The provider's issuer identifier.")
            .check(|issuer| {
                let plain = is_private_way(issuer) && !issuer.contains(['?', '#']);
                if plain {
                    return Ok(());
                }
                Err((
                    format!("found {issuer:?}"),
                    "give the https:// address that the provider calls its issuer".to_owned(),
                ))
            })
            .required(),
        client_id: file
            .string("oidc.client_id", "What the provider calls this app.")
            .required(),
        client_secret: secret::place(file, "oidc.client_secret"),
        name: file
            .string("oidc.name", "What the button says after \"Sign in with\".")
            .or("your organisation".to_owned(), "\"your organisation\""),
        scopes: file
            .strings("oidc.scopes", "What is asked for besides `openid`.")
            .or(vec!["profile".to_owned()], "[\"profile\"]"),
        name_claim: file
            .string(
                "oidc.name_claim",
                "The claim with the name of a new person.",
            )
            .or("preferred_username".to_owned(), "\"preferred_username\""),
        role_claim: file
            .string(
                "oidc.role_claim",
                "The claim with the names that give roles; dots lead into objects.",
            )
            .optional(),
        roles: [
            (Role::Admin, names(file, "oidc.admins")),
            (Role::Adjudicator, names(file, "oidc.adjudicators")),
            (Role::Annotator, names(file, "oidc.annotators")),
        ],
        everybody: file
            .one_of(
                "oidc.everybody",
                &roles,
                "The role of whoever has none of the names that give one.",
            )
            .optional(),
    };
    let names_roles = oidc.roles.iter().any(|(_, names)| !names.is_empty());
    if oidc.role_claim.is_some() != names_roles {
        let remedy = "name the claim, and in oidc.admins, oidc.adjudicators or oidc.annotators what of it gives a role";
        file.mistake(
            "oidc.role_claim",
            "a claim and names in it belong together",
            remedy,
        );
    } else if !names_roles && oidc.everybody.is_none() {
        let remedy = "set oidc.everybody = \"annotator\", or name a claim";
        file.mistake("oidc.everybody", "nobody would get a role", remedy);
    }
    Some(oidc)
}

fn names(file: &mut Reader, key: &str) -> Vec<String> {
    file.strings(key, "Names in the claim that give this role.")
        .or(Vec::new(), "none")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_highest_role_that_a_claim_gives_counts() {
        let mut oidc = Oidc {
            issuer: "https://a.example".into(),
            client_id: "candor".into(),
            client_secret: None,
            name: "A".into(),
            scopes: Vec::new(),
            name_claim: "name".into(),
            role_claim: Some("realm_access.roles".into()),
            roles: [
                (Role::Admin, vec!["boss".into()]),
                (Role::Adjudicator, vec!["judge".into()]),
                (Role::Annotator, vec!["people".into()]),
            ],
            everybody: None,
        };
        let claims = |roles: Value| json!({"sub": "1", "realm_access": {"roles": roles}});
        for (roles, role) in [
            (json!(["people", "boss"]), Some(Role::Admin)),
            (json!(["judge", "people"]), Some(Role::Adjudicator)),
            (json!("people"), Some(Role::Annotator)),
            (json!(["bos", "BOSS"]), None),
            (json!({"boss": true}), None),
            (json!([["boss"]]), None),
            (Value::Null, None),
        ] {
            assert_eq!(oidc.role(&claims(roles.clone())), role, "{roles}");
        }
        assert_eq!(oidc.role(&json!({"realm_access.roles": ["boss"]})), None);
        oidc.everybody = Some(Role::Annotator);
        assert_eq!(oidc.role(&json!({"sub": "1"})), Some(Role::Annotator));
    }

    #[test]
    fn a_provider_is_asked_where_nobody_listens() {
        for url in [
            "https://a.example/x",
            "http://127.0.0.1:9",
            "http://localhost/",
            "http://[::1]:9",
        ] {
            assert!(is_private_way(url), "{url}");
        }
        for url in [
            "http://a.example",
            "http://localhost.evil.example",
            "https://me:pw@a.example",
            "ftp://a.example",
            "a.example",
        ] {
            assert!(!is_private_way(url), "{url}");
        }
    }
}
