//! `candor serve`: opens the models and serves them until it is interrupted.

use std::time::Duration;

use candor_model::{Bundle, ModelFolder, peft};
use candor_serve::{ApiKeys, Models, Settings};
use serde_json::json;
use tch::Device;

use super::device::device;
use super::precision::precision;
use super::sampling;
use crate::arguments::ServeArguments;

/// Serves.
pub fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    let settings = settings(arguments)?;
    let device = device(arguments.device)?;
    let models = open(arguments, device)?;
    let names = models.names().to_vec();
    let rewards: Vec<&String> = arguments.rewards.iter().map(|(name, _)| name).collect();
    let ready = |address| {
        let url = format!("http://{address}");
        eprintln!("serving {} at {url}; interrupt to stop", names.join(", "));
        if arguments.json {
            println!(
                "{}",
                json!({"url": url, "models": names, "rewards": rewards})
            );
        }
    };
    Ok(candor_serve::run(models, settings, ready)?)
}

/// What can be wrong with the arguments is said before a model is read.
fn settings(arguments: &ServeArguments) -> anyhow::Result<Settings> {
    let keys = arguments.api_key_file.as_deref();
    let settings = Settings {
        listen: arguments.listen,
        keys: keys.map(ApiKeys::read).transpose()?,
        allow_remote_images: arguments.allow_remote_images,
        batch_rows: arguments.batch_rows,
        batch_positions: arguments.batch_positions,
        max_waiting: arguments.max_waiting,
        max_new_tokens: arguments.max_new_tokens,
        connections_per_address: arguments.connections_per_address,
        drain: Duration::from_secs(arguments.drain_secs),
        preferences: arguments.preferences.clone(),
    };
    settings.check()?;
    Ok(settings)
}

fn open(arguments: &ServeArguments, device: Device) -> anyhow::Result<Models> {
    let bundle_of = |folder: ModelFolder| -> anyhow::Result<Bundle> {
        let precision = precision(arguments.precision, folder.path())?;
        Ok(Bundle::load(folder, device, precision)?)
    };
    let given = arguments.model.display().to_string();
    let (model, adapter) = peft::with_base(&arguments.model, None)?;
    let name = match (&arguments.name, &adapter) {
        (Some(name), None) => name.clone(),
        _ => model.display().to_string(),
    };
    let folder = ModelFolder::find(&model)?.with_pixels(arguments.pixels.bounds());
    sampling::say_what_is_not_applied(folder.path())?;
    let mut models = Models::new(&name, bundle_of(folder)?);
    if let Some(folder) = adapter {
        models = models.with_adapter(arguments.name.as_ref().unwrap_or(&given), &folder)?;
    }
    for (name, folder) in &arguments.adapters {
        models = models.with_adapter(name, folder)?;
    }
    for (name, folder) in &arguments.rewards {
        models = models.with_reward(name, folder, &model, bundle_of)?;
    }
    Ok(models)
}
