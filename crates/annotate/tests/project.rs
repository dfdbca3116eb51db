//! Project files: what is wrong with one is said at once, and what the documentation shows is right.

use std::path::Path;

use candor_annotate::AnnotateError;
use candor_annotate::project::{Dispute, ImportFormat, Kind, Project, Rate};
use candor_data::ComparisonFormat;

/// The message about a file, line by line; the first says how many there are.
fn mistakes(text: &str) -> Vec<String> {
    match Project::parse(Path::new("p.toml"), text) {
        Err(error @ AnnotateError::Project { .. }) => {
            error.to_string().lines().map(str::to_owned).collect()
        }
        other => panic!("expected mistakes, found {other:?}"),
    }
}

/// The line of the documented project with this text, from 1.
fn line(text: &str) -> usize {
    let found = documented().lines().position(|line| line.starts_with(text));
    found.unwrap_or_else(|| panic!("no line {text}")) + 1
}

/// The TOML in the documentation, which is a whole project.
fn documented() -> &'static str {
    let text = include_str!("../../../docs/annotate.md");
    let (_, rest) = text.split_once("```toml\n").expect("a project file");
    rest.split_once("```").expect("its end").0
}

#[test]
fn the_documented_project_is_one() {
    let project = Project::parse(Path::new("folder/p.toml"), documented()).unwrap();
    assert_eq!(
        (project.protocol.overlap, project.protocol.dispute),
        (3, Dispute::NoMajority)
    );
    assert_eq!(project.imports[1].kind, Kind::Gold);
    assert_eq!(
        project.imports[0].format,
        ImportFormat::Comparisons(ComparisonFormat::Candidates)
    );
    assert_eq!(
        (project.keys.skip.as_str(), project.keys.flag.as_str()),
        ("x", "f")
    );
    assert_eq!(
        project.resolve(Path::new("images")),
        Path::new("folder/images")
    );
    assert!(project.is_https());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = documented()
        .replace("overlap = 3", "overlap = 0")
        .replace("gold_rate = 0.1", "gold_rate = 1.5")
        .replace("lease_secs = 600", "lease_secs = 30")
        .replace("skip = \"x\"", "skip = \"f\"")
        .replace("https://annotate.example.org", "annotate.example.org/path")
        .replace("kind = \"gold\"", "kind = \"gold\"\nscores = \"s\"");
    let mistakes = mistakes(&text);
    let at = |start: &str, rest: &str| format!("  p.toml:{}: {rest}", line(start));
    let expected = [
        "p.toml has 6 mistakes".to_owned(),
        at(
            "public_url",
            "server.public_url: found \"annotate.example.org/path\" (give the scheme and host that browsers show, \
             such as https://annotate.example.org)",
        ),
        at(
            "overlap",
            "protocol.overlap: 0 is out of range (use a value at least 1 and at most 100)",
        ),
        at(
            "gold_rate",
            "protocol.gold_rate: 1.5 is out of range (use a value at least 0 and below 1)",
        ),
        at(
            "lease_secs",
            "protocol.lease_secs: 30 is less than two heartbeats of 20 seconds (make it longer)",
        ),
        at(
            "[keys]",
            "keys.flag: \"f\" is that of keys.skip too (give one of them another key)",
        ),
    ];
    assert_eq!(mistakes[..6], expected);
    assert!(
        mistakes[6].ends_with(
            "import[1].scores: scores order work (leave them out for gold and training)"
        ),
        "{}",
        mistakes[6]
    );
}

#[test]
fn whether_ranks_may_be_shared_is_said_where_answers_are_ranked() {
    let ranked = documented().replace("format = \"candidates\"", "format = \"answer_sets\"");
    // The documented import has scores, which rankings have no use for.
    let ranked = ranked.replace("scores = \"scores.jsonl\"", "# no scores");
    let with = |ties: &str| ranked.replace("ranking_ties = false", ties);
    let told = mistakes(&with("# nothing"));
    assert!(
        told[1].contains("protocol.ranking_ties: missing"),
        "{told:?}"
    );
    let project = Project::parse(Path::new("p.toml"), &with("ranking_ties = true")).unwrap();
    assert!(project.protocol.ranking_ties);
    assert_eq!(project.imports[0].format, ImportFormat::AnswerSets);
    let gold = with("ranking_ties = true")
        .replace("format = \"preference_log\"", "format = \"answer_sets\"");
    let told = mistakes(&gold);
    assert!(
        told[1].contains("import[1].format: gold and training items need right answers"),
        "{told:?}"
    );
}

