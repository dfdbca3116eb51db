//! Processes that compute together: a process group of libtorch's c10d, over Gloo, with its store.
//!
//! Each process is a *rank*. All ranks make the same calls in the same order; a call ends when all have made it. What is
//! sent are bytes on the host: a tensor of a device is copied there first. A rank that ended fails the others' calls at once,
//! a rank that hangs fails them after the time-out.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::returned::taken;

/// Where a process finds the others, and which of them it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlace {
    /// This process, from 0.
    pub rank: usize,
    /// Processes.
    pub world: usize,
    /// The host of the store through which the ranks find each other.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The store is someone else's, who keeps our keys under this prefix; else rank 0 opens it.
    pub foreign_store: Option<String>,
    /// The network interface that bytes go over; else that of the host's name, or the loopback where the store is on it.
    pub interface: Option<String>,
    /// How long a call waits for the other ranks.
    pub timeout: Duration,
}

/// A call in which this rank failed or waited for others in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupError {
    /// This process and all of them.
    pub rank: usize,
    /// Processes.
    pub world: usize,
    /// Host and port of the store.
    pub address: String,
    /// What was attempted, as a verb.
    pub action: &'static str,
    /// What libtorch said.
    pub reason: String,
    /// What to do.
    pub remedy: &'static str,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rank,
            world,
            address,
            action,
            reason,
            remedy,
        } = self;
        let reason = reason.lines().next().unwrap_or_default();
        write!(
            f,
            "rank {rank} of {world}, with the store at {address}, cannot {action}: {reason}; {remedy}"
        )
    }
}

impl std::error::Error for GroupError {}

impl GroupError {
    /// Whether it was another rank that ended or hangs, after all had come.
    #[must_use]
    pub fn is_of_another_rank(&self) -> bool {
        self.remedy == TOGETHER
    }
}

const JOINING: &str = "check MASTER_ADDR and MASTER_PORT, which must be the same for all ranks and free on the host of rank 0, and \
                       whether all ranks were started";
const TOGETHER: &str = "another rank has ended or hangs: what it said last tells why";

/// The processes that compute together, of which this is one.
pub struct Group {
    place: GroupPlace,
    // Calls of several threads would meet those of other ranks in another order.
    handle: Mutex<Handle>,
}

struct Handle(NonNull<c_void>);

// SAFETY: libtorch's group and store may be used from any thread, one at a time, which the mutex sees to.
unsafe impl Send for Handle {}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl Group {
    /// Waits for all ranks and joins them.
    ///
    /// # Errors
    /// The store cannot be opened or reached, or a rank does not come within the time-out.
    pub fn join(place: GroupPlace) -> Result<Self, GroupError> {
        let text = |text: &str| {
            CString::new(text).map_err(|_| {
                error_of(
                    &place,
                    "join",
                    "a name with a zero byte in it".into(),
                    JOINING,
                )
            })
        };
        let host = text(&place.host)?;
        let prefix = place.foreign_store.as_deref().map(text).transpose()?;
        let interface = place.interface.as_deref().map(text).transpose()?;
        let in_c = CPlace {
            host: host.as_ptr(),
            port: place.port,
            serves: place.rank == 0 && prefix.is_none(),
            prefix: prefix.as_ref().map_or(ptr::null(), |text| text.as_ptr()),
            device_interface: interface.as_ref().map_or(ptr::null(), |text| text.as_ptr()),
            on_loopback: is_loopback(&place.host),
            rank: place.rank as c_int,
            world: place.world as c_int,
            timeout_ms: place.timeout.as_millis().min(i64::MAX as u128) as i64,
        };
        let mut error = ptr::null_mut();
        // SAFETY: the pointers of `in_c` are null or zero-terminated strings that live until the call ends. The function
        // catches its exceptions.
        let group = unsafe { candor_group_join(&raw const in_c, &raw mut error) };
        match NonNull::new(group) {
            Some(group) => Ok(Self {
                place,
                handle: Mutex::new(Handle(group)),
            }),
            None => Err(error_of(&place, "join", message(error), JOINING)),
        }
    }

