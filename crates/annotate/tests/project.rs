//! Project files: what is wrong with one is said at once, and what the documentation shows is right.

use std::path::Path;

use candor_annotate::AnnotateError;
use candor_annotate::project::{Dispute, ImportFormat, Kind, Project};

fn mistakes(text: &str) -> Vec<String> {
    match Project::parse(Path::new("p.toml"), text) {
        Err(AnnotateError::Project { mistakes, .. }) => mistakes,
        other => panic!("expected mistakes, found {other:?}"),
    }
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
    assert_eq!(project.imports[0].format, ImportFormat::Candidates);
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
    for (expected, mistake) in [
        "`protocol.overlap` is 0; give a whole number from 1 to 100",
        "`protocol.lease_secs` is 30, less than two heartbeats of 20 seconds; make it longer",
        "`protocol.gold_rate` is 1.5; give a share from 0 to less than 1",
        "`server.public_url` is \"annotate.example.org/path\"; give the scheme",
        "`import[1]`: `scores` order work; leave them out for gold and training",
        "`keys.flag` and `keys.skip` are both \"f\"; give one of them another key",
    ]
    .iter()
    .zip(&mistakes)
    {
        assert!(mistake.starts_with(expected), "{mistake}");
    }
    assert_eq!(mistakes.len(), 6, "{mistakes:?}");
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
        let without = kept.join(
            "
",
        );
        let mistakes = mistakes(&without);
        assert!(
            mistakes[0].contains(&format!("missing field `{field}`")),
            "{mistakes:?}"
        );
    }
}

#[test]
fn unknown_fields_are_mistakes() {
    let mistakes = mistakes(&documented().replace("undo = 5", "undos = 5"));
    assert!(mistakes[0].contains("undos"), "{mistakes:?}");
}
