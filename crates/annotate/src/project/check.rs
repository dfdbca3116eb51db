//! What may be wrong with a project file besides its syntax.

use candor_data::ComparisonFormat;

use super::mistake::Found;
use super::{Import, Kind, Project};

/// What is wrong with the values of a project.
pub(super) fn mistakes(project: &Project) -> Vec<Found> {
    let mut found = Vec::new();
    let mut expect = |good: bool, key: &str, problem: String, remedy: &str| {
        if !good {
            found.push(Found::new(key, problem, remedy));
        }
    };
    let protocol = &project.protocol;
    expect(
        !project.title.trim().is_empty(),
        "title",
        "empty".into(),
        "give the project a name",
    );
    expect(
        !project.database.trim().is_empty(),
        "database",
        "empty".into(),
        "name a file or a postgres:// URL",
    );
    for (field, value, low, high) in ranges(project) {
        expect(
            (low..=high).contains(&value),
            field,
            format!("{value} is out of range"),
            &format!("give a whole number from {low} to {high}"),
        );
    }
    expect(
        protocol.heartbeat_secs.saturating_mul(2) <= protocol.lease_secs,
        "protocol.lease_secs",
        format!(
            "{} is less than two heartbeats of {} seconds",
            protocol.lease_secs, protocol.heartbeat_secs
        ),
        "make it longer",
    );
    let gold_rate = protocol.gold_rate;
    expect(
        (0.0..1.0).contains(&gold_rate),
        "protocol.gold_rate",
        format!("{gold_rate} is out of range"),
        "give a share from 0 to less than 1",
    );
    let pass_mark = project.training.pass_mark;
    expect(
        (0.0..=1.0).contains(&pass_mark),
        "training.pass_mark",
        format!("{pass_mark} is out of range"),
        "give a share from 0 to 1",
    );
    expect(
        project.guidelines.text.is_some() != project.guidelines.file.is_some(),
        "guidelines",
        "needs either `text` or `file`".into(),
        "give one of them",
    );
    let url = &project.server.public_url;
    expect(
        is_url(url),
        "server.public_url",
        format!("found {url:?}"),
        "give the scheme and host that browsers show, such as https://annotate.example.org",
    );
    for (i, import) in project.imports.iter().enumerate() {
        if let Some((field, problem, remedy)) = import_mistake(import) {
            expect(
                false,
                &format!("import[{i}].{field}"),
                problem.into(),
                remedy,
            );
        }
    }
    found.extend(project.keys.mistakes());
    found
}

/// Whole numbers with what they may be at least and at most.
fn ranges(project: &Project) -> [(&'static str, u32, u32, u32); 11] {
    let protocol = &project.protocol;
    [
        ("protocol.overlap", protocol.overlap, 1, 100),
        (
            "protocol.min_reading_secs",
            protocol.min_reading_secs,
            0,
            3600,
        ),
        ("protocol.lease_secs", protocol.lease_secs, 10, 86_400),
        ("protocol.heartbeat_secs", protocol.heartbeat_secs, 1, 3600),
        ("protocol.hold", protocol.hold, 1, 20),
        ("protocol.undo", protocol.undo, 0, 100),
        ("protocol.skip_limit", protocol.skip_limit, 1, 1000),
        ("protocol.return_hours", protocol.return_hours, 1, 24 * 365),
        ("training.attempts", project.training.attempts, 1, 100),
        (
            "server.session_hours",
            project.server.session_hours,
            1,
            24 * 90,
        ),
        (
            "server.max_megapixels",
            project.server.max_megapixels,
            1,
            500,
        ),
    ]
}

fn is_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|host| {
        !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
    })
}

/// The field, what is wrong with it, and what to do.
fn import_mistake(import: &Import) -> Option<(&'static str, &'static str, &'static str)> {
    let known = matches!(
        import.format,
        ComparisonFormat::PreferenceLog | ComparisonFormat::Llava
    );
    if import.kind != Kind::Work && !known {
        return Some((
            "format",
            "gold and training items need right answers",
            "use the format preference_log or llava",
        ));
    }
    (import.kind != Kind::Work && import.scores.is_some()).then_some((
        "scores",
        "scores order work",
        "leave them out for gold and training",
    ))
}
