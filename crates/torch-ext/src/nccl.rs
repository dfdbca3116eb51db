//! NCCL: how tensors of GPUs get to other GPUs without the host's memory.
//!
//! The CUDA half of libtorch brings NCCL into the process as a library of its own, whose C functions have had these signatures since
//! NCCL 2.7; nothing of it is linked or compiled against. A communicator is made beside a [`crate::Group`], which carries the
//! meeting point and knows which ranks live.
//!
//! Work is put on the stream that libtorch computes on, so that it begins after what it sends was computed; a call waits until the
//! stream has done it. NCCL itself would wait forever for a rank that hangs: after the time-out the communicator is given up.
//!
//! **No card has run this**: tests put functions of their own in the place of NCCL's.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use crate::driver::uuid;
use crate::returned::taken;

/// `ncclUint8`: everything is sent as bytes.
const BYTES: c_int = 1;
/// `ncclSuccess`.
const DONE: c_int = 0;
/// `ncclUnhandledCudaError`: a call of CUDA failed in this process.
const CUDA: c_int = 1;
/// `ncclInProgress`, which is no error.
const GOING_ON: c_int = 7;
/// Between two looks at whether the stream is done.
const LOOK: Duration = Duration::from_micros(50);

/// What comes before exchanges, as a verb.
const JOIN: &str = "join the cards of all ranks";

/// The exchanges, as verbs.
const GATHER: &str = "gather what all ranks have";
const EXCHANGE: &str = "exchange parts with all ranks";

/// What went wrong between GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardsError {
    /// What was attempted, as a verb.
    pub action: &'static str,
    /// What NCCL, libtorch or the loader said.
    pub reason: String,
    is_of_another_rank: bool,
}

impl fmt::Display for CardsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, reason, .. } = self;
        write!(f, "NCCL cannot {action}: {reason}")
    }
}

impl std::error::Error for CardsError {}

impl CardsError {
    /// Whether another rank did not come to an exchange within the time-out, or NCCL gave the exchange up. What CUDA says of this
    /// rank's own card is another thing, also where it comes up while an exchange is waited for.
    #[must_use]
    pub fn is_of_another_rank(&self) -> bool {
        self.is_of_another_rank
    }

    fn of_this_rank(action: &'static str, reason: String) -> Self {
        Self {
            action,
            reason,
            is_of_another_rank: false,
        }
    }
}

/// `ncclUniqueId`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Id([u8; 128]);

/// `ncclComm_t`.
type Comm = *mut c_void;
/// A communicator of the process.
#[derive(Clone, Copy)]
struct Held(Comm);

// SAFETY: NCCL takes a communicator from any thread, one at a time, which the mutex around it sees to.
unsafe impl Send for Held {}

/// `cudaStream_t`.
type Stream = *mut c_void;

/// The functions of NCCL.
#[derive(Clone, Copy)]
struct Functions {
    get_id: unsafe extern "C" fn(*mut Id) -> c_int,
    join: unsafe extern "C" fn(*mut Comm, c_int, Id, c_int) -> c_int,
    all_gather:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, Comm, Stream) -> c_int,
    send: unsafe extern "C" fn(*const c_void, usize, c_int, c_int, Comm, Stream) -> c_int,
    receive: unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, Comm, Stream) -> c_int,
    begin: unsafe extern "C" fn() -> c_int,
    end: unsafe extern "C" fn() -> c_int,
    problem: unsafe extern "C" fn(Comm, *mut c_int) -> c_int,
    abort: unsafe extern "C" fn(Comm) -> c_int,
    words: unsafe extern "C" fn(c_int) -> *const c_char,
}

