//! Marking false words with the mouse, and what the offsets count.

use candor_annotate::answer::{Mark, MarkType, Which};
use candor_annotate::store::Role;
use candor_data::Side;

use crate::page::{ENTER, visit};
use crate::site::Rules;

/// Both answers are the same, so that it does not matter which stands where. The first three characters are five
/// UTF-16 units and nine bytes.
const TEXT: &str = "é😀😀 There is a red cup and a blue cat here.";

#[test]
fn words_are_marked_with_the_mouse() {
    visit(Rules::default(), async |site, page| {
        site.pair([TEXT, &format!("{TEXT} ")]).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        // "red cup " from its first letter to behind the space: the space does not count.
        let start = TEXT.encode_utf16().count() - "red cup and a blue cat here.".len();
        page.drag_across("#text-a", start, start + "red cup ".len())
            .await;
        page.see("#chooser").await;
        assert_eq!(page.text("#chooser-words").await, "red cup");
        page.click("#chooser-types button:nth-child(2)").await;
        page.unsee("#chooser").await;
        assert_eq!(page.text("#text-a mark").await, "red cup");
        assert!(page.text("#marks-a").await.contains("count"));

        // A tap in marking mode; then the mark is removed in its list.
        page.click("#mark").await;
        page.click("#text-b span:last-child").await;
        page.see("#text-b .is-pending").await;
        page.click("#chooser-types button:nth-child(1)").await;
        page.see("#text-b mark").await;
        page.click("#chooser-actions button:last-child").await;
        page.click("#marks-b button").await;
        page.unsee("#text-b mark").await;

        page.press(&["1", ENTER]).await;
        page.read("#message-title", "All done").await;
        let given = site.answers(1).await.remove(0);
        let which = if given.order.left() == Side::First {
            Which::A
        } else {
            Which::B
        };
        let mark = Mark {
            answer: which,
            start: 15,
            end: 22,
            kind: MarkType::Count,
        };
        assert_eq!(given.answer.marks, [mark]);
        assert_eq!(TEXT.chars().skip(15).take(7).collect::<String>(), "red cup");
    });
}

#[test]
fn differences_are_shown_word_by_word() {
    visit(Rules::default(), async |site, page| {
        site.pair([
            "A red cup is on the table.",
            "A blue cup is under the old table.",
        ])
        .await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        page.press(&["d"]).await;
        page.see("#text-a .is-different").await;
        let of = async |which: &str| {
            let script = format!(
                "return Array.from(document.querySelectorAll('#text-{which} .is-different'), (one) => one.textContent)"
            );
            serde_json::from_value::<Vec<String>>(page.js(&script).await).unwrap()
        };
        let mut found = [of("a").await, of("b").await];
        found.sort();
        assert_eq!(found, [vec!["blue", "under", "old"], vec!["red", "on"]]);
        page.press(&["d"]).await;
        page.unsee("#text-a .is-different").await;
    });
}
