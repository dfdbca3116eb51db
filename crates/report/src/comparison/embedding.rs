//! Data and script inside of the page, so that neither can become the other.
//!
//! Data is JSON in a block that no browser executes, and holds no `<`, so that nothing in it ends the block. The page's
//! policy allows the one script by its hash and nothing from elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

/// The pieces of the script, each with one idea; they share one scope.
const PIECES: [&str; 6] = [
    include_str!("../../static/element.js"),
    include_str!("../../static/items.js"),
    include_str!("../../static/choice.js"),
    include_str!("../../static/list.js"),
    include_str!("../../static/item.js"),
    include_str!("../../static/browser.js"),
];

/// The page's only script.
pub(crate) fn script() -> String {
    format!("\"use strict\";\n(() => {{\n{}}})();\n", PIECES.concat())
}

/// What the page may do: its own script and styles, images inside of it, no network.
pub(crate) fn policy(script: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(script.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
         form-action 'none'"
    )
}

/// A block of JSON.
pub(crate) fn data(id: &str, json: &str) -> Markup {
    html! { script type="application/json" id=(id) { (PreEscaped(harmless(json))) } }
}

/// The same JSON without a character that HTML would take notice of. Outside of strings JSON has none of them.
fn harmless(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_block_and_stays_the_same_data() {
        let evil = ["</script><script>alert(1)</script>", "<!--", "a & b", "]]>"];
        let json = serde_json::to_string(&evil).unwrap();
        let block = data("d", &json).into_string();
        let inside = block
            .strip_prefix("<script type=\"application/json\" id=\"d\">")
            .and_then(|rest| rest.strip_suffix("</script>"))
            .unwrap();
        assert!(!inside.contains(['<', '>', '&']), "{inside}");
        let read: Vec<String> = serde_json::from_str(inside).unwrap();
        assert_eq!(read, evil);
    }

    #[test]
    fn the_policy_names_the_script_by_its_hash() {
        // echo -n '' | openssl dgst -sha256 -binary | base64
        let policy = policy("");
        assert!(
            policy.contains("'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"),
            "{policy}"
        );
    }
}
