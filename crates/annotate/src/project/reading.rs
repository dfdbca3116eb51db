//! From the text of a project file to the project, or to all mistakes in it.

use std::net::SocketAddr;
use std::path::PathBuf;

use candor_data::ComparisonFormat;
use candor_recipe::{Reader, RecipeError};

use super::{
    Dispute, Guidelines, Import, ImportFormat, Keys, Kind, Project, Protocol, Server, Training,
    asking, oidc, pay, webhook,
};

/// Names that formats had before.
const FORMER: [(&str, ComparisonFormat); 2] = [
    ("trl_jsonl", ComparisonFormat::Trl),
    ("trl_parquet", ComparisonFormat::Trl),
];

/// The project in `text`, but for its folder; `name` is the file's in messages.
pub(super) fn project(name: &str, text: &str) -> Result<Project, RecipeError> {
    let mut file = Reader::parse(name, text, &[]);
    let project = read(&mut file);
    file.finish()?;
    Ok(project)
}

fn read(file: &mut Reader) -> Project {
    let project = fields(file);
    let is_ranked = |import: &Import| import.format.is_ranked();
    if project.imports.iter().any(is_ranked) && !file.has("protocol.ranking_ties") {
        let remedy = "say whether answers may share a rank: true or false";
        file.mistake("protocol.ranking_ties", "missing", remedy);
    }
    project
}

fn fields(file: &mut Reader) -> Project {
    Project {
        folder: PathBuf::new(),
        title: file
            .string("title", "Shown on every page.")
            .check(|title| stated(title, "give the project a name"))
            .required(),
        database: file
            .string("database", "A file for SQLite, or a `postgres://` URL.")
            .check(|database| stated(database, "name a file or a postgres:// URL"))
            .required(),
        seed: file
            .u64("seed", "Decides sides and where gold is hidden.")
            .required(),
        server: server(file),
        oidc: oidc::read(file),
        webhooks: webhook::read(file),
        protocol: protocol(file),
        training: Training {
            pass_mark: file
                .f64("training.pass_mark", "Share of right answers that passes.")
                .within(0.0..=1.0)
                .required(),
            attempts: file
                .u64("training.attempts", "How often the round may be tried.")
                .within(1..=100)
                .required() as u32,
        },
        pay: pay::read(file),
        guidelines: guidelines(file),
        questions: asking::questions(file),
        scale: asking::scale(file),
        ranking: asking::ranking(file),
        keys: keys(file),
        imports: file
            .tables("import", "Where items come from.")
            .optional()
            .unwrap_or_default()
            .iter()
            .map(|key| import(file, key))
            .collect(),
    }
}

fn server(file: &mut Reader) -> Server {
    let listen = Server::LISTEN;
    let address = file
        .string("server.listen", "Address and port to listen at.")
        .check(|address| match address.parse::<SocketAddr>() {
            Ok(_) => Ok(()),
            Err(_) => wrong(
                format!("{address:?} is no address with a port"),
                "write one such as 127.0.0.1:8090",
            ),
        })
        .or(listen.to_string(), &listen.to_string());
    let listen = address.parse().unwrap_or(listen);
    let url = file
        .string(
            "server.public_url",
            "The address in people's browsers, without a path; https makes cookies secure.",
        )
        .check(|url| {
            if url.is_empty() || is_url(url) {
                return Ok(());
            }
            let remedy =
                "give the scheme and host that browsers show, such as https://annotate.example.org";
            wrong(format!("found {url:?}"), remedy)
        })
        .or(String::new(), "localhost and the port of `server.listen`");
    Server {
        listen,
        public_url: Some(url)
            .filter(|url| !url.is_empty())
            .unwrap_or_else(|| Server::local_url(listen)),
        path: file
            .string("server.path", "Where the project lies on the server, where that serves several.")
            .check(|path| is_segment(path))
            .optional(),
        session_hours: file
            .u64("server.session_hours", "A session ends after this time without a request.")
            .within(1..=24 * 90)
            .or(12, "12") as u32,
        behind_proxy: file
            .bool("server.behind_proxy", "Whether a reverse proxy stands in front, whose last `X-Forwarded-For` entry is the client.")
            .or(false, "false"),
        max_megapixels: file
            .u64("server.max_megapixels", "Largest image.")
            .within(1..=500)
            .or(50, "50") as u32,
    }
}

