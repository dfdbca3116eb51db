//! The terms of a reward as a recipe has them: `[[rewards]]`, each with a name, a weight, and what its kind needs.

use std::path::PathBuf;

use candor_recipe::Reader;

use super::command::Process;
use crate::address::{checked, refuse_bare_key, wrong_url, wrong_variable};

/// Names that the figures of a step have already.
const RESERVED: [&str; 4] = ["score", "no_eos", "length", "symbolic"];

/// A term of the reward.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Its name in figures and messages.
    pub name: String,
    /// What its number is multiplied by.
    pub weight: f64,
    /// Where its number comes from.
    pub source: Source,
}

/// Where the number of a term comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// 1 for the letter of the right option.
    Letter,
    /// 1 for the right one of yes and no.
    YesNo,
    /// 1 for the data set's own answer.
    Exact,
    /// How many of the objects that are mentioned are there (CHAIR).
    Objects(ObjectsRecipe),
    /// Tokens over this number.
    Tokens(f64),
    /// The rating of a judge.
    Judge(JudgeRecipe),
    /// What a process says.
    Command(CommandRecipe),
    /// What an address says.
    Http(HttpRecipe),
    /// What a reward model of rated sentences says of each: its run folder.
    Segments(PathBuf),
}

/// What objects are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectsRecipe {
    /// COCO instances.
    pub instances: PathBuf,
    /// COCO captions, whose objects are there too.
    pub captions: Option<PathBuf>,
    /// Words for kinds of objects.
    pub synonyms: PathBuf,
    /// What is made of them.
    pub measure: ObjectMeasure,
}

/// What is made of the objects that a response mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectMeasure {
    /// 1 − `CHAIR_i` of the response: those that are there, of those that are mentioned; 1 where none is.
    Precision,
    /// Twice those that are rightly mentioned over those that are mentioned and those that are there; 1 where there is neither.
    F1,
}

/// A judge of responses.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgeRecipe {
    /// `judge.toml`.
    pub settings: PathBuf,
    /// What a response earns whose reply holds no rating, or that the judge refuses; an error if absent.
    pub unparsed: Option<f64>,
}

/// A process of the user's.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRecipe {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How long it lives.
    pub process: Process,
    /// Seconds that a line is waited for.
    pub timeout_secs: f64,
    /// Every reward that was given.
    pub cache: PathBuf,
}

/// An address of the user's.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRecipe {
    /// Where responses are posted to.
    pub url: String,
    /// The environment variable that holds a key.
    pub key_env: Option<String>,
    /// Responses that are posted together.
    pub batch: usize,
    /// Seconds that an answer is waited for.
    pub timeout_secs: f64,
    /// Tries of a request.
    pub attempts: u32,
    /// Every reward that was given.
    pub cache: PathBuf,
}

/// Reads what a kind of term needs; the key of its table is given.
type Read = fn(&mut Reader, &str) -> Source;

const KINDS: [(&str, Read); 9] = [
    ("letter", |_, _| Source::Letter),
    ("yes_no", |_, _| Source::YesNo),
    ("exact", |_, _| Source::Exact),
    ("objects", objects),
    ("tokens", tokens),
    ("judge", judge),
    ("command", command),
    ("http", http),
    ("segments", segments),
];

impl Term {
    /// Reads `[[rewards]]`; none where the recipe has no such table.
    pub fn read_all(r: &mut Reader) -> Vec<Self> {
        let meaning = "Terms that a response earns besides the score of a reward model, each logged by itself (docs/algorithms/rewards.md).";
        let tables = r.tables("rewards", meaning).optional().unwrap_or_default();
        let mut terms: Vec<Self> = Vec::with_capacity(tables.len());
        for table in tables {
            let term = Self::read(r, &table);
            if terms.iter().any(|known| known.name == term.name) {
                let problem = format!("{:?} is the name of another term", term.name);
                r.mistake(&format!("{table}.name"), problem, "choose another name");
            }
            let cache = term.source.cache();
            if cache.is_some() && terms.iter().any(|known| known.source.cache() == cache) {
                let problem = "two terms keep their replies in one file";
                r.mistake(&table, problem, "give each a file of its own");
            }
            terms.push(term);
        }
        terms
    }

    fn read(r: &mut Reader, table: &str) -> Self {
        let name = r
            .string(
                &format!("{table}.name"),
                "Name of the term in metrics and samples: letters, digits and `_`.",
            )
            .check(|name| {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let problem = if name.is_empty() || !name.chars().all(plain) {
                    Some(("not a name", "write letters, digits and `_`"))
                } else if RESERVED.contains(&name.as_str()) {
                    Some(("the name of a figure of its own", "choose another name"))
                } else {
                    None
                };
                checked(problem)
            })
            .required();
        let meaning = "Where the term's number comes from: `letter`, `yes_no` and `exact` are 1 for the right answer and 0 for others, `objects` is the precision or F1 of the objects that are mentioned where neither a letter nor yes or no is the answer, `tokens` the length, `judge` a model's rating over the highest there is, `command` and `http` what your own function says, `segments` in `candor rl` what a reward model of rated sentences says of each.";
        let read = r
            .one_of(&format!("{table}.kind"), &KINDS, meaning)
            .required();
        Self {
            name,
            weight: r
                .f64(
                    &format!("{table}.weight"),
                    "What the number is multiplied by before it is added to the score; below 0 it is a penalty.",
                )
                .required(),
            source: read(r, table),
        }
    }
}

