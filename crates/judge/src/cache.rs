//! Replies that were paid for: a file of JSON lines that is only ever appended to ([`LineLog`]), so that a process
//! that is killed at any moment has lost no reply that it knew of.

use std::collections::HashMap;
use std::path::Path;

use candor_data::LineLog;
use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::budget::Tokens;
use crate::reply::Reply;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    /// A reply.
    Reply {
        /// Names everything it depends on.
        key: String,
        /// The item that was first judged by it.
        id: String,
        /// Number of the sample, from 0.
        sample: u32,
        /// What was read out of it.
        #[serde(flatten)]
        reply: Reply,
        /// The endpoint's whole answer.
        raw: String,
        /// What it counts as in the budget.
        charged: Tokens,
    },
    /// A request whose reply was lost on the way, and that may have been charged.
    Lost {
        /// What is reckoned for it.
        charged: Tokens,
    },
}

/// Replies by key.
#[derive(Debug)]
pub struct Cache {
    log: LineLog<Line>,
    replies: HashMap<String, Reply>,
    charged: Tokens,
}

impl Cache {
    /// Opens a file, or begins one.
    ///
    /// # Errors
    /// It cannot be read or written, another process has it open, or a line other than the last is damaged.
    pub fn open(path: &Path) -> Result<Self, JudgeError> {
        let remedy = "remove the line; its reply is asked for again";
        let (log, lines) = LineLog::open(path, remedy)?;
        let mut cache = Self {
            log,
            replies: HashMap::new(),
            charged: Tokens::default(),
        };
        for line in lines {
            cache.learn(line);
        }
        Ok(cache)
    }

    /// The reply under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Reply> {
        self.replies.get(key)
    }

    /// What all lines together count as.
    #[must_use]
    pub fn charged(&self) -> Tokens {
        self.charged
    }

    /// Keeps a reply; it is on the disk when this returns.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn keep(
        &mut self,
        key: &str,
        origin: (&str, u32),
        reply: &Reply,
        raw: String,
        charged: Tokens,
    ) -> Result<(), JudgeError> {
        self.append(Line::Reply {
            key: key.to_owned(),
            id: origin.0.to_owned(),
            sample: origin.1,
            reply: reply.clone(),
            raw,
            charged,
        })
    }

    /// Keeps that a request may have been charged without a reply.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn lose(&mut self, charged: Tokens) -> Result<(), JudgeError> {
        self.append(Line::Lost { charged })
    }

    fn append(&mut self, line: Line) -> Result<(), JudgeError> {
        self.log.append(&line)?;
        self.learn(line);
        Ok(())
    }

    fn learn(&mut self, line: Line) {
        match line {
            Line::Reply {
                key,
                reply,
                charged,
                ..
            } => {
                self.charged += charged;
                self.replies.insert(key, reply);
            }
            Line::Lost { charged } => self.charged += charged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply {
            text: text.to_owned(),
            ..Reply::default()
        }
    }

    const COST: Tokens = Tokens {
        prompt: 5,
        completion: 2,
    };

    #[test]
    fn a_file_cut_anywhere_keeps_its_whole_lines_and_can_be_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/replies.jsonl");
        let mut cache = Cache::open(&path).unwrap();
        cache
            .keep("a", ("1", 0), &reply("grün\n"), "raw".to_owned(), COST)
            .unwrap();
        let first = std::fs::metadata(&path).unwrap().len() as usize;
        cache.lose(COST).unwrap();
        cache
            .keep("b", ("2", 0), &reply("B"), "raw".to_owned(), COST)
            .unwrap();
        drop(cache);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut cache = Cache::open(&path).unwrap();
            assert_eq!(cache.get("a").is_some(), length >= first, "{length}");
            assert_eq!(cache.get("b").is_some(), length == whole.len(), "{length}");
            cache
                .keep("c", ("3", 0), &reply("C"), String::new(), COST)
                .unwrap();
            drop(cache);
            let cache = Cache::open(&path).unwrap();
            assert_eq!(cache.get("c"), Some(&reply("C")), "{length}");
            assert_eq!(cache.get("a").is_some(), length >= first, "{length}");
        }
    }

    #[test]
    fn what_was_charged_is_remembered_lost_replies_included() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("replies.jsonl");
        let mut cache = Cache::open(&path).unwrap();
        cache
            .keep("a", ("1", 0), &reply("A"), String::new(), COST)
            .unwrap();
        cache
            .lose(Tokens {
                prompt: 10,
                completion: 10,
            })
            .unwrap();
        drop(cache);
        let expected = Tokens {
            prompt: 15,
            completion: 12,
        };
        assert_eq!(Cache::open(&path).unwrap().charged(), expected);
    }

    #[test]
    fn damage_in_the_middle_is_named_and_two_processes_are_kept_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("replies.jsonl");
        std::fs::write(
            &path,
            "{\"kind\":\"lost\",\"charged\":{\"prompt\":1,\"completion\":1}}\nrubbish\n\n",
        )
        .unwrap();
        let message = Cache::open(&path).unwrap_err().to_string();
        assert!(
            message.contains("line 2") && message.contains("remove the line"),
            "{message}"
        );
        std::fs::write(&path, "").unwrap();
        let _held = Cache::open(&path).unwrap();
        let message = Cache::open(&path).unwrap_err().to_string();
        assert!(message.contains("another process"), "{message}");
    }
}
