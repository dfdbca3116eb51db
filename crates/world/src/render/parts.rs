//! What icons are made of: areas and lines in a few inks.

use tiny_skia::{Path, PathBuilder};

use crate::kind::Colour;

/// What a part is painted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// The object's colour.
    Main,
    /// A darker shade of it.
    Shade,
    /// Whatever is legible on it.
    Detail,
    /// The outline.
    Line,
    /// The rim under everything.
    Rim,
    /// Wood.
    Wood,
    /// Paper.
    Paper,
    /// Metal.
    Metal,
}

/// One layer of an icon.
pub(super) struct Part {
    pub(super) path: Path,
    pub(super) ink: Ink,
    /// The width, if the part is a line rather than an area.
    pub(super) line: Option<f32>,
    pub(super) outlined: bool,
}

/// The inks of one object.
pub(super) struct Inks {
    colour: Colour,
}

impl Inks {
    pub(super) fn of(colour: Colour) -> Self {
        Self { colour }
    }

    pub(super) fn rgb(&self, ink: Ink) -> [u8; 3] {
        let main = self.colour.rgb();
        let dark = self.colour == Colour::Black;
        match ink {
            Ink::Main => main,
            Ink::Shade if dark => [66, 66, 74],
            Ink::Shade => main.map(|value| (f32::from(value) * 0.78) as u8),
            Ink::Detail => match self.colour {
                Colour::White | Colour::Yellow | Colour::Orange => [40, 40, 44],
                _ => [246, 246, 246],
            },
            Ink::Line if dark => [12, 12, 14],
            Ink::Line => [38, 38, 42],
            Ink::Rim => [250, 250, 246],
            Ink::Wood => [128, 88, 52],
            Ink::Paper => [250, 247, 232],
            Ink::Metal => [120, 124, 132],
        }
    }
}

/// Collects the parts of an icon; a path that turns out empty is left out.
#[derive(Default)]
pub(super) struct Icon {
    pub(super) parts: Vec<Part>,
}

impl Icon {
    fn push(
        &mut self,
        path: Option<Path>,
        ink: Ink,
        line: Option<f32>,
        outlined: bool,
    ) -> &mut Self {
        self.parts.extend(path.map(|path| Part {
            path,
            ink,
            line,
            outlined,
        }));
        self
    }

    /// An area with an outline.
    pub(super) fn area(&mut self, path: Option<Path>, ink: Ink) -> &mut Self {
        self.push(path, ink, None, true)
    }

    /// An area without one.
    pub(super) fn flat(&mut self, path: Option<Path>, ink: Ink) -> &mut Self {
        self.push(path, ink, None, false)
    }

    /// A line with dark edges.
    pub(super) fn bar(&mut self, path: Option<Path>, ink: Ink, width: f32) -> &mut Self {
        self.push(path, ink, Some(width), true)
    }

    /// A plain line.
    pub(super) fn line(&mut self, path: Option<Path>, ink: Ink, width: f32) -> &mut Self {
        self.push(path, ink, Some(width), false)
    }
}

pub(super) fn circle(x: f32, y: f32, r: f32) -> Option<Path> {
    PathBuilder::from_circle(x, y, r)
}

pub(super) fn oval(x: f32, y: f32, rx: f32, ry: f32) -> Option<Path> {
    tiny_skia::Rect::from_xywh(x - rx, y - ry, rx * 2.0, ry * 2.0).and_then(PathBuilder::from_oval)
}

pub(super) fn polygon(points: &[(f32, f32)]) -> Option<Path> {
    trace(points, true)
}

pub(super) fn polyline(points: &[(f32, f32)]) -> Option<Path> {
    trace(points, false)
}

fn trace(points: &[(f32, f32)], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        if index == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// A start point and quadratic curves given as (control, end).
pub(super) fn curve(start: (f32, f32), steps: &[[f32; 4]], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    path.move_to(start.0, start.1);
    for [cx, cy, x, y] in steps {
        path.quad_to(*cx, *cy, *x, *y);
    }
    if closed {
        path.close();
    }
    path.finish()
}
