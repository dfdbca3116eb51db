//! Rankings over HTTP: taken whole or refused with a reason, once whatever is sent again.

use candor_annotate::project::Kind;
use candor_annotate::store::{NewItem, Role};
use candor_data::Turn;
use serde_json::{Value, json};

use crate::browser::{Site, item};
use crate::contract::check_reply;

/// The first task of somebody that is about several answers.
async fn task(site: &Site, session: &str) -> Value {
    let mut holding = Vec::new();
    loop {
        let claim = json!({"holding": holding});
        let claimed = site.post("/api/claim", session, &claim).await.json();
        check_reply("post", "/api/claim", &claimed);
        let task = claimed["task"].clone();
        if !task["answers"]["more"].as_array().unwrap().is_empty() {
            return task;
        }
        holding.push(task["assignment"].as_str().expect("a task").to_owned());
    }
}

/// The ranks of the answers as they stand, of which "a" is the best and "c" the worst.
fn ranks(task: &Value) -> Vec<u8> {
    let answers = &task["answers"];
    let texts = [&answers["a"], &answers["b"], &answers["more"][0]];
    let rank = |text: &Value| match text.as_str() {
        Some("a") => 1,
        Some("b") => 2,
        _ => 3,
    };
    texts.map(rank).to_vec()
}

#[tokio::test]
async fn a_ranking_is_taken_whole_and_once() {
    let site = Site::open().await;
    let several = NewItem {
        image: None,
        image_folder: None,
        turns: vec![Turn::human("Which is best?")],
        outputs: ["a", "b", "c"].map(str::to_owned).to_vec(),
        models: None,
        rank: -1,
        ..item(Kind::Work, 9)
    };
    site.store
        .import(site.folder(), vec![several])
        .await
        .unwrap();
    let admin = site.session("admin", Role::Admin).await;
    for (number, name) in ["anna", "bert"].into_iter().enumerate() {
        let session = site.session(name, Role::Annotator).await;
        let project = site.get("/api/project", &session).await.json();
        assert_eq!(project["ranking"]["ties"], false, "{project}");
        let task = task(&site, &session).await;
        let place = task["assignment"].as_str().unwrap();
        let path = format!("/api/assignments/{place}/answer");
        let draft = format!("/api/assignments/{place}/draft");
        let begun = json!({"ranking": [0, 1, 0]}).to_string();
        assert_eq!(
            site.send_json("PUT", &draft, &session, begun).await.status,
            204
        );
        let say = |more: Value| {
            let id = format!("00000000-0000-4000-8000-00000000000{number}");
            let mut answer = json!({"submission": id, "active_ms": 900});
            for (name, value) in more.as_object().unwrap() {
                answer[name] = value.clone();
            }
            answer
        };
        for refused in [
            json!({"first": "a"}),
            json!({"ranking": [1, 2]}),
            json!({"ranking": [1, 3, 3]}),
            json!({"ranking": [0, 1, 2]}),
            // The project allows no ties.
            json!({"ranking": [1, 1, 2]}),
            json!({"ranking": [1, 2, 3], "first": "a"}),
            json!({"ranking": [1, 2, 3], "rating": 3}),
            json!({"ranking": [1, 2, 3], "marks": [{"answer": "a", "start": 0, "end": 1, "type": "object"}]}),
        ] {
            let reply = site.post(&path, &session, &say(refused.clone())).await;
            assert_eq!(
                (reply.status.as_u16(), reply.code()),
                (422, "invalid".into()),
                "{refused}"
            );
        }
        let answer = say(json!({"ranking": ranks(&task)}));
        let stored = site.post(&path, &session, &answer).await.json();
        check_reply("post", "/api/assignments/{assignment}/answer", &stored);
        assert_eq!(stored["repeated"], false);
        let again = site.post(&path, &session, &answer).await.json();
        assert_eq!(again["repeated"], true);
        let mut other = ranks(&task);
        other.reverse();
        let other = say(json!({"ranking": other}));
        let reply = site.post(&path, &session, &other).await;
        assert_eq!(reply.code(), "submission_reused");
    }
    assert_figures_and_pairs(&site, &admin).await;
}

/// What two people agree on is measured, and leaves as pairs.
async fn assert_figures_and_pairs(site: &Site, admin: &str) {
    let quality = site.get("/api/admin/quality", admin).await.json();
    check_reply("get", "/api/admin/quality", &quality);
    assert_eq!(quality["quality"]["rankings"]["tau"]["value"], 1.0);
    let export = "/api/admin/export?format=trl&aggregate=majority";
    let reply = site.get(export, admin).await;
    assert_eq!(
        (
            reply.header("x-candor-rows"),
            reply.header("x-candor-pairs-undecided")
        ),
        ("3", "0")
    );
    let rows: Vec<Value> = reply
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let text = |row: &Value, side: &str| row[side][0]["content"][0]["text"].clone();
    let pairs: Vec<[Value; 2]> = rows
        .iter()
        .map(|row| ["chosen", "rejected"].map(|side| text(row, side)))
        .collect();
    assert_eq!(json!(pairs), json!([["a", "b"], ["a", "c"], ["b", "c"]]));
}
