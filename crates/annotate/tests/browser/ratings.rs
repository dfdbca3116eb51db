//! An answer that is rated by itself, by keyboard.

use candor_annotate::project::Kind;
use candor_annotate::store::{NewItem, Role};

use crate::page::{BACKSPACE, ENTER, visit};
use crate::site::{Rules, Site};

#[test]
fn an_answer_by_itself_is_rated_from_0_to_6() {
    visit(Rules::default(), async |site, page| {
        let item = NewItem {
            outputs: vec!["One cup.".into()],
            ..Site::item(Kind::Work, 0)
        };
        site.add(vec![item]).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#question-rating").await;
        page.read("#scale-lines", "fully and with insight").await;
        for hidden in ["#text-b", "#diff", "#question-first", "#question-second"] {
            page.unsee(hidden).await;
        }
        // Seven and more are no ratings.
        page.press(&["7", ENTER]).await;
        page.read("#notice", "Please rate the answer first").await;
        page.press(&["4"]).await;
        page.read(
            "#rating-meaning",
            "Nothing false, the question answered in part",
        )
        .await;
        page.press(&[BACKSPACE]).await;
        let picked = "return document.querySelectorAll('#ratings input:checked').length";
        assert_eq!(page.js(picked).await, 0);
        page.press(&["0", ENTER]).await;
        page.read("#message-title", "All done").await;
        page.until("the rating", async || {
            let rated = site.store.evidence().await.expect("what was said").rated;
            let answer = &rated.first()?.answers.first()?.answer;
            (answer.rating == Some(0)).then_some(())
        })
        .await;
    });
}
