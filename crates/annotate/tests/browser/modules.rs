//! The modules that compute something, by themselves: words, differences, characters.

use serde_json::{Value, json};

use crate::page::{Page, visit};
use crate::site::Rules;

/// What an expression over a module's exports comes to.
async fn with(page: &Page, module: &str, expression: &str) -> Value {
    let script = format!(
        "const done = arguments[arguments.length - 1];
         import('/static/{module}').then((m) => done({expression})).catch((error) => done(String(error)));"
    );
    page.js_async(&script).await
}

#[test]
fn words_characters_and_differences() {
    visit(Rules::default(), async |_, page| {
        page.go("/login").await;
        // Offsets count code points: the emoji is one, although it is two UTF-16 units.
        let words = with(
            page,
            "words.js",
            "m.wordsOf('é 😀 one-two, 3.5 kg').map((w) => [w.start, w.end, w.text])",
        )
        .await;
        let expected = json!([
            [0, 1, "é"],
            [2, 3, "😀"],
            [4, 7, "one"],
            [8, 11, "two"],
            [13, 16, "3.5"],
            [17, 19, "kg"]
        ]);
        assert_eq!(words, expected);
        // Scripts without spaces have words too; nothing between them is lost.
        let chinese = with(
            page,
            "words.js",
            "m.wordsOf('桌上有一只猫').map((w) => w.text).join('')",
        )
        .await;
        assert_eq!(chinese, "桌上有一只猫");

        let names = with(
            page,
            "characters.js",
            "['a', '\\n', '\\t', '\\r', '\\x7f', '\\x85', '\\u202e', '\\u200d', '\\ud800', '\\u{e0041}'].map(m.visibleName)",
        )
        .await;
        assert_eq!(
            names,
            json!([
                null, null, null, "␍", "␡", "U+0085", "U+202E", null, "U+D800", "U+E0041"
            ])
        );

        // A lone surrogate is one character; so is each half of a pair that is the wrong way round.
        assert_eq!(
            with(
                page,
                "characters.js",
                "m.countCodePoints('\\udc00\\ud800x')"
            )
            .await,
            3
        );

        let texts = |a: &str, b: &str| {
            format!(
                "Object.values(m.differences(...[{}, {}].map((text) => {{
                   let at = 0;
                   return text.split(' ').filter(Boolean).map((word) => {{
                     const start = text.indexOf(word, at);
                     at = start + word.length;
                     return {{ start, end: at, text: word }};
                   }});
                 }}))).map((spans) => spans.map((span) => [span.start, span.end]))",
                json!(a),
                json!(b)
            )
        };
        for (a, b, expected) in [
            ("a red cup", "a blue cup", json!([[[2, 5]], [[2, 6]]])),
            ("same Words", "same words", json!([[], []])),
            ("", "new words", json!([[], [[0, 9]]])),
            // The longest common part is "b c": "a" goes, "x" comes, and neighbours become one span.
            ("a b c", "b x y c", json!([[[0, 1]], [[2, 5]]])),
            ("one two", "three four", json!([[[0, 7]], [[0, 10]]])),
        ] {
            assert_eq!(
                with(page, "difference.js", &texts(a, b)).await,
                expected,
                "{a:?} and {b:?}"
            );
        }
        let too_long = "(() => { const words = (name) => Array.from({ length: 5000 }, (_, i) => ({ start: i, end: i + 1, text: name + i }));
                         return m.differences(words('a'), words('b')); })()";
        assert_eq!(with(page, "difference.js", too_long).await, Value::Null);
    });
}
