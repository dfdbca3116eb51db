//! Which device a model runs on.
//!
//! `auto` takes the first CUDA device where there is one and the CPU otherwise, and says which and why. Whoever asks for a
//! device by name gets it or an error that says what is missing: nothing falls back in silence.

mod available;

use std::fmt;
use std::str::FromStr;

use candor_recipe::{Field, Reader};
use candor_run::Ranks;
use tch::Device;

use self::available::SHOW_CARD;
pub use self::available::{Available, NoCuda, available};
use crate::TrainError;

/// What a recipe or a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// `auto`: the first CUDA device, or the CPU where there is none.
    #[default]
    Auto,
    /// `cpu`.
    Cpu,
    /// `cuda`, the first one, or `cuda:N`.
    Cuda(usize),
}

/// A device, and why it is the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The device.
    pub device: Device,
    /// In a few words.
    pub why: String,
}

/// The key of stages' recipes.
const KEY: &str = "run.device";

const EXPECTED: &str = "auto, cpu, cuda or cuda:N, such as cuda:1";

impl DeviceChoice {
    /// Reads `run.device`.
    pub fn read(recipe: &mut Reader) -> Self {
        let meaning = "What the models run on: auto, cpu, cuda or cuda:N. auto is the first CUDA device, or the CPU where \
                       there is none; `--device` says it for one run.";
        let text = text(recipe, KEY, meaning).or(Self::Auto.to_string(), "\"auto\"");
        text.parse().unwrap_or_default()
    }

    /// Reads a key of a recipe that names another device for a part of the models.
    pub fn read_other(recipe: &mut Reader, key: &str, meaning: &'static str) -> Option<Self> {
        let text = text(recipe, key, meaning).optional()?;
        text.parse().ok()
    }

    /// The setting of a recipe that asks for this.
    #[must_use]
    pub fn setting(self) -> String {
        format!("{KEY}=\"{self}\"")
    }

    /// What one of several processes of a machine asks for: each its own of the CUDA devices that it can see, unless it names
    /// another than the first. `sees_all`: what it can see is known to be what all of them can, as `candor … --ranks N` starts
    /// them; then a rank without a device of its own asks for one that is not there.
    #[must_use]
    pub fn of_rank(self, ranks: &Ranks, sees_all: bool) -> Self {
        if ranks.world() == 1 || !matches!(self, Self::Auto | Self::Cuda(0)) {
            return self;
        }
        self.of_rank_among(ranks.local_rank(), sees_all, &available())
    }

    fn of_rank_among(self, local_rank: usize, sees_all: bool, available: &Available) -> Self {
        match available {
            // SLURM may show a process its own device alone.
            Available::Cuda(n) if *n > 1 || sees_all => Self::Cuda(local_rank),
            _ => self,
        }
    }

    /// The device.
    ///
    /// # Errors
    /// It is asked for by name and is not there, with what is missing.
    pub fn find(self) -> Result<Chosen, TrainError> {
        // Without need of CUDA it is not woken up.
        if self == Self::Cpu {
            return Ok(cpu());
        }
        self.among(&available())
    }

    fn among(self, available: &Available) -> Result<Chosen, TrainError> {
        match (self, available) {
            (Self::Cpu, _) => Ok(cpu()),
            (Self::Auto, Available::Cpu(no_cuda)) => Ok(Chosen {
                device: Device::Cpu,
                why: no_cuda.reason.clone(),
            }),
            (Self::Auto, Available::Cuda(n)) => Ok(Chosen {
                device: Device::Cuda(0),
                why: format!("the first of {n}"),
            }),
            (Self::Cuda(at), Available::Cuda(n)) if at < *n => Ok(Chosen {
                device: Device::Cuda(at),
                why: "as asked for".to_owned(),
            }),
            (Self::Cuda(_), Available::Cuda(n)) => Err(self.not_there(
                format!("the devices are cuda:0 to cuda:{}", n - 1),
                SHOW_CARD,
            )),
            (Self::Cuda(_), Available::Cpu(no_cuda)) => {
                Err(self.not_there(no_cuda.reason.clone(), no_cuda.remedy))
            }
        }
    }

    fn not_there(self, reason: String, remedy: &'static str) -> TrainError {
        TrainError::NoDevice {
            asked: self.to_string(),
            reason,
            remedy,
        }
    }
}

fn cpu() -> Chosen {
    Chosen {
        device: Device::Cpu,
        why: "as asked for".to_owned(),
    }
}

