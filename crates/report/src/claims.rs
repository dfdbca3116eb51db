//! An answer with what it claims marked in the text: false claims underlined, struck through and named; true
//! ones with a fine line.
//!
//! Claims overlap: "small orange dog" claims a dog, its colour and its size. Where one of them is false the
//! words are marked as false, and what is false about them is said beside, so that "size" alone can be wrong.

use candor_judge::Claim;
use maud::{Markup, html};

/// A stretch of an answer in which the same claims are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch<'a> {
    /// Its words.
    pub text: &'a str,
    /// What is claimed here.
    pub standing: Standing<'a>,
}

/// What is claimed in a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Nothing.
    Silent,
    /// Only what is true.
    True,
    /// Something that is false; what about it, each once.
    False(Vec<&'a str>),
}

/// Cuts an answer where claims begin and end. `None` if a claim does not fit the answer.
#[must_use]
pub(crate) fn stretches<'a>(answer: &'a str, claims: &'a [Claim]) -> Option<Vec<Stretch<'a>>> {
    let mut cuts = vec![0, answer.len()];
    for claim in claims {
        answer.get(claim.start..claim.end)?;
        cuts.extend([claim.start, claim.end]);
    }
    cuts.sort_unstable();
    cuts.dedup();
    let mut found: Vec<Stretch> = Vec::new();
    let mut from = 0;
    for pair in cuts.windows(2) {
        let standing = standing(claims, pair[0], pair[1]);
        match found.last_mut() {
            // The same again: one longer stretch.
            Some(last) if last.standing == standing => last.text = &answer[from..pair[1]],
            _ => {
                from = pair[0];
                let text = &answer[from..pair[1]];
                found.push(Stretch { text, standing });
            }
        }
    }
    Some(found)
}

fn standing(claims: &[Claim], start: usize, end: usize) -> Standing<'_> {
    let here = || {
        claims
            .iter()
            .filter(move |claim| claim.start <= start && end <= claim.end)
    };
    let mut wrong: Vec<&str> = Vec::new();
    for claim in here().filter(|claim| !claim.truth) {
        let word = wrong_about(claim);
        if !wrong.contains(&word) {
            wrong.push(word);
        }
    }
    if !wrong.is_empty() {
        Standing::False(wrong)
    } else if here().next().is_some() {
        Standing::True
    } else {
        Standing::Silent
    }
}

/// What is false about a false claim, in a word or two.
fn wrong_about(claim: &Claim) -> &str {
    match (claim.kind.as_str(), claim.negated) {
        ("object", false) => "not there",
        ("object", true) => "is there",
        ("left_of", _) => "side",
        ("larger", _) => "comparison",
        ("theme", _) => "scene",
        ("yes_no", _) => "answer",
        (kind, _) => kind,
    }
}

/// The answer with its marks.
#[must_use]
pub(crate) fn marked(stretches: &[Stretch]) -> Markup {
    html! {
        @for stretch in stretches {
            @match &stretch.standing {
                Standing::Silent => (stretch.text),
                Standing::True => span.true { (stretch.text) },
                Standing::False(wrong) => {
                    span.false { (stretch.text) }
                    span.wrong { "✗ " (wrong.join(", ")) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(answer: &str, words: &str, kind: &str, truth: bool) -> Claim {
        let start = answer.find(words).unwrap();
        Claim {
            kind: kind.to_owned(),
            words: words.to_owned(),
            start,
            end: start + words.len(),
            negated: false,
            truth,
        }
    }

    fn silent(text: &str) -> Stretch<'_> {
        let standing = Standing::Silent;
        Stretch { text, standing }
    }

    fn wrong<'a>(text: &'a str, what: &[&'a str]) -> Stretch<'a> {
        let standing = Standing::False(what.to_vec());
        Stretch { text, standing }
    }

    #[test]
    fn claims_about_the_same_words_are_one_stretch() {
        let answer = "There is a small red dog.";
        let claims = [
            claim(answer, "small red dog", "object", true),
            claim(answer, "small red dog", "colour", false),
            claim(answer, "small red dog", "size", false),
        ];
        let expected = [
            silent("There is a "),
            wrong("small red dog", &["colour", "size"]),
            silent("."),
        ];
        assert_eq!(stretches(answer, &claims).unwrap(), expected);
    }

    #[test]
    fn claims_that_overlap_in_part_are_cut_where_they_change() {
        let answer = "The dog is blue.";
        let claims = [
            claim(answer, "dog", "object", true),
            claim(answer, "dog is blue", "colour", false),
            claim(answer, "The dog", "count", true),
        ];
        let expected = [
            Stretch {
                text: "The ",
                standing: Standing::True,
            },
            wrong("dog is blue", &["colour"]),
            silent("."),
        ];
        assert_eq!(stretches(answer, &claims).unwrap(), expected);
    }

    #[test]
    fn letters_of_more_than_one_byte_are_not_cut() {
        let answer = "Ein größerer Bär – да.";
        let claims = [claim(answer, "größerer Bär", "object", false)];
        let found = stretches(answer, &claims).unwrap();
        assert_eq!(found[1], wrong("größerer Bär", &["not there"]));
        let whole: String = found.iter().map(|stretch| stretch.text).collect();
        assert_eq!(whole, answer);

        // A span that ends inside a letter is not of this answer.
        let mut inside = claims.to_vec();
        inside[0].end = answer.find('ö').unwrap() + 1;
        assert_eq!(stretches(answer, &inside), None);
        inside[0].end = 1000;
        assert_eq!(stretches(answer, &inside), None);
    }

    #[test]
    fn what_a_model_says_is_escaped() {
        let answer = "<b>A dog</b> & \"more\"";
        let claims = [claim(answer, "A dog</b>", "object", false)];
        let html = marked(&stretches(answer, &claims).unwrap()).into_string();
        let expected = "&lt;b&gt;<span class=\"false\">A dog&lt;/b&gt;</span>\
                        <span class=\"wrong\">✗ not there</span> &amp; &quot;more&quot;";
        assert_eq!(html, expected);
    }

    #[test]
    fn an_empty_answer_has_nothing_in_it() {
        assert_eq!(stretches("", &[]), Some(vec![]));
    }
}
