//! A noun of an answer, and the assertions it unfolds into.

use std::ops::Range;

use super::fact::{Assertion, Fact, Such};
use super::lexicon::Subject;
use crate::kind::{Colour, Size};
use crate::place::Place;

/// A noun with what is said of it.
pub(super) struct Noun {
    pub(super) subject: Subject,
    pub(super) negated: bool,
    pub(super) count: Option<usize>,
    pub(super) colours: Vec<Colour>,
    pub(super) size: Option<Size>,
    pub(super) place: Option<Place>,
    pub(super) span: Range<usize>,
    /// What follows it: "… is red", "… is left of …".
    pub(super) later: Vec<Assertion>,
}

impl Noun {
    /// A denied noun makes one assertion with all its qualities, any other one for each.
    pub(super) fn unfold(self, all: &mut Vec<Assertion>) {
        let (subject, negated) = (self.subject, self.negated);
        let mut say = |fact, negated| {
            all.push(Assertion {
                fact,
                negated,
                span: self.span.clone(),
            });
        };
        if negated {
            let placed = self.later.iter().find_map(|later| match later.fact {
                Fact::Place(_, place) => Some(place),
                _ => None,
            });
            let such = Such {
                colour: self.colours.first().copied(),
                size: self.size,
                place: self.place.or(placed),
            };
            say(Fact::There(subject, such), true);
            return;
        }
        say(Fact::There(subject, Such::default()), false);
        let counts = self.count.map(|count| Fact::Count(subject, count));
        let colours = self
            .colours
            .iter()
            .map(|&colour| Fact::Colour(subject, colour));
        let sizes = self.size.map(|size| Fact::Size(subject, size));
        let places = self.place.map(|place| Fact::Place(subject, place));
        for fact in counts.into_iter().chain(colours).chain(sizes).chain(places) {
            say(fact, false);
        }
        all.extend(self.later);
    }
}
