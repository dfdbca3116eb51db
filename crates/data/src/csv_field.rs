//! A field of a CSV file that people open in a spreadsheet.

/// The field: quoted where it must be, and never the beginning of a formula.
#[must_use]
pub fn csv_field(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_word_is_quoted_and_no_formula() {
        for (text, field) in [
            ("anna", "anna"),
            ("a, b", "\"a, b\""),
            ("the \"first\"", "\"the \"\"first\"\"\""),
            ("=1+1", "'=1+1"),
            ("@x,y", "\"'@x,y\""),
        ] {
            assert_eq!(csv_field(text), field);
        }
    }
}