impl Functions {
    /// Those of the NCCL that is in the process.
    #[cfg(target_os = "linux")]
    fn found() -> Result<Self, String> {
        use crate::library::Library;

        const NAME: &CStr = c"libnccl.so.2";
        let library = Library::loaded(NAME)?;
        macro_rules! function {
            ($name:literal) => {{
                // SAFETY: the field has the signature of nccl.h, with enumerations as the integers that they are.
                let found = unsafe { library.function($name) };
                found.ok_or_else(|| format!("{NAME:?} has no function {:?}", $name))?
            }};
        }
        Ok(Self {
            get_id: function!(c"ncclGetUniqueId"),
            join: function!(c"ncclCommInitRank"),
            all_gather: function!(c"ncclAllGather"),
            send: function!(c"ncclSend"),
            receive: function!(c"ncclRecv"),
            begin: function!(c"ncclGroupStart"),
            end: function!(c"ncclGroupEnd"),
            problem: function!(c"ncclCommGetAsyncError"),
            abort: function!(c"ncclCommAbort"),
            words: function!(c"ncclGetErrorString"),
        })
    }

    /// There is none as far as candor is concerned.
    #[cfg(not(target_os = "linux"))]
    fn found() -> Result<Self, String> {
        Err("it is looked for on Linux alone".to_owned())
    }

    /// Whether a call of NCCL ended well.
    fn check(&self, action: &'static str, result: c_int) -> Result<(), CardsError> {
        if result == DONE {
            return Ok(());
        }
        // SAFETY: the function takes any number, and gives a zero-terminated string that is never freed, or null.
        let words = unsafe { (self.words)(result) };
        let reason = if words.is_null() {
            format!("error {result}")
        } else {
            // SAFETY: as above.
            let words = unsafe { CStr::from_ptr(words) };
            words.to_string_lossy().into_owned()
        };
        Err(CardsError {
            action,
            reason,
            is_of_another_rank: result != CUDA && [GATHER, EXCHANGE].contains(&action),
        })
    }
}

/// The GPUs of all ranks, one each, of which this process has one.
pub struct Cards {
    functions: Functions,
    device: Device,
    rank: usize,
    world: usize,
    timeout: Duration,
    /// None once it was given up.
    comm: Mutex<Option<Held>>,
}

impl fmt::Debug for Cards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            device,
            rank,
            world,
            ..
        } = self;
        write!(f, "{device:?} of rank {rank} of {world}")
    }
}

impl Cards {
    /// Whether there is an NCCL in the process.
    ///
    /// # Errors
    /// There is none.
    pub fn check() -> Result<(), CardsError> {
        functions().map(drop)
    }

    /// Which card a device is: the same words on two ranks are one card, which NCCL takes from one rank alone.
    ///
    /// # Errors
    /// The device is no card, or the driver does not tell.
    pub fn card(device: Device) -> Result<String, CardsError> {
        let found = match device {
            Device::Cuda(index) => uuid(index),
            _ => Err(format!("{device:?} is no card")),
        };
        found.map_err(|reason| CardsError::of_this_rank("tell the cards of ranks apart", reason))
    }

    /// Where the cards of all ranks can meet, which one rank makes and tells the others.
    ///
    /// # Errors
    /// There is no NCCL in the process, or it finds no network.
    pub fn meeting_point() -> Result<Vec<u8>, CardsError> {
        meeting_point(&functions()?)
    }

    /// Makes a device the current one, as it must be where it joins. What can go wrong with this rank's own card does so here, before
    /// others wait for it in [`Cards::join`].
    ///
    /// # Errors
    /// CUDA fails.
    pub fn prepare(device: Device) -> Result<(), CardsError> {
        stream_of(device, JOIN).map(drop)
    }

    /// Waits for the other ranks' cards, without end, and joins them; `place` is this rank and how many there are.
    ///
    /// # Errors
    /// NCCL is not there or does not reach the others.
    pub fn join(
        device: Device,
        place: [usize; 2],
        meeting_point: &[u8],
        timeout: Duration,
    ) -> Result<Self, CardsError> {
        Self::join_by(functions()?, device, place, meeting_point, timeout)
    }

