//! Three to eight answers that are ranked: imported, shown in an order of each person's own, drafted, taken back, decided, exported.

use std::path::Path;

use candor_annotate::answer::{Answer, Draft, Pick};
use candor_annotate::export::{self, Aggregate, Format, RankedPairs};
use candor_annotate::import::{self, Imported};
use candor_annotate::project::{Import, ImportFormat, Kind};
use candor_annotate::store::Role;
use candor_annotate::task::Task;
use candor_annotate::{AnnotateError, Refusal, quality};
use candor_data::formats::preference_log;
use candor_data::{Side, Verdict};
use serde_json::{Value, json};

use crate::office::{Office, first, on_both, refusal};

/// Three answers; four of which two are equal; three of which two are equal, which leaves nothing to rank.
const SETS: &str = r#"{"id": "s-0", "conversations": [{"from": "human", "value": "What is it?"}], "outputs": ["best", "middle", "worst"]}
{"id": "s-1", "conversations": [{"from": "human", "value": "And now?"}], "outputs": ["worst", "best", " best", "middle"]}
{"id": "s-2", "conversations": [{"from": "human", "value": "And then?"}], "outputs": ["a", "b", "a"]}
"#;

/// The office with the sets imported.
async fn imported(office: &Office) -> Imported {
    std::fs::write(office.folder().join("sets.jsonl"), SETS).unwrap();
    let mut project = office.project.clone();
    project.imports = vec![Import {
        file: "sets.jsonl".into(),
        format: ImportFormat::AnswerSets,
        kind: Kind::Work,
        images: None,
        scores: None,
    }];
    import::all(&project, &office.store, &|_, _| ())
        .await
        .unwrap()
}

fn shown(task: &Task) -> Vec<String> {
    let answers = task.answers.clone();
    let pair = [Some(answers.a), answers.b].into_iter().flatten();
    pair.chain(answers.more).collect()
}

fn ranked(ranking: Vec<u8>) -> Answer {
    Answer {
        ranking: Some(ranking),
        ..first(Pick::Tie)
    }
}

/// The ranking, of the answers as they stand, that ranks these words in this order.
fn by(task: &Task, words: [&str; 3]) -> Answer {
    let rank = |text: &String| 1 + words.iter().position(|word| word == text).unwrap() as u8;
    ranked(shown(task).iter().map(rank).collect())
}

const GOOD: [&str; 3] = ["best", "middle", "worst"];

fn field(refused: Refusal) -> String {
    match refused {
        Refusal::Invalid { field, .. } => field,
        other => panic!("{other}"),
    }
}

