//! How much memory a row of the data takes: so little that sets need not fit into it.

use std::path::Path;
use std::process::Command;

use candor_data::formats::llava;
use candor_data::{Conversation, Turn};
use peak_alloc::PeakAlloc;

use crate::out;
use crate::tiny::{prepared, sft};

/// libtorch's own allocations are not counted, so what is left is of rows and names.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Set in a process that has nothing to do but this.
const ALONE: &str = "CANDOR_TEST_MEMORY_ALONE";

/// Bytes that a row may take while the order of its epoch is made, which is when it takes most: 12 for where it is and how long, 16 for
/// its place in the mixture, and some more in lists of numbers.
const MOST_OF_A_ROW: usize = 128;

/// The most memory that a run of one step takes on so many rows, beyond what was taken before.
fn peak(folder: &Path, n_rows: usize) -> usize {
    let row = |i: usize| Conversation {
        id: i.to_string(),
        image: Some("red.png".to_owned()),
        turns: vec![
            Turn::human("<image>\nWhat color is it?"),
            Turn::gpt("It is red. Yes. ".repeat(6)),
        ],
    };
    let rows: Vec<Conversation> = (0..n_rows).map(row).collect();
    let file = format!("{n_rows}.json");
    llava::write(&folder.join(&file), &rows).unwrap();
    drop(rows);
    let source = format!(r#"data.sources=[{{ name = "t", format = "llava", path = "{file}" }}]"#);
    let out = out(folder, &format!("of-{n_rows}"));
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    sft(folder, &[&out, &source, "run.steps=1"]).unwrap();
    MEMORY.peak_usage().saturating_sub(before)
}

#[test]
fn a_row_takes_few_bytes_of_memory() {
    if std::env::var_os(ALONE).is_none() {
        let alone = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::a_row_takes_few_bytes_of_memory"])
            .arg("--nocapture")
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stderr);
        assert!(alone.status.success(), "{said}");
        return;
    }
    let folder = prepared();
    // More than are tokenised together, so that both runs hold as many texts at a time.
    let [few, many] = [3_000, 23_000].map(|n_rows| peak(folder.path(), n_rows));
    let of_a_row = many.saturating_sub(few) / 20_000;
    eprintln!("{few} bytes for 3,000 rows, {many} for 23,000: {of_a_row} a row");
    assert!(of_a_row <= MOST_OF_A_ROW, "{of_a_row} bytes a row");
}
