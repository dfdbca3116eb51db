//! `candor chat`: one question, or a conversation.

mod talk;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context as _;
use candor_model::{Adapter, Bundle, Decoding, Dialogue, ModelFolder, peft};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use self::talk::{Reply, Talk};
use super::device::device;
use super::precision::precision;
use super::sampling;
use crate::arguments::ChatArguments;

/// Asks once, or turn by turn.
pub fn run(arguments: &ChatArguments) -> anyhow::Result<()> {
    sampling::check(
        arguments.temperature,
        arguments.top_p,
        arguments.max_new_tokens,
    )?;
    let asked = asked_once(arguments)?;
    anyhow::ensure!(
        asked.is_some() || !arguments.json,
        "--json: there is nothing to answer; give --prompt, or the prompt on stdin"
    );
    let (bundle, adapter) = open(arguments)?;
    let dialogue = Dialogue::new(&bundle, adapter.as_ref(), arguments.system.as_deref())?;
    let decoding = Decoding {
        max_new_tokens: arguments.max_new_tokens,
        temperature: arguments.temperature,
        top_p: arguments.top_p,
        ends: bundle.tokenizer.ends,
    };
    let mut talk = Talk::new(dialogue, decoding, arguments.seed);
    for image in &arguments.images {
        talk.show(image)?;
    }
    match asked {
        Some(question) if arguments.json => talk.ask_for_json(&question, &mut std::io::stdout()),
        Some(question) => talk.ask(&question, &mut std::io::stdout()),
        None => converse(&mut talk),
    }
}

/// The question, unless it is to be typed.
fn asked_once(arguments: &ChatArguments) -> anyhow::Result<Option<String>> {
    /// No model reads more.
    const MAX_BYTES: u64 = 1 << 20;

    let mut question = match &arguments.prompt {
        Some(prompt) => prompt.clone(),
        None if std::io::stdin().is_terminal() => return Ok(None),
        None => {
            let mut text = String::new();
            let read = std::io::stdin()
                .take(MAX_BYTES + 1)
                .read_to_string(&mut text);
            read.context("stdin: cannot read the question (give UTF-8 text, or --prompt)")?;
            anyhow::ensure!(
                text.len() as u64 <= MAX_BYTES,
                "stdin: more than {MAX_BYTES} bytes; no model reads so much"
            );
            text
        }
    };
    question.truncate(question.trim_end().len());
    anyhow::ensure!(
        !question.trim().is_empty(),
        "the question is empty; give it with --prompt or on stdin"
    );
    Ok(Some(question))
}

fn open(arguments: &ChatArguments) -> anyhow::Result<(Bundle, Option<Adapter>)> {
    let started = Instant::now();
    let (model, adapter) = peft::with_base(&arguments.model, arguments.adapter.as_deref())?;
    let precision = precision(arguments.precision, &model)?;
    let folder = ModelFolder::find(&model)?.with_pixels(arguments.pixels.bounds());
    sampling::say_what_is_not_applied(folder.path())?;
    let bundle = Bundle::load(folder, device(arguments.device)?, precision)?;
    bundle.model.set_trainable(|_| false);
    let adapter = adapter
        .map(|folder| Adapter::open(&folder, &bundle.model))
        .transpose()?;
    eprintln!(
        "{}: open after {:.1} s, {:.1} GB at most",
        model.display(),
        started.elapsed().as_secs_f64(),
        candor_torch_ext::peak_memory_bytes() as f64 / 1e9
    );
    Ok((bundle, adapter))
}

/// Turn by turn. Ctrl-C ends an answer, Ctrl-D or /quit the conversation.
fn converse(talk: &mut Talk) -> anyhow::Result<()> {
    // From here on, because before it Ctrl-C should end a program that is still loading.
    let interrupted = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&interrupted)).context("SIGINT cannot be handled")?;
    talk.stop_when(interrupted);
    let mut lines: Editor<(), MemHistory> =
        Editor::with_history(Config::default(), MemHistory::new())?;
    eprintln!("/image FILE shows an image, /help says more, Ctrl-C ends an answer");
    loop {
        let line = match lines.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                eprintln!("(/quit or Ctrl-D ends the conversation)");
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // A history that does not keep a line is no reason to stop.
        let _ = lines.add_history_entry(&line);
        let mut out = std::io::stdout();
        match talk.line(&line, &mut out) {
            Reply::Quit => return Ok(()),
            Reply::GoOn => out.flush()?,
        }
    }
}
