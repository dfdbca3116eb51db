//! Tokenised conversations: on the disk, and in memory 12 bytes of each and the name of every image.
//!
//! Before anything is trained all rows are read once, a part at a time, and tokenised, so that all bad ones are known and the
//! lengths by which batches are made. What they became waits in a file ([`KeptRows`]) until a step needs it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use candor_data::comparisons::Purpose;
use candor_data::rows::{KeptRows, KeptRowsWriter, Row, ShownImages, Sieve, Sifting, Skipped};
use candor_data::sha256;
use candor_data::{Conversation, DataError};
use candor_model::ModelError;
use candor_model::sample::{Sample, SampleRules};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::recipe::SourceRecipe;

/// Rows that are in memory together while they are tokenised.
const PART: usize = 1024;

/// How rows are kept by a run.
pub(crate) struct Keeping<'a> {
    /// The folder on whose disk they are.
    pub folder: &'a Path,
    /// Is told how many megabytes of the files have been read, and of how many.
    pub progress: &'a mut dyn FnMut(usize, usize),
}

/// Tokenised conversations, source by source.
#[derive(Debug)]
pub(crate) struct Tokenised {
    /// None where rows are only counted.
    kept: Option<KeptRows>,
    /// Tokens of each row.
    lengths: Vec<u32>,
    /// The rows of each source.
    pub sources: Vec<Range<usize>>,
    /// What the rows show.
    pub images: ShownImages,
    /// The rows that were left out, where bad ones are skipped.
    pub skipped: Option<Skipped>,
}

impl Tokenised {
    /// Reads the sources and tokenises what passes the sieve. The rows are kept as `keeping` says; without it they are counted, and
    /// nothing is written.
    ///
    /// # Errors
    /// A file is missing or damaged, the disk is full, or there are bad rows and the sieve stops at them.
    pub(crate) fn read(
        sources: &[SourceRecipe],
        seed: u64,
        rules: SampleRules<'_>,
        sieve: &Sieve<'_>,
        mut keeping: Option<Keeping<'_>>,
    ) -> Result<Self, DataError> {
        let keep = keeping.as_ref().map(|keeping| keeping.folder);
        // Images inside files that are taken to be whole, because nothing is written.
        let inside = RefCell::new(BTreeSet::new());
        let purpose = if keep.is_some() {
            Purpose::Run
        } else {
            Purpose::Plan
        };
        let mut embedded =
            |bytes: &[u8]| purpose.embedded(sieve.images, &mut inside.borrow_mut(), bytes);
        let mut reading = Reading {
            rules,
            sifting: Sifting::new(*sieve),
            kept: keep.map(KeptRowsWriter::on_disk_of).transpose()?,
            lengths: Vec::new(),
        };
        let megabytes = |n_bytes: u64| (n_bytes / 1_000_000) as usize;
        let n_all: u64 = sources.iter().map(SourceRecipe::n_bytes).sum();
        let mut n_before = 0;
        let mut spans = Vec::with_capacity(sources.len());
        for source in sources {
            let (first, n_read) = (reading.lengths.len(), Cell::new(0));
            let mut part = Vec::with_capacity(PART);
            source.each(seed, &mut embedded, &n_read, |row| {
                part.push(row);
                if part.len() < PART {
                    return Ok(());
                }
                if let Some(keeping) = &mut keeping {
                    (keeping.progress)(megabytes(n_before + n_read.get()), megabytes(n_all));
                }
                reading.sifting.take_for_good(inside.take());
                reading.add(source, std::mem::take(&mut part))
            })?;
            reading.sifting.take_for_good(inside.take());
            reading.add(source, part)?;
            spans.push(first..reading.lengths.len());
            n_before += source.n_bytes();
        }
        let (images, skipped) = reading.sifting.end()?;
        reading.lengths.shrink_to_fit();
        Ok(Self {
            kept: reading.kept.map(KeptRowsWriter::finish).transpose()?,
            lengths: reading.lengths,
            sources: spans,
            images,
            skipped,
        })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Tokens of a row.
    pub(crate) fn n_tokens(&self, row: usize) -> usize {
        self.lengths[row] as usize
    }

    /// A row, read from the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn sample(&self, row: usize) -> Result<Sample, DataError> {
        let Some(kept) = &self.kept else {
            unreachable!("rows that are counted are not asked for")
        };
        let sample = Sample::unpacked(&kept.read(row)?, self.n_tokens(row));
        sample.ok_or_else(|| kept.damaged(row))
    }

    /// A fingerprint of these rows, in this order, after what it begins with.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn fingerprint(
        &self,
        begins: &[u8],
        rows: impl IntoIterator<Item = usize>,
    ) -> Result<String, DataError> {
        let mut hash = sha256::Parts::default();
        hash.add(begins);
        for row in rows {
            let sample = self.sample(row)?;
            let tokens = sample.ids.iter().chain(&sample.labels);
            let tokens: Vec<u8> = tokens.flat_map(|id| id.to_le_bytes()).collect();
            hash.add(tokens);
            hash.add(sample.image.unwrap_or_default());
        }
        Ok(hash.finish())
    }
}

/// A conversation, tokenised.
struct Made {
    /// The sample as bytes; nothing where rows are only counted.
    packed: Vec<u8>,
    image: Option<String>,
    n_tokens: u32,
}

/// Rows that are being read.
struct Reading<'a> {
    rules: SampleRules<'a>,
    sifting: Sifting<'a>,
    kept: Option<KeptRowsWriter>,
    lengths: Vec<u32>,
}

impl Reading<'_> {
    /// The next rows of a source.
    fn add(
        &mut self,
        source: &SourceRecipe,
        rows: Vec<Row<Conversation>>,
    ) -> Result<(), DataError> {
        let (rules, keeps) = (self.rules, self.kept.is_some());
        let made = |row: &Conversation| {
            let sample = source.sample(row, rules)?;
            Ok::<_, ModelError>(Made {
                packed: if keeps { sample.packed()? } else { Vec::new() },
                n_tokens: sample.ids.len() as u32,
                image: sample.image,
            })
        };
        let rows = rows.into_par_iter();
        let rows: Vec<Row<Made>> = rows
            .map(|row| row.and_then(|row| Ok(made(&row)?)))
            .collect();
        for (_, made) in self.sifting.add(rows, |made| made.image.as_deref()) {
            if let Some(kept) = &mut self.kept {
                kept.add(&made.packed)?;
            }
            self.lengths.push(made.n_tokens);
        }
        Ok(())
    }
}
