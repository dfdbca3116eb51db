//! One function for each command; the work is the libraries'.

mod annotate;
mod ask;
mod chat;
mod compare;
mod data;
mod demo;
mod device;
mod disk;
mod doctor;
mod download;
mod evaluate;
mod export;
mod hub_client;
mod inspect;
mod join;
mod judge;
mod precision;
mod process;
mod ranks;
mod recipe;
mod results;
mod reward_benchmark;
mod sampling;
mod score;
mod serve;
mod shell;
mod stage;
mod suite;
mod suite_best;
mod watch;
mod world;

pub use self::ranks::{ANOTHER_RANK, Ended};
use crate::arguments::{Command, EvalCommand, JudgeCommand};

/// The name of a command whose work ranks cannot share, where that is more than a moment's.
fn unshared(command: &Command) -> Option<&'static str> {
    match command {
        Command::Demo(_) => Some("demo"),
        Command::Judge(JudgeCommand::Preferences(_)) => Some("judge preferences"),
        Command::Judge(JudgeCommand::Sentences(_)) => Some("judge sentences"),
        Command::Judge(JudgeCommand::Best(_)) => Some("judge best"),
        Command::Judge(JudgeCommand::Scores(_)) => Some("judge scores"),
        Command::Eval(arguments) => match arguments.command {
            Some(EvalCommand::Suite(_)) => Some("eval suite"),
            Some(EvalCommand::Score(_)) => Some("eval score"),
            Some(EvalCommand::Reward(_)) => Some("eval reward"),
            Some(EvalCommand::Run(_) | EvalCommand::Compare(_)) | None => None,
        },
        _ => None,
    }
}

/// Runs a command.
pub fn run(command: Command) -> anyhow::Result<()> {
    if let Some(name) = unshared(&command) {
        ranks::check_once(name)?;
    }
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::World(command) => world::run(command),
        Command::Ground(arguments) => stage::ground(&arguments),
        Command::Sft(arguments) => stage::sft(&arguments),
        Command::Sample(arguments) => stage::sample(&arguments),
        Command::Annotate(command) => annotate::run(command),
        Command::Judge(command) => judge::run(command),
        Command::Reward(arguments) => stage::reward(&arguments),
        Command::Dpo(arguments) => stage::dpo(&arguments),
        Command::Rounds(arguments) => stage::rounds(&arguments),
        Command::Rl(arguments) => stage::rl(&arguments),
        Command::Eval(arguments) => evaluate::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Join(arguments) => join::run(&arguments),
        Command::Download(arguments) => download::run(&arguments),
        Command::Chat(arguments) => chat::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Recipe(command) => recipe::run(command),
        Command::Data(command) => data::run(command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man(arguments) => shell::man(&arguments),
    }
}
