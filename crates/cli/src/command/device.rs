//! What models run on, said before they are opened.

use candor_train::DeviceChoice;
use tch::Device;

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
