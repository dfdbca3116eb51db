//! NVIDIA's driver, asked by itself: why there is no CUDA device can be said best by whoever would have it.
//!
//! libtorch's own answer is a number of devices, which is 0 for a missing driver, for one that is too old and for a
//! machine without a card alike.

/// What the driver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// There is none: its library does not load.
    Absent {
        /// What the dynamic loader said.
        reason: String,
    },
    /// It is there and refuses.
    Failing {
        /// The function that failed.
        call: &'static str,
        /// Its `CUresult`.
        code: i32,
    },
    /// It works.
    Found {
        /// The newest CUDA that it can run, as `1000 · major + 10 · minor`.
        cuda: i32,
        /// The devices, in CUDA's order; `CUDA_VISIBLE_DEVICES` hides some.
        cards: Vec<Card>,
    },
}

/// A device as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its memory in bytes.
    pub bytes: u64,
    /// Its compute capability.
    pub capability: [i32; 2],
}

/// Asks the driver.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn driver() -> Driver {
    Driver::Absent {
        reason: "candor knows CUDA on Linux only".to_owned(),
    }
}

/// Which card a device is, wherever it is seen from: its UUID in hexadecimal.
#[cfg(not(target_os = "linux"))]
pub(crate) fn uuid(_: usize) -> Result<String, String> {
    Err("candor knows CUDA on Linux only".to_owned())
}

