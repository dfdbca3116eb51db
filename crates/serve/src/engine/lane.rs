//! The answers in progress with one adapter.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use candor_model::{Adapter, Bundle, Ongoing, Query};

use super::Ready;
use super::writing::{Told, Writing};
use crate::http::Metrics;

/// Answers that share their passes.
pub(super) struct Lane<'a> {
    bundle: &'a Bundle,
    metrics: &'a Metrics,
    ongoing: Ongoing<'a>,
    /// By the numbers that they are called in `ongoing`.
    writings: HashMap<usize, Writing<'a>>,
    /// The next number.
    next: usize,
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        bundle: &'a Bundle,
        adapter: Option<&'a Adapter>,
        metrics: &'a Metrics,
    ) -> Self {
        Self {
            bundle,
            metrics,
            ongoing: Ongoing::new(&bundle.model, adapter),
            writings: HashMap::new(),
            next: 0,
        }
    }

    /// Answers in progress.
    pub(super) fn n_rows(&self) -> usize {
        self.writings.len()
    }

    /// Positions that the longest of them may take.
    pub(super) fn longest(&self) -> usize {
        let lengths = self.writings.values().map(|writing| writing.told.longest);
        lengths.max().unwrap_or(0)
    }

    /// Positions that they hold together.
    pub(super) fn n_positions(&self) -> usize {
        self.n_rows() * self.longest()
    }

    /// Reads prompts, those about one image beside each other.
    pub(super) fn read(&mut self, mut batch: Vec<Ready>) {
        batch.sort_by(|a, b| a.query.image.cmp(&b.query.image));
        let mut queries: Vec<(Query, Range<usize>)> = Vec::with_capacity(batch.len());
        for ready in batch {
            let rows = self.next..self.next + ready.asked.request.n;
            self.next = rows.end;
            let (told, query) = Told::new(ready, self.bundle.tokenizer.ends);
            let told = Rc::new(told);
            for (sample, row) in rows.clone().enumerate() {
                let writing = Writing::new(Rc::clone(&told), sample, &self.bundle.tokenizer);
                self.writings.insert(row, writing);
            }
            queries.push((query, rows));
        }
        let prompts: Vec<_> = queries
            .iter()
            .map(|(query, rows)| (query, rows.clone()))
            .collect();
        self.ongoing.read(&prompts);
    }

    /// Writes a token of every answer. Those that nobody waits for any more are let go first.
    pub(super) fn step(&mut self) {
        if self.ongoing.is_empty() {
            return;
        }
        let writings = &self.writings;
        let wanted = writings.values().map(|writing| writing.told.n_likeliest());
        let chosen = self
            .ongoing
            .choose(|row| writings[&row].how(), wanted.max().unwrap_or(0));
        for token in chosen {
            let Some(writing) = self.writings.get_mut(&token.row) else {
                continue;
            };
            let goes_on = if writing.told.is_wanted() {
                self.metrics.answer_tokens.inc();
                writing.push(&token, self.metrics)
            } else {
                self.metrics.cancelled.inc();
                false
            };
            if !goes_on {
                self.writings.remove(&token.row);
            }
        }
        let writings = &self.writings;
        self.ongoing.go_on(|row| writings.contains_key(&row));
    }
}
