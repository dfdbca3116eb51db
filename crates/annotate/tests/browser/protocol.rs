//! The protocol by keyboard alone: no click, and no focus that was not reached by keys.

use candor_annotate::answer::Pick;
use candor_annotate::store::Role;
use serde_json::json;

use crate::page::{
    BACKSPACE, CONTROL, DELETE, DOWN, ENTER, ESCAPE, Page, SHIFT, SPACE, TAB, visit,
};
use crate::site::Rules;

/// The number at the end of the good answer's first word, which says which item is on the screen.
async fn shown(page: &Page) -> String {
    let text = page.text("#text-a").await;
    text.split(':')
        .next()
        .unwrap_or_default()
        .split(' ')
        .next_back()
        .unwrap_or_default()
        .to_owned()
}

/// The digit that picks the good answer, and how the pick reads where the good answer is `a`.
async fn good_key(page: &Page) -> &'static str {
    if page.text("#text-a").await.starts_with("Good") {
        "1"
    } else {
        "2"
    }
}

async fn next_after(page: &Page, before: &str) {
    page.until("the next comparison", async || {
        (shown(page).await != before).then_some(())
    })
    .await;
}

/// Tabs until the element has the focus.
async fn tab_to(page: &Page, css: &str) {
    for _ in 0..60 {
        page.press(&[TAB]).await;
        let there = page
            .js(&format!(
                "return document.activeElement.matches({})",
                json!(css)
            ))
            .await;
        if there == json!(true) {
            return;
        }
    }
    panic!("{css} cannot be reached with the Tab key");
}

#[test]
fn everything_is_done_by_keyboard() {
    visit(Rules::default(), async |site, page| {
        site.work(6).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;

        // One pick, changed once, sent.
        let before = shown(page).await;
        let key = good_key(page).await;
        page.press(&[if key == "1" { "2" } else { "1" }, key, ENTER])
            .await;
        next_after(page, &before).await;

        // A tie asks the second question; Backspace goes back to it.
        let before = shown(page).await;
        page.press(&["0"]).await;
        page.see("#question-second").await;
        page.press(&[ENTER]).await;
        page.read("#notice", "second question").await;
        page.press(&["1", BACKSPACE, BACKSPACE, good_key(page).await, ENTER])
            .await;
        next_after(page, &before).await;

        // A correction and a note: keys mean letters there, and Ctrl+Enter sends.
        let before = shown(page).await;
        page.press(&["0", "0"]).await;
        tab_to(page, ".answer:first-child summary").await;
        page.press(&[ENTER]).await;
        tab_to(page, "#correction-a").await;
        page.press(&["120sfzm? One cup."]).await;
        tab_to(page, ".remark summary").await;
        page.press(&[SPACE]).await;
        tab_to(page, "#note").await;
        page.press(&["dark"]).await;
        page.press_with(CONTROL, ENTER).await;
        next_after(page, &before).await;

        // Skipped, then reported with a reason that is not the first.
        let before = shown(page).await;
        page.press(&["s"]).await;
        next_after(page, &before).await;
        let before = shown(page).await;
        page.press(&["f"]).await;
        page.see("#flag-dialog").await;
        page.press(&[DOWN, TAB, "odd", TAB, TAB, ENTER]).await;
        page.unsee("#flag-dialog").await;
        next_after(page, &before).await;

        // Words of both answers: forward, more of them, another type, one taken away again.
        page.press(&["m", "\u{e014}", "\u{e014}", "\u{e014}"]).await;
        page.press_with(SHIFT, "\u{e014}").await;
        page.press(&[
            "1",
            "2",
            "\u{e012}",
            DELETE,
            "m",
            "7",
            ESCAPE,
            good_key(page).await,
            ENTER,
        ])
        .await;
        page.read("#message-title", "All done").await;

        // Two of six were given back.
        let said = site.answers(4).await;
        let picks: Vec<_> = said
            .iter()
            .map(|given| (given.answer.first, given.answer.second))
            .collect();
        let good = (Pick::A, None);
        assert_eq!(picks, [good, good, (Pick::Tie, Some(Pick::Tie)), good]);
        let third = said[2].answer.clone().turned(said[2].order.left());
        assert_eq!(third.corrections.a.as_deref(), Some("120sfzm? One cup."));
        assert_eq!(third.note.as_deref(), Some("dark"));
        let last = said[3].answer.clone().turned(said[3].order.left());
        let marks: Vec<_> = last
            .marks
            .iter()
            .map(|mark| (mark.answer.index(), mark.kind as usize))
            .collect();
        assert_eq!(
            marks,
            [(0, 0), (1, 6)],
            "an object in the left answer, something else in the right one"
        );
        let events = site.store.events(0).await.unwrap();
        let of = |kind: &str| {
            events
                .iter()
                .filter(|event| event.kind == kind)
                .map(|event| event.data.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("skip").len(), 1);
        assert_eq!(
            (&of("flag")[0]["reason"], &of("flag")[0]["note"]),
            (&json!("text"), &json!("odd"))
        );
    });
}

#[test]
fn keys_can_be_changed_and_switched_off() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        page.press(&["?"]).await;
        page.see("#help").await;
        // The first row's button has the focus.
        page.press(&[ENTER]).await;
        page.read("#help-message", "Press the new key").await;
        page.press(&["2"]).await;
        page.read("#help-message", "taken already").await;
        page.press(&[ENTER, "x", ESCAPE]).await;
        page.unsee("#help").await;
        page.press(&["1"]).await;
        assert_eq!(
            page.js("return document.querySelectorAll('input:checked').length")
                .await,
            0
        );
        page.press(&["x"]).await;
        page.see("#question-first input[value=a]:checked").await;
        page.go("/annotate").await;
        page.see("#question-first input[value=a]:checked").await;
        assert_eq!(
            page.text("#question-first .pick:first-child kbd").await,
            "X",
            "the choice outlives the page"
        );
        page.press(&["?"]).await;
        page.click("#help-off").await;
        page.press(&[ESCAPE]).await;
        page.unsee("#help").await;
        page.press(&["2"]).await;
        page.see("#question-first input[value=a]:checked").await;
    });
}

#[test]
fn nothing_is_sent_before_the_reading_time_is_over() {
    let rules = Rules {
        min_reading_secs: 2,
        ..Rules::default()
    };
    visit(rules, async |site, page| {
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        page.press(&["1", ENTER]).await;
        page.read("#notice", "Please read for another").await;
        assert!(site.judged().await.is_empty());
        page.see("#submit[aria-disabled=false]").await;
        page.press(&[ENTER]).await;
        page.read("#message-title", "All done").await;
        site.answers(1).await;
    });
}
