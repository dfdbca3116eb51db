//! Processes that compute together, on this machine: this test starts itself again, once for each rank.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use candor_torch_ext::{Group, GroupPlace};

/// Set in the processes of a group: `RANK WORLD PORT`.
const CHILD: &str = "CANDOR_TEST_GROUP";

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn place(rank: usize, world: usize, port: u16) -> GroupPlace {
    GroupPlace {
        rank,
        world,
        host: "127.0.0.1".to_owned(),
        port,
        foreign_store: None,
        interface: None,
        timeout: Duration::from_secs(20),
    }
}

/// In a process of a group: where it is.
fn of_child() -> Option<GroupPlace> {
    let words = std::env::var(CHILD).ok()?;
    let numbers: Vec<usize> = words.split(' ').map(|w| w.parse().unwrap()).collect();
    Some(place(numbers[0], numbers[1], numbers[2] as u16))
}

/// Starts the ranks of a test.
fn start(test: &str, world: usize) -> Vec<Child> {
    let port = free_port();
    let ranks = (0..world).map(|rank| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, format!("{rank} {world} {port}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    ranks.collect()
}

/// Waits for the ranks; what each said on stderr, with its exit code.
fn ended(ranks: Vec<Child>) -> Vec<(Option<i32>, String)> {
    let ended = ranks.into_iter().map(|rank| {
        let output = rank.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    });
    ended.collect()
}

/// Ends a process of a group without the harness.
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

fn all_ranks_get_the_same(test: &str, world: usize) {
    if let Some(place) = of_child() {
        let rank = place.rank;
        let group = Group::join(place).unwrap();
        assert_eq!((group.rank(), group.world()), (rank, world));
        // Rank 0 gives nothing, rank 1 one byte, and so on.
        let mine = vec![10 + rank as u8; rank];
        let all = group.all_gather(&mine).unwrap();
        let expected: [&[u8]; 4] = [&[], &[11], &[12, 12], &[13, 13, 13]];
        assert_eq!(all, expected[..world]);
        assert_eq!(
            group.all_gather(&[]).unwrap(),
            vec![Vec::<u8>::new(); world]
        );
        let equal = group.all_gather_equal(&[rank as u8, 7]).unwrap();
        assert_eq!(equal, [0, 7, 1, 7, 2, 7, 3, 7][..2 * world]);
        // What rank r has for rank t is t times the byte 10 r + t, and nothing for rank 0.
        let part = |from: usize, to: usize| vec![(10 * from + to) as u8; to];
        let to: Vec<Vec<u8>> = (0..world).map(|other| part(rank, other)).collect();
        let from: Vec<Vec<u8>> = (0..world).map(|other| part(other, rank)).collect();
        assert_eq!(group.all_to_all(&to).unwrap(), from);
        let nothing = vec![Vec::new(); world];
        assert_eq!(group.all_to_all(&nothing).unwrap(), nothing);
        let mut data = [rank as u8; 3];
        group.broadcast(&mut data, 1).unwrap();
        assert_eq!(data, [1; 3]);
        group.add("visits", 1).unwrap();
        group.barrier().unwrap();
        assert_eq!(group.add("visits", 0).unwrap(), world as i64);
        group.barrier().unwrap();
        exit(42);
    }
    for (code, said) in ended(start(test, world)) {
        assert_eq!(code, Some(42), "{said}");
    }
}

#[test]
fn two_ranks_get_the_same() {
    all_ranks_get_the_same("two_ranks_get_the_same", 2);
}

#[test]
fn four_ranks_get_the_same() {
    all_ranks_get_the_same("four_ranks_get_the_same", 4);
}

#[test]
fn a_rank_that_ended_fails_the_others() {
    if let Some(place) = of_child() {
        let rank = place.rank;
        let group = Group::join(place).unwrap();
        if rank == 2 {
            exit(43);
        }
        let error = group.all_gather(&[1]).unwrap_err();
        eprintln!("{error}");
        exit(44);
    }
    let ranks = ended(start("a_rank_that_ended_fails_the_others", 3));
    assert_eq!(ranks[2].0, Some(43));
    for (code, said) in &ranks[..2] {
        assert_eq!(*code, Some(44), "{said}");
        for word in [
            " of 3, with the store at 127.0.0.1:",
            "cannot gather what all ranks have",
            "another rank has ended or hangs",
        ] {
            assert!(said.contains(word), "{said}");
        }
    }
}

#[test]
fn a_rank_that_hangs_fails_the_others_after_the_time_out() {
    if let Some(mut place) = of_child() {
        let rank = place.rank;
        place.timeout = Duration::from_secs(2);
        let group = Group::join(place).unwrap();
        if rank == 1 {
            std::thread::sleep(Duration::from_mins(10));
        }
        let error = group.barrier().unwrap_err();
        eprintln!("{error}");
        exit(44);
    }
    let mut ranks = start("a_rank_that_hangs_fails_the_others_after_the_time_out", 2);
    let mut hangs = ranks.pop().unwrap();
    let waits = ended(ranks);
    hangs.kill().unwrap();
    hangs.wait().unwrap();
    let (code, said) = &waits[0];
    assert_eq!(*code, Some(44), "{said}");
    assert!(said.contains("cannot wait for all ranks"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = Group::join(place(0, 2, port)).unwrap_err().to_string();
    assert!(
        error.contains(&format!(
            "rank 0 of 2, with the store at 127.0.0.1:{port}, cannot join"
        )),
        "{error}"
    );
    assert!(
        error.contains("EADDRINUSE") && error.contains("MASTER_PORT"),
        "{error}"
    );
}

/// All of 127.0.0.0/8 is this machine, so a store that listens on all interfaces would answer at 127.0.0.2 too.
#[cfg(target_os = "linux")]
#[test]
fn a_store_on_the_loopback_listens_nowhere_else() {
    let port = free_port();
    let group = Group::join(place(0, 1, port)).unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(std::net::TcpStream::connect(("127.0.0.2", port)).is_err());
    drop(group);
}
