//! Object-HalBench without a judge: the terms that a description says, each as often as it does.
//!
//! # Reference
//! What the official script does without `--use_gpt`. It is another measure: a judge leaves out what the description says of
//! things that are not to be seen, and names a thing once; its numbers stand under a name of their own and are not the published ones.

use candor_data::formats::answers::Answer;

use super::{Asked, add};
use crate::JudgeError;
use crate::benchmarks::{About, Image, ItemScore, Task};
use crate::item::Item;
use crate::order::InOrders;

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "object_hal_bench_closed",
    argument: "object-hal-bench-closed",
    label: "Object-HalBench (closed vocabulary)",
    help: "Object-HalBench by its words alone, without a judge; not the published measure",
    open: |files, _| Ok(Box::new(Closed(Asked::read(files)?))),
    ..super::ABOUT
};

struct Closed(Asked);

impl Task for Closed {
    fn items(&self) -> &[Item] {
        &self.0.items
    }

    fn image(&self, item: usize) -> Result<Image<'_>, JudgeError> {
        self.0.image(item)
    }

    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        _replies: InOrders<String>,
    ) -> Result<ItemScore, JudgeError> {
        let found = self.0.counted(item, &self.0.terms.in_text(&answer.text));
        let mut verdict = self.0.verdict(item, answer);
        add(&mut verdict, std::slice::from_ref(&found));
        verdict.read_as = found.hallucinated;
        Ok(ItemScore {
            verdict,
            ..ItemScore::default()
        })
    }
}
