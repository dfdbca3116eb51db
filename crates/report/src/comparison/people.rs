//! What people prefer.

use candor_judge::people::{People, Tally};
use maud::{Markup, html};

use super::numbers::chance;
use crate::plots::percent;

/// Both questions, for the second run against the first.
pub(crate) fn draw(people: &People) -> Markup {
    let [first, second] = &people.runs;
    let questions = [
        ("says fewer false things", "truer", &people.truer),
        ("is preferred", "preferred", &people.preferred),
    ];
    html! {
        p {
            "People compared the answers of " b { (second) } " with those of " b { (first) } " in the annotation app, without \
             knowing whose they were: " (people.items.len()) " items have a preference, " (people.n_equal) " have equal answers \
             and were shown to nobody, " (people.n_open) " are not judged or undecided."
        }
        div.scroll tabindex="0" role="region" aria-label="What people prefer" {
            table.results {
                thead {
                    tr { @for head in ["The answer of", "wins", "ties", "losses", "win rate", "chance between equals"] { th scope="col" { (head) } } }
                }
                tbody { @for (what, key, tally) in questions { (row(second, what, key, tally)) } }
            }
        }
        p.note { "Win rate: wins and half of the ties. Equal models have 50%." }
    }
}

fn row(second: &str, what: &str, key: &str, tally: &Tally) -> Markup {
    let cell =
        |n: usize, winner: &str| html! { td { a.value href={ "#" (key) "=" (winner) } { (n) } } };
    html! {
        tr {
            th scope="row" { b { (second) } " " (what) }
            (cell(tally.wins, "second")) (cell(tally.ties, "tie")) (cell(tally.losses, "first"))
            td {
                (tally.rate.map_or_else(|| "–".to_owned(), percent))
                @if let Some([low, high]) = tally.ci95 { span.interval { (percent(low)) " to " (percent(high)) } }
            }
            td { (tally.p.map_or_else(|| "–".to_owned(), chance)) }
        }
    }
}
