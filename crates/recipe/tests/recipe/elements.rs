//! Arrays whose elements have keys of their own, in recipes and in the survey of their fields.

use candor_recipe::{Element, Presence, Reader, survey};

#[test]
fn a_survey_finds_what_is_asked_only_after_some_answers() {
    let fields = survey(|mut recipe| {
        recipe.u64("n", "How many.").positive().required();
        for element in recipe.tables("list", "Things.").required() {
            let choices = [("a", 0), ("b", 1), ("c", 2)];
            match recipe
                .one_of(&format!("{element}.kind"), &choices, "Which.")
                .or(0, "\"a\"")
            {
                0 => drop(
                    recipe
                        .bool(&format!("{element}.only_a"), "Of a.")
                        .optional(),
                ),
                kind => {
                    recipe
                        .f64(&format!("{element}.not_a"), "Of b and c.")
                        .within(..=2.0)
                        .required();
                    if kind == 2 && recipe.has("deep") {
                        recipe.string("deep.word", "Of c.").required();
                    }
                }
            }
        }
        recipe.finish().unwrap();
    });
    let shown: Vec<String> = fields.iter().map(ToString::to_string).collect();
    let expected = [
        "- `n`: integer above 0; required. How many.",
        "- `list`: array of tables; required. Things.",
        "- `list[].kind`: \"a\" or \"b\" or \"c\"; optional, else \"a\". Which.",
        "- `list[].not_a`: number at most 2; required; only with `list[].kind` \"b\" or \"c\". Of b and c.",
        "- `deep.word`: string; required; only with `list[].kind` \"c\" and `deep` given. Of c.",
        "- `list[].only_a`: true or false; optional; only with `list[].kind` \"a\". Of a.",
    ];
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&shown), sorted(&expected.map(str::to_owned)));
    assert_eq!(fields[0].presence, Presence::Required);
}

#[test]
fn strings_may_stand_for_tables_and_both_are_checked() {
    let ask = |text: &str| {
        let mut recipe = Reader::parse("r.toml", text, &[]);
        let elements = recipe.strings_or_tables("list", "Files.").required();
        for element in &elements {
            if let Element::Table(key) = element {
                recipe.path(&format!("{key}.path"), "The file.").required();
            }
        }
        recipe
            .finish()
            .map(|resolved| (elements, resolved.to_text()))
    };
    let plain = |text: &str| Element::Plain(text.to_owned());
    let table = |key: &str| Element::Table(key.to_owned());
    let (asked, resolved) = ask("list = [\"a\", { path = \"b\" }, \"c\"]").unwrap();
    assert_eq!(asked, [plain("a"), table("list[1]"), plain("c")]);
    assert_eq!(
        ask(&resolved).unwrap().0,
        asked,
        "what is run is kept as it was written"
    );
    assert_eq!(ask("[[list]]\npath = \"b\"").unwrap().0, [table("list[0]")]);
    for (text, said) in [
        (
            "list = [\"a\", { pat = \"b\" }]",
            "list[1].pat: unknown key (did you mean `path`?)",
        ),
        ("list = [{}]", "list[0].path: missing"),
        (
            "list = [\"a\", 3]",
            "list: an array is not a list of strings or tables",
        ),
        (
            "list = \"a\"",
            "list: the string \"a\" is not a list of strings or tables",
        ),
        (
            "list = []",
            "list: the list is empty, or a string in it (name at least one file)",
        ),
        (
            "list = [\"\", { path = \"b\" }]",
            "list: the list is empty, or a string in it",
        ),
        ("", "list: missing"),
    ] {
        let error = ask(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let fields = survey(|mut recipe| {
        for element in recipe.strings_or_tables("list", "Files.").required() {
            let Element::Table(key) = element else {
                panic!("the keys of a table are to be listed")
            };
            recipe.path(&format!("{key}.path"), "The file.").required();
        }
        recipe.finish().unwrap();
    });
    let shown: Vec<String> = fields.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "- `list`: list of strings or tables; required. Files.",
            "- `list[].path`: path; required. The file.",
        ]
    );
}