#[test]
fn mistakes_of_every_kind_are_told_together() {
    let text = documented()
        .replace("undo = 5", "undos = 5")
        .replace("overlap = 3", "overlap = \"three\"")
        .replace("dispute = \"no_majority\"", "dispute = \"vote\"")
        .replace("pass_mark = 0.8", "pass_mark = 8")
        .replace("format = \"candidates\"", "frmat = \"candidates\"")
        .replace("title = \"Kitchens, round 2\"\n", "");
    let mistakes = mistakes(&text);
    let has = |parts: &[&str]| {
        let hit = mistakes
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(hit, "{parts:?} is not in {mistakes:#?}");
    };
    has(&["p.toml has 7 mistakes"]);
    has(&["p.toml:1: title: missing"]);
    has(&["protocol.undos: unknown key (did you mean `undo`?)"]);
    has(&["protocol.overlap: the string \"three\" is not an integer of at least 0 (write "]);
    has(&[
        "protocol.dispute: the string \"vote\" is not \"no_majority\" or \"any_difference\" or \"never\" (",
    ]);
    has(&["training.pass_mark: 8 is out of range"]);
    has(&["import[0].frmat: unknown key (did you mean `format`?)"]);
    has(&["import[0].format: missing"]);
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let mistakes = mistakes("title = \"t\"\nseed = = 3\n");
    let is_told = |line: &String| line.starts_with("  p.toml:2: not TOML: ");
    assert!(mistakes.iter().any(is_told), "{mistakes:?}");
}

#[test]
fn the_address_is_where_the_app_listens_unless_it_is_given() {
    let with = |server: &str| {
        let (before, rest) = documented().split_once("[server]").unwrap();
        let (_, after) = rest.split_once("[protocol]").unwrap();
        let text = format!("{before}{server}\n[protocol]{after}");
        let project = Project::parse(Path::new("p.toml"), &text).unwrap();
        project.server.public_url
    };
    for (server, url) in [
        ("", "http://localhost:8090"),
        (
            "[server]\nlisten = \"127.0.0.1:9123\"",
            "http://localhost:9123",
        ),
        (
            "[server]\nlisten = \"0.0.0.0:9123\"",
            "http://localhost:9123",
        ),
        ("[server]\nlisten = \"[::1]:9123\"", "http://localhost:9123"),
        ("[server]\nlisten = \"192.0.2.7:80\"", "http://192.0.2.7:80"),
        (
            "[server]\nlisten = \"[2001:db8::7]:80\"",
            "http://[2001:db8::7]:80",
        ),
        (
            "[server]\nlisten = \"127.0.0.1:9123\"\npublic_url = \"https://a.example\"",
            "https://a.example",
        ),
    ] {
        assert_eq!(with(server), url);
    }
}

#[test]
fn what_changes_results_has_no_default() {
    for field in [
        "overlap",
        "gold_rate",
        "min_reading_secs",
        "dispute",
        "seed",
        "pass_mark",
        "attempts",
    ] {
        let field_is = format!("{field} =");
        let kept: Vec<&str> = documented()
            .lines()
            .filter(|line| !line.starts_with(&field_is))
            .collect();
        let mistakes = mistakes(&kept.join("\n"));
        assert!(
            mistakes.len() == 2 && mistakes[1].contains(&format!("{field}: missing")),
            "{mistakes:?}"
        );
    }
}

