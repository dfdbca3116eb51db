//! An image that does not come.

use candor_annotate::store::Role;

use crate::page::{ENTER, visit};
use crate::site::Rules;

#[test]
fn nothing_is_sent_about_a_image_that_did_not_load() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let image = site.folder().join("image.png");
        let whole = std::fs::read(&image).expect("an image");
        std::fs::write(&image, &whole[..whole.len() / 2]).expect("half of it");
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#image-problem").await;
        page.press(&["1", ENTER]).await;
        page.read("#notice", "The image is not there").await;
        let disabled = "return document.querySelector('#submit').getAttribute('aria-disabled')";
        assert_eq!(page.js(disabled).await, "true");
        assert!(site.judged().await.is_empty());

        std::fs::write(&image, whole).expect("all of it");
        page.click("#image-retry").await;
        page.unsee("#image-problem").await;
        page.click("#submit").await;
        page.read("#message-title", "All done").await;
        site.answers(1).await;
    });
}
