//! Coming in: invitation, guidelines, logging in and out.

use candor_annotate::store::Role;

use crate::page::{ENTER, visit};
use crate::site::Rules;

const PASSWORD: &str = "correct horse battery";

#[test]
fn an_invitation_makes_one_account() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let invitation = site.invitation(Role::Annotator).await;
        page.go("/annotate").await;
        assert_eq!(
            page.path().await,
            "/login",
            "nobody gets in without an account"
        );
        page.go(&invitation).await;
        assert!(page.text("main").await.contains("as annotator"));
        page.fill("#name", "anna").await;
        page.fill("#password", PASSWORD).await;
        page.press(&[ENTER]).await;
        page.see(".prose article").await;
        assert_eq!(page.path().await, "/guidelines");
        assert_eq!(
            page.text(".prose article em").await,
            "both",
            "Markdown becomes HTML"
        );
        page.click(".prose form button").await;
        page.see("#task").await;
        assert_eq!(page.path().await, "/annotate");
        page.click(".person button").await;
        page.see("#password").await;
        page.go("/annotate").await;
        assert_eq!(page.path().await, "/login", "logged out is out");
        page.go(&invitation).await;
        assert!(
            page.text("main").await.contains("This did not work"),
            "an invitation is good once"
        );
    });
}

#[test]
fn whoever_forgets_a_password_gets_a_link_to_a_new_one() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        site.person("anna", Role::Annotator).await;
        let boss = site.person("boss", Role::Admin).await;
        page.go_as(site, &boss, "/admin").await;
        page.click("[aria-label='New password for anna']").await;
        let link = page.text("#invite-result code").await;
        page.forget_cookies().await;
        let path = link.strip_prefix(&site.url).expect("a link to this site");
        page.go(path).await;
        assert!(page.text("main").await.contains("anna"));
        page.fill("#password", PASSWORD).await;
        page.press(&[ENTER]).await;
        page.see("#task").await;
        page.click(".person button").await;
        page.fill("#name", "anna").await;
        page.fill("#password", PASSWORD).await;
        page.press(&[ENTER]).await;
        page.see("#task").await;
        page.go(path).await;
        assert!(
            page.text("main").await.contains("This did not work"),
            "a link is good once"
        );
    });
}

#[test]
fn a_wrong_password_says_so_and_the_right_one_enters() {
    visit(Rules::default(), async |site, page| {
        page.go(&site.invitation(Role::Admin).await).await;
        page.fill("#name", "boss").await;
        page.fill("#password", PASSWORD).await;
        page.press(&[ENTER]).await;
        page.see(".person button").await;
        assert_eq!(page.path().await, "/admin", "admins begin there");
        page.click(".person button").await;
        page.fill("#name", "boss").await;
        page.fill("#password", "something else").await;
        page.press(&[ENTER]).await;
        page.see("[role=alert]").await;
        assert_eq!(
            page.see("#name").await.value().await.unwrap().as_deref(),
            Some("boss"),
            "the name stays"
        );
        page.fill("#password", PASSWORD).await;
        page.press(&[ENTER]).await;
        page.see("#progress-body .cards").await;
    });
}

#[test]
fn a_project_below_a_path_is_whole() {
    let rules = Rules {
        path: Some("kitchens"),
        ..Rules::default()
    };
    visit(rules, async |site, page| {
        site.work(1).await;
        assert!(site.url.ends_with("/kitchens"));
        page.go(&site.invitation(Role::Annotator).await).await;
        page.fill("#name", "anna").await;
        page.fill("#password", PASSWORD).await;
        page.press(&[ENTER]).await;
        page.click(".prose form button").await;
        page.see("#task").await;
        assert_eq!(page.path().await, "/kitchens/annotate");
        page.until("the image", async || {
            let shown = "return [...document.images].some((image) => image.naturalWidth === 96)";
            (page.js(shown).await == true).then_some(())
        })
        .await;
        page.press(&["1", ENTER]).await;
        page.read("#message-title", "All done").await;
        assert_eq!(site.answers(1).await.len(), 1);
        // Projects of one server share what the browser keeps, so names there begin with the path.
        let foreign = "return Object.keys(localStorage).filter((key) => !key.startsWith('/kitchens:')).length";
        assert_eq!(page.js(foreign).await, 0);
        page.click(".person button").await;
        page.see("#password").await;
        assert_eq!(page.path().await, "/kitchens/login");
    });
}