#[cfg(target_os = "linux")]
pub use linux::driver;
#[cfg(target_os = "linux")]
pub(crate) use linux::uuid;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CStr, CString, c_char, c_int, c_uint};

    use super::{Card, Driver};
    use crate::library::Library;

    // Of `CUdevice_attribute`.
    const CAPABILITY_MAJOR: c_int = 75;
    const CAPABILITY_MINOR: c_int = 76;
    const NAME_BYTES: c_int = 256;
    const DRIVER: &CStr = c"libcuda.so.1";

    /// Asks the driver.
    #[must_use]
    pub fn driver() -> Driver {
        ask(DRIVER)
    }

    /// Which card a device is, wherever it is seen from: its UUID in hexadecimal.
    pub(crate) fn uuid(index: usize) -> Result<String, String> {
        uuid_by(DRIVER, index)
    }

    fn uuid_by(name: &CStr, index: usize) -> Result<String, String> {
        let library = Library::open(name)?;
        let found = start(&library).and_then(|()| uuid_of(&library, index as c_int));
        let bytes = found.map_err(|(call, code)| format!("{call} of the driver: error {code}"))?;
        Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    fn uuid_of(library: &Library, at: c_int) -> Result<[u8; 16], (&'static str, i32)> {
        type Uuid = unsafe extern "C" fn(*mut [u8; 16], c_int) -> c_int;

        let device = device(library, at)?;
        // SAFETY: this is the signature of CUDA's driver interface since its version 9.2; a `CUuuid` is 16 bytes.
        let uuid_of = unsafe { library.function::<Uuid>(c"cuDeviceGetUuid") };
        let uuid_of = uuid_of.ok_or(("cuDeviceGetUuid", NO_FUNCTION))?;
        let mut uuid = [0_u8; 16];
        // SAFETY: the pointer is to 16 bytes that outlive the call.
        check("cuDeviceGetUuid", unsafe { uuid_of(&raw mut uuid, device) })?;
        Ok(uuid)
    }

    fn ask(name: &CStr) -> Driver {
        let library = match Library::open(name) {
            Ok(library) => library,
            Err(reason) => return Driver::Absent { reason },
        };
        match found(&library) {
            Ok(found) => found,
            Err((call, code)) => Driver::Failing { call, code },
        }
    }

    /// What no function of the driver returns: the function is not there.
    const NO_FUNCTION: i32 = -1;

    fn start(library: &Library) -> Result<(), (&'static str, i32)> {
        type Init = unsafe extern "C" fn(c_uint) -> c_int;

        // SAFETY: this is the signature of CUDA's driver interface, of all its versions.
        let init = unsafe { library.function::<Init>(c"cuInit") };
        let init = init.ok_or(("cuInit", NO_FUNCTION))?;
        // SAFETY: the driver asks for 0 and nothing else.
        check("cuInit", unsafe { init(0) })
    }

    fn found(library: &Library) -> Result<Driver, (&'static str, i32)> {
        type Number = unsafe extern "C" fn(*mut c_int) -> c_int;

        start(library)?;
        let number = |name: &'static str| {
            let symbol = CString::new(name).unwrap_or_default();
            // SAFETY: these are the signatures of CUDA's driver interface, of all its versions.
            let function = unsafe { library.function::<Number>(&symbol) };
            let function = function.ok_or((name, NO_FUNCTION))?;
            let mut number = 0;
            // SAFETY: the pointer is to a number that outlives the call.
            check(name, unsafe { function(&raw mut number) })?;
            Ok(number)
        };
        let cuda = number("cuDriverGetVersion")?;
        let n_cards = number("cuDeviceGetCount")?;
        let cards = (0..n_cards).map(|at| card(library, at));
        Ok(Driver::Found {
            cuda,
            cards: cards.collect::<Result<_, _>>()?,
        })
    }

    /// The driver's handle of a device.
    fn device(library: &Library, at: c_int) -> Result<c_int, (&'static str, i32)> {
        type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;

        // SAFETY: this is the signature of CUDA's driver interface, of all its versions.
        let get = unsafe { library.function::<Get>(c"cuDeviceGet") };
        let get = get.ok_or(("cuDeviceGet", NO_FUNCTION))?;
        let mut device = 0;
        // SAFETY: the pointer is to a number that outlives the call.
        check("cuDeviceGet", unsafe { get(&raw mut device, at) })?;
        Ok(device)
    }

    fn card(library: &Library, at: c_int) -> Result<Card, (&'static str, i32)> {
        type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
        type Memory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
        type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;

        let device = device(library, at)?;
        // SAFETY: these are the signatures of CUDA's driver interface since its version 3.2.
        let name_of = unsafe { library.function::<Name>(c"cuDeviceGetName") };
        let name_of = name_of.ok_or(("cuDeviceGetName", NO_FUNCTION))?;
        let mut name = [0_u8; NAME_BYTES.unsigned_abs() as usize];
        // SAFETY: the array is as long as is said, and the function ends the name with a zero.
        let status = unsafe { name_of(name.as_mut_ptr().cast(), NAME_BYTES, device) };
        check("cuDeviceGetName", status)?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();

        // SAFETY: as above.
        let memory = unsafe { library.function::<Memory>(c"cuDeviceTotalMem_v2") };
        let memory = memory.ok_or(("cuDeviceTotalMem_v2", NO_FUNCTION))?;
        let mut bytes = 0;
        // SAFETY: the pointer is to a number that outlives the call.
        let status = unsafe { memory(&raw mut bytes, device) };
        check("cuDeviceTotalMem_v2", status)?;

        // SAFETY: as above.
        let attribute = unsafe { library.function::<Attribute>(c"cuDeviceGetAttribute") };
        let attribute = attribute.ok_or(("cuDeviceGetAttribute", NO_FUNCTION))?;
        let mut capability = [0; 2];
        for (number, which) in capability
            .iter_mut()
            .zip([CAPABILITY_MAJOR, CAPABILITY_MINOR])
        {
            // SAFETY: the pointer is to a number that outlives the call.
            let status = unsafe { attribute(&raw mut *number, which, device) };
            check("cuDeviceGetAttribute", status)?;
        }
        Ok(Card {
            name: name.to_string_lossy().into_owned(),
            bytes: bytes as u64,
            capability,
        })
    }

    fn check(call: &'static str, code: i32) -> Result<(), (&'static str, i32)> {
        if code == 0 { Ok(()) } else { Err((call, code)) }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_driver_that_is_not_there_is_said_with_the_loaders_words() {
            let Driver::Absent { reason } = ask(c"libcandor-has-no-such-driver.so.1") else {
                panic!("a library that does not exist was found");
            };
            assert!(reason.contains("libcandor-has-no-such-driver"), "{reason}");
        }

        #[test]
        fn a_library_that_is_no_driver_is_one_that_fails() {
            // The C library has no function of the driver.
            let failing = Driver::Failing {
                call: "cuInit",
                code: NO_FUNCTION,
            };
            assert_eq!(ask(c"libc.so.6"), failing);
            let said = uuid_by(c"libc.so.6", 0).unwrap_err();
            assert_eq!(said, "cuInit of the driver: error -1");
        }
    }
}
