//! An image that does not come, and several at once.

use candor_annotate::project::Kind;
use candor_annotate::store::Role;
use candor_data::Turn;

use crate::page::{ENTER, visit};
use crate::site::{Rules, Site};

#[test]
fn several_images_stand_side_by_side_and_each_is_zoomed() {
    visit(Rules::default(), async |site, page| {
        let mut item = Site::item(Kind::Work, 0);
        item.image = Some("image.png\nother.png".into());
        item.turns = vec![Turn::human("<image>\n<image>\nWhat differs?")];
        let one = site.folder().join("image.png");
        std::fs::copy(&one, site.folder().join("other.png")).expect("another image");
        site.add(vec![item]).await;
        site.add(vec![Site::item(Kind::Work, 1)]).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see(".image:nth-child(2) img").await;
        let second = ".image:nth-child(2)";
        page.press(&["+"]).await;
        page.read(".image:nth-child(1) .scale", "140 %").await;
        page.read(&format!("{second} .scale"), "100 %").await;
        page.click(&format!("{second} .in")).await;
        page.press(&["+"]).await;
        page.read(&format!("{second} .scale"), "196 %").await;
        page.read(".image:nth-child(1) .scale", "140 %").await;
        let names =
            "return [...document.querySelectorAll('.image img')].map((image) => image.alt).join()";
        assert_eq!(
            page.js(names).await,
            "Image 1 of 2 that is asked about,Image 2 of 2 that is asked about"
        );
        // The next one has a single image, and shows no frame besides. Enter would press the button that has the focus.
        page.press(&["1"]).await;
        page.click("#submit").await;
        page.unsee(second).await;
        page.read(".image:nth-child(1) .scale", "100 %").await;
        site.answers(1).await;
    });
}

#[test]
fn nothing_is_sent_about_a_image_that_did_not_load() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let image = site.folder().join("image.png");
        let whole = std::fs::read(&image).expect("an image");
        std::fs::write(&image, &whole[..whole.len() / 2]).expect("half of it");
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see(".image .problem").await;
        page.press(&["1", ENTER]).await;
        page.read("#notice", "The image is not there").await;
        let disabled = "return document.querySelector('#submit').getAttribute('aria-disabled')";
        assert_eq!(page.js(disabled).await, "true");
        assert!(site.judged().await.is_empty());

        std::fs::write(&image, whole).expect("all of it");
        page.click(".image .retry").await;
        page.unsee(".image .problem").await;
        page.click("#submit").await;
        page.read("#message-title", "All done").await;
        site.answers(1).await;
    });
}
