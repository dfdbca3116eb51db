//! Damages valid inputs at random and gives them to a target, without libFuzzer and the nightly toolchain: it is not led to
//! new code, but can be repeated, and needs nothing that the tests do not.
//!
//! Usage: `by_chance TARGET SECS SEED FOLDER`, where FOLDER has the valid inputs. What is tried follows from target, seed,
//! inputs and the number of the round alone. It ends with 1 at the first panic, at an input that takes longer than 10
//! seconds, and where the process has come to 1 GiB; the input is then in `fuzz/artifacts/TARGET`, and
//! `by_chance TARGET 0 SEED FOLDER` with that folder tries it as it is. Where it is given time, it also fails if no valid input
//! is taken, or if they begin with other numbers than the target has files or models.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candor_data::random;
use candor_fuzz::{Target, targets};
use candor_torch_ext::peak_memory_bytes;
use rand::RngExt as _;

/// The bounds that `fuzz/run` gives to libFuzzer.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_BYTES: u64 = 1 << 30;
/// Changes of an input.
const MOST_CHANGES: usize = 8;
/// Numbers at which sizes and counts go wrong.
const ODD: [u64; 8] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Since when an input is being tried, in which round, and the input.
type Trying = Arc<Mutex<(Instant, u64, Vec<u8>)>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, secs, seed, folder] = &arguments[..] else {
        eprintln!("usage: by_chance TARGET SECS SEED FOLDER");
        std::process::exit(2);
    };
    let mut all = targets().into_iter();
    let target = all.find(|target| target.name == name);
    let target = target.expect("one of the targets");
    let name = target.name;
    let secs = Duration::from_secs(secs.parse().expect("a number of seconds"));
    let seed = seed.parse().expect("a number");
    let valid = inputs(Path::new(folder));
    assert!(!valid.is_empty(), "{folder} has no inputs");
    if !secs.is_zero() {
        check_numbers(&target, &valid);
    }

    candor_fuzz::let_panics_be_caught();
    let trying: Trying = Arc::new(Mutex::new((Instant::now(), 0, Vec::new())));
    watch(name, Arc::clone(&trying));
    let started = Instant::now();
    let (mut round, mut n_taken) = (0, 0);
    let n_valid = valid.len() as u64;
    while round < n_valid || started.elapsed() < secs {
        // First all as they are: what is valid must be found so.
        let input = match valid.get(round as usize) {
            Some(whole) => whole.clone(),
            None => damaged(&valid, seed, name, round),
        };
        let now = (Instant::now(), round, input.clone());
        *trying.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let is_valid = round < n_valid;
        match catch_unwind(|| (target.run)(&input)) {
            Ok(is_taken) => n_taken += u64::from(is_valid && is_taken),
            Err(_) => fail(name, round, &input, "panicked"),
        }
        if peak_memory_bytes() > MOST_BYTES {
            fail(name, round, &input, "took more than 1 GiB");
        }
        round += 1;
        if round == n_valid && n_taken == 0 && !secs.is_zero() {
            eprintln!(
                "{name}: none of the {n_valid} inputs of {folder} is taken, so nothing is held"
            );
            std::process::exit(1);
        }
    }
    println!("{name}: {n_taken} of {n_valid} inputs taken as they are");
    let (inputs, bytes) = (round, peak_memory_bytes() >> 20);
    println!("{name}: {inputs} inputs tried with seed {seed}, {bytes} MiB at most; nothing found");
}

/// What `fuzz/seeds` numbers are the files or models of the target.
fn check_numbers(target: &Target, valid: &[Vec<u8>]) {
    let Some(n) = target.n_numbers else {
        return;
    };
    let numbers: BTreeSet<usize> = valid
        .iter()
        .filter_map(|input| input.first().map(|&number| usize::from(number)))
        .collect();
    assert!(
        numbers.iter().copied().eq(0..n),
        "{}: fuzz/seeds has other files or models than fuzz/src, which has {n}",
        target.name
    );
}

/// The files of a folder in the order of their names.
fn inputs(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder of inputs");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let read = |file: &PathBuf| std::fs::read(file).expect("an input");
    files.iter().map(read).collect()
}

/// Ends the process where an input takes too long.
fn watch(name: &'static str, trying: Trying) {
    std::thread::spawn(move || {
        while let Ok((since, round, input)) = trying.lock().map(|tried| tried.clone()) {
            if since.elapsed() > LONGEST {
                fail(name, round, &input, "takes longer than 10 seconds");
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}

/// Keeps the input and ends the process.
fn fail(name: &str, round: u64, input: &[u8], what: &str) -> ! {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("artifacts")
        .join(name);
    let file = folder.join(format!("by-chance-{round}"));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, input));
    eprintln!(
        "{name}: an input {what}; kept in {}: {kept:?}",
        file.display()
    );
    std::process::exit(1);
}

/// A valid input after a few changes.
fn damaged(valid: &[Vec<u8>], seed: u64, name: &str, round: u64) -> Vec<u8> {
    let mut stream = random::stream(seed, name, &[round]);
    let mut below = |n: usize| (stream.random::<u64>() % n.max(1) as u64) as usize;
    let mut input = valid[below(valid.len())].clone();
    for _ in 0..=below(MOST_CHANGES) {
        let at = below(input.len());
        match below(8) {
            // Another byte, or one bit of it.
            0 | 1 if !input.is_empty() => input[at] = below(256) as u8,
            2 if !input.is_empty() => input[at] ^= 1 << below(8),
            // An odd number of one to eight bytes.
            3 => {
                let number = ODD[below(ODD.len())].to_le_bytes();
                let n = (1_usize << below(4)).min(input.len() - at);
                input[at..at + n].copy_from_slice(&number[..n]);
            }
            // Something is left out, comes twice, comes from another input, or the end is missing.
            4 => {
                let n = below(input.len() - at);
                input.drain(at..at + n);
            }
            5 => {
                let n = below((input.len() - at).min(1 << 12));
                let again = input[at..at + n].to_vec();
                input.splice(at..at, again);
            }
            6 => {
                let other = &valid[below(valid.len())];
                let from = below(other.len());
                let n = below((other.len() - from).min(1 << 12));
                input.splice(at..at, other[from..from + n].iter().copied());
            }
            7 if below(4) == 0 => input.truncate(at),
            _ => input.insert(at, below(256) as u8),
        }
    }
    input
}
