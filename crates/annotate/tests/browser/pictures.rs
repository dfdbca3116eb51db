//! A picture that does not come.

use candor_annotate::store::Role;

use crate::page::{ENTER, visit};
use crate::site::Rules;

#[test]
fn nothing_is_sent_about_a_picture_that_did_not_load() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let picture = site.folder().join("picture.png");
        let whole = std::fs::read(&picture).expect("a picture");
        std::fs::write(&picture, &whole[..whole.len() / 2]).expect("half of it");
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#picture-problem").await;
        page.press(&["1", ENTER]).await;
        page.read("#notice", "The picture is not there").await;
        let disabled = "return document.querySelector('#submit').getAttribute('aria-disabled')";
        assert_eq!(page.js(disabled).await, "true");
        assert!(site.judged().await.is_empty());

        std::fs::write(&picture, whole).expect("all of it");
        page.click("#picture-retry").await;
        page.unsee("#picture-problem").await;
        page.click("#submit").await;
        page.read("#message-title", "All done").await;
        site.answers(1).await;
    });
}
