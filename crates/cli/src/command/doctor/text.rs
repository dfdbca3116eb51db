//! What was found, as lines for people.

use std::fmt::Write as _;

use super::folders::Folder;
use super::{Advice, Cpu, DeviceFound, Findings};

/// Everything, a line for each thing.
pub fn of(findings: &Findings) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: &str| {
        // A string takes all that is written to it.
        let _ = writeln!(text, "{name:<20}{what}");
    };
    line("candor", findings.candor);
    let libtorch = &findings.libtorch;
    let folder = libtorch
        .folder
        .as_deref()
        .unwrap_or("a folder that is not known");
    line("libtorch", &format!("{} in {folder}", libtorch.version));
    for of_cuda in libtorch
        .cuda
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        line("", of_cuda);
    }
    let driver = &findings.driver;
    match (&driver.cuda, &driver.problem) {
        (Some(cuda), _) => line("NVIDIA driver", &format!("runs CUDA up to {cuda}")),
        (None, problem) => line("NVIDIA driver", problem.as_deref().unwrap_or("none")),
    }
    for device in &findings.devices {
        line(&device.device, &of_device(device));
    }
    if let Some(reason) = &findings.no_cuda {
        line("cuda", &format!("none: {reason}"));
    }
    line("cpu", &of_cpu(&findings.cpu));
    line("attention", &findings.attention.join(", "));
    for folder in &findings.folders {
        line(folder.what, &of_folder(folder));
    }
    for Advice { what, remedy } in &findings.missing {
        line("missing", &format!("{what} ({remedy})"));
    }
    for Advice { what, remedy } in &findings.broken {
        line("broken", &format!("{what} ({remedy})"));
    }
    if findings.missing.is_empty() && findings.broken.is_empty() {
        line("in order", "nothing is missing or broken");
    }
    text
}

fn of_device(device: &DeviceFound) -> String {
    let name = device
        .name
        .as_deref()
        .unwrap_or("a device the driver does not name");
    let memory = device
        .memory_bytes
        .map(|bytes| format!(", {}", gigabytes(bytes)));
    let capability =
        (device.capability).map(|[major, minor]| format!(", capability {major}.{minor}"));
    let state = match &device.problem {
        None => ", computes".to_owned(),
        Some(problem) => format!(", does not compute: {problem}"),
    };
    let details = [memory, capability].map(Option::unwrap_or_default);
    format!("{name}{}{state}", details.concat())
}

fn of_cpu(cpu: &Cpu) -> String {
    let cores = cpu
        .cores
        .map(|cores| format!("{cores} cores, "))
        .unwrap_or_default();
    let memory = match (cpu.memory_bytes, cpu.memory_free_bytes) {
        (Some(all), Some(free)) => {
            format!(", {} of memory, {} free", gigabytes(all), gigabytes(free))
        }
        _ => String::new(),
    };
    format!("{cores}{} threads, {}{memory}", cpu.threads, cpu.capability)
}

fn of_folder(folder: &Folder) -> String {
    let used = folder
        .used_bytes
        .map_or("not there yet".to_owned(), gigabytes);
    let free = folder
        .free_bytes
        .map(|free| format!(", {} free", gigabytes(free)));
    format!("{}: {used}{}", folder.path, free.unwrap_or_default())
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
