use super::*;
use crate::results::{Results, Scored};

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
fn what_shares_an_id_alone_is_not_compared() {
    let asked = |name: &str, image: &str, question: &str, answer: &str| {
        let verdict = Verdict {
            id: "random-1".to_owned(),
            image: image.to_owned(),
            question: question.to_owned(),
            reference: Some("yes".to_owned()),
            answer: answer.to_owned(),
            measures: [("accuracy".to_owned(), [1.0, 1.0])].into(),
            ..Verdict::default()
        };
        Run {
            name: name.to_owned(),
            verdicts: [(Benchmark::Pope, vec![verdict])].into(),
            ..Run::default()
        }
    };
    let found = compare(
        &[
            asked("coco", "a.jpg", "Is there a dog?", "Yes"),
            asked("gqa", "b.jpg", "Is there a cup?", "Yes"),
        ],
        0,
    );
    let apart = found.rows[0].cells[1].against_first.unwrap();
    assert_eq!((apart.n, apart.difference), (0, None));
    assert!(!apart.same_answers);
    let [others, part] = found.warnings.as_slice() else {
        panic!("{:?}", found.warnings);
    };
    assert!(
        others.starts_with("gqa, POPE: 1 ids") && others.contains("\"random-1\""),
        "{others}"
    );
    assert!(part.ends_with("0 of 1 and 1"), "{part}");
    // The first line counts, and the name of COCO's image with or without its set.
    let mut with_set = asked(
        "b",
        "COCO_val2014_000000000042.jpg",
        "Is there a dog?\nOne word.",
        "No",
    );
    let bare = asked("a", "000000000042.jpg", "Is there a dog?", "Yes");
    let n_shared = |runs: &[Run]| compare(runs, 0).rows[0].cells[1].against_first.unwrap().n;
    assert_eq!(n_shared(&[bare.clone(), with_set.clone()]), 1);
    // A true answer that was corrected between the runs makes another item; one that is not told does not.
    let verdict = |run: &mut Run, reference: Option<&str>| {
        run.verdicts.get_mut(&Benchmark::Pope).unwrap()[0].reference = reference.map(str::to_owned);
    };
    verdict(&mut with_set, Some("no"));
    assert_eq!(n_shared(&[bare.clone(), with_set.clone()]), 0);
    verdict(&mut with_set, None);
    assert_eq!(n_shared(&[bare, with_set]), 1);
}

#[test]
fn parts_of_a_benchmark_are_told() {
    let answers = [("A", 1.0), ("B", 0.0), ("C", 1.0), ("D", 1.0)];
    let runs = [answered("sft", &answers[..3]), answered("rl", &answers)];
    assert_eq!(
        compare(&runs, 0).warnings,
        ["rl, MMBench: compared with sft on the items that both have, 3 of 3 and 4"]
    );
    let limited = |benchmark: Benchmark, limit: Option<usize>| {
        let verdicts = answered("a", &answers).verdicts.remove(&Benchmark::Mmbench);
        let scored = Scored {
            limit,
            ..Scored::default()
        };
        let run = Run {
            name: "a".to_owned(),
            verdicts: [(benchmark, verdicts.unwrap())].into(),
            results: Some(Results {
                benchmarks: [(benchmark, scored)].into(),
                images: None,
            }),
        };
        compare(&[run], 0).warnings
    };
    assert_eq!(
        limited(Benchmark::Mmbench, Some(2)),
        [
            "a, MMBench: asked the first 2 questions of each file at most, which makes no numbers of the benchmark"
        ]
    );
    assert_eq!(limited(Benchmark::Mmbench, None), [""; 0]);
    // Of CHAIR 500 images are the custom.
    assert_eq!(limited(Benchmark::Chair, Some(500)), [""; 0]);
    assert_eq!(limited(Benchmark::Chair, Some(499)).len(), 1);
}
