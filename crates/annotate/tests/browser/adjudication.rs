//! Disputes: decided by keyboard, sent back to their author, withdrawn.

use candor_annotate::answer::{Answer, Pick};
use candor_annotate::store::{Claim, FlagReason, Role};

use crate::page::{ENTER, TAB, visit};
use crate::site::{Rules, Site, bad, first, good};

const TWO: Rules = Rules {
    overlap: 2,
    gold_rate: 0.0,
    min_reading_secs: 0,
    path: None,
};

/// Two people who disagree about `n` items, and an adjudicator.
async fn dispute(site: &Site, n: usize) -> (String, String) {
    site.work(n).await;
    let anna = site.person("anna", Role::Annotator).await;
    let bert = site.person("bert", Role::Annotator).await;
    let judge = site.person("judge", Role::Adjudicator).await;
    site.answer_all(&anna, |task| first(good(task))).await;
    let note = |task: &_| Answer {
        note: Some("<b>hard</b> to see".into()),
        ..first(bad(task))
    };
    site.answer_all(&bert, note).await;
    (bert, judge)
}

#[test]
fn a_dispute_is_decided_and_another_withdrawn() {
    visit(TWO, async |site, page| {
        let (_, judge) = dispute(site, 2).await;
        page.go_as(site, &judge, "/adjudicate").await;
        page.read("#opinions", "P1: A has fewer").await;
        let said = page.text("#opinions").await;
        assert!(
            said.contains("P2: B has fewer") && said.contains("<b>hard</b> to see"),
            "{said}"
        );
        assert!(
            !said.contains("anna") && !said.contains("bert"),
            "names stay out of it"
        );
        let item = page.text("#task-title").await;
        page.press(&["2", ENTER]).await;
        page.until("the next item", async || {
            (page.text("#task-title").await != item).then_some(())
        })
        .await;
        page.click("#withdraw").await;
        page.see("#reason-dialog").await;
        page.press(&["no table to be seen", TAB, TAB, ENTER]).await;
        page.read("#message-title", "Nothing to decide").await;
        let judged = site.judged().await;
        assert_eq!(judged.len(), 1, "what is withdrawn is no evidence");
        assert_eq!(judged[0].decision.as_ref().unwrap().answer.first, Pick::B);
    });
}

#[test]
fn an_answer_is_sent_back_to_its_author() {
    visit(TWO, async |site, page| {
        let (bert, judge) = dispute(site, 1).await;
        page.go_as(site, &judge, "/adjudicate").await;
        page.read("#opinions", "P2: B has fewer").await;
        page.click("#opinions li:nth-child(2) .quiet").await;
        page.press(&["please count the cups", TAB, TAB, ENTER])
            .await;
        page.read("#notice", "Sent back").await;
        page.go_as(site, &bert, "/annotate").await;
        page.read("#returned", "please count the cups").await;
        page.see("#question-first input:checked").await;
        let is_left = page.text("#text-a").await.starts_with("Good");
        page.press(&[if is_left { "1" } else { "2" }, ENTER]).await;
        page.read("#message-title", "All done").await;
        page.until("agreement", async || {
            let given = &site.judged().await[0].answers;
            let agree = given.iter().all(|given| given.answer.first == Pick::A);
            (agree && given.len() == 2).then_some(())
        })
        .await;
        page.go_as(site, &judge, "/adjudicate").await;
        page.read("#message-title", "Nothing to decide").await;
    });
}

#[test]
fn an_opinion_is_where_a_decision_starts() {
    visit(TWO, async |site, page| {
        let (_, judge) = dispute(site, 1).await;
        page.go_as(site, &judge, "/adjudicate").await;
        page.click("#opinions li:nth-child(2) .actions button")
            .await;
        page.see("#question-first input[value=b]:checked").await;
        assert_eq!(
            page.see("#note").await.value().await.unwrap().as_deref(),
            Some("<b>hard</b> to see")
        );
    });
}

#[test]
fn a_report_is_read_and_its_item_handed_out_again() {
    visit(Rules::default(), async |site, page| {
        site.work(1).await;
        let anna = site.person("anna", Role::Annotator).await;
        let Claim::Task(task) = site.store.claim(anna.clone(), Vec::new()).await.unwrap() else {
            panic!("there is an item");
        };
        let note = Some("it is all black".to_owned());
        site.store
            .flag(anna, task.assignment, FlagReason::Image, note)
            .await
            .unwrap();
        let judge = site.person("judge", Role::Adjudicator).await;
        page.go_as(site, &judge, "/adjudicate").await;
        page.read("#opinions", "Reported: the image").await;
        let said = page.text("#opinions").await;
        assert!(
            said.contains("it is all black") && !said.contains("anna"),
            "{said}"
        );
        page.click("#reopen").await;
        page.see("#reason-dialog").await;
        page.press(&["it is a night", TAB, TAB, ENTER]).await;
        page.read("#message-title", "Nothing to decide").await;
        let bert = site.person("bert", Role::Annotator).await;
        let next = site.store.claim(bert, Vec::new()).await.unwrap();
        assert!(matches!(next, Claim::Task(_)), "others get it");
    });
}
