//! `candor doctor`: what this machine and this candor have, and what is missing.

mod folders;
mod text;

use anyhow::bail;
use candor_torch_ext::{Card, CudaLibrary, Driver, libtorch, libtorch_folder};
use candor_train::{Available, NoCuda, available, device_name};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use self::folders::{Folder, folders, host_memory};
use crate::arguments::DoctorArguments;

/// All that is found.
#[derive(Debug, Serialize)]
struct Findings {
    candor: &'static str,
    libtorch: Libtorch,
    driver: DriverFound,
    /// CUDA's, with what each said to a first sum.
    devices: Vec<DeviceFound>,
    /// Why there is none.
    no_cuda: Option<String>,
    cpu: Cpu,
    /// Kinds of attention that libtorch chooses from.
    attention: Vec<&'static str>,
    folders: Vec<Folder>,
    /// What could be there and is not.
    missing: Vec<Advice>,
    /// What is there and does not work.
    broken: Vec<Advice>,
}

#[derive(Debug, Serialize)]
struct Libtorch {
    /// Of the headers that candor was compiled with.
    version: String,
    folder: Option<String>,
    /// What its CUDA half says of itself; empty where there is none.
    cuda: String,
}

/// NVIDIA's driver.
#[derive(Debug, Serialize)]
struct DriverFound {
    /// The newest CUDA that it runs, such as `13.0`.
    cuda: Option<String>,
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct DeviceFound {
    device: String,
    name: Option<String>,
    memory_bytes: Option<u64>,
    capability: Option<[i32; 2]>,
    /// What went wrong with a first sum.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Cpu {
    /// Cores that this process may use.
    cores: Option<usize>,
    /// Threads of libtorch's operations.
    threads: i32,
    /// Instructions that libtorch uses.
    capability: String,
    memory_bytes: Option<u64>,
    memory_free_bytes: Option<u64>,
}

/// Something to mend or to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Advice {
    what: String,
    remedy: String,
}

/// Prints what is found.
pub fn run(arguments: &DoctorArguments) -> anyhow::Result<()> {
    let findings = look();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print!("{}", text::of(&findings));
    }
    if let [first, ..] = findings.broken.as_slice() {
        bail!("{} ({})", first.what, first.remedy);
    }
    Ok(())
}

fn look() -> Findings {
    let library = &candor_torch_ext::init().cuda;
    let driver = candor_torch_ext::driver();
    let available = available();
    let cards: &[Card] = match &driver {
        Driver::Found { cards, .. } => cards,
        _ => &[],
    };
    let devices: Vec<DeviceFound> = match available {
        Available::Cuda(n) => (0..n).map(|at| device(at, cards.get(at))).collect(),
        Available::Cpu(_) => Vec::new(),
    };
    let no_cuda = match available {
        Available::Cuda(_) => None,
        Available::Cpu(no_cuda) => Some(no_cuda),
    };
    let (folders, no_folder) = folders();
    let [memory_bytes, memory_free_bytes] = host_memory();
    let (mut missing, mut broken) = advice(library, &driver, no_cuda.as_ref());
    missing.extend(no_folder);
    broken.extend(devices.iter().filter_map(|device| {
        let problem = device.problem.as_ref()?;
        Some(Advice {
            what: format!("{} cannot add two numbers: {problem}", device.device),
            remedy: "look at what `nvidia-smi` says of it, or hide it with CUDA_VISIBLE_DEVICES"
                .to_owned(),
        })
    }));
    Findings {
        candor: env!("CARGO_PKG_VERSION"),
        libtorch: Libtorch {
            version: libtorch::version(),
            folder: libtorch_folder().map(|folder| folder.display().to_string()),
            cuda: libtorch::cuda_configuration(),
        },
        driver: DriverFound::of(&driver),
        devices,
        no_cuda: no_cuda.map(|no_cuda| no_cuda.reason),
        cpu: Cpu {
            cores: std::thread::available_parallelism()
                .ok()
                .map(std::num::NonZero::get),
            threads: tch::get_num_threads(),
            capability: libtorch::cpu_capability(),
            memory_bytes,
            memory_free_bytes,
        },
        attention: libtorch::attention(),
        folders,
        missing,
        broken,
    }
}