    fn join_by(
        functions: Functions,
        device: Device,
        [rank, world]: [usize; 2],
        meeting_point: &[u8],
        timeout: Duration,
    ) -> Result<Self, CardsError> {
        let id = <[u8; 128]>::try_from(meeting_point).map_err(|_| {
            let reason = format!("{} bytes are no meeting point", meeting_point.len());
            CardsError::of_this_rank(JOIN, reason)
        })?;
        // NCCL takes the device that is current.
        stream_of(device, JOIN)?;
        let mut comm = ptr::null_mut();
        // SAFETY: `comm` is a pointer of ours that outlives the call, which takes the rest by value.
        let result =
            unsafe { (functions.join)(&raw mut comm, world as c_int, Id(id), rank as c_int) };
        functions.check(JOIN, result)?;
        Ok(Self {
            functions,
            device,
            rank,
            world,
            timeout,
            comm: Mutex::new(Some(Held(comm))),
        })
    }

    /// What every rank gave, in the order of ranks.
    ///
    /// # Shapes
    /// `mine`: `[n]` bytes on this rank's card, the same `n` on all ranks.
    ///
    /// # Errors
    /// A rank ended, or made no such call within the time-out.
    pub fn all_gather(&self, mine: &Tensor) -> Result<Vec<Tensor>, CardsError> {
        let mine = self.checked(mine, GATHER)?;
        let n = mine.numel();
        let all = Tensor::empty([self.world as i64, n as i64], (Kind::Uint8, self.device));
        self.call(GATHER, |comm, stream| {
            // SAFETY: `mine` has `n` bytes on the card and is not written to, `all` has as many for every rank, and both
            // outlive the work, which `call` waits for.
            let result = unsafe {
                (self.functions.all_gather)(mine.data_ptr(), all.data_ptr(), n, BYTES, comm, stream)
            };
            self.functions.check(GATHER, result)
        })?;
        Ok(all.unbind(0))
    }

