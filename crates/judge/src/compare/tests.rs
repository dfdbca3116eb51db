use super::*;

fn run(name: &str, scores: &[f64]) -> Run {
    let verdict = |(i, &score): (usize, &f64)| {
        let mut verdict = Verdict {
            id: i.to_string(),
            image: i.to_string(),
            group: "a_b".to_owned(),
            ..Verdict::default()
        };
        verdict.measures.insert("score".to_owned(), [score, 1.0]);
        verdict
    };
    let verdicts = scores.iter().enumerate().map(verdict).collect();
    Run {
        name: name.to_owned(),
        verdicts: [(Benchmark::Mmhal, verdicts)].into(),
        ..Run::default()
    }
}

#[test]
fn runs_are_compared_item_by_item_with_the_first() {
    let found = compare(
        &[
            run("sft", &[0.0, 1.0, 3.0]),
            run("rl", &[1.0, 2.0, 4.0, 6.0]),
        ],
        0,
    );
    let row = &found.rows[0];
    assert_eq!((row.measure.as_str(), row.cells.len()), ("score", 2));
    assert_eq!(row.cells[1].value, Some(3.25));
    let apart = row.cells[1].against_first.unwrap();
    // The three items that both answered differ by 1 each: 2 of 8 outcomes are as large.
    assert_eq!((apart.n, apart.p), (3, Some(0.25)));
    assert!((apart.difference.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(row.cells[0].against_first, None);
    assert_eq!(
        (found.rows[1].group.as_str(), found.rows[1].cells[0].n),
        ("a_b", 3)
    );
}

#[test]
fn every_form_of_the_table_holds_names_and_numbers_and_escapes_them() {
    let found = compare(
        &[run("a|b", &[1.0, 2.0]), run("=c_d,\"e\"", &[2.0, 2.0])],
        0,
    );
    let table = found.table();
    assert!(
        table.contains("MMHal-Bench") && table.contains("1.50 [") && table.contains("+0.50"),
        "{table}"
    );
    let csv = found.csv();
    let expected = "mmhal,score,,\"'=c_d,\"\"e\"\"\",2,2,2,2,0.5,";
    assert!(csv.lines().any(|line| line.starts_with(expected)), "{csv}");
    let n_fields = csv.lines().next().unwrap().split(',').count();
    assert!(
        csv.lines()
            .filter(|line| !line.contains('"'))
            .all(|line| line.split(',').count() == n_fields)
    );
    let markdown = found.markdown();
    assert!(
        markdown.starts_with("| benchmark | number | a\\|b | =c_d,\"e\" |\n|---|---|---|---|\n"),
        "{markdown}"
    );
    let latex = found.latex();
    assert!(
        latex.contains("=c\\_d") && latex.contains("$1.50$") && latex.contains("\\bottomrule"),
        "{latex}"
    );
}

#[test]
fn runs_of_the_micro_world_are_read_too() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("policy");
    std::fs::create_dir_all(folder.join("verdicts")).unwrap();
    let write =
        |name: &str, text: &str| std::fs::write(folder.join("verdicts").join(name), text).unwrap();
    let message = Run::open(&folder).unwrap_err().to_string();
    assert!(message.contains("no verdicts"), "{message}");
    write(
        "mmhal.jsonl",
        r#"{"id":"0","image":"a.png","question_type":"other","question":"Q","reference":"R","answer":"A b","score":2,"hallucinated":true,"standing":"right","claims":[]}"#,
    );
    write(
        "pope.jsonl",
        r#"{"id":"random-1","image":"a.png","split":"random","question":"Q","label":"yes","answer":"No.","read_as":"no","neither":false,"right":false}"#,
    );
    write(
        "chair.jsonl",
        r#"{"image":"a.png","question":"Q","answer":"A","mentioned":["cat","dog"],"present":["cat","cup","pan"],"hallucinated":["dog"],"score":1,"claims":[]}"#,
    );
    write(
        "llava_bench.jsonl",
        r#"{"id":"1","image":"a.png","category":"conv","question":"Q","reference":"R","answer":"A","reference_score":6,"score":3,"reference_mark":10.0,"mark":5.5,"claims":[]}"#,
    );
    let run = Run::open(&folder).unwrap();
    assert_eq!(run.name, "policy");
    let part = |benchmark: Benchmark, key: &str| run.verdicts[&benchmark][0].part(key);
    for (benchmark, key, expected) in [
        (Benchmark::Mmhal, "score", [2.0, 1.0]),
        (Benchmark::Mmhal, "hallucination", [1.0, 1.0]),
        (Benchmark::Mmhal, "words", [2.0, 1.0]),
        (Benchmark::Pope, "accuracy", [0.0, 1.0]),
        (Benchmark::Pope, "recall", [0.0, 1.0]),
        (Benchmark::Pope, "precision", [0.0, 0.0]),
        (Benchmark::Chair, "chair_i", [1.0, 2.0]),
        (Benchmark::Chair, "recall", [1.0, 3.0]),
        (Benchmark::Chair, "object_f1", [2.0, 5.0]),
        (Benchmark::LlavaBench, "relative", [550.0, 10.0]),
    ] {
        // Whole numbers, so exact.
        let found = part(benchmark, key).map(f64::to_bits);
        assert_eq!(found, expected.map(f64::to_bits), "{key}");
    }
    let read_as = |benchmark: Benchmark| run.verdicts[&benchmark][0].read_as.join(", ");
    for (benchmark, expected) in [
        (Benchmark::Mmhal, "2"),
        (Benchmark::Pope, "no"),
        (Benchmark::Chair, "dog"),
        (Benchmark::LlavaBench, "10 5.5"),
    ] {
        assert_eq!(read_as(benchmark), expected);
    }
    let there = run.verdicts[&Benchmark::Chair][0].reference.as_deref();
    assert_eq!(there, Some("cat, cup, pan"));
    write("pope.jsonl", "{\"id\":1}\n");
    let message = Run::open(&folder).unwrap_err().to_string();
    assert!(
        message.contains("pope.jsonl") && message.contains("line 1"),
        "{message}"
    );
}

/// A run of answers, each right or wrong by a rule.
fn answered(name: &str, answers: &[(&str, f64)]) -> Run {
    let verdict = |(i, (answer, right)): (usize, &(&str, f64))| Verdict {
        id: i.to_string(),
        image: i.to_string(),
        answer: (*answer).to_owned(),
        measures: [
            ("accuracy".to_owned(), [*right, 1.0]),
            ("words".to_owned(), [1.0, 1.0]),
        ]
        .into(),
        ..Verdict::default()
    };
    Run {
        name: name.to_owned(),
        verdicts: [(
            Benchmark::Mmbench,
            answers.iter().enumerate().map(verdict).collect(),
        )]
        .into(),
        ..Run::default()
    }
}

#[test]
fn equal_answers_are_told_once_and_not_tested() {
    let answers = [("A", 1.0), ("B", 0.0), ("C", 1.0)];
    let found = compare(&[answered("one", &answers), answered("two", &answers)], 0);
    let table = found.table();
    assert_eq!(
        table.matches("all 3 answers are the same").count(),
        1,
        "{table}"
    );
    assert!(!table.contains("p = "), "{table}");
    // The files keep the test.
    assert_eq!(found.rows[0].cells[1].against_first.unwrap().p, Some(1.0));
    let mut other = answers;
    other[1] = ("D", 0.0);
    let table = compare(&[answered("one", &answers), answered("two", &other)], 0).table();
    assert!(
        table.contains("p = 1.000") && !table.contains("are the same"),
        "{table}"
    );
}

#[test]
fn empty_answers_stand_below_the_numbers_of_their_run() {
    let found = compare(
        &[
            answered("one", &[("A", 1.0), ("B", 0.0)]),
            answered("two", &[("", 0.0), ("", 0.0)]),
        ],
        0,
    );
    assert_eq!(found.warnings, ["two, MMBench: 2 of 2 answers are empty"]);
    let table = found.table();
    assert!(
        table.contains("WARNING: two, MMBench: 2 of 2 answers are empty\n"),
        "{table}"
    );
}

#[test]
fn answers_that_nobody_judged_are_opened_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers/mmhal.jsonl");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rows = [
        r#"{"id":"0","image":"a.png","question":"What?","answer":"Two dogs."}"#,
        r#"{"id":"1","image":"a.png","question":"Why?","answer":""}"#,
    ];
    std::fs::write(&path, rows.join("\n")).unwrap();
    let run = Run::open(dir.path()).unwrap();
    let items = &run.verdicts[&Benchmark::Mmhal];
    assert_eq!(
        (items[0].question.as_str(), items[0].answer.as_str()),
        ("What?", "Two dogs.")
    );
    assert!((items[0].part("words")[0] - 2.0).abs() < 1e-12);
    let found = compare(&[run], 0);
    let keys: Vec<&str> = found.rows.iter().map(|row| row.measure.as_str()).collect();
    assert_eq!(keys, ["words"]);
    assert!(
        found
            .warnings
            .iter()
            .any(|text| text.contains("nobody has judged")),
        "{:?}",
        found.warnings
    );
    std::fs::write(&path, r#"{"id":"0","answer":"x"}"#).unwrap();
    let message = Run::open(dir.path()).unwrap_err().to_string();
    assert!(
        message.contains("mmhal.jsonl") && message.contains("answer 1"),
        "{message}"
    );
}
