//! A sieve that rows go through part by part, for sets that are larger than the memory: of the rows it keeps the bad ones alone, of
//! the good ones the names of their images.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::{BadRow, BadRows, Row, RowFault, RowName, Sieve, Skipped, faults};
use crate::error::DataError;
use crate::shown;

/// The images that good rows show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownImages {
    /// Each once, in the order in which rows show them.
    pub names: Vec<String>,
    /// How many the row has that shows most.
    pub of_a_row: usize,
}

/// Rows on their way through a sieve.
#[derive(Debug)]
pub struct Sifting<'a> {
    sieve: Sieve<'a>,
    /// The images that were looked at, and whether a good row shows them.
    looked_at: HashMap<String, bool>,
    faults: BTreeMap<String, RowFault>,
    shown: ShownImages,
    bad: Vec<BadRow>,
}

impl<'a> Sifting<'a> {
    /// Before the first row.
    #[must_use]
    pub fn new(sieve: Sieve<'a>) -> Self {
        Self {
            sieve,
            looked_at: HashMap::new(),
            faults: BTreeMap::new(),
            shown: ShownImages::default(),
            bad: Vec::new(),
        }
    }

    /// Takes images for ones that can be shown, without looking at them.
    pub fn take_for_good(&mut self, images: impl IntoIterator<Item = String>) {
        for image in images {
            self.looked_at.entry(image).or_insert(false);
        }
    }

    /// The good ones of the next rows. Their images, which `image` tells as [`shown`] has them, are looked at, each once.
    pub fn add<T>(
        &mut self,
        rows: Vec<Row<T>>,
        image: impl Fn(&T) -> Option<&str>,
    ) -> Vec<(RowName, T)> {
        let of_rows = rows.iter().filter_map(|row| image(row.made.as_ref().ok()?));
        let mut new = Vec::new();
        for name in of_rows.flat_map(shown::names) {
            if let Entry::Vacant(place) = self.looked_at.entry(name.to_owned()) {
                place.insert(false);
                new.push(name);
            }
        }
        let bad_images = faults(self.sieve.images, new, self.sieve.look);
        self.faults.extend(bad_images);
        let mut good = Vec::with_capacity(rows.len());
        for Row { name, made } in rows {
            let fault_of = |made: &T| {
                let mut names = image(made).into_iter().flat_map(shown::names);
                names.find_map(|name| self.faults.get(name).cloned())
            };
            let made = made.and_then(|made| fault_of(&made).map_or(Ok(made), Err));
            match made {
                Err(fault) => self.bad.push(BadRow { name, fault }),
                Ok(made) => {
                    self.note(image(&made));
                    good.push((name, made));
                }
            }
        }
        good
    }

    /// Notes what a good row shows.
    fn note(&mut self, image: Option<&str>) {
        self.shown.of_a_row = self.shown.of_a_row.max(shown::count(image));
        for name in image.into_iter().flat_map(shown::names) {
            if let Some(is_shown) = self.looked_at.get_mut(name)
                && !*is_shown
            {
                *is_shown = true;
                self.shown.names.push(name.to_owned());
            }
        }
    }

    /// What the good rows show, and the rows that were left out; none where bad rows stop the run.
    ///
    /// # Errors
    /// [`DataError::BadRows`] where bad rows stop the run.
    pub fn end(self) -> Result<(ShownImages, Option<Skipped>), DataError> {
        self.end_of(|_| true)
    }

    /// [`Sifting::end`] where only some bad rows count: `counts` is told how many bad ones came before each.
    ///
    /// # Errors
    /// As [`Sifting::end`], for bad rows that count.
    pub fn end_of(
        mut self,
        counts: impl Fn(usize) -> bool,
    ) -> Result<(ShownImages, Option<Skipped>), DataError> {
        let mut n_before = 0;
        self.bad.retain(|_| {
            n_before += 1;
            counts(n_before - 1)
        });
        let skipped = self.sieve.settle(BadRows(self.bad))?;
        Ok((self.shown, skipped))
    }
}
