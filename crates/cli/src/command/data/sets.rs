//! The public sets that candor reads: where each is, under which licence, and what reads it (`sets.toml`).

use anyhow::Context as _;
use candor_model::hub::Named;
use serde::Deserialize;

/// A public set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicSet {
    /// What `candor data get` calls it.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Its licence, as whoever publishes it says.
    pub licence: String,
    /// Its repository among the hub's sets, where it has one.
    pub repository: Option<String>,
    /// The revision that is fetched if none is named.
    pub revision: Option<String>,
    /// The files that are fetched, by name; `*` stands for anything.
    #[serde(default)]
    pub files: Vec<String>,
    /// What must be fetched elsewhere.
    #[serde(default)]
    pub elsewhere: Vec<Elsewhere>,
    /// Commands that read it.
    pub reads: Vec<String>,
    /// What else there is to do or to know.
    pub then: Option<String>,
}

/// Files that the hub does not have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// What they are.
    pub what: String,
    /// Where they are.
    pub url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    set: Vec<PublicSet>,
}

impl PublicSet {
    /// All of them.
    ///
    /// # Errors
    /// The table that candor was built with is damaged.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        let table: Table =
            toml::from_str(include_str!("sets.toml")).context("the table of public sets")?;
        Ok(table.set)
    }

    /// The repository, at `revision` or at the table's; none where the hub has none.
    pub fn named(&self, revision: Option<&str>) -> Option<Named> {
        let revision = revision.or(self.revision.as_deref()).unwrap_or("main");
        Some(Named {
            repository: self.repository.clone()?,
            revision: revision.to_owned(),
        })
    }

    /// Where it is, in a word.
    pub fn place(&self) -> &str {
        self.repository.as_deref().unwrap_or("not on the hub")
    }

    /// What is to be fetched elsewhere, a line each.
    pub fn elsewhere_lines(&self) -> Vec<String> {
        let lines = self.elsewhere.iter();
        lines
            .map(|file| format!("  {}: {}", file.what, file.url))
            .collect()
    }
}

/// Whether a file has a name that a pattern means.
pub fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(start) else {
        return false;
    };
    // What the star stands for may end anywhere.
    let mut ends = name.char_indices().map(|(end, _)| end).chain([name.len()]);
    ends.any(|end| fits(rest, &name[end..]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use candor_model::hub;
    use clap::CommandFactory as _;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn patterns_mean_names() {
        for (pattern, name, expected) in [
            ("a.json", "a.json", true),
            ("a.json", "b/a.json", false),
            ("*.parquet", "data/test-0.parquet", true),
            ("*.parquet", "data/test-0.parquet.md", false),
            (
                "data/test-*.parquet",
                "data/test-00000-of-00001.parquet",
                true,
            ),
            (
                "data/test-*.parquet",
                "data/train-00000-of-00001.parquet",
                false,
            ),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    /// The set as docs/data.md has it.
    fn row(set: &PublicSet) -> String {
        let (place, files) = if let Some(repository) = &set.repository {
            let files = set.files.iter().map(|file| format!("`{file}`"));
            let url = format!("https://huggingface.co/datasets/{repository}");
            let files: Vec<String> = files.collect();
            (format!("[{repository}]({url})"), files.join(", "))
        } else {
            let files = set.elsewhere.iter().map(|file| file.what.as_str());
            let files: Vec<&str> = files.collect();
            ("elsewhere".to_owned(), files.join("; "))
        };
        format!("| `{}` | {place} | {files} | {} |", set.name, set.licence)
    }

    #[test]
    fn every_set_says_where_it_is_and_is_read_by_a_command_that_there_is() {
        let sets = PublicSet::all().unwrap();
        let page = include_str!("../../../../../docs/data.md");
        let mut names = BTreeSet::new();
        for set in &sets {
            let name = &set.name;
            assert!(names.insert(name), "{name} is there twice");
            let row = row(set);
            assert!(
                page.lines().any(|line| line == row),
                "docs/data.md lacks {row}"
            );
            assert_eq!(set.repository.is_some(), !set.files.is_empty(), "{name}");
            assert!(
                set.repository.is_some() || !set.elsewhere.is_empty(),
                "{name}"
            );
            assert!(!set.licence.is_empty() && !set.reads.is_empty(), "{name}");
            if let Some(named) = set.named(None) {
                let written = format!("{}@{}", named.repository, named.revision);
                assert_eq!(hub::parse(Path::new(&written)), Some(named));
            }
            for command in &set.reads {
                let parsed = Arguments::command().try_get_matches_from(command.split(' '));
                assert!(parsed.is_ok(), "{name}: {command}: {:?}", parsed.err());
            }
        }
        assert!(sets.len() >= 20, "{} sets", sets.len());
    }
}