    /// This process, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.place.rank
    }

    /// Processes.
    #[must_use]
    pub fn world(&self) -> usize {
        self.place.world
    }

    /// How long a call waits for the other ranks.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.place.timeout
    }

    /// What every rank gave, in the order of ranks; it may have any length.
    ///
    /// At its peak this takes 2 W + 1 times the longest, of W ranks, beside `mine`: a padded copy of `mine`, all that came, and
    /// all that is returned.
    ///
    /// # Errors
    /// A rank ended, or made no such call within the time-out.
    pub fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        let lengths = self.all_gather_equal(&(mine.len() as u64).to_le_bytes())?;
        let lengths: Vec<usize> = lengths
            .as_chunks::<8>()
            .0
            .iter()
            .map(|length| u64::from_le_bytes(*length) as usize)
            .collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if longest == 0 {
            return Ok(vec![Vec::new(); self.world()]);
        }
        let mut padded = mine.to_vec();
        padded.resize(longest, 0);
        let all = self.all_gather_equal(&padded)?;
        let of_ranks = all.chunks_exact(longest).zip(lengths);
        Ok(of_ranks
            .map(|(bytes, length)| bytes[..length].to_vec())
            .collect())
    }

    /// What every rank gave, one after the other in the order of ranks. All must give as many bytes, at least one.
    ///
    /// # Errors
    /// As [`Group::all_gather`].
    pub fn all_gather_equal(&self, mine: &[u8]) -> Result<Vec<u8>, GroupError> {
        let mut all = vec![0_u8; mine.len() * self.world()];
        self.call("gather what all ranks have", |group, error| {
            // SAFETY: `group` is alive, `mine` has the bytes that are said, is not written to, and `all` has as many for
            // every rank. Both outlive the call, which waits for its work and catches its exceptions.
            unsafe {
                candor_group_all_gather(
                    group,
                    mine.as_ptr().cast_mut().cast(),
                    all.as_mut_ptr().cast(),
                    mine.len() as i64,
                    error,
                )
            }
        })?;
        Ok(all)
    }

    /// What every rank has for this one, in the order of ranks; `to` is what this rank has for each, of any lengths.
    ///
    /// At its peak this takes twice what is sent and twice what comes, `to` included.
    ///
    /// # Errors
    /// As [`Group::all_gather`].
    ///
    /// # Panics
    /// `to` is not of one length for each rank.
    pub fn all_to_all(&self, to: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, GroupError> {
        let (rank, world) = (self.rank(), self.world());
        assert_eq!(to.len(), world, "something for each rank");
        let lengths: Vec<u8> = to
            .iter()
            .flat_map(|bytes| (bytes.len() as u64).to_le_bytes())
            .collect();
        let lengths = self.all_gather_equal(&lengths)?;
        let of_ranks = lengths.as_chunks::<8>().0.chunks_exact(world);
        let lengths: Vec<usize> = of_ranks
            .map(|of_rank| u64::from_le_bytes(of_rank[rank]) as usize)
            .collect();
        let sent: Vec<i64> = to.iter().map(|bytes| bytes.len() as i64).collect();
        let received: Vec<i64> = lengths.iter().map(|length| *length as i64).collect();
        let mine = to.concat();
        let mut all = vec![0_u8; lengths.iter().sum()];
        self.call("exchange parts with all ranks", |group, error| {
            // SAFETY: `group` is alive, `mine` has the bytes that `sent` says and is not written to, `all` has those that
            // `received` says, and both say it of every rank. All outlive the call, which waits for its work and catches its
            // exceptions.
            unsafe {
                candor_group_all_to_all(
                    group,
                    mine.as_ptr().cast_mut().cast(),
                    sent.as_ptr(),
                    all.as_mut_ptr().cast(),
                    received.as_ptr(),
                    error,
                )
            }
        })?;
        drop(mine);
        let mut rest = all.as_slice();
        let of_rank = |length: usize| {
            let (bytes, after) = rest.split_at(length);
            rest = after;
            bytes.to_vec()
        };
        Ok(lengths.into_iter().map(of_rank).collect())
    }

    /// Overwrites `data` with what rank `from` has there; it has one length on all ranks, at least 1.
    ///
    /// # Errors
    /// As [`Group::all_gather`].
    pub fn broadcast(&self, data: &mut [u8], from: usize) -> Result<(), GroupError> {
        self.call("receive what another rank sends", |group, error| {
            // SAFETY: `group` is alive, and `data` has the bytes that are said and is ours until the call ends, which waits
            // for its work and catches its exceptions.
            unsafe {
                candor_group_broadcast(
                    group,
                    data.as_mut_ptr().cast(),
                    data.len() as i64,
                    from as c_int,
                    error,
                )
            }
        })
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// As [`Group::all_gather`].
    pub fn barrier(&self) -> Result<(), GroupError> {
        self.call("wait for all ranks", |group, error| {
            // SAFETY: `group` is alive. The function catches its exceptions.
            unsafe { candor_group_barrier(group, error) }
        })
    }

    /// Adds to a number that the store keeps, 0 at first; returns the sum. Waits for nobody.
    ///
    /// # Errors
    /// The store is gone.
    ///
    /// # Panics
    /// `key` has a zero byte.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, GroupError> {
        let key = CString::new(key).expect("a key without zero bytes");
        let mut sum = 0;
        self.call("ask the store", |group, error| {
            // SAFETY: `group` is alive, `key` is a zero-terminated string and `sum` a number of ours, and both outlive the
            // call, which catches its exceptions.
            unsafe { candor_group_add(group, key.as_ptr(), amount, &raw mut sum, error) }
        })?;
        Ok(sum)
    }

    fn call(
        &self,
        action: &'static str,
        call: impl FnOnce(*mut c_void, *mut *mut c_char) -> bool,
    ) -> Result<(), GroupError> {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut error = ptr::null_mut();
        if call(handle.0.as_ptr(), &raw mut error) {
            return Ok(());
        }
        Err(error_of(&self.place, action, message(error), TOGETHER))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let handle = self.handle.get_mut();
        let handle = handle.unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the handle came from `candor_group_join` and is not used again. The function catches its exceptions.
        unsafe { candor_group_leave(handle.0.as_ptr()) }
    }
}

