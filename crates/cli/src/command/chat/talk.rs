//! What is typed in a conversation, and what comes back.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candor_model::{Decoding, Dialogue, End, ModelError};

const HELP: &str = "\
/image FILE   show an image; the next question is about it
/reset        begin a new conversation
/quit         end (as Ctrl-D does)
/help         this text
Everything else is asked. Ctrl-C ends an answer.";

/// Whether the conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    GoOn,
    Quit,
}

/// A conversation with a person.
pub struct Talk<'a> {
    dialogue: Dialogue<'a>,
    decoding: Decoding,
    seed: u64,
    interrupted: Arc<AtomicBool>,
}

/// What a line means.
#[derive(Debug, PartialEq, Eq)]
enum Line<'l> {
    Nothing,
    Ask(&'l str),
    Image(PathBuf),
    ImageMissing,
    Reset,
    Quit,
    Help,
    Unknown(&'l str),
}

impl<'a> Talk<'a> {
    pub fn new(dialogue: Dialogue<'a>, decoding: Decoding, seed: u64) -> Self {
        Self {
            dialogue,
            decoding,
            seed,
            interrupted: Arc::default(),
        }
    }

    /// Ends answers early when the flag is set.
    pub fn stop_when(&mut self, interrupted: Arc<AtomicBool>) {
        self.interrupted = interrupted;
    }

    pub fn show(&mut self, image: &Path) -> Result<(), ModelError> {
        self.dialogue.show(image)
    }

    /// Asks, and writes the whole answer as one line of JSON.
    pub fn ask_for_json(&mut self, question: &str, out: &mut impl Write) -> anyhow::Result<()> {
        let answer = self
            .dialogue
            .ask(question, self.decoding, self.seed, |_| true)?;
        let json = serde_json::json!({
            "text": answer.text,
            "ids": answer.ids,
            "logprobs": answer.logprobs,
            "finished": answer.end == End::Finished,
        });
        writeln!(out, "{json}")?;
        Ok(())
    }

    /// Asks, and writes the answer while it comes; remarks go to stderr.
    pub fn ask(&mut self, question: &str, out: &mut impl Write) -> anyhow::Result<()> {
        self.interrupted.store(false, Ordering::SeqCst);
        let interrupted = Arc::clone(&self.interrupted);
        let mut written: io::Result<()> = Ok(());
        let answer = self
            .dialogue
            .ask(question, self.decoding, self.seed, |piece| {
                written = out.write_all(piece.as_bytes()).and_then(|()| out.flush());
                written.is_ok() && !interrupted.load(Ordering::SeqCst)
            })?;
        written.and_then(|()| writeln!(out))?;
        match answer.end {
            End::Finished => {}
            End::Stopped => eprintln!("(stopped)"),
            End::Length => eprintln!(
                "(cut after {} tokens; --max-new-tokens allows more)",
                answer.ids.len()
            ),
            End::Full => eprintln!("(the model has no more positions; /reset begins anew)"),
        }
        Ok(())
    }

    /// Does what a line says. What goes wrong is said on stderr, and the conversation goes on.
    pub fn line(&mut self, line: &str, out: &mut impl Write) -> Reply {
        let done = match Line::of(line) {
            Line::Nothing => Ok(()),
            Line::Quit => return Reply::Quit,
            Line::Ask(question) => self.ask(question, out),
            Line::Image(path) => self.show(&path).map_err(Into::into),
            Line::ImageMissing => Err(anyhow::anyhow!("/image needs the path of an image")),
            Line::Reset => {
                self.dialogue.reset();
                Ok(())
            }
            Line::Help => {
                eprintln!("{HELP}");
                Ok(())
            }
            Line::Unknown(word) => Err(anyhow::anyhow!(
                "there is no {word}; /help says what there is"
            )),
        };
        if let Err(error) = done {
            eprintln!("{}", crate::chain(&error));
        }
        Reply::GoOn
    }
}

impl<'l> Line<'l> {
    fn of(line: &'l str) -> Self {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "" => Self::Nothing,
            "/image" => match unquoted(rest.trim()) {
                "" => Self::ImageMissing,
                path => Self::Image(path.into()),
            },
            "/reset" => Self::Reset,
            "/quit" | "/exit" => Self::Quit,
            "/help" => Self::Help,
            _ if word.starts_with('/') => Self::Unknown(word),
            _ => Self::Ask(line),
        }
    }
}

/// A path as terminals paste it.
fn unquoted(path: &str) -> &str {
    let within = |quote: char| path.strip_prefix(quote)?.strip_suffix(quote);
    within('\'').or_else(|| within('"')).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_with_a_slash_are_commands() {
        let cases = [
            ("", Line::Nothing),
            ("  What is it? ", Line::Ask("What is it?")),
            ("/image a b.png", Line::Image("a b.png".into())),
            ("/image 'a b.png'", Line::Image("a b.png".into())),
            ("/image", Line::ImageMissing),
            ("/reset", Line::Reset),
            ("/quit", Line::Quit),
            ("/help", Line::Help),
            ("/imge a.png", Line::Unknown("/imge")),
        ];
        for (line, expected) in cases {
            assert_eq!(Line::of(line), expected, "{line:?}");
        }
    }
}
