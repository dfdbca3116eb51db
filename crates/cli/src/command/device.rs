//! What models run on, said before they are opened.

use candor_run::Ranks;
use candor_train::DeviceChoice;
use tch::Device;

/// The device that is asked for by one of several ranks; says which it is and why. Those of all ranks must be of one kind,
/// and CPUs have as many threads.
pub fn of_rank(choice: DeviceChoice, ranks: &Ranks) -> anyhow::Result<Device> {
    let choice = choice.of_rank(ranks, super::ranks::were_launched());
    let device = device(choice)?;
    candor_train::check_threads(ranks, device)?;
    Ok(device)
}

/// The device that is asked for; says which it is and why.
pub fn device(choice: DeviceChoice) -> anyhow::Result<Device> {
    of("device", choice)
}

/// [`device`] of the models that `what` names.
pub fn of(what: &str, choice: DeviceChoice) -> anyhow::Result<Device> {
    let chosen = choice.find()?;
    eprintln!("{what}: {chosen}");
    Ok(chosen.device)
}
