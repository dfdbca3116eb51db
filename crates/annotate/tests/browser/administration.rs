//! The admin page: figures, people, invitations, the export.

use candor_annotate::store::Role;

use crate::page::visit;
use crate::site::{Rules, bad, first, good};

#[test]
fn the_page_shows_progress_people_and_events() {
    let rules = Rules {
        overlap: 2,
        ..Rules::default()
    };
    visit(rules, async |site, page| {
        site.work(3).await;
        let anna = site.person("anna", Role::Annotator).await;
        let boss = site.person("boss", Role::Admin).await;
        page.go_as(site, &boss, "/admin").await;
        page.read("#progress-body", "0 of 3").await;
        page.read("#quality-body", "undefined").await;
        site.answer_all(&anna, |task| first(good(task))).await;
        let bert = site.person("bert", Role::Annotator).await;
        site.answer_all(&bert, |task| first(good(task))).await;
        page.go("/admin").await;
        page.read("#progress-body", "3 of 3").await;
        page.read("#quality-body", "100 % (100 % – 100 %)").await;
        page.read(
            "#quality-body",
            "nobody has judged the same items yet, or everybody always says the same",
        )
        .await;

        page.click("#invite button").await;
        let link = page.text("#invite-result code").await;
        assert!(link.starts_with(&format!("{}/invite/", site.url)), "{link}");
        page.js("const select = document.querySelector('[aria-label=\"Role of bert\"]'); select.value = 'adjudicator'; select.dispatchEvent(new Event('change'))").await;
        page.until("a new adjudicator", async || {
            let (people, _) = site.store.members().await.unwrap();
            people
                .iter()
                .find(|person| person.name == "bert" && person.role == Role::Adjudicator)
                .map(|_| ())
        })
        .await;
        page.click("[aria-label='Disable anna']").await;
        page.see("[aria-label='Enable anna']").await;
        page.click("#pause").await;
        page.read("#paused", "nobody is given anything new").await;
        page.read("#pause", "Go on").await;
        page.click("#pause").await;
        page.read("#pause", "Pause").await;
        page.fill("#token-name", "nightly").await;
        page.click("#token button").await;
        let secret = page.text("#token-result code").await;
        assert!(secret.starts_with("candor_"), "{secret}");
        assert!(site.store.scopes(&secret).await.unwrap().is_some());
        page.click("[aria-label='Revoke nightly']").await;
        page.read("#tokens-body", "There are no tokens").await;
        page.click("#events-more").await;
        page.read("#events-body", "amend").await;
    });
}

#[test]
fn the_export_is_downloaded_and_has_no_gold() {
    let rules = Rules {
        gold_rate: 0.5,
        ..Rules::default()
    };
    visit(rules, async |site, page| {
        site.work(3).await;
        site.known(candor_annotate::project::Kind::Gold, 3).await;
        let anna = site.person("anna", Role::Annotator).await;
        site.answer_all(&anna, |task| first(bad(task))).await;
        let boss = site.person("boss", Role::Admin).await;
        page.go_as(site, &boss, "/admin").await;
        page.see("#progress-body .cards").await;
        page.download_into(site.folder()).await;
        page.click("#export button").await;
        let rows = page
            .until("the file", async || {
                let file = std::fs::read_dir(site.folder())
                    .ok()?
                    .flatten()
                    .find(|file| {
                        file.path()
                            .extension()
                            .is_some_and(|ending| ending == "jsonl")
                    })?;
                let text = std::fs::read_to_string(file.path()).ok()?;
                (!text.is_empty()).then(|| text.lines().map(str::to_owned).collect::<Vec<_>>())
            })
            .await;
        assert_eq!(rows.len(), 3);
        for row in rows {
            let row: serde_json::Value = serde_json::from_str(&row).unwrap();
            assert!(row["id"].as_str().unwrap().starts_with("work-"), "{row}");
            assert_eq!(row["fewer_hallucinations"], "second");
        }
    });
}
