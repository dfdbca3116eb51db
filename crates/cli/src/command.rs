//! One function for each command; the work is the libraries'.

mod annotate;
mod data;
mod demo;
mod evaluate;
mod stage;
mod world;

use crate::arguments::Command;

/// Runs a command.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::World(command) => world::run(command),
        Command::Ground(arguments) => stage::ground(&arguments),
        Command::Sft(arguments) => stage::sft(&arguments),
        Command::Sample(arguments) => stage::sample(&arguments),
        Command::Annotate(command) => annotate::run(command),
        Command::Reward(arguments) => stage::reward(&arguments),
        Command::Rl(arguments) => stage::rl(&arguments),
        Command::Eval(arguments) => evaluate::run(&arguments),
        Command::Data(command) => data::run(command),
    }
}
