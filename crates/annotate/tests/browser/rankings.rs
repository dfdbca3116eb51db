//! Several answers put in order, by keyboard and by mouse.

use candor_annotate::project::Kind;
use candor_annotate::store::{NewItem, Role};

use crate::page::{BACKSPACE, ENTER, Page, visit};
use crate::site::{Rules, Site};

/// The order on the page: groups of answers, by their places.
async fn order(page: &Page) -> String {
    let script = "return [...document.querySelectorAll('#ranked li')].map((group) =>
                  [...group.children].map((chip) => chip.dataset.answer).join('=')).join('>')";
    page.js(script).await.as_str().expect("a text").to_owned()
}

#[test]
fn answers_are_put_in_order() {
    visit(Rules::default(), async |site, page| {
        let outputs = ["One cup.", "Two cups.", "A cat.", "A dog."];
        let item = NewItem {
            outputs: outputs.map(str::to_owned).to_vec(),
            ..Site::item(Kind::Work, 0)
        };
        site.add(vec![item]).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        page.see("#question-ranking").await;
        page.see("#several article:nth-child(4)").await;
        for hidden in [
            "#pair",
            "#mark",
            "#diff",
            "#question-first",
            "#question-rating",
        ] {
            page.unsee(hidden).await;
        }
        // The first answer is dropped where nothing is in order yet.
        let middle =
            "document.querySelector('#question-ranking').scrollIntoView({ block: 'center' })";
        page.js(middle).await;
        page.drag("#unranked .chip[data-answer='1']", "#ranked", 0)
            .await;
        assert_eq!(order(page).await, "1");
        page.press(&[BACKSPACE]).await;
        page.js("document.activeElement.blur()").await;
        assert_eq!(order(page).await, "");
        // There is no fifth answer.
        page.press(&["5", "3", "1", ENTER]).await;
        page.read("#notice", "Please put all answers in order first")
            .await;
        assert_eq!(order(page).await, "2>0");
        page.press(&[BACKSPACE, "0", "2", "4"]).await;
        assert_eq!(order(page).await, "2=1>3");
        // A draft lasts longer than the page.
        page.until("the draft", async || {
            let claim = site.store.claim(anna.clone(), Vec::new()).await;
            let claim = claim.expect("a claim");
            let candor_annotate::store::Claim::Task(task) = claim else {
                return None;
            };
            (task.draft?.ranking? == [0, 1, 1, 2]).then_some(())
        })
        .await;
        page.go("/annotate").await;
        page.see("#ranked li:nth-child(2)").await;
        // Answers that are alike stand in the order of the page.
        assert_eq!(order(page).await, "1=2>3");
        page.click("#unranked .chip").await;
        assert_eq!(order(page).await, "1=2>3>0");
        page.click("#ranked .chip[data-answer='0']").await;
        page.click("#ranking-better").await;
        assert_eq!(order(page).await, "1=2>0>3");
        page.drag(".chip[data-answer='0']", ".chip[data-answer='2']", -12)
            .await;
        assert_eq!(order(page).await, "0>1=2>3");
        // A click of an unsteady hand moves nothing.
        page.drag(".chip[data-answer='0']", ".chip[data-answer='0']", 8)
            .await;
        assert_eq!(order(page).await, "0>1=2>3");
        // What is dropped beside the others goes where it is dropped.
        let half = "return Math.floor(document.querySelector('#ranked').getBoundingClientRect().width / 2)";
        let half = page.js(half).await.as_i64().expect("a number");
        page.drag(".chip[data-answer='3']", "#ranked", 2 - half)
            .await;
        assert_eq!(order(page).await, "3>0>1=2");
        page.drag(".chip[data-answer='3']", "#ranked", half - 2)
            .await;
        assert_eq!(order(page).await, "0>1=2>3");
        page.click("#submit").await;
        page.read("#message-title", "All done").await;
        let given = page
            .until("the ranking", async || {
                let mut ranked = site.store.evidence().await.expect("what was said").ranked;
                ranked.pop()?.answers.pop()
            })
            .await;
        // What was said of the places is stored of the outputs that stood there.
        let ranking = given.answer.ranking.expect("a ranking");
        let of_places: Vec<u8> = given
            .order
            .outputs()
            .iter()
            .map(|&output| ranking[output])
            .collect();
        assert_eq!(of_places, [1, 2, 2, 3]);
    });
}
