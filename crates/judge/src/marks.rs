//! The number in a judge's reply: one reader for every judge, told the scale by its caller.
//!
//! A mark is what stands where the mark belongs, as a whole: `10` is never read as 1 on a scale that ends at 6, nor 4.5
//! as 4. A number beyond the scale, a fraction where the scale has none, a negative number, a choice ("3 or 4") and a
//! range ("3-4") are no marks. What a mark is out of may be told, as "4/6" or "4 (out of 6)", and then has to be the
//! end of the scale: "4/5" is a mark on another scale.

/// What marks there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The lowest mark.
    pub lowest: f64,
    /// The highest mark, which a mark may be said to be out of.
    pub highest: f64,
    /// Whether only whole numbers are marks.
    pub is_whole: bool,
}

impl Scale {
    /// The mark that a text begins with, if nothing takes it back: what follows may explain it.
    #[must_use]
    pub fn mark_before_words(&self, text: &str) -> Option<f64> {
        let (mark, rest) = self.mark(text)?;
        let same_clause = rest
            .split(['\n', '.', ';'])
            .next()
            .unwrap_or_default()
            .trim_start_matches(is_markup);
        let has_number = |text: &str| text.contains(|c: char| c.is_numeric());
        let follows_number = |text: &str| {
            let text = text.trim_start_matches(|c: char| c.is_whitespace() || is_markup(c));
            text.starts_with(|c: char| c.is_numeric())
        };
        let trimmed = same_clause.trim_start();
        let alternative = ["or ", "to ", "and ", "/ ", "& "]
            .iter()
            .find_map(|word| trimmed.strip_prefix(word));
        let range = trimmed
            .strip_prefix(['-', '–', '—', '~', '/', ',', ':', '…'])
            .is_some_and(follows_number);
        let taken_back = alternative.is_some_and(has_number)
            || range
            || follows_number(trimmed)
            || rest.starts_with(|c: char| c.is_alphanumeric() || "+%½¼¾".contains(c));
        (!taken_back).then_some(mark)
    }

    /// The mark that is all of a text.
    #[must_use]
    pub fn whole_mark(&self, text: &str) -> Option<f64> {
        let (mark, rest) = self.mark(text)?;
        rest.trim_matches(|c: char| is_markup(c) || c.is_whitespace() || c == '.')
            .is_empty()
            .then_some(mark)
    }

    /// The mark at the beginning and what it is out of, and what follows.
    fn mark<'a>(&self, text: &'a str) -> Option<(f64, &'a str)> {
        let opened = |c: char| c.is_whitespace() || is_markup(c) || "[(".contains(c);
        let (value, rest) = number(text.trim_start_matches(opened))?;
        let rest = rest.trim_start_matches(is_markup);
        let rest = rest.strip_prefix([']', ')']).unwrap_or(rest);
        let rest = self.without_denominator(rest.trim_start_matches(is_markup))?;
        let fits = (self.lowest..=self.highest).contains(&value)
            && (!self.is_whole || value.fract() == 0.0);
        fits.then_some((value, rest))
    }

    /// What follows "/6" or "(out of 6)"; nothing if a mark of another scale is named.
    fn without_denominator<'a>(&self, rest: &'a str) -> Option<&'a str> {
        let trimmed = rest.trim_start();
        let inside = trimmed.trim_start_matches(['(', '[']).trim_start();
        let after = inside.strip_prefix('/').or_else(|| {
            let lower = inside.get(..6)?;
            (lower.eq_ignore_ascii_case("out of")).then(|| &inside[6..])
        });
        let Some(after) = after else {
            return Some(rest);
        };
        match number(after.trim_start_matches(|c: char| c.is_whitespace() || is_markup(c))) {
            Some((highest, after)) => (highest.to_bits() == self.highest.to_bits())
                .then(|| after.trim_start_matches([')', ']'])),
            None => Some(rest),
        }
    }
}

/// Signs that shape a text and say nothing.
fn is_markup(c: char) -> bool {
    "*_`\"'“”".contains(c)
}

/// A decimal number at the beginning, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let unsigned = text.trim_start_matches(['+', '-', '−']);
    let sign_length = text.len() - unsigned.len();
    let (sign, after) = text.split_at(sign_length);
    if sign.chars().count() > 1 {
        return None;
    }
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let whole = digits(after);
    let point = after[whole..].starts_with('.');
    let fraction = if point {
        digits(&after[whole + 1..])
    } else {
        0
    };
    if whole + fraction == 0 {
        return None;
    }
    // A full stop after a whole number ends a sentence.
    let end = whole + if fraction > 0 { 1 + fraction } else { 0 };
    let value: f64 = after[..end].parse().ok()?;
    let value = if sign.is_empty() || sign == "+" {
        value
    } else {
        -value
    };
    Some((value, &after[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIX: Scale = Scale {
        lowest: 0.0,
        highest: 6.0,
        is_whole: true,
    };
    const TEN: Scale = Scale {
        lowest: 0.0,
        highest: 10.0,
        is_whole: false,
    };

    #[test]
    fn a_mark_is_all_of_its_number_and_on_the_scale() {
        for (text, expected) in [
            ("4", Some(4.0)),
            (" **4**", Some(4.0)),
            ("[4]", Some(4.0)),
            ("+4", Some(4.0)),
            ("4.", Some(4.0)),
            ("4.0", Some(4.0)),
            ("4. Very good, 5 of 6 objects.", Some(4.0)),
            ("4, very informative", Some(4.0)),
            ("4 - somewhat informative", Some(4.0)),
            ("4 to be fair", Some(4.0)),
            ("4 and nothing false", Some(4.0)),
            ("4 (out of 6)", Some(4.0)),
            ("4 out of 6", Some(4.0)),
            ("4/6", Some(4.0)),
            ("**4** / 6", Some(4.0)),
            ("4 (very good)", Some(4.0)),
            ("4/5", None),
            ("4 out of 10", None),
            ("4 (out of 5)", None),
            ("10", None),
            ("7", None),
            ("44", None),
            ("-1", None),
            ("−1", None),
            ("--1", None),
            ("4.5", None),
            ("2.9", None),
            (".5", None),
            ("4½", None),
            ("4 1/2", None),
            ("4+", None),
            ("4%", None),
            ("4th", None),
            ("3 or 4", None),
            ("3 or perhaps 4", None),
            ("3-4", None),
            ("3–4", None),
            ("3 to 4", None),
            ("3, 4", None),
            ("3/4", None),
            ("3 and 4", None),
            ("four", None),
            ("", None),
            ("N", None),
        ] {
            assert_eq!(SIX.mark_before_words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn where_only_a_mark_may_stand_nothing_else_does() {
        for (text, expected) in [
            ("8", Some(8.0)),
            ("8.5", Some(8.5)),
            ("8.", Some(8.0)),
            ("**8**", Some(8.0)),
            ("8/10", Some(8.0)),
            ("8/5", None),
            ("8a", None),
            ("1e1", None),
            ("inf", None),
            ("11", None),
            ("-1", None),
        ] {
            assert_eq!(TEN.whole_mark(text), expected, "{text:?}");
        }
    }
}