on_both! {
    rankings_leave_as_the_pairs_that_most_agree_on("overlap = 2\nranking_ties = false\n") |office: Box<Office>| async move {
        let new = imported(&office).await;
        assert_eq!(new, Imported { n_new: 2, n_equal: 1, ..Imported::default() });
        let people = office.annotators(2).await;
        let task = office.claim(&people[0]).await.unwrap();
        assert_eq!(shown(&task).len(), 3);
        // What is no ranking of three answers apart is refused.
        for (answer, expected) in [
            (first(Pick::A), "ranking"),
            (ranked(vec![1, 2]), "ranking"),
            (ranked(vec![1, 2, 4]), "ranking"),
            (ranked(vec![0, 1, 2]), "ranking"),
            (ranked(vec![1, 1, 2]), "ranking"),
        ] {
            assert_eq!(field(refusal(office.answer(&people[0], &task, answer).await)), expected);
        }
        // A draft may have begun, and is shown as it was said.
        let begun = Draft { ranking: Some(vec![0, 1, 0]), ..Draft::default() };
        office.store.keep_draft(people[0].clone(), task.assignment.clone(), begun.clone()).await.unwrap();
        let again = office.claim(&people[0]).await.unwrap();
        assert_eq!((shown(&again), again.draft), (shown(&task), Some(begun)));
        office.answer(&people[0], &task, by(&task, GOOD)).await.unwrap();
        // Taken back, it comes with what was said of the places, and can be changed.
        let undone = office.store.undo(people[0].clone()).await.unwrap();
        assert_eq!(undone.draft.as_ref().unwrap().ranking, by(&task, GOOD).ranking);
        office.clock.pass(1);
        office.answer(&people[0], &undone, by(&undone, GOOD)).await.unwrap();
        let task = office.claim(&people[0]).await.unwrap();
        office.answer(&people[0], &task, by(&task, GOOD)).await.unwrap();
        // Bert agrees but for the last two of the second set.
        for words in [GOOD, ["best", "worst", "middle"]] {
            let task = office.claim(&people[1]).await.unwrap();
            office.answer(&people[1], &task, by(&task, words)).await.unwrap();
        }

        let evidence = office.store.evidence().await.unwrap();
        assert!(evidence.items.is_empty() && evidence.rated.is_empty());
        for item in &evidence.ranked {
            assert!(item.is_closed && !item.is_disputed);
            // Stored of the outputs, whatever stood where.
            let said = item.answers[0].answer.ranking.as_ref().unwrap();
            let texts: Vec<(&str, u8)> = item.outputs.iter().map(String::as_str).zip(said.iter().copied()).collect();
            for (word, rank) in GOOD.into_iter().zip(1..) {
                assert!(texts.contains(&(word, rank)), "{texts:?}");
            }
        }
        let exported = export::render(&office.store, Format::PreferenceLog, Some(Aggregate::Majority), 5).await.unwrap();
        let counts = RankedPairs { n_items: 2, n_pairs: 5, fewest: 2, most: 3, n_undecided: 1, ..RankedPairs::default() };
        assert_eq!((exported.n_rows, exported.n_undecided, exported.ranked), (5, 0, Some(counts)));
        let rows = preference_log::parse(Path::new("export"), &exported.text).unwrap();
        let pairs: Vec<(&str, Verdict, Option<Side>)> = rows
            .iter()
            .map(|row| (row.id.as_str(), row.fewer_hallucinations, row.more_helpful))
            .collect();
        let tie = Verdict::Tie;
        // Of the second set the outputs are worst, best and middle; of middle and worst nobody has more than half.
        let expected = [
            ("s-0-0-1", tie, Some(Side::First)),
            ("s-0-0-2", tie, Some(Side::First)),
            ("s-0-1-2", tie, Some(Side::First)),
            ("s-1-0-1", tie, Some(Side::Second)),
            ("s-1-1-2", tie, Some(Side::First)),
        ];
        assert_eq!(pairs, expected);
        let trl = export::render(&office.store, Format::Trl, Some(Aggregate::Majority), 5).await.unwrap();
        let row: Value = serde_json::from_str(trl.text.lines().nth(3).unwrap()).unwrap();
        assert_eq!(row["chosen"][0]["content"][0]["text"], "best");
        assert_eq!(row["rejected"][0]["content"][0]["text"], "worst");
        let argilla = export::render(&office.store, Format::Argilla, None, 5).await.unwrap();
        let records: Value = serde_json::from_str(&argilla.text).unwrap();
        assert_eq!(records[1]["fields"]["answer_1"], "worst");
        let said = &records[1]["responses"]["ranking"][0]["value"];
        let ranks = [("answer_1", 3), ("answer_2", 1), ("answer_3", 2)];
        let ranks: Vec<Value> = ranks.iter().map(|(value, rank)| json!({"value": value, "rank": rank})).collect();
        assert_eq!(said, &Value::Array(ranks));
        // Another project may rank what this one exported.
        let file = office.folder().join("records.json");
        std::fs::write(&file, &argilla.text).unwrap();
        let back = Import {
            file: file.clone(),
            format: ImportFormat::ArgillaSets,
            kind: Kind::Work,
            images: None,
            scores: None,
        };
        let back = import::read(&office.project, &back, &file).unwrap();
        assert_eq!((back.items[1].name.as_str(), &back.items[1].outputs), ("s-1", &evidence.ranked[1].outputs));
        assert!(back.left_behind.unwrap().contains("responses.ranking (4)"));
        for format in [Format::LabelStudio, Format::Segments, Format::Sentences, Format::Ratings] {
            let refused = export::render(&office.store, format, None, 5).await.unwrap_err();
            assert!(matches!(refused, AnnotateError::NothingToExport { .. }), "{format:?}: {refused}");
            let refused = refused.to_string();
            for words in ["2 items whose answers were ranked", "export argilla"] {
                assert!(refused.contains(words), "{format:?}: {refused}");
            }
        }

        let quality = quality::of(&evidence, 5);
        let found = quality.rankings.unwrap();
        // Tau is 1 of the first set, and 1/3 of the second.
        assert!((found.tau.value.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert!((found.agreement.value.unwrap() - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!((found.n_items, found.n_rankings, found.ties.value), (2, 4, Some(0.0)));
        assert!(quality.people.iter().all(|person| person.n_answers == 2));
    };

    rankings_that_settle_nothing_are_decided("overlap = 2\nranking_ties = true\n") |office: Box<Office>| async move {
        imported(&office).await;
        let people = office.annotators(2).await;
        for (person, words) in people.iter().zip([GOOD, ["worst", "middle", "best"]]) {
            let task = office.claim(person).await.unwrap();
            office.answer(person, &task, by(&task, words)).await.unwrap();
        }
        let judge = office.person("judge", Role::Adjudicator).await;
        let waiting = office.store.queue(&judge).await.unwrap().items;
        assert_eq!(waiting.len(), 1, "no pair has a majority");
        let case = office.store.case(waiting[0].item).await.unwrap();
        assert_eq!((case.answers.a.as_str(), case.answers.more.as_slice()), ("best", &["worst".to_owned()][..]));
        let none = export::render(&office.store, Format::PreferenceLog, Some(Aggregate::Majority), 5).await;
        assert!(matches!(none, Err(AnnotateError::NothingToExport { .. })));
        // The project allows ties: the last two are alike, and that pair is left out.
        office.store.decide(judge, waiting[0].item, ranked(vec![1, 2, 2])).await.unwrap();
        let decided = export::render(&office.store, Format::PreferenceLog, Some(Aggregate::Adjudicated), 5).await.unwrap();
        let rows = preference_log::parse(Path::new("export"), &decided.text).unwrap();
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["s-0-0-1", "s-0-0-2"]);
        assert_eq!(rows[0].record.as_ref().unwrap().annotator, "judge");
        assert_eq!(decided.ranked.unwrap().n_undecided, 1);
    };

    an_order_that_is_not_there_is_told("overlap = 1\nranking_ties = false\n") |office: Box<Office>| async move {
        imported(&office).await;
        let anna = office.person("anna", Role::Annotator).await;
        let task = office.claim(&anna).await.unwrap();
        office.answer(&anna, &task, by(&task, GOOD)).await.unwrap();
        assert!(office.claim(&anna).await.is_some());
        for sql in [
            "UPDATE answers SET shown_order = NULL",
            "UPDATE answers SET shown_order = '[1,0]'",
            "UPDATE answers SET shown_order = '[0,1,1]'",
        ] {
            crate::quality::run(&office, sql).await;
            let refused = office.store.evidence().await.unwrap_err().to_string();
            assert!(refused.contains("unreadable shown_order"), "{sql}: {refused}");
        }
        crate::quality::run(&office, "UPDATE slots SET shown_order = NULL").await;
        let refused = office.store.claim(anna, Vec::new()).await.unwrap_err().to_string();
        assert!(refused.contains("unreadable shown_order"), "{refused}");
    };

    people_see_several_answers_in_different_orders("overlap = 30\nranking_ties = true\n") |office: Box<Office>| async move {
        imported(&office).await;
        let mut firsts = std::collections::BTreeMap::new();
        for person in office.annotators(30).await {
            let task = office.claim(&person).await.unwrap();
            *firsts.entry(task.answers.a.clone()).or_insert(0) += 1;
            office.answer(&person, &task, by(&task, GOOD)).await.unwrap();
        }
        // Of 30 a third each; fewer than two of one come once in 4000 times.
        assert!(firsts.len() == 3 && firsts.values().all(|&n| n >= 2), "{firsts:?}");
        let evidence = office.store.evidence().await.unwrap();
        let given = &evidence.ranked[0].answers;
        let stood_first = given.iter().filter(|given| given.order.place_of(0) == Some(0)).count();
        assert_eq!(stood_first, firsts["best"], "the order is kept with what was said");
        // All said the same, whatever stood where.
        let earlier = quality::of(&evidence, 5).rankings.unwrap().earlier_rate.value.unwrap();
        assert!((0.25..=0.75).contains(&earlier), "{earlier}");
    };
}