impl DriverFound {
    fn of(driver: &Driver) -> Self {
        let (cuda, problem) = match driver {
            Driver::Absent { reason } => (None, Some(reason.clone())),
            Driver::Failing { call, code } => (None, Some(format!("{call} fails with {code}"))),
            Driver::Found { cuda, .. } => {
                (Some(format!("{}.{}", cuda / 1000, cuda % 1000 / 10)), None)
            }
        };
        Self { cuda, problem }
    }
}

fn device(at: usize, card: Option<&Card>) -> DeviceFound {
    let device = Device::Cuda(at);
    DeviceFound {
        device: device_name(device),
        name: card.map(|card| card.name.clone()),
        memory_bytes: card.map(|card| card.bytes),
        capability: card.map(|card| card.capability),
        problem: first_sum(device).err().map(|error| error.to_string()),
    }
}

/// Adds numbers on a device, which needs its memory, a kernel that fits it, and the way back.
fn first_sum(device: Device) -> Result<(), tch::TchError> {
    let ones = Tensor::f_ones([1000], (Kind::Float, device))?;
    let sum = ones.f_sum(Kind::Float)?.f_to_device(Device::Cpu)?;
    let sum = f64::try_from(sum)?;
    if (sum - 1000.0).abs() > 0.0 {
        let problem = format!("a thousand ones add up to {sum}");
        return Err(tch::TchError::Convert(problem));
    }
    Ok(())
}

/// What is missing and what is broken, of CUDA: a machine without a card lacks nothing.
fn advice(
    library: &CudaLibrary,
    driver: &Driver,
    no_cuda: Option<&NoCuda>,
) -> (Vec<Advice>, Vec<Advice>) {
    let Some(no_cuda) = no_cuda else {
        return (Vec::new(), Vec::new());
    };
    let advice = vec![Advice {
        what: no_cuda.reason.clone(),
        remedy: no_cuda.remedy.to_owned(),
    }];
    let has_card = matches!(driver, Driver::Found { cards, .. } if !cards.is_empty());
    match library {
        CudaLibrary::Absent if has_card => (advice, Vec::new()),
        CudaLibrary::Absent => (Vec::new(), Vec::new()),
        // libtorch's CUDA half is there to be used: a driver that fails is broken, one that is not there is missing.
        CudaLibrary::Loaded(_) if matches!(driver, Driver::Absent { .. }) => (advice, Vec::new()),
        CudaLibrary::Loaded(_) | CudaLibrary::Unusable { .. } => (Vec::new(), advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_cuda() -> NoCuda {
        NoCuda {
            reason: "a reason".to_owned(),
            remedy: "a remedy",
        }
    }

    fn found(n_cards: usize) -> Driver {
        let card = Card {
            name: "a card".to_owned(),
            bytes: 1,
            capability: [9, 0],
        };
        Driver::Found {
            cuda: 13_000,
            cards: vec![card; n_cards],
        }
    }

    #[test]
    fn what_is_absent_is_no_fault_and_what_does_not_work_is() {
        let absent = Driver::Absent {
            reason: String::new(),
        };
        let failing = Driver::Failing {
            call: "cuInit",
            code: 999,
        };
        let loaded = CudaLibrary::Loaded("libtorch_cuda.so".into());
        let unusable = CudaLibrary::Unusable {
            path: "libtorch_cuda.so".into(),
            reason: String::new(),
        };
        for (library, driver, n_missing, n_broken) in [
            (&CudaLibrary::Absent, &absent, 0, 0),
            (&CudaLibrary::Absent, &found(0), 0, 0),
            (&CudaLibrary::Absent, &found(1), 1, 0),
            (&unusable, &absent, 0, 1),
            (&loaded, &absent, 1, 0),
            (&loaded, &failing, 0, 1),
            (&loaded, &found(0), 0, 1),
        ] {
            let (missing, broken) = advice(library, driver, Some(&no_cuda()));
            let counts = (missing.len(), broken.len());
            assert_eq!(counts, (n_missing, n_broken), "{library:?} {driver:?}");
        }
        let (missing, broken) = advice(&loaded, &found(1), None);
        assert!(missing.is_empty() && broken.is_empty());
    }

    #[test]
    fn the_cpu_adds_up_to_a_thousand() {
        first_sum(Device::Cpu).unwrap();
    }
}