/// Paths that a server of several projects has itself.
const TAKEN: [&str; 3] = ["healthz", "readyz", "static"];

fn is_segment(path: &str) -> Result<(), (String, String)> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if TAKEN.contains(&path) {
        return wrong(format!("{path:?} is the server's own"), "choose another");
    }
    if path.is_empty() || path.len() > 40 || !path.chars().all(plain) {
        let remedy = "write up to 40 lower-case letters, digits and hyphens, such as \"kitchens\"";
        return wrong(format!("found {path:?}"), remedy);
    }
    Ok(())
}

fn protocol(file: &mut Reader) -> Protocol {
    let disputes = [
        ("no_majority", Dispute::NoMajority),
        ("any_difference", Dispute::AnyDifference),
        ("never", Dispute::Never),
    ];
    let protocol = Protocol {
        overlap: file
            .u64("protocol.overlap", "People who compare each item.")
            .within(1..=100)
            .required() as u32,
        gold_rate: file
            .f64(
                "protocol.gold_rate",
                "Share of what a person gets that is hidden gold.",
            )
            .within(0.0..1.0)
            .required(),
        min_reading_secs: file
            .u64(
                "protocol.min_reading_secs",
                "An answer that comes sooner after the task was shown is refused.",
            )
            .within(0..=3600)
            .required() as u32,
        dispute: file
            .one_of(
                "protocol.dispute",
                &disputes,
                "When an item with all its answers goes to adjudication.",
            )
            .required(),
        ranking_ties: file
            .bool(
                "protocol.ranking_ties",
                "Whether answers that are ranked may share a rank; needed where some are.",
            )
            .or(false, "false"),
        lease_secs: file
            .u64(
                "protocol.lease_secs",
                "How long a task stays with somebody of whom nothing is heard.",
            )
            .within(10..=86_400)
            .or(600, "600") as u32,
        heartbeat_secs: file
            .u64(
                "protocol.heartbeat_secs",
                "How often the browser says that it is still there.",
            )
            .within(1..=3600)
            .or(20, "20") as u32,
        hold: file
            .u64(
                "protocol.hold",
                "Tasks that a page may hold: the shown one and those loaded ahead.",
            )
            .within(1..=20)
            .or(2, "2") as u32,
        undo: file
            .u64(
                "protocol.undo",
                "Answers that can be taken back, one after the other.",
            )
            .within(0..=100)
            .or(5, "5") as u32,
        skip_limit: file
            .u64(
                "protocol.skip_limit",
                "An item that so many people skipped waits for an adjudicator.",
            )
            .within(1..=1000)
            .or(3, "3") as u32,
        return_hours: file
            .u64(
                "protocol.return_hours",
                "How long a task waits for its author when an adjudicator sends it back.",
            )
            .within(1..=24 * 365)
            .or(24, "24") as u32,
    };
    let (lease, heartbeat) = (protocol.lease_secs, protocol.heartbeat_secs);
    if heartbeat.saturating_mul(2) > lease {
        let problem = format!("{lease} is less than two heartbeats of {heartbeat} seconds");
        file.mistake("protocol.lease_secs", problem, "make it longer");
    }
    protocol
}

fn guidelines(file: &mut Reader) -> Guidelines {
    file.one_of_two("guidelines", "text", "file");
    Guidelines {
        text: file
            .string(
                "guidelines.text",
                "What annotators read first, in Markdown.",
            )
            .optional(),
        file: file.path("guidelines.file", "A file with it.").optional(),
    }
}

