//! What may be wrong with a project file besides its syntax.

use super::{Import, ImportFormat, Kind, Project};

/// One sentence for each mistake: the field, what was found, what to do.
pub(super) fn mistakes(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |good: bool, mistake: String| {
        if !good {
            found.push(mistake);
        }
    };
    let protocol = &project.protocol;
    expect(
        !project.title.trim().is_empty(),
        "`title` is empty; give the project a name".into(),
    );
    expect(
        !project.database.trim().is_empty(),
        "`database` is empty; name a file or a postgres:// URL".into(),
    );
    for (field, value, low, high) in [
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
    ] {
        expect(
            (low..=high).contains(&value),
            format!("`{field}` is {value}; give a whole number from {low} to {high}"),
        );
    }
    expect(
        protocol.heartbeat_secs.saturating_mul(2) <= protocol.lease_secs,
        format!(
            "`protocol.lease_secs` is {}, less than two heartbeats of {} seconds; make it longer",
            protocol.lease_secs, protocol.heartbeat_secs
        ),
    );
    let gold_rate = protocol.gold_rate;
    expect(
        (0.0..1.0).contains(&gold_rate),
        format!("`protocol.gold_rate` is {gold_rate}; give a share from 0 to less than 1"),
    );
    let pass_mark = project.training.pass_mark;
    expect(
        (0.0..=1.0).contains(&pass_mark),
        format!("`training.pass_mark` is {pass_mark}; give a share from 0 to 1"),
    );
    expect(
        project.guidelines.text.is_some() != project.guidelines.file.is_some(),
        "`guidelines` needs either `text` or `file`; give one of them".into(),
    );
    if let Some(mistake) = url_mistake(&project.server.public_url) {
        expect(false, mistake);
    }
    for (i, import) in project.imports.iter().enumerate() {
        if let Some(mistake) = import_mistake(import) {
            expect(false, format!("`import[{i}]`: {mistake}"));
        }
    }
    found.extend(project.keys.mistakes());
    found
}

fn url_mistake(url: &str) -> Option<String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let good = rest.is_some_and(|host| {
        !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
    });
    (!good).then(|| {
        format!("`server.public_url` is {url:?}; give the scheme and host that browsers show, such as https://annotate.example.org")
    })
}

fn import_mistake(import: &Import) -> Option<&'static str> {
    let known = matches!(
        import.format,
        ImportFormat::PreferenceLog | ImportFormat::Llava
    );
    if import.kind != Kind::Work && !known {
        return Some(
            "gold and training items need right answers; use the format preference_log or llava",
        );
    }
    (import.kind != Kind::Work && import.scores.is_some())
        .then_some("`scores` order work; leave them out for gold and training")
}
