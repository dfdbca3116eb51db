//! What an answer can say, as far as the judge understands it.

use std::ops::Range;

use candor_data::prompt::Choice;

use super::lexicon::Subject;
use crate::kind::{Colour, Group, Size};
use crate::place::Place;
use crate::theme::Theme;

/// What an assertion says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fact {
    /// There is such a thing; qualities are given only where the assertion is negated ("no red dog").
    There(Subject, Such),
    /// There are exactly so many.
    Count(Subject, usize),
    /// It has the colour.
    Colour(Subject, Colour),
    /// It has the size.
    Size(Subject, Size),
    /// It is at the place.
    Place(Subject, Place),
    /// It belongs to the group.
    Member(Subject, Group),
    /// The first is left of the second.
    LeftOf(Subject, Subject),
    /// It is the larger one.
    Larger(Subject),
    /// The scene plays there.
    Theme(Theme),
    /// The answer to a yes/no question is yes.
    Yes,
    /// The option of a multiple-choice question.
    Option(Choice),
    /// A colour of nothing named; the question says of what.
    BareColour(Colour),
    /// A number of nothing named.
    BareCount(usize),
    /// A place of nothing named.
    BarePlace(Place),
}

/// The qualities of a thing that is said not to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Such {
    /// Its colour.
    pub colour: Option<Colour>,
    /// Its size.
    pub size: Option<Size>,
    /// Its place.
    pub place: Option<Place>,
}

/// One thing an answer says.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// What is said.
    pub fact: Fact,
    /// Whether it is denied.
    pub negated: bool,
    /// The words that say it, in bytes of the answer.
    pub span: Range<usize>,
}