#[test]
fn projects_that_cannot_be_served_together_are_told_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, server: &str| {
        let text = documented().replace("session_hours = 12", server);
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let kitchens = write("kitchens.toml", "path = \"kitchens\"");
    for (server, words) in [
        ("session_hours = 12", "other.toml has no `server.path`"),
        ("path = \"kitchens\"", "both lie at /kitchens"),
    ] {
        let other = write("other.toml", server);
        let refused = candor_annotate::command::serve(&[kitchens.clone(), other]).unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let text = std::fs::read_to_string(&kitchens).unwrap();
    let text = text
        .replace("127.0.0.1:8090", "127.0.0.1:8091")
        .replace("\"kitchens\"", "\"streets\"");
    let streets = folder.path().join("streets.toml");
    std::fs::write(&streets, text).unwrap();
    let refused = candor_annotate::command::serve(&[kitchens.clone(), streets]).unwrap_err();
    assert!(
        refused.to_string().contains("behind_proxy differ"),
        "{refused}"
    );
    let streets = write("streets.toml", "path = \"streets\"");
    let refused = candor_annotate::command::serve(&[kitchens, streets]).unwrap_err();
    assert!(
        refused.to_string().contains("both name one `database`"),
        "{refused}"
    );
    assert!(!folder.path().join("annotate.sqlite").exists());
    for path in ["", "Kitchens", "a/b", "static", "..", "readyz"] {
        let text = documented().replace("session_hours = 12", &format!("path = {path:?}"));
        assert!(mistakes(&text)[1].contains("server.path: "), "{path}");
    }
}

#[test]
fn the_documented_tables_are_read() {
    let text = include_str!("../../../docs/annotate.md");
    let blocks = text.split("```toml\n").skip(2);
    let more: Vec<&str> = blocks
        .map(|block| block.split_once("```").unwrap().0)
        .collect();
    assert!(!more.is_empty());
    for block in &more {
        let whole = format!("{}\n{block}", documented());
        Project::parse(Path::new("p.toml"), &whole)
            .unwrap_or_else(|error| panic!("{block}: {error}"));
    }
}

#[test]
fn webhooks_are_public_and_signed_unless_the_project_says_otherwise() {
    let with = |table: &str| {
        let hook = "secret_env = \"S\"\n";
        format!(
            "{}\n[[webhook]]\nname = \"dash\"\n{hook}{table}",
            documented()
        )
    };
    for (table, words) in [
        (
            "url = \"https://127.0.0.1/\"",
            "give a public https:// address",
        ),
        (
            "url = \"https://[fd00::1]/\"",
            "give a public https:// address",
        ),
        (
            "url = \"http://hooks.example/\"",
            "give a public https:// address",
        ),
        (
            "url = \"https://me:pw@hooks.example/\"",
            "holds a name or password",
        ),
        ("url = \"hooks\"", "give an https:// address"),
        (
            "url = \"https://hooks.example/\"\nevents = [\"all\"]",
            "is no event",
        ),
        (
            "url = \"https://hooks.example/\"\nsecret_file = \"s\"",
            "webhook[0].secret_env says it too",
        ),
    ] {
        let mistakes = mistakes(&with(table));
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(
            mistakes[1].contains(words),
            "{words} is not in {}",
            mistakes[1]
        );
        assert!(!mistakes[1].contains("pw"));
    }
    let unsigned = with("url = \"https://hooks.example/\"").replace("secret_env = \"S\"\n", "");
    assert!(mistakes(&unsigned)[1].contains("webhook[0].secret_env: missing"));
    let more = "\n[[webhook]]\nname = \"dash\"\nsecret_env = \"S\"\nurl = \"https://b.example/\"";
    let twice = with("url = \"https://a.example/\"") + more;
    assert!(mistakes(&twice)[1].contains("webhook[1].name"));
    let private =
        with("url = \"http://10.0.0.7/\"\nallow_private = true\nevents = [\"project_finished\"]");
    let project = Project::parse(Path::new("p.toml"), &private).unwrap();
    assert_eq!(project.webhooks[0].events.len(), 1);
    let all = Project::parse(Path::new("p.toml"), &with("url = \"https://a.example/\"")).unwrap();
    assert_eq!(all.webhooks[0].events.len(), 3);
}

#[test]
fn pay_is_one_rate_that_can_be_paid() {
    let with = |table: &str| format!("{}\n[pay]\ncurrency = \"EUR\"\n{table}", documented());
    for (table, words) in [
        ("per_answer = 0.12345", "finer than can be paid"),
        ("per_answer = 0", "pay.per_answer"),
        (
            "per_answer = 0.1\nper_hour = 2\nmax_secs_per_answer = 60",
            "both of `per_answer` and `per_hour` given",
        ),
        (
            "per_hour = 14.5",
            "pay.max_secs_per_answer: missing beside per_hour",
        ),
        (
            "per_answer = 0.1\nmax_secs_per_answer = 60",
            "goes with per_hour alone",
        ),
    ] {
        let mistakes = mistakes(&with(table));
        assert!(
            mistakes[1].contains(words),
            "{words} is not in {mistakes:?}"
        );
    }
    let project = Project::parse(Path::new("p.toml"), &with("per_answer = 0.1234")).unwrap();
    assert_eq!(project.pay.unwrap().rate, Rate::Answer(1234));
    let hour = with("per_hour = 14.5\nmax_secs_per_answer = 300");
    let project = Project::parse(Path::new("p.toml"), &hour).unwrap();
    let rate = Rate::Hour {
        rate: 145_000,
        max_answer_ms: 300_000,
    };
    assert_eq!(project.pay.unwrap().rate, rate);
}

#[test]
fn the_scale_of_ratings_is_told_whole_or_not_at_all() {
    let with = |scale: &str| {
        let text = documented().replace(
            "[keys]",
            &format!("[questions.rating]\ntext = \"Wie gut?\"\nscale = {scale}\n\n[keys]"),
        );
        Project::parse(Path::new("p.toml"), &text)
    };
    let whole = with(r#"["a", "b", "c", "d", "e", "f", "g"]"#)
        .unwrap()
        .scale;
    assert_eq!(whole.text, "Wie gut?");
    assert_eq!(whole.ratings[6], "g");
    let message = with(r#"["a", "b"]"#).unwrap_err().to_string();
    assert!(
        message.contains("questions.rating.scale: 2 ratings (give seven, from 0 to 6)"),
        "{message}"
    );
    let absent = Project::parse(Path::new("p.toml"), documented())
        .unwrap()
        .scale;
    assert_eq!(absent.ratings.len(), 7);
    assert!(absent.ratings[2].starts_with("Something false"));
    assert!(absent.ratings[3].starts_with("Nothing false"));
}
