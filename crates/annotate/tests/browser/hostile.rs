//! Texts that want to do something: they are shown, and nothing happens.

use candor_annotate::project::Kind;
use candor_annotate::store::{NewItem, Role};
use candor_data::Turn;
use serde_json::json;

use crate::page::{ENTER, visit};
use crate::site::{Rules, Site};

const SCRIPT: &str = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">\
                      <a href=\"javascript:alert(1)\">here</a> <style>body { display: none }</style>";

#[test]
fn markup_is_text() {
    visit(Rules::default(), async |site, page| {
        let item = NewItem {
            turns: vec![Turn::human(format!("<image>\n{SCRIPT}"))],
            outputs: vec![SCRIPT.into(), format!("{SCRIPT}!")],
            ..Site::item(Kind::Work, 0)
        };
        site.add(vec![item]).await;
        let anna = site.person("<img src=x>", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        assert_eq!(page.text("#text-a").await.trim_end_matches('!'), SCRIPT);
        page.read("#turns", SCRIPT).await;
        page.read(".person", "<img src=x>").await;
        assert_eq!(
            page.js(
                "return document.querySelectorAll('#task :is(script, style, a), img[src=x]').length"
            )
            .await,
            0
        );
        assert!(
            page.js("return document.title")
                .await
                .as_str()
                .unwrap()
                .starts_with("Compare")
        );
        // What the page itself could be talked into, the browser refuses.
        let refused =
            "try { document.body.innerHTML = '<b>x</b>'; return false } catch { return true }";
        assert_eq!(
            page.js(refused).await,
            json!(true),
            "trusted types are enforced"
        );
    });
}

#[test]
fn unseen_characters_are_seen_and_turn_nothing() {
    let hostile = "safe \u{202e}desrever\u{202c} \u{2066}isolated \u{1b}[31mred\u{0} zero\u{200b}width \u{feff} end";
    visit(Rules::default(), async |site, page| {
        site.pair([hostile, &format!("{hostile}.")]).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        let names = "return Array.from(document.querySelectorAll('#text-a .control'), (one) => one.textContent)";
        assert_eq!(
            page.js(names).await,
            json!(["U+202E", "U+202C", "U+2066", "␛", "␀", "U+200B", "U+FEFF"])
        );
        let raw = "return /[\\u202a-\\u202e\\u2066-\\u2069\\u0000\\u001b\\u200b]/u.test(document.querySelector('#text-a').textContent)";
        assert_eq!(page.js(raw).await, json!(false));
        // Marks still count the characters that the server has.
        page.press(&["m", "\u{e010}", "1", "\u{e00c}", "1", ENTER])
            .await;
        page.read("#message-title", "All done").await;
        let answer = site.answers(1).await.remove(0).answer;
        let n = hostile.chars().count();
        assert_eq!((answer.marks[0].start, answer.marks[0].end), (n - 3, n));
    });
}

#[test]
fn a_megabyte_in_one_line_is_shown_in_parts() {
    let long = "x".repeat(1 << 20);
    visit(Rules::default(), async |site, page| {
        site.pair([&long, "short"]).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        let fits = "return document.documentElement.scrollWidth <= window.innerWidth";
        assert_eq!(page.js(fits).await, json!(true), "nothing sticks out");
        let which = if page.text("#text-a").await == "short" {
            "b"
        } else {
            "a"
        };
        page.read(&format!("#more-{which}"), "8,000 of 1,048,576")
            .await;
        page.click(&format!("#more-{which}")).await;
        page.read(&format!("#more-{which}"), "16,000 of 1,048,576")
            .await;
        page.resize(360, 740).await;
        assert_eq!(page.js(fits).await, json!(true), "nor on a phone");
    });
}

#[test]
fn what_is_no_character_costs_nobody_an_answer() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#task").await;
        page.js("const note = document.querySelector('#note');
             note.value = 'half \\ud83d and zero \\0 end';
             note.dispatchEvent(new Event('input', { bubbles: true }));")
            .await;
        page.press(&["1", ENTER]).await;
        page.read("#message-title", "All done").await;
        let answer = site.answers(1).await.remove(0).answer;
        assert_eq!(
            answer.note.as_deref(),
            Some("half \u{fffd} and zero \u{fffd} end")
        );
    });
}
