//! The text of an answer that is certain: not the beginning of a stop string, and no space that the answer may end with.

/// An answer's text while it grows.
#[derive(Debug)]
pub(super) struct Settling {
    stops: Vec<String>,
    text: String,
    /// Bytes of it that were given out.
    n_given: usize,
}

impl Settling {
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self {
            stops,
            text: String::new(),
            n_given: 0,
        }
    }

    /// Adds text; returns what is certain now, and whether a stop string has ended the answer, which it is not part of.
    pub(super) fn push(&mut self, piece: &str) -> (String, bool) {
        self.text.push_str(piece);
        let open = &self.text[self.n_given..];
        // What was given out began no stop string, so that all of them are in the rest.
        let first = self.stops.iter().filter_map(|stop| open.find(stop)).min();
        if let Some(at) = first {
            self.text.truncate(self.n_given + at);
            return (self.give(self.text.len()), true);
        }
        let begins_a_stop = |from: usize| {
            let rest = &open[from..];
            self.stops.iter().any(|stop| stop.starts_with(rest))
        };
        let mut starts = open.char_indices().map(|(at, _)| at);
        let held = starts.find(|&at| begins_a_stop(at)).unwrap_or(open.len());
        (self.give(self.n_given + held), false)
    }

    /// Ends the answer; returns the rest of it, without space at its end.
    pub(super) fn end(&mut self) -> String {
        self.give(self.text.len())
    }

    fn give(&mut self, end: usize) -> String {
        let certain = self.text[self.n_given..end].trim_end();
        let certain = certain.to_owned();
        self.n_given += certain.len();
        certain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is given out piece by piece, the end last, and whether it was stopped.
    fn given(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut settling = Settling::new(stops.iter().map(|&stop| stop.to_owned()).collect());
        let mut given = Vec::new();
        for piece in pieces {
            let (certain, stopped) = settling.push(piece);
            given.push(certain);
            if stopped {
                return (given, true);
            }
        }
        given.push(settling.end());
        (given, false)
    }

    #[test]
    fn space_waits_for_a_word() {
        assert_eq!(
            given(&[], &["A ", "red", " \n", " bus. "]).0,
            ["A", " red", "", " \n bus.", ""]
        );
    }

    #[test]
    fn the_beginning_of_a_stop_waits_and_a_stop_ends_the_answer() {
        let stops = ["###", "USER:"];
        assert_eq!(
            given(&stops, &["No#", "# yes", "."]).0,
            ["No", "## yes", ".", ""]
        );
        assert_eq!(
            given(&stops, &["No#", "##", "x"]),
            (vec!["No".to_owned(), String::new()], true)
        );
        // Of two, the one that begins first, even in one piece.
        assert_eq!(
            given(&stops, &["a USER: b ### c"]),
            (vec!["a".to_owned()], true)
        );
        // An answer that ends in the middle of a stop string keeps what it has of it.
        assert_eq!(
            given(&stops, &["x US"]),
            (vec!["x".to_owned(), " US".to_owned()], false)
        );
    }

    #[test]
    fn characters_are_not_cut() {
        assert_eq!(given(&["é!"], &["é", "é", "!"]).0.concat(), "é");
        assert_eq!(given(&["\n"], &["ä\n", "b"]), (vec!["ä".to_owned()], true));
    }
}
