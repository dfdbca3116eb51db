//! The training round with its feedback, and gold that nobody can tell from work.

use candor_annotate::project::Kind;
use candor_annotate::store::Role;
use serde_json::json;

use crate::page::{ENTER, Page, visit};
use crate::site::Rules;

async fn answer(page: &Page, good: bool) {
    let is_left = page.text("#text-a").await.starts_with("Good");
    page.press(&[if is_left == good { "1" } else { "2" }, ENTER])
        .await;
}

#[test]
fn training_teaches_and_is_passed_at_the_second_try() {
    visit(Rules::default(), async |site, page| {
        site.known(Kind::Training, 3).await;
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        for (attempt, right) in [[false, false, true], [true, true, false]]
            .into_iter()
            .enumerate()
        {
            for (i, right) in right.into_iter().enumerate() {
                page.read("#task-title", &format!("Training {} of 3", i + 1))
                    .await;
                assert_eq!(
                    page.js("return document.querySelector('#skip').disabled")
                        .await,
                    json!(true)
                );
                answer(page, right).await;
                page.see("#feedback").await;
                let said = page.text("#feedback").await;
                assert!(said.contains("There is one cup and no cat."), "{said}");
                assert!(
                    said.contains(if right { "That is right" } else { "Not quite" }),
                    "{said}"
                );
                assert_eq!(said.contains("Expected:"), !right, "{said}");
                if i == 2 {
                    let outcome = [
                        "33 % were right, which is not enough yet. You can try once more.",
                        "You passed the training with 67 %.",
                    ];
                    assert!(said.contains(outcome[attempt]), "{said}");
                }
                page.press(&[ENTER]).await;
                page.unsee("#feedback").await;
            }
        }
        page.read("#task-title", "Compare").await;
        answer(page, true).await;
        page.read("#message-title", "All done").await;
    });
}

#[test]
fn failing_twice_ends_it() {
    visit(Rules::default(), async |site, page| {
        site.known(Kind::Training, 1).await;
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        for _ in 0..2 {
            page.see("#task").await;
            answer(page, false).await;
            page.see("#feedback").await;
            page.press(&[ENTER]).await;
            page.unsee("#feedback").await;
        }
        page.read("#message-title", "Training not passed").await;
    });
}

#[test]
fn gold_looks_like_work() {
    let rules = Rules {
        gold_rate: 0.5,
        ..Rules::default()
    };
    visit(rules, async |site, page| {
        site.work(4).await;
        site.known(Kind::Gold, 4).await;
        let anna = site.person("anna", Role::Annotator).await;
        page.go_as(site, &anna, "/annotate").await;
        // What the page is told of each task, by name of the field.
        page.js(
            "const real = window.fetch; window.told = [];
             window.fetch = async (...call) => {
               const reply = await real(...call);
               if (String(call[0]).endsWith('/claim')) window.told.push((await reply.clone().json()).task);
               return reply;
             };",
        )
        .await;
        page.see("#task").await;
        let mut seen: Vec<String> = Vec::new();
        loop {
            let text = page
                .until("the next comparison", async || {
                    // Another message only says that the next one is on its way.
                    let end = "return !document.querySelector('#message').hidden && \
                               document.querySelector('#message-title').textContent === 'All done'";
                    if page.js(end).await == json!(true) {
                        return Some(None);
                    }
                    let text = page
                        .js("return document.querySelector('#text-a').textContent")
                        .await
                        .as_str()?
                        .to_owned();
                    (seen.last() != Some(&text)).then_some(Some(text))
                })
                .await;
            let Some(text) = text else { break };
            seen.push(text);
            assert_eq!(
                page.js("return document.querySelector('#skip').disabled")
                    .await,
                json!(false)
            );
            answer(page, true).await;
        }
        page.read("#message-title", "All done").await;
        let n_gold = site.store.evidence().await.unwrap().gold.len();
        assert!(
            n_gold > 0 && seen.len() == 4 + n_gold,
            "{n_gold} gold items among {}",
            seen.len()
        );
        let told = page.js("return window.told.filter(Boolean).map((task) => JSON.stringify([Object.keys(task), task.kind]))").await;
        let told: std::collections::BTreeSet<String> = serde_json::from_value(told).unwrap();
        assert_eq!(told.len(), 1, "one shape for all: {told:?}");
        assert!(!told.first().unwrap().contains("gold"));
    });
}
