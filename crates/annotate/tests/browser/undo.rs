//! Taking answers back, and drafts that outlive the page.

use candor_annotate::answer::Pick;
use candor_annotate::store::Role;

use crate::page::{ENTER, Page, visit};
use crate::site::Rules;

#[test]
fn the_last_answer_is_taken_back_and_given_anew() {
    visit(Rules::default(), async |site, page| {
        site.work(2).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        let first = page.text("#text-a").await;
        page.press(&["0", "1", ENTER]).await;
        page.until("the next comparison", async || {
            (page.text("#text-a").await != first).then_some(())
        })
        .await;
        page.read("#connection", "All saved").await;
        // What was begun here is still there after the way back.
        page.press(&["2"]).await;
        draft_is_on_the_server(page).await;
        page.see("#undo:enabled").await;
        page.press(&["z"]).await;
        page.read("#text-a", &first).await;
        page.see("#question-second input[value=a]:checked").await;
        page.click("#settled-change").await;
        page.press(&["2", ENTER]).await;
        page.until("the other comparison", async || {
            (page.text("#text-a").await != first).then_some(())
        })
        .await;
        page.see("#question-first input[value=b]:checked").await;
        page.press(&[ENTER]).await;
        page.read("#message-title", "All done").await;
        for given in site.answers(2).await {
            assert_eq!(given.answer.turned(given.order.left()).first, Pick::B);
        }
    });
}

#[test]
fn what_is_taken_back_is_on_the_screen_before_anything_else_comes() {
    visit(Rules::default(), async |site, page| {
        site.work(2).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        let first = page.text("#text-a").await;
        page.press(&["1", ENTER]).await;
        page.until("the next comparison", async || {
            (page.text("#text-a").await != first).then_some(())
        })
        .await;
        page.read("#connection", "All saved").await;
        page.see("#undo:enabled").await;
        // How far the person is, is never heard of.
        page.js(
            "const real = window.fetch; window.fetch = (url, options) => \
             String(url).endsWith('/api/me') ? new Promise(() => {}) : real(url, options); return true",
        )
        .await;
        page.press(&["z"]).await;
        page.read("#text-a", &first).await;
        page.press(&["2", ENTER]).await;
        page.until("the other comparison", async || {
            (page.text("#text-a").await != first).then_some(())
        })
        .await;
        page.press(&["1", ENTER]).await;
        page.read("#message-title", "All done").await;
        let given = site.answers(2).await.into_iter();
        let picks = given.map(|given| given.answer.turned(given.order.left()).first);
        assert_eq!(picks.collect::<Vec<_>>(), [Pick::B, Pick::A]);
    });
}

async fn draft_is_on_the_server(page: &Page) {
    page.until("the draft on the server", async || {
        let kept = "return Object.keys(localStorage).filter((key) => key.includes('draft') && JSON.parse(localStorage[key]).isSent).length";
        (page.js(kept).await == 1).then_some(())
    })
    .await;
}

#[test]
fn a_draft_outlives_the_page_and_the_browser() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        page.press(&["0", "2"]).await;
        page.click(".answer:first-child summary").await;
        page.fill("#correction-a", "One cup.").await;
        page.go("/annotate").await;
        page.see("#question-second input[value=b]:checked").await;
        assert_eq!(
            page.see("#correction-a")
                .await
                .value()
                .await
                .unwrap()
                .as_deref(),
            Some("One cup.")
        );
        // The server has it too, for another browser.
        draft_is_on_the_server(page).await;
        page.js("localStorage.clear()").await;
        page.go("/annotate").await;
        page.see("#question-second input[value=b]:checked").await;
        assert_eq!(
            page.see("#correction-a")
                .await
                .value()
                .await
                .unwrap()
                .as_deref(),
            Some("One cup.")
        );
    });
}