fn text<'r>(recipe: &'r mut Reader, key: &str, meaning: &'static str) -> Field<'r, String> {
    recipe.string(key, meaning).check(|text| {
        let known = text.parse::<DeviceChoice>();
        known
            .map(|_| ())
            .map_err(|problem| (problem, format!("write {EXPECTED}")))
    })
}

/// How a device is written: `cpu` or `cuda:N`.
#[must_use]
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(at) => format!("cuda:{at}"),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text:?} is no device");
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                let is_number = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
                // libtorch numbers devices with a byte.
                let number = index.parse::<i8>().ok().filter(|_| is_number);
                number
                    .and_then(|number| usize::try_from(number).ok())
                    .map(Self::Cuda)
                    .ok_or_else(unknown)
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(at) => write!(f, "cuda:{at}"),
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", device_name(self.device), self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::available::GET_LIBRARY;
    use super::*;

    const NO_CUDA: NoCuda = NoCuda {
        reason: String::new(),
        remedy: GET_LIBRARY,
    };

    #[test]
    fn devices_are_read_and_written_alike() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:7", DeviceChoice::Cuda(7)),
        ] {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for wrong in [
            "", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cuda:128",
        ] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn auto_takes_what_there_is_and_says_why() {
        let chosen = DeviceChoice::Auto.among(&Available::Cuda(2)).unwrap();
        assert_eq!(chosen.to_string(), "cuda:0 (the first of 2)");
        let reason = "the reason".to_owned();
        let available = Available::Cpu(NoCuda { reason, ..NO_CUDA });
        let chosen = DeviceChoice::Auto.among(&available).unwrap();
        assert_eq!(chosen.to_string(), "cpu (the reason)");
    }

    #[test]
    fn a_rank_has_a_device_of_its_own_or_is_refused_where_it_sees_all() {
        let of = |choice: DeviceChoice, sees_all, available: &Available| {
            choice.of_rank_among(1, sees_all, available)
        };
        let (auto, first) = (DeviceChoice::Auto, DeviceChoice::Cuda(0));
        let second = DeviceChoice::Cuda(1);
        assert_eq!(of(auto, false, &Available::Cuda(2)), second);
        assert_eq!(of(first, true, &Available::Cuda(2)), second);
        // The one that SLURM shows may be its own.
        assert_eq!(of(auto, false, &Available::Cuda(1)), auto);
        let refused = of(auto, true, &Available::Cuda(1)).among(&Available::Cuda(1));
        let message = refused.unwrap_err().to_string();
        assert!(
            message.contains("cuda:1") && message.contains("cuda:0 to cuda:0"),
            "{message}"
        );
        assert_eq!(of(auto, true, &Available::Cpu(NO_CUDA)), auto);
    }

    #[test]
    fn what_is_asked_for_by_name_is_there_or_an_error() {
        let second = DeviceChoice::Cuda(1);
        let found = second.among(&Available::Cuda(2)).unwrap();
        assert_eq!(found.device, Device::Cuda(1));
        let cpu = DeviceChoice::Cpu.among(&Available::Cuda(2)).unwrap();
        assert_eq!(cpu.device, Device::Cpu);
        let message = second.among(&Available::Cuda(1)).unwrap_err().to_string();
        assert!(
            message.contains("cuda:1") && message.contains("cuda:0 to cuda:0"),
            "{message}"
        );
        let reason = "the reason".to_owned();
        let available = Available::Cpu(NoCuda { reason, ..NO_CUDA });
        let message = second.among(&available).unwrap_err().to_string();
        for part in [
            "cuda:1",
            "the reason",
            "CANDOR_CUDA=1 make setup",
            "--device cpu",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn a_recipe_names_a_device_or_is_refused_with_its_line() {
        let read = |text: &str| {
            let mut recipe = Reader::parse("r.toml", text, &[]);
            let choice = DeviceChoice::read(&mut recipe);
            recipe
                .finish()
                .map(|_| choice)
                .map_err(|error| error.to_string())
        };
        assert_eq!(read("run.device = \"cuda:1\""), Ok(DeviceChoice::Cuda(1)));
        assert_eq!(read(""), Ok(DeviceChoice::Auto));
        let message = read("run.device = \"gpu\"").unwrap_err();
        for part in ["r.toml:1", "run.device", "gpu", "cuda:N"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(DeviceChoice::Cuda(1).setting(), "run.device=\"cuda:1\"");
    }
}
