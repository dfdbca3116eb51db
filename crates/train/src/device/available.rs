//! What devices there are; where libtorch has none, what is missing and how to get it.

use std::path::Path;

use candor_torch_ext::{CudaLibrary, Driver};
use tch::Cuda;

/// What there is to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Available {
    /// CUDA devices, at least one.
    Cuda(usize),
    /// The CPU alone.
    Cpu(NoCuda),
}

/// Why there is no CUDA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoCuda {
    /// What is missing.
    pub reason: String,
    /// What to do.
    pub remedy: &'static str,
}

pub(super) const GET_LIBRARY: &str = "run `CANDOR_CUDA=1 make setup`, which fetches the one that fits, or use the torch 2.11 of a Python \
                           with `LIBTORCH_USE_PYTORCH=1 make setup`; docs/devices.md says more";
const MEND_LIBRARY: &str =
    "run `CANDOR_CUDA=1 make setup`, which fetches it anew with all that it needs";
const GET_DRIVER: &str = "install NVIDIA's driver, version 580 or newer, which CUDA 13 needs";
const MEND_DRIVER: &str =
    "look at what `nvidia-smi` says; CUDA 13 needs a driver of version 580 or newer";
pub(super) const SHOW_CARD: &str =
    "look at `nvidia-smi`, and at CUDA_VISIBLE_DEVICES, which hides devices";

/// What there is, asked of libtorch and, where it has no device, of whoever should have one.
#[must_use]
pub fn available() -> Available {
    let startup = candor_torch_ext::init();
    match usize::try_from(Cuda::device_count()) {
        Ok(n) if n > 0 => Available::Cuda(n),
        _ => Available::Cpu(missing(
            &startup.cuda,
            candor_torch_ext::libtorch_folder().as_deref(),
            candor_torch_ext::driver,
        )),
    }
}

/// Why libtorch has no CUDA device.
fn missing(
    library: &CudaLibrary,
    folder: Option<&Path>,
    driver: impl FnOnce() -> Driver,
) -> NoCuda {
    let (reason, remedy) = match library {
        CudaLibrary::Absent => {
            let place = folder.map_or(String::new(), |folder| format!(" in {}", folder.display()));
            (
                format!("this libtorch has no CUDA: there is no libtorch_cuda.so{place}"),
                GET_LIBRARY,
            )
        }
        CudaLibrary::Unusable { path, reason } => (
            format!("{} does not load: {reason}", path.display()),
            MEND_LIBRARY,
        ),
        CudaLibrary::Loaded(_) => match driver() {
            Driver::Absent { reason } => (
                format!("there is no driver of NVIDIA: {reason}"),
                GET_DRIVER,
            ),
            Driver::Failing { call, code } => (
                format!("NVIDIA's driver refuses: {call} fails with {code}"),
                MEND_DRIVER,
            ),
            Driver::Found { cuda, .. } if cuda < 13_000 => (
                format!(
                    "libtorch finds no device, and NVIDIA's driver runs CUDA {}.{} at most: too old for CUDA 13",
                    cuda / 1000,
                    cuda % 1000 / 10
                ),
                GET_DRIVER,
            ),
            Driver::Found { cards, .. } if cards.is_empty() => {
                ("NVIDIA's driver finds no device".to_owned(), SHOW_CARD)
            }
            Driver::Found { .. } => (
                "NVIDIA's driver has devices and libtorch finds none".to_owned(),
                MEND_DRIVER,
            ),
        },
    };
    NoCuda { reason, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_driver() -> Driver {
        panic!("the driver is asked only where libtorch has CUDA")
    }

    #[test]
    fn what_is_missing_is_said_by_whoever_lacks_it() {
        let folder = Path::new("/lib/torch");
        let absent = missing(&CudaLibrary::Absent, Some(folder), no_driver);
        assert!(
            absent.reason.contains("no libtorch_cuda.so in /lib/torch"),
            "{absent:?}"
        );
        let unusable = CudaLibrary::Unusable {
            path: "/lib/torch/libtorch_cuda.so".into(),
            reason: "libcudnn.so.9: cannot open".to_owned(),
        };
        let unusable = missing(&unusable, Some(folder), no_driver);
        assert!(unusable.reason.contains("libcudnn.so.9"), "{unusable:?}");
        let loaded = CudaLibrary::Loaded("/lib/torch/libtorch_cuda.so".into());
        let of = |driver: Driver| missing(&loaded, None, || driver);
        let card = candor_torch_ext::Card {
            name: "a card".to_owned(),
            bytes: 1,
            capability: [9, 0],
        };
        for (driver, words, remedy) in [
            (
                Driver::Absent {
                    reason: "libcuda.so.1: no such file".to_owned(),
                },
                "libcuda.so.1: no such file",
                GET_DRIVER,
            ),
            (
                Driver::Failing {
                    call: "cuInit",
                    code: 100,
                },
                "cuInit fails with 100",
                MEND_DRIVER,
            ),
            (
                Driver::Found {
                    cuda: 12_080,
                    cards: vec![card.clone()],
                },
                "runs CUDA 12.8",
                GET_DRIVER,
            ),
            (
                Driver::Found {
                    cuda: 13_000,
                    cards: Vec::new(),
                },
                "finds no device",
                SHOW_CARD,
            ),
            (
                Driver::Found {
                    cuda: 13_010,
                    cards: vec![card],
                },
                "libtorch finds none",
                MEND_DRIVER,
            ),
        ] {
            let found = of(driver);
            assert!(found.reason.contains(words), "{found:?}");
            assert_eq!(found.remedy, remedy);
        }
    }
}