fn keys(file: &mut Reader) -> Keys {
    let absent = Keys::default();
    let mut of = |name, meaning, absent: String| {
        let field = file.string(&format!("keys.{name}"), meaning);
        let word = format!("{absent:?}");
        field.check(|key| usable(key)).or(absent, &word)
    };
    let keys = Keys {
        a: of("a", "Picks the left answer.", absent.a),
        b: of("b", "Picks the right answer.", absent.b),
        tie: of("tie", "Equal, or cannot tell.", absent.tie),
        skip: of("skip", "Skips the item.", absent.skip),
        flag: of("flag", "Flags the item.", absent.flag),
        undo: of("undo", "Takes the last answer back.", absent.undo),
        mark: of("mark", "Marks false words.", absent.mark),
        help: of("help", "Shows the keys.", absent.help),
        diff: of(
            "diff",
            "Highlights the differences between the answers.",
            absent.diff,
        ),
        submit: of("submit", "Sends the answer.", absent.submit),
    };
    let named = keys.by_name();
    for (i, (name, key)) in named.iter().enumerate() {
        if let Some((first, _)) = named[..i].iter().find(|(_, other)| other == key) {
            let problem = format!("{key:?} is that of keys.{first} too");
            file.mistake(
                &format!("keys.{name}"),
                problem,
                "give one of them another key",
            );
        }
    }
    keys
}

fn usable(key: &str) -> Result<(), (String, String)> {
    if key.is_empty() || key.chars().any(char::is_uppercase) {
        return wrong(
            format!("found {key:?}"),
            "give the lower-case name of a key",
        );
    }
    if matches!(key, "tab" | "escape" | " ") {
        let problem = format!("{key:?} is what people without a mouse need to move about");
        return wrong(problem, "give another key");
    }
    Ok(())
}

fn import(file: &mut Reader, key: &str) -> Import {
    let of = |name: &str| format!("{key}.{name}");
    let compared = ComparisonFormat::ALL.map(|format| (format.name(), format));
    let formats = compared.into_iter().chain(FORMER);
    let formats = formats.map(|(name, format)| (name, ImportFormat::Comparisons(format)));
    let others = [
        ("answers", ImportFormat::Answers),
        ("answer_sets", ImportFormat::AnswerSets),
        ("label_studio", ImportFormat::LabelStudio),
        ("argilla", ImportFormat::Argilla),
        ("argilla_sets", ImportFormat::ArgillaSets),
    ];
    let formats: Vec<_> = formats.chain(others).collect();
    let kinds = [Kind::Work, Kind::Gold, Kind::Training].map(|kind| (kind.name(), kind));
    let import = Import {
        file: file.path(&of("file"), "The file.").required(),
        format: file
            .one_of(&of("format"), &formats, "Its format.")
            .required(),
        kind: file
            .one_of(&of("kind"), &kinds, "What the items are for.")
            .or(Kind::Work, "\"work\""),
        images: file
            .string(
                &of("images"),
                "The folder of the images, or the URL of one in an object store.",
            )
            .optional(),
        scores: file
            .path(
                &of("scores"),
                "Scores of a reward model: uncertain items come first.",
            )
            .optional(),
    };
    let is_compared = import.format != ImportFormat::Answers && !import.format.is_ranked();
    if !is_compared && import.scores.is_some() {
        let remedy = "leave them out where answers are rated one by one or ranked";
        file.mistake(&of("scores"), "scores order comparisons", remedy);
    }
    if import.kind == Kind::Work {
        return import;
    }
    let is_judged = matches!(
        import.format,
        ImportFormat::Comparisons(ComparisonFormat::PreferenceLog | ComparisonFormat::Llava)
            | ImportFormat::LabelStudio
            | ImportFormat::Argilla
    );
    if !is_judged {
        file.mistake(
            &of("format"),
            "gold and training items need right answers",
            "use the format preference_log, llava, label_studio or argilla",
        );
    } else if import.scores.is_some() {
        file.mistake(
            &of("scores"),
            "scores order work",
            "leave them out for gold and training",
        );
    }
    import
}

pub(super) fn stated(text: &str, remedy: &str) -> Result<(), (String, String)> {
    if text.trim().is_empty() {
        return wrong("empty", remedy);
    }
    Ok(())
}

pub(super) fn wrong(problem: impl Into<String>, remedy: &str) -> Result<(), (String, String)> {
    Err((problem.into(), remedy.to_owned()))
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