    /// What every rank has for this one, in the order of ranks, of which `sizes` says how many bytes they are; `to` is what this
    /// rank has for each.
    ///
    /// # Shapes
    /// `to`: `[n]` bytes on this rank's card, with the `n` that the other rank has in its `sizes`.
    ///
    /// # Errors
    /// As [`Cards::all_gather`].
    ///
    /// # Panics
    /// `to` and `sizes` are not of one length for each rank.
    pub fn all_to_all(&self, to: &[Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, CardsError> {
        assert_eq!(
            [to.len(), sizes.len()],
            [self.world; 2],
            "one for each rank"
        );
        let to = to.iter().map(|part| self.checked(part, EXCHANGE));
        let to: Vec<Tensor> = to.collect::<Result<_, _>>()?;
        let from = sizes
            .iter()
            .map(|n| Tensor::empty([*n], (Kind::Uint8, self.device)));
        let mut from: Vec<Tensor> = from.collect();
        from[self.rank].copy_(&to[self.rank]);
        self.call(EXCHANGE, |comm, stream| {
            let check = |result| self.functions.check(EXCHANGE, result);
            // SAFETY: the function takes nothing.
            check(unsafe { (self.functions.begin)() })?;
            for other in (0..self.world).filter(|&other| other != self.rank) {
                let (sent, received) = (&to[other], &from[other]);
                if sent.numel() > 0 {
                    let (at, n, peer) = (sent.data_ptr(), sent.numel(), other as c_int);
                    // SAFETY: `sent` has so many bytes on the card, is not written to, and outlives the work, which `call`
                    // waits for.
                    check(unsafe { (self.functions.send)(at, n, BYTES, peer, comm, stream) })?;
                }
                if received.numel() > 0 {
                    let (at, n, peer) = (received.data_ptr(), received.numel(), other as c_int);
                    // SAFETY: `received` has so many bytes on the card and outlives the work, which `call` waits for.
                    check(unsafe { (self.functions.receive)(at, n, BYTES, peer, comm, stream) })?;
                }
            }
            // SAFETY: the function takes nothing.
            check(unsafe { (self.functions.end)() })
        })?;
        Ok(from)
    }

    /// Waits until this rank's card has done all that is on its stream, so that an exchange after it is nothing but that.
    ///
    /// # Errors
    /// CUDA fails.
    pub fn catch_up(&self) -> Result<(), CardsError> {
        while !is_done(self.device, "wait for the card's own work")? {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// A tensor that NCCL can read.
    fn checked(&self, tensor: &Tensor, action: &'static str) -> Result<Tensor, CardsError> {
        if tensor.kind() == Kind::Uint8 && tensor.device() == self.device && tensor.dim() == 1 {
            return Ok(tensor.contiguous());
        }
        let reason = format!(
            "{:?} {:?} on {:?} are no bytes on {:?}",
            tensor.kind(),
            tensor.size(),
            tensor.device(),
            self.device
        );
        Err(CardsError::of_this_rank(action, reason))
    }

    /// Puts work on the card's stream and waits until it is done. Where it fails, the communicator is given up: other ranks would
    /// wait in it for this one.
    fn call(
        &self,
        action: &'static str,
        work: impl FnOnce(Comm, Stream) -> Result<(), CardsError>,
    ) -> Result<(), CardsError> {
        let mut held = self.comm.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Held(comm)) = *held else {
            let reason = "an earlier exchange has failed".to_owned();
            return Err(CardsError::of_this_rank(action, reason));
        };
        let ended = stream_of(self.device, action)
            .and_then(|stream| work(comm, stream))
            .and_then(|()| self.wait(action, comm));
        if ended.is_err() {
            *held = None;
            // SAFETY: the communicator is one that `join` gave, and nobody has it any more.
            unsafe { (self.functions.abort)(comm) };
        }
        ended
    }

    fn wait(&self, action: &'static str, comm: Comm) -> Result<(), CardsError> {
        let started = Instant::now();
        while !is_done(self.device, action)? {
            let mut problem = DONE;
            // SAFETY: the communicator is one that `join` gave, and `problem` a number of ours.
            let asked = unsafe { (self.functions.problem)(comm, &raw mut problem) };
            self.functions.check(action, asked)?;
            if problem != GOING_ON {
                self.functions.check(action, problem)?;
            }
            if started.elapsed() > self.timeout {
                return Err(CardsError {
                    action,
                    reason: format!("nothing came in {} seconds", self.timeout.as_secs()),
                    is_of_another_rank: true,
                });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Cards {
    fn drop(&mut self) {
        let held = self.comm.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Held(comm)) = held.take() {
            // SAFETY: the communicator is one that `join` gave, has no work left, and is not used again.
            unsafe { (self.functions.abort)(comm) };
        }
    }
}

fn functions() -> Result<Functions, CardsError> {
    Functions::found().map_err(|reason| CardsError::of_this_rank("be used", reason))
}

fn meeting_point(functions: &Functions) -> Result<Vec<u8>, CardsError> {
    let mut id = Id([0; 128]);
    // SAFETY: `id` is ours and has the size of NCCL's.
    let result = unsafe { (functions.get_id)(&raw mut id) };
    functions.check("open a meeting point", result)?;
    Ok(id.0.to_vec())
}

/// The stream that libtorch computes on, of a device that becomes the current one; none of the CPU.
fn stream_of(device: Device, action: &'static str) -> Result<Stream, CardsError> {
    let mut stream = ptr::null_mut();
    if let Device::Cuda(index) = device {
        // SAFETY: `stream` is a pointer of ours. The function catches its exceptions.
        let error = unsafe { candor_stream(index as c_int, &raw mut stream) };
        fail(error, action)?;
    }
    Ok(stream)
}

/// Whether a device has done all that is on its stream, as the CPU always has.
fn is_done(device: Device, action: &'static str) -> Result<bool, CardsError> {
    let mut done = true;
    if let Device::Cuda(index) = device {
        // SAFETY: `done` is ours. The function catches its exceptions.
        let error = unsafe { candor_stream_is_done(index as c_int, &raw mut done) };
        fail(error, action)?;
    }
    Ok(done)
}

fn fail(error: *mut c_char, action: &'static str) -> Result<(), CardsError> {
    taken(error).map_or(Ok(()), |reason| {
        Err(CardsError::of_this_rank(action, reason))
    })
}

// SAFETY: these are the signatures of `nccl.cpp`.
unsafe extern "C" {
    fn candor_stream(index: c_int, stream: *mut Stream) -> *mut c_char;
    fn candor_stream_is_done(index: c_int, done: *mut bool) -> *mut c_char;
}

#[cfg(test)]
mod tests;
