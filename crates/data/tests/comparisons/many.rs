//! Comparisons of which there are too many for the memory: what is held of them, and what was kept and is not what it was.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use candor_data::DataError;
use candor_data::comparisons::{FileRow, KeptRow, RowFile, RowSet, Take};
use candor_data::formats::images::Embedded;
use candor_data::rows::packing::{add, number};
use candor_data::rows::{OnBadRow, Reason, RowFault};

/// Rows that are in memory, and the most that were.
static ALIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// A row that is counted while it is in memory.
#[derive(Debug)]
struct Counted(u32);

impl Counted {
    fn new(number: u32) -> Self {
        let alive = ALIVE.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(alive, Ordering::SeqCst);
        Self(number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

impl KeptRow for Counted {
    type Held = u32;

    fn held(&self) -> u32 {
        self.0
    }

    fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Rows 1 and 2 are not what they were.
        match self.0 {
            1 => bytes.push(0),
            2 => add(&mut bytes, 7),
            n => add(&mut bytes, n),
        }
        bytes
    }

    fn unpacked(mut rest: &[u8], _: Option<&str>, _: u32) -> Option<Self> {
        number(&mut rest).map(Self::new)
    }
}

/// A file that says `n` rows, three about each image; of every tenth both answers are the same.
#[derive(Debug)]
struct Generated {
    path: PathBuf,
    n: u32,
}

impl RowFile for Generated {
    type Row = Counted;

    const ROWS: &'static str = "generated rows";

    fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, path: PathBuf) -> Self {
        Self { path, n: self.n }
    }

    fn each(&self, _: Embedded<'_>, take: Take<'_, Counted>) -> Result<(), DataError> {
        (0..self.n).try_for_each(|number| {
            take(FileRow {
                id: number.to_string(),
                image: Some(format!("{}.png", number / 3)),
                row: (number % 10 != 9).then(|| Counted::new(number)),
            })
        })
    }
}

#[test]
fn no_row_is_held_and_one_that_is_not_what_it_was_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    std::fs::write(&path, "").unwrap();
    let set = RowSet {
        files: vec![Generated { path, n: 3_000 }],
        images: folder.path().join("images"),
        on_bad_row: OnBadRow::Skip,
        seed: 1,
        n_validation: 100,
        n_held_out: 200,
        n_train: None,
    };
    // A plan does not look for images that are not there yet.
    let plan = set.read(None, Ok::<Counted, RowFault>).unwrap();
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
    assert_eq!((plan.len(), plan.n_equal), (2_700, 300));
    std::fs::create_dir(&set.images).unwrap();
    let one_pixel = include_bytes!("../golden/images/one_pixel.png");
    for image in 0..1_000 {
        std::fs::write(set.images.join(format!("{image}.png")), one_pixel).unwrap();
    }
    let bad = |row: Counted| {
        if row.0 == 4 {
            return Err(RowFault::new(Reason::Template, "x", "found 4", "mend it"));
        }
        Ok(row)
    };
    let parts = set.read(Some(folder.path()), bad).unwrap();
    // 1024 rows are read before something is made of them; the others wait in the file.
    assert!(MOST.load(Ordering::SeqCst) <= 1024);
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
    assert_eq!((parts.len(), parts.n_equal), (2_699, 300));
    assert_eq!(parts.skipped.as_ref().unwrap().rows().len(), 1);
    assert!(parts.held_out().len() >= 200 && parts.validation().len() >= 100);
    let (mut n_damaged, mut seen) = (0, vec![false; 3_000]);
    for row in 0..parts.len() {
        let held = parts.held(row);
        assert!(held != 4 && held % 10 != 9);
        assert!(!std::mem::replace(&mut seen[held as usize], true));
        let image = format!("{}.png", held / 3);
        assert_eq!(parts.shown(row), Some(image.as_str()));
        match (held, parts.row(row)) {
            (1 | 2, Err(error)) => {
                let place = format!("the bytes of row {held} are no row any more");
                let why = error.source().unwrap().to_string();
                assert_eq!(why, place);
                n_damaged += 1;
            }
            (_, found) => assert_eq!(found.unwrap().0, held),
        }
    }
    assert_eq!(n_damaged, 2);
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
}
