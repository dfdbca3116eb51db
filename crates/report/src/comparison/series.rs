//! Whose a mark is: a colour and a form for each run.

use candor_judge::rows::Row;
use maud::{Markup, html};

use crate::svg::marks::Shape;
use crate::svg::place;

const SHAPES: [Shape; 4] = [Shape::Circle, Shape::Square, Shape::Diamond, Shape::Cross];
/// Colours of the style sheet; colour and form together tell twice as many runs apart.
const N_COLOURS: usize = 8;

/// How a run is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series {
    /// The run's name.
    pub name: String,
    /// Its place among the runs.
    pub index: usize,
    /// The class of everything that is drawn for it.
    pub class: String,
    /// The form of its marks.
    pub shape: Shape,
}

impl Series {
    /// One for each run.
    pub(crate) fn of(runs: &[String]) -> Vec<Self> {
        let series = |(index, name): (usize, &String)| Self {
            name: name.clone(),
            index,
            class: format!("run-{}", index % N_COLOURS),
            shape: SHAPES[index % SHAPES.len()],
        };
        runs.iter().enumerate().map(series).collect()
    }

    /// The address of the items behind one of its numbers.
    pub(crate) fn link(&self, row: &Row) -> String {
        let group = if row.group.is_empty() {
            String::new()
        } else {
            format!("&group={}", encoded(&row.group))
        };
        format!(
            "#benchmark={}&measure={}&run={}{group}",
            row.benchmark.key(),
            row.measure,
            self.index
        )
    }
}

/// Text as a value in an address.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

/// The runs with their marks.
pub(crate) fn legend(series: &[Series]) -> Markup {
    html! {
        ul.legend {
            @for one in series {
                li class=(one.class) {
                    svg viewBox="0 0 14 14" aria-hidden="true" { g { (one.shape.drawn(7.0, 7.0)) } }
                    (one.name)
                }
            }
        }
    }
}

/// A run's mark at a place of a drawing.
pub(crate) fn mark(series: &Series, x: f64, y: f64) -> Markup {
    html! { g class=(series.class) transform={ "translate(" (place(x)) " " (place(y)) ")" } { (series.shape.drawn(0.0, 0.0)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_of_any_name_is_one_value_of_the_address() {
        assert_eq!(encoded("a b&c=é"), "a%20b%26c%3D%C3%A9");
        assert_eq!(
            encoded("finegrained_perception-1.x"),
            "finegrained_perception-1.x"
        );
    }

    #[test]
    fn eight_runs_differ_in_their_marks() {
        let names: Vec<String> = (0..8).map(|i| i.to_string()).collect();
        let series = Series::of(&names);
        for (i, one) in series.iter().enumerate() {
            let same = |other: &&Series| other.class == one.class && other.shape == one.shape;
            assert_eq!(series.iter().filter(same).count(), 1, "{i}");
        }
    }
}
