//! What is sent between cards, with functions in the place of NCCL's that copy between threads: a communicator is a rank's number.

use std::collections::HashMap;
use std::sync::Barrier;
use std::thread;

use super::*;

const WORLD: usize = 3;

/// What has been sent, by sender and receiver.
static SENT: Mutex<Option<HashMap<[usize; 2], Vec<u8>>>> = Mutex::new(None);
/// Communicators that were given up.
static ABORTED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static HERE: Barrier = Barrier::new(WORLD);

thread_local! {
    /// What is to be received at the end of a group: address, bytes, sender and receiver.
    static WANTED: std::cell::RefCell<Vec<(*mut u8, usize, [usize; 2])>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn number(of_c: c_int) -> usize {
    usize::try_from(of_c).unwrap()
}

fn put(way: [usize; 2], from: *const c_void, n: usize) {
    // SAFETY: the caller of a function of NCCL has `n` bytes there.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), n) };
    let mut sent = SENT.lock().unwrap();
    let sent = sent.get_or_insert_default();
    assert!(sent.insert(way, bytes.to_vec()).is_none(), "{way:?} twice");
}

fn take(way: [usize; 2], to: *mut u8, n: usize) {
    let bytes = SENT.lock().unwrap().get_or_insert_default().remove(&way);
    let bytes = bytes.unwrap();
    assert_eq!(bytes.len(), n, "{way:?}");
    // SAFETY: the caller of a function of NCCL has room for `n` bytes there.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, n) };
}

unsafe extern "C" fn get_id(id: *mut Id) -> c_int {
    // SAFETY: the caller has an id there.
    unsafe { (*id).0 = [7; 128] };
    DONE
}

unsafe extern "C" fn join(comm: *mut Comm, world: c_int, id: Id, rank: c_int) -> c_int {
    assert_eq!((number(world), id.0), (WORLD, [7; 128]));
    // SAFETY: the caller has a communicator there.
    unsafe { *comm = ptr::without_provenance_mut(number(rank) + 1) };
    DONE
}

fn rank_of(comm: Comm) -> usize {
    comm.addr() - 1
}

unsafe extern "C" fn all_gather(
    from: *const c_void,
    to: *mut c_void,
    n: usize,
    kind: c_int,
    comm: Comm,
    _: Stream,
) -> c_int {
    assert_eq!(kind, BYTES);
    let rank = rank_of(comm);
    for other in 0..WORLD {
        put([rank, other], from, n);
    }
    HERE.wait();
    for other in 0..WORLD {
        // SAFETY: the caller has room for `n` bytes of each rank.
        let place = unsafe { to.cast::<u8>().add(other * n) };
        take([other, rank], place, n);
    }
    HERE.wait();
    DONE
}

unsafe extern "C" fn send(
    from: *const c_void,
    n: usize,
    kind: c_int,
    peer: c_int,
    comm: Comm,
    _: Stream,
) -> c_int {
    assert_eq!(kind, BYTES);
    put([rank_of(comm), number(peer)], from, n);
    DONE
}

unsafe extern "C" fn receive(
    to: *mut c_void,
    n: usize,
    kind: c_int,
    peer: c_int,
    comm: Comm,
    _: Stream,
) -> c_int {
    assert_eq!(kind, BYTES);
    let way = [number(peer), rank_of(comm)];
    WANTED.with_borrow_mut(|wanted| wanted.push((to.cast(), n, way)));
    DONE
}

unsafe extern "C" fn begin() -> c_int {
    DONE
}

unsafe extern "C" fn end() -> c_int {
    HERE.wait();
    for (to, n, way) in WANTED.take() {
        take(way, to, n);
    }
    HERE.wait();
    DONE
}

unsafe extern "C" fn problem(_: Comm, _: *mut c_int) -> c_int {
    DONE
}

unsafe extern "C" fn abort(comm: Comm) -> c_int {
    ABORTED.lock().unwrap().push(rank_of(comm));
    DONE
}

unsafe extern "C" fn words(result: c_int) -> *const c_char {
    if result == 2 {
        return c"unhandled system error".as_ptr();
    }
    ptr::null()
}

unsafe extern "C" fn broken() -> c_int {
    2
}

/// `ncclUnhandledCudaError`.
unsafe extern "C" fn faulty() -> c_int {
    1
}

const COPYING: Functions = Functions {
    get_id,
    join,
    all_gather,
    send,
    receive,
    begin,
    end,
    problem,
    abort,
    words,
};

fn joined(functions: Functions, rank: usize) -> Cards {
    let id = meeting_point(&functions).unwrap();
    let second = Duration::from_secs(1);
    Cards::join_by(functions, Device::Cpu, [rank, WORLD], &id, second).unwrap()
}

fn bytes(tensors: &[Tensor]) -> Vec<Vec<u8>> {
    let bytes = |tensor: &Tensor| Vec::<u8>::try_from(tensor.shallow_clone()).unwrap();
    tensors.iter().map(bytes).collect()
}

/// In one test: the functions have one memory.
#[test]
fn what_ranks_send_arrives_at_whom_it_is_for() {
    thread::scope(|scope| {
        let of_rank = |rank: usize| {
            let cards = joined(COPYING, rank);
            let mine = [10 * rank as u8, 10 * rank as u8 + 1];
            let all = cards.all_gather(&Tensor::from_slice(&mine)).unwrap();
            assert_eq!(bytes(&all), [vec![0, 1], vec![10, 11], vec![20, 21]]);
            // What rank r has for rank t is t times the byte 10 r + t, and nothing for rank 0.
            let part = |from: usize, to: usize| vec![(10 * from + to) as u8; to];
            let to = (0..WORLD).map(|other| Tensor::from_slice(&part(rank, other)));
            let found = cards
                .all_to_all(&to.collect::<Vec<_>>(), &[rank as i64; WORLD])
                .unwrap();
            let expected: Vec<Vec<u8>> = (0..WORLD).map(|other| part(other, rank)).collect();
            assert_eq!(bytes(&found), expected);
        };
        let ranks: Vec<_> = (0..WORLD)
            .map(|rank| scope.spawn(move || of_rank(rank)))
            .collect();
        for rank in ranks {
            rank.join().unwrap();
        }
    });
    let mut left = std::mem::take(&mut *ABORTED.lock().unwrap());
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2]);

    // An exchange that fails is the last one.
    let broken = Functions {
        begin: broken,
        ..COPYING
    };
    let cards = joined(broken, 1);
    let empty = || [(); 3].map(|()| Tensor::from_slice(&[0_u8; 0]));
    let said = |error: CardsError| error.to_string();
    let first = cards.all_to_all(&empty(), &[0; 3]).unwrap_err();
    assert!(first.is_of_another_rank());
    assert_eq!(
        said(first),
        "NCCL cannot exchange parts with all ranks: unhandled system error"
    );
    assert_eq!(*ABORTED.lock().unwrap(), [1]);
    let second = said(cards.all_gather(&Tensor::from_slice(&[1_u8])).unwrap_err());
    assert!(
        second.ends_with("an earlier exchange has failed"),
        "{second}"
    );
    // What this rank did itself is not another's fault, nor is what its own card says while an exchange is waited for.
    let wrong = cards.all_gather(&Tensor::from_slice(&[1_f32])).unwrap_err();
    assert!(!wrong.is_of_another_rank());
    let wrong = said(wrong);
    assert!(
        wrong.contains("Float [1] on Cpu are no bytes on Cpu"),
        "{wrong}"
    );
    drop(cards);
    assert_eq!(*ABORTED.lock().unwrap(), [1]);
    let faulty = Functions {
        begin: faulty,
        ..COPYING
    };
    let cards = joined(faulty, 2);
    let own = cards.all_to_all(&empty(), &[0; 3]).unwrap_err();
    assert!(!own.is_of_another_rank(), "{own}");
}

/// The machines that candor is built on have none.
#[test]
fn an_nccl_that_is_not_in_the_process_is_said() {
    if let Err(error) = Cards::check() {
        assert!(
            error.to_string().starts_with("NCCL cannot be used: "),
            "{error}"
        );
    }
    let cpu = Cards::card(Device::Cpu).unwrap_err().to_string();
    assert_eq!(
        cpu,
        "NCCL cannot tell the cards of ranks apart: Cpu is no card"
    );
    let short = Cards::join_by(COPYING, Device::Cpu, [0, WORLD], &[1, 2], Duration::ZERO);
    let said = short.unwrap_err().to_string();
    assert!(said.ends_with("2 bytes are no meeting point"), "{said}");
}
