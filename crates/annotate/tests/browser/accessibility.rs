//! Every page through axe-core, in light and dark, wide and narrow.

use candor_annotate::answer::{Answer, Pick};
use candor_annotate::project::Kind;
use candor_annotate::store::Role;
use serde_json::Value;

use crate::page::{ENTER, ESCAPE, Page, say_skipped, visit};
use crate::site::{Rules, Site, bad, first, good};

/// The version that `scripts/test-programs` keeps in the cache.
const AXE: &str = "candor/axe-core-4.14.1/axe.min.js";

/// Sizes of windows.
const DESK: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (360, 740);

/// axe-core's script, where it has been fetched.
fn axe() -> Option<String> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let script = std::fs::read_to_string(cache.join(AXE)).ok();
    if script.is_none() {
        say_skipped("an accessibility test, because axe-core is not in the cache");
    }
    script
}

/// Fails with every violation that axe finds on the page: in light and dark, on a desk and on a phone.
async fn check(page: &Page, axe: &str, what: &str) {
    for (dark, (width, height)) in [(false, DESK), (true, DESK), (false, PHONE), (true, PHONE)] {
        page.resize(width, height).await;
        page.dark(dark).await;
        page.js(&format!("if (!window.axe) {{ {axe} }}")).await;
        let run = "const done = arguments[arguments.length - 1];
                   axe.run(document, { resultTypes: ['violations'] })
                     .then(({ violations, passes }) => done({ violations: violations.map(({ id, nodes }) =>
                       `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`), n: passes.length }))
                     .catch((error) => done({ violations: [String(error)], n: 0 }));";
        let found: Value = page.js_async(run).await;
        assert_eq!(
            found["violations"],
            serde_json::json!([]),
            "{what}, {}, {width} wide",
            if dark { "dark" } else { "light" }
        );
        assert!(found["n"].as_u64().unwrap() > 5, "axe looked at {what}");
    }
    page.resize(DESK.0, DESK.1).await;
}

#[test]
fn pages_for_everybody() {
    let Some(axe) = axe() else { return };
    visit(Rules::default(), async |site, page| {
        site.known(Kind::Training, 1).await;
        site.work(1).await;
        page.go("/login").await;
        check(page, &axe, "login").await;
        page.go("/invite/nothing").await;
        check(page, &axe, "an error").await;
        page.go(&site.invitation(Role::Annotator).await).await;
        check(page, &axe, "the invitation").await;
        page.fill("#name", "anna").await;
        page.fill("#password", "correct horse battery").await;
        page.press(&[ENTER]).await;
        page.see(".prose article").await;
        check(page, &axe, "the guidelines").await;
        page.click(".prose form button").await;
        page.see("#task").await;
        check(page, &axe, "training").await;
        page.press(&["0", "1", ENTER]).await;
        page.see("#feedback").await;
        check(page, &axe, "feedback").await;
    });
}

#[test]
fn several_images_and_a_rating() {
    let Some(axe) = axe() else { return };
    visit(Rules::default(), async |site, page| {
        let mut item = Site::item(Kind::Work, 0);
        item.image = Some("image.png\nimage.png\nimage.png".into());
        site.add(vec![item]).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see(".image:nth-child(3) img").await;
        check(page, &axe, "several images").await;
        page.press(&["1", ENTER]).await;
        let mut rated = Site::item(Kind::Work, 1);
        rated.outputs.truncate(1);
        site.add(vec![rated]).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#question-rating").await;
        page.press(&["5"]).await;
        check(page, &axe, "a rating").await;
    });
}

#[test]
fn a_ranking() {
    let Some(axe) = axe() else { return };
    visit(Rules::default(), async |site, page| {
        let mut item = Site::item(Kind::Work, 0);
        let more = ["There is a cup.", "There is nothing on the table."];
        item.outputs.extend(more.map(str::to_owned));
        site.add(vec![item]).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#question-ranking").await;
        check(page, &axe, "answers without an order").await;
        page.press(&["3", "0", "1", "2"]).await;
        page.click("#ranked li:last-child .chip").await;
        page.see("#ranking-moves").await;
        check(page, &axe, "a ranking").await;
    });
}

#[test]
fn the_comparison() {
    let Some(axe) = axe() else { return };
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        page.press(&["d", "m", "1", "3"]).await;
        page.see("#chooser").await;
        check(page, &axe, "marking").await;
        page.press(&[ESCAPE, "0"]).await;
        page.click(".answer:first-child summary").await;
        page.click(".remark summary").await;
        check(page, &axe, "open fields").await;
        page.click("#help-open").await;
        check(page, &axe, "the keys").await;
        page.press(&[ESCAPE]).await;
        page.click("#flag").await;
        check(page, &axe, "the report").await;
        page.press(&[ESCAPE]).await;
        page.click("#question-second input[value=tie]").await;
        page.press(&[ENTER]).await;
        page.read("#message-title", "All done").await;
        check(page, &axe, "the end").await;
    });
}

#[test]
fn pages_for_the_office() {
    let Some(axe) = axe() else { return };
    let rules = Rules {
        overlap: 2,
        ..Rules::default()
    };
    visit(rules, async |site, page| {
        site.work(3).await;
        let anna = site.person("anna", Role::Annotator).await;
        let bert = site.person("bert", Role::Annotator).await;
        let boss = site.person("boss", Role::Admin).await;
        site.answer_all(&anna, |task| first(good(task))).await;
        let differs = |task: &candor_annotate::task::Task| Answer {
            second: Some(Pick::B),
            note: Some("hard to see".into()),
            ..first(if task.answers.a.contains('0') {
                Pick::Tie
            } else {
                bad(task)
            })
        };
        let differs = |task: &candor_annotate::task::Task| {
            let answer = differs(task);
            Answer {
                second: (answer.first == Pick::Tie).then_some(Pick::B),
                ..answer
            }
        };
        site.answer_all(&bert, differs).await;
        page.go_as(site, &boss, "/admin").await;
        page.see("#progress-body .cards").await;
        page.see("#quality-body table").await;
        page.see("#people-body table").await;
        page.click("#invite button").await;
        page.see("#invite-result code").await;
        page.click("#events-more").await;
        page.see("#events-body table").await;
        check(page, &axe, "admin").await;
        page.go("/adjudicate").await;
        page.see("#opinions li").await;
        check(page, &axe, "adjudication").await;
        page.click("#withdraw").await;
        check(page, &axe, "a reason").await;
    });
}