fn message(error: *mut c_char) -> String {
    taken(error).unwrap_or_else(|| "out of memory".to_owned())
}

fn error_of(
    place: &GroupPlace,
    action: &'static str,
    reason: String,
    remedy: &'static str,
) -> GroupError {
    GroupError {
        rank: place.rank,
        world: place.world,
        address: format!("{}:{}", place.host, place.port),
        action,
        reason,
        remedy,
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[repr(C)]
struct CPlace {
    host: *const c_char,
    port: u16,
    serves: bool,
    prefix: *const c_char,
    device_interface: *const c_char,
    on_loopback: bool,
    rank: c_int,
    world: c_int,
    timeout_ms: i64,
}

// SAFETY: these are the signatures of `group.cpp`.
unsafe extern "C" {
    fn candor_group_join(place: *const CPlace, error: *mut *mut c_char) -> *mut c_void;
    fn candor_group_leave(group: *mut c_void);
    fn candor_group_all_gather(
        group: *mut c_void,
        mine: *mut c_void,
        all: *mut c_void,
        n_bytes: i64,
        error: *mut *mut c_char,
    ) -> bool;
    fn candor_group_all_to_all(
        group: *mut c_void,
        mine: *mut c_void,
        sent: *const i64,
        all: *mut c_void,
        received: *const i64,
        error: *mut *mut c_char,
    ) -> bool;
    fn candor_group_broadcast(
        group: *mut c_void,
        data: *mut c_void,
        n_bytes: i64,
        from: c_int,
        error: *mut *mut c_char,
    ) -> bool;
    fn candor_group_barrier(group: *mut c_void, error: *mut *mut c_char) -> bool;
    fn candor_group_add(
        group: *mut c_void,
        key: *const c_char,
        amount: i64,
        sum: *mut i64,
        error: *mut *mut c_char,
    ) -> bool;
}
