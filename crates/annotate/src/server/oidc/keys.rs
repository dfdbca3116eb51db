//! The keys of a provider, as its JSON Web Key Set has them (RFC 7517), and whether a signature is by one of them (RFC 7515).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// What a token may be signed with: what every provider offers, and nothing that a shared secret or no key at all would do for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// Modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
    /// A point of P-256, uncompressed.
    P256(Vec<u8>),
}

/// A key with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    name: Option<String>,
    material: Material,
}

/// The keys of a provider that can be used here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keys(Vec<Key>);

/// What came of looking for a token's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    /// By one of these keys.
    Yes,
    /// By none of them, although one has the name.
    No,
    /// By a key that is not among them; the provider may have a new one.
    UnknownKey,
}

fn decoded(text: &Value) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_str()?).ok()
}

impl Key {
    /// The key of a JSON Web Key, if it is one to check signatures of these algorithms with.
    fn of(key: &Value) -> Option<Self> {
        if key.get("use").is_some_and(|used| used != "sig") {
            return None;
        }
        let algorithm = key.get("alg");
        let is_for = |name: &str| algorithm.is_none_or(|algorithm| algorithm == name);
        let material = match key["kty"].as_str()? {
            "RSA" if is_for("RS256") => {
                let bare = |bytes: Vec<u8>| -> Vec<u8> {
                    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
                };
                Material::Rsa(bare(decoded(&key["n"])?), bare(decoded(&key["e"])?))
            }
            "EC" if is_for("ES256") && key["crv"] == "P-256" => {
                let (x, y) = (decoded(&key["x"])?, decoded(&key["y"])?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                Material::P256([vec![4], x, y].concat())
            }
            _ => return None,
        };
        let name = key.get("kid").and_then(Value::as_str).map(str::to_owned);
        Some(Self { name, material })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        matches!(
            (&self.material, algorithm),
            (Material::Rsa(..), Algorithm::Rs256) | (Material::P256(_), Algorithm::Es256)
        )
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let checked = match &self.material {
            Material::Rsa(n, e) => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
        };
        checked.is_ok()
    }
}

impl Keys {
    /// The keys of a set that can be used here; the others are passed over.
    pub(super) fn of(set: &Value) -> Self {
        let keys = set["keys"].as_array().into_iter().flatten();
        Self(keys.filter_map(Key::of).collect())
    }

    /// Whether a signature of a message is by a key of this kind and, where the token says it, of this name.
    pub(super) fn have_signed(
        &self,
        algorithm: Algorithm,
        name: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Signed {
        let mut candidates = self
            .0
            .iter()
            .filter(|key| key.is_for(algorithm))
            .filter(|key| name.is_none() || key.name.as_deref() == name)
            .peekable();
        if candidates.peek().is_none() {
            return Signed::UnknownKey;
        }
        if candidates.any(|key| key.has_signed(message, signature)) {
            Signed::Yes
        } else {
            Signed::No
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What both examples of RFC 7515 say.
    const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    /// The key of appendix A.2 of RFC 7515.
    fn rsa() -> Value {
        json!({"kty": "RSA", "kid": "r", "e": "AQAB", "n":
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})
    }

    /// The key of appendix A.3 of RFC 7515.
    fn p256() -> Value {
        json!({"kty": "EC", "kid": "e", "crv": "P-256", "use": "sig",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    #[test]
    fn the_signatures_of_rfc_7515_are_by_its_keys() {
        let keys = Keys::of(&json!({"keys": [rsa(), {"kty": "oct", "k": "AyM1"}, p256()]}));
        assert_eq!(keys.0.len(), 2, "a shared secret is no key to check with");
        let rs256 = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let es256 = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        for (algorithm, name, head, signature) in [
            (Algorithm::Rs256, "r", "eyJhbGciOiJSUzI1NiJ9", rs256),
            (Algorithm::Es256, "e", "eyJhbGciOiJFUzI1NiJ9", es256),
        ] {
            let message = format!("{head}.{PAYLOAD}");
            let other = format!("{head}.{PAYLOAD}A");
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let mut spoilt = signature.clone();
            spoilt[40] ^= 1;
            let check = |name, message: &str, signature: &[u8]| {
                keys.have_signed(algorithm, name, message.as_bytes(), signature)
            };
            assert_eq!(check(None, &message, &signature), Signed::Yes);
            assert_eq!(check(Some(name), &message, &signature), Signed::Yes);
            assert_eq!(check(Some(name), &other, &signature), Signed::No);
            assert_eq!(check(Some(name), &message, &spoilt), Signed::No);
            assert_eq!(check(Some(name), &message, &[]), Signed::No);
            assert_eq!(check(Some("x"), &message, &signature), Signed::UnknownKey);
        }
    }

    #[test]
    fn keys_for_other_ends_are_passed_over() {
        let with = |mut key: Value, field: &str, value: &str| {
            key[field] = value.into();
            key
        };
        for key in [
            with(rsa(), "use", "enc"),
            with(rsa(), "alg", "RS512"),
            with(rsa(), "n", "not base64!"),
            with(p256(), "crv", "P-384"),
            with(p256(), "x", "AAAA"),
            json!("a string"),
        ] {
            assert_eq!(Keys::of(&json!({"keys": [key]})), Keys::default(), "{key}");
        }
        assert_eq!(Keys::of(&json!({"keys": {}})), Keys::default());
    }
}