impl Source {
    /// Where it keeps what it was told; of a judge, the file that names the place.
    fn cache(&self) -> Option<&PathBuf> {
        match self {
            Self::Judge(recipe) => Some(&recipe.settings),
            Self::Command(recipe) => Some(&recipe.cache),
            Self::Http(recipe) => Some(&recipe.cache),
            _ => None,
        }
    }
}

const CACHE: &str = "File of every reward that was given: a response that was rewarded is never asked about again, also by another run.";

fn objects(r: &mut Reader, table: &str) -> Source {
    let measures = [
        ("precision", ObjectMeasure::Precision),
        ("f1", ObjectMeasure::F1),
    ];
    Source::Objects(ObjectsRecipe {
        instances: r
            .path(
                &format!("{table}.instances"),
                "COCO instances of the images of all prompts of `caption_type` 1.",
            )
            .required(),
        captions: r
            .path(
                &format!("{table}.captions"),
                "COCO captions, whose objects are in the images too.",
            )
            .optional(),
        synonyms: r
            .path(
                &format!("{table}.synonyms"),
                "Words for kinds of objects: the table that CHAIR publishes.",
            )
            .required(),
        measure: r
            .one_of(
                &format!("{table}.measure"),
                &measures,
                "`precision`: those that are there, of the objects that are mentioned (1 − CHAIR_i), 1 where none is; `f1`: of precision and recall, so that silence earns nothing.",
            )
            .required(),
    })
}

fn tokens(r: &mut Reader, table: &str) -> Source {
    Source::Tokens(
        r.f64(
            &format!("{table}.per"),
            "The length that counts as 1, in tokens.",
        )
        .positive()
        .required(),
    )
}

fn judge(r: &mut Reader, table: &str) -> Source {
    Source::Judge(JudgeRecipe {
        settings: r
            .path(
                &format!("{table}.judge"),
                "`judge.toml` (docs/evaluation.md): endpoint, prompt, cap and the file of every reply that was paid for.",
            )
            .required(),
        unparsed: r
            .f64(
                &format!("{table}.unparsed"),
                "What a response earns about which the judge's reply holds no rating, or that the judge refuses; without it either stops the run.",
            )
            .optional(),
    })
}

fn command(r: &mut Reader, table: &str) -> Source {
    let processes = [("kept", Process::Kept), ("batch", Process::Batch)];
    Source::Command(CommandRecipe {
        command: r
            .strings(&format!("{table}.command"), "Program and arguments; no shell looks at them.")
            .check(|words| {
                let empty = words.first().is_none_or(String::is_empty);
                checked(empty.then_some(("no program", "name a program")))
            })
            .required(),
        process: r
            .one_of(
                &format!("{table}.process"),
                &processes,
                "Whether one process answers line after line as long as the run lasts, or a new one reads a step's lines to their end.",
            )
            .or(Process::Kept, "\"kept\""),
        timeout_secs: timeout(r, table),
        cache: r.path(&format!("{table}.cache"), CACHE).required(),
    })
}

fn http(r: &mut Reader, table: &str) -> Source {
    let url = r
        .string(&format!("{table}.url"), "Where responses are posted to.")
        .check(|url| checked(wrong_url(url, &format!("{table}.key_env"))))
        .required();
    let key_env = r
        .string(
            &format!("{table}.key_env"),
            "The environment variable that holds the key, if it wants one.",
        )
        .check(|name| checked(wrong_variable(name)))
        .optional();
    refuse_bare_key(r, table, &url, key_env.is_some());
    Source::Http(HttpRecipe {
        url,
        key_env,
        batch: r
            .usize(
                &format!("{table}.batch"),
                "Responses that are posted together.",
            )
            .within(1..=4096)
            .or(64, "64"),
        timeout_secs: timeout(r, table),
        attempts: r
            .u64(&format!("{table}.attempts"), "Tries of a request.")
            .within(1..=100)
            .or(3, "3") as u32,
        cache: r.path(&format!("{table}.cache"), CACHE).required(),
    })
}

fn segments(r: &mut Reader, table: &str) -> Source {
    Source::Segments(
        r.path(
            &format!("{table}.reward"),
            "Run folder of `candor reward` on rated sentences (`data.rated`), on the base of `model.reward`.",
        )
        .required(),
    )
}

fn timeout(r: &mut Reader, table: &str) -> f64 {
    r.f64(
        &format!("{table}.timeout_secs"),
        "Seconds that a reply is waited for.",
    )
    .positive()
    .within(..=86_400.0)
    .or(60.0, "60")
}
