//! Drawings as inline SVG.
//!
//! A drawing is about as wide as a phone and scales with its column, so its text keeps a readable size
//! everywhere; wide pages put several drawings side by side. Colours are classes of the style sheet, so that
//! light and dark need one drawing.

pub(crate) mod frame;
pub(crate) mod marks;
pub(crate) mod scale;

use maud::{Markup, html};

pub(crate) use frame::{Axes, Frame};
pub(crate) use scale::Scale;

/// Width of a drawing, in its own units.
pub(crate) const WIDTH: f64 = 350.0;

/// A drawing; `label` is what someone who does not see it is told.
#[must_use]
pub(crate) fn drawing(height: f64, label: &str, content: &Markup) -> Markup {
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(label) {
            (content)
        }
    }
}

/// A coordinate, to a tenth of a unit and without needless zeros.
#[must_use]
pub(crate) fn place(coordinate: f64) -> String {
    let text = format!("{coordinate:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        let all = [0.0, -0.04, 1.0, 1.25, -2.5, 100.04].map(place);
        assert_eq!(all, ["0", "0", "1", "1.2", "-2.5", "100"]);
    }

    #[test]
    fn the_label_is_escaped() {
        let drawn = drawing(10.0, "a \"b\" <c>", &html! {}).into_string();
        assert!(
            drawn.contains("aria-label=\"a &quot;b&quot; &lt;c&gt;\""),
            "{drawn}"
        );
    }
}
