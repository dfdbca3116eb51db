//! Where an object is: a cell of the 4 × 4 grid, and the words people use for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Cells per side of the image.
pub const GRID: u8 = 4;

/// Upper or lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Vertical {
    Top,
    Bottom,
}

/// Left or right half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Horizontal {
    Left,
    Right,
}

/// A place as words give it: a half or a quadrant of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Top or bottom, if said.
    pub vertical: Option<Vertical>,
    /// Left or right, if said.
    pub horizontal: Option<Horizontal>,
}

impl Place {
    /// The place of both words.
    #[must_use]
    pub const fn quadrant(vertical: Vertical, horizontal: Horizontal) -> Self {
        Self {
            vertical: Some(vertical),
            horizontal: Some(horizontal),
        }
    }

    /// Whether the cell lies in this place.
    #[must_use]
    pub fn contains(self, cell: Cell) -> bool {
        let of = cell.place();
        self.vertical.is_none_or(|v| of.vertical == Some(v))
            && self.horizontal.is_none_or(|h| of.horizontal == Some(h))
    }

    /// Whether no word is given.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.vertical.is_none() && self.horizontal.is_none()
    }

    /// The words without a preposition: "top left", "right".
    #[must_use]
    pub fn words(self) -> &'static str {
        use Horizontal::{Left, Right};
        use Vertical::{Bottom, Top};
        match (self.vertical, self.horizontal) {
            (Some(Top), Some(Left)) => "top left",
            (Some(Top), Some(Right)) => "top right",
            (Some(Bottom), Some(Left)) => "bottom left",
            (Some(Bottom), Some(Right)) => "bottom right",
            (Some(Top), None) => "top",
            (Some(Bottom), None) => "bottom",
            (None, Some(Left)) => "left",
            (None, Some(Right)) => "right",
            (None, None) => "",
        }
    }

    /// The place as a phrase: "on the left", "at the top left".
    #[must_use]
    pub fn phrase(self) -> String {
        let preposition = if self.vertical.is_none() { "on" } else { "at" };
        format!("{preposition} the {}", self.words())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A cell of the grid, rows from the top, columns from the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The row, 0 at the top.
    pub row: u8,
    /// The column, 0 at the left.
    pub col: u8,
}

impl Cell {
    /// The cell at a position counted along the rows.
    #[must_use]
    pub fn at(index: usize) -> Self {
        let index = (index % 16) as u8;
        Self {
            row: index / GRID,
            col: index % GRID,
        }
    }

    /// The quadrant the cell lies in.
    #[must_use]
    pub fn place(self) -> Place {
        let vertical = if self.row < GRID / 2 {
            Vertical::Top
        } else {
            Vertical::Bottom
        };
        let horizontal = if self.col < GRID / 2 {
            Horizontal::Left
        } else {
            Horizontal::Right
        };
        Place::quadrant(vertical, horizontal)
    }
}
