use super::*;

const GOOD: &str = r#"
cache = "replies.jsonl"
[endpoint]
url = "https://judge.example/v1"
model = "m"
key_env = "JUDGE_KEY"
[request]
temperature = 0.0
max_tokens = 300
samples = 1
images = false
"#;

fn message(text: &str) -> String {
    Settings::parse(Path::new("judge.toml"), text)
        .unwrap_err()
        .to_string()
}

#[test]
fn what_changes_replies_must_be_there_and_limits_have_defaults() {
    let settings = Settings::parse(Path::new("judge.toml"), GOOD).unwrap();
    assert_eq!(
        (settings.limits.concurrency, settings.request.seed),
        (4, None)
    );
    for field in [
        "temperature = 0.0",
        "max_tokens = 300",
        "samples = 1",
        "model = \"m\"",
    ] {
        let name = field.split(' ').next().unwrap();
        let message = message(&GOOD.replace(field, ""));
        let line = format!("judge.toml:{}: ", if name == "model" { 3 } else { 7 });
        assert!(
            message.contains(name) && message.contains(&line),
            "{message}"
        );
    }
}

#[test]
fn a_file_of_mistakes_is_told_line_by_line_with_the_keys_that_there_are() {
    let text = GOOD
        .replace("samples = 1", "sample = 1")
        .replace("0.0", "\"sk-secret1\"")
        .replace("images = false", "images = false\n[limit]\nattempts = 1");
    let expected = "judge.toml has 4 mistakes\n  \
        judge.toml:7: request.samples: missing (add `samples = <an integer of at least 0>`)\n  \
        judge.toml:8: request.temperature: a string is not a number (write a number)\n  \
        judge.toml:10: request.sample: unknown key (did you mean `samples`?)\n  \
        judge.toml:12: limit: unknown table (did you mean `limits`?)\n  \
        docs/evaluation.md explains every field";
    assert_eq!(message(&text), expected);
    let broken = message(&GOOD.replace("model = \"m\"", "model = "));
    assert!(
        broken.contains("judge.toml:5: ") && broken.contains("TOML"),
        "{broken}"
    );
}

#[test]
fn all_mistakes_are_named_at_once() {
    let text = GOOD
        .replace("0.0", "-1.0")
        .replace("300", "0")
        .replace("images = false", "images = true\n[spend]\nmoney = 1.0");
    let message = message(&text);
    for part in [
        "temperature",
        "max_tokens",
        "prompt_price",
        "image_tokens",
        "judge.toml",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn keys_do_not_belong_into_the_file_and_are_not_repeated() {
    for (old, new, expected) in [
        ("https://judge", "https://u:secret1@judge", "no user"),
        ("/v1", "/v1?api-key=secret1", "query"),
        ("JUDGE_KEY", "sk-secret1", "environment variable"),
        ("https", "http", "unencrypted"),
        ("https", "ftp", "http://"),
    ] {
        let message = message(&GOOD.replace(old, new));
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("secret1"), "{message}");
    }
    let local = GOOD.replace("https://judge.example", "http://127.0.0.1:8000");
    assert!(Settings::parse(Path::new("judge.toml"), &local).is_ok());
}

#[test]
fn the_documentation_shows_every_field() {
    let text = include_str!("../../../../docs/evaluation.md");
    let (_, shown) = text.split_once("```toml\ncache = ").unwrap();
    let shown = format!("cache = {}", shown.split_once("```").unwrap().0);
    let fields = candor_recipe::survey(|mut file| drop(Settings::of(&mut file)));
    assert_eq!(fields.len(), 28);
    for field in fields {
        let name = field.key.rsplit('.').next().unwrap();
        let is_shown = |line: &str| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{name} ="))
        };
        assert!(shown.lines().any(is_shown), "{}", field.key);
    }
    assert!(Settings::parse(Path::new("judge.toml"), &shown).is_ok());
}
