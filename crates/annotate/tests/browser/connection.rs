//! The connection drops and returns.

use candor_annotate::store::Role;

use crate::page::{ENTER, visit};
use crate::site::Rules;

#[test]
fn answers_wait_for_the_connection_and_are_stored_once() {
    visit(Rules::default(), async |site, page| {
        site.work(3).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        let first = page.text("#text-a").await;
        // The second task is loaded ahead, with its image.
        page.until("the second image", async || {
            let loaded = "return performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/image/0')).length";
            (page.js(loaded).await == 2).then_some(())
        })
        .await;
        page.offline(true).await;
        page.press(&["1", ENTER]).await;
        page.until("the second comparison", async || {
            (page.text("#text-a").await != first).then_some(())
        })
        .await;
        page.read("#connection", "1 answer kept here").await;
        assert_eq!(
            page.js("return document.querySelector('.frame img').naturalWidth")
                .await,
            96
        );
        page.press(&["s"]).await;
        page.read("#notice", "There is no connection").await;
        page.press(&["2", ENTER]).await;
        page.read("#message-title", "No connection").await;
        page.read("#connection", "2 answers kept here").await;
        assert!(site.judged().await.is_empty());

        page.offline(false).await;
        page.read("#connection", "All saved").await;
        page.see("#task").await;
        page.press(&["1", ENTER]).await;
        page.read("#message-title", "All done").await;
        site.answers(3).await;
        assert_eq!(site.judged().await.len(), 3, "one to each item");
    });
}

#[test]
fn what_was_not_sent_outlives_the_page() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        page.offline(true).await;
        page.press(&["1", ENTER]).await;
        page.read("#connection", "1 answer kept here").await;
        // Logged out meanwhile: the answer waits until its author is back.
        let session = site.store.start_session(anna.clone()).await.unwrap();
        page.forget_cookies().await;
        page.offline(false).await;
        page.read("#connection", "Logged out").await;
        page.go("/login").await;
        page.add_session(&session).await;
        page.go("/annotate").await;
        page.read("#message-title", "All done").await;
        page.read("#connection", "All saved").await;
        site.answers(1).await;
    });
}

#[test]
fn a_task_that_was_lost_makes_room_for_the_next() {
    visit(Rules::default(), async |site, page| {
        site.work(2).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        let first = page.text("#text-a").await;
        // In another tab the same person has answered it already.
        site.answer_first(&anna).await;
        page.until("the other comparison", async || {
            (page.text("#text-a").await != first).then_some(())
        })
        .await;
        page.read("#notice", "somebody else has that comparison now")
            .await;
    });
}
