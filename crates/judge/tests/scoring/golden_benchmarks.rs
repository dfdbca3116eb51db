//! AMBER, HallusionBench, MME, Object-HalBench and CHAIR over thousands of made-up replies, scored as plain Python does:
//! `parity/fixtures/benchmarks.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_judge::Benchmark;
use candor_judge::benchmarks::Files;
use candor_judge::results::Scored;
use candor_judge::score::score;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::scripted::{file, recited, value};

#[derive(Deserialize)]
struct Golden {
    n: usize,
    seed: u64,
    vocabulary: BTreeMap<String, Vec<String>>,
    nouns: Vec<String>,
    relations: Value,
    similar: Value,
    synonyms: Vec<Vec<String>>,
    numbers: BTreeMap<String, Value>,
}

impl Golden {
    fn open() -> Self {
        serde_json::from_str(include_str!("../golden/benchmarks.json")).unwrap()
    }

    /// The replies that Python made, by the same generator.
    fn replies(&self, kind: &str, most: usize, between: &str) -> Vec<String> {
        let fragments = &self.vocabulary[kind];
        let mut state = self.seed;
        let mut draw = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let replies = (0..self.n).map(|_| {
            let n = 1 + draw(most);
            let words = (0..n).map(|_| fragments[draw(fragments.len())].as_str());
            words.collect::<Vec<&str>>().join(between)
        });
        replies.collect()
    }

    /// Holds every number of a kind to Python's; `ending` is that of the names here.
    fn holds(&self, kind: &str, ending: &str, found: impl Fn(&str) -> f64) {
        let expected = self.numbers[kind].as_object().unwrap();
        assert!(!expected.is_empty());
        for (name, expected) in expected {
            let (found, expected) = (
                found(&format!("{name}{ending}")),
                expected.as_f64().unwrap(),
            );
            assert!(
                (found - expected).abs() < 1e-9,
                "{kind} {name}: {found}, expected {expected}"
            );
        }
    }
}

fn answers(folder: &Path, name: &str, replies: &[String]) -> PathBuf {
    let rows = replies.iter().map(|text| json!({"text": text}).to_string());
    file(folder, name, &rows.collect::<Vec<String>>().join("\n"))
}

fn scored(benchmark: Benchmark, files: &Files, answers: &[PathBuf]) -> Scored {
    score(benchmark, files, answers, None, 0).unwrap().1
}

fn amber(golden: &Golden, replies: &[String], annotation: impl Fn(usize) -> Value) -> Scored {
    let dir = tempfile::tempdir().unwrap();
    let list = |row: &dyn Fn(usize) -> Value| {
        Value::from((0..replies.len()).map(row).collect::<Vec<Value>>()).to_string()
    };
    let queries =
        list(&|i| json!({"id": i, "image": (i % 50).to_string(), "query": format!("Q{i}?")}));
    let files = Files {
        questions: vec![file(dir.path(), "query.json", &queries)],
        context: Some(file(dir.path(), "annotations.json", &list(&annotation))),
        references: Some(file(
            dir.path(),
            "relation.json",
            &golden.relations.to_string(),
        )),
        synonyms: Some(file(
            dir.path(),
            "similar.json",
            &golden.similar.to_string(),
        )),
        ..Files::default()
    };
    let answers = answers(dir.path(), "answers.jsonl", replies);
    scored(Benchmark::Amber, &files, &[answers])
}

#[test]
fn ambers_descriptions_count_as_its_script_counts_and_as_sets_do() {
    let golden = Golden::open();
    let nouns = &golden.nouns;
    let replies = golden.replies("amber", 6, " ");
    let scored = amber(&golden, &replies, |i| {
        let there = [1, 3, 5, 3].map(|step| &nouns[(i * step + i / 7) % nouns.len()]);
        let made_up = [2, 7].map(|step| &nouns[(i * step + 4) % nouns.len()]);
        json!({"id": i, "type": "generative", "truth": there[..=i % 4], "hallu": made_up[..i % 3]})
    });
    golden.holds("amber", "", |name| value(&scored, name));
    assert_eq!(scored.n, golden.n);
}

#[test]
fn ambers_questions_look_for_no() {
    let golden = Golden::open();
    let replies = golden.replies("polar", 1, "");
    let kinds = [
        "discriminative-relation",
        "relation",
        "discriminative-hallucination",
    ];
    let scored = amber(&golden, &replies, |i| {
        let truth = if i.is_multiple_of(3) { "yes" } else { "no" };
        json!({"id": i, "type": kinds[i % 3], "truth": truth})
    });
    golden.holds("amber_polar", "", |name| value(&scored, name));
    for name in ["accuracy_official", "f1_official"] {
        let expected = &golden.numbers["amber_polar_official"][name.trim_end_matches("_official")];
        assert!(
            (value(&scored, name) - expected.as_f64().unwrap()).abs() < 1e-9,
            "{name}"
        );
    }
    // Both spellings of a relation are one group.
    let groups: Vec<&String> = scored.figures["accuracy"].groups.keys().collect();
    assert_eq!(groups, ["existence", "relation"]);
}

#[test]
fn hallusion_bench_counts_answers_questions_and_figures() {
    let golden = Golden::open();
    let replies = golden.replies("polar", 1, "");
    let row = |i: usize| {
        json!({
            "category": if i % 24 < 12 { "VD" } else { "VS" }, "subcategory": "map", "visual_input": 1 + i / 3 % 2,
            "set_id": (i / 12).to_string(), "figure_id": i / 3 % 4, "question_id": (i % 3).to_string(),
            "question": format!("Q{i}?"), "gt_answer": if i * i % 5 < 3 { "1" } else { "0" },
        })
    };
    let mut rows: Vec<Value> = (0..golden.n).map(row).collect();
    // A question without a figure is not asked.
    let mut bare = row(0);
    bare["visual_input"] = json!("0");
    bare["figure_id"] = json!("9");
    rows.push(bare);
    let dir = tempfile::tempdir().unwrap();
    let files = Files {
        questions: vec![file(
            dir.path(),
            "bench.json",
            &Value::from(rows).to_string(),
        )],
        ..Files::default()
    };
    let answers = answers(dir.path(), "answers.jsonl", &replies);
    let scored = scored(Benchmark::HallusionBench, &files, &[answers]);
    golden.holds("hallusion_bench", "", |name| value(&scored, name));
}

#[test]
fn mme_counts_questions_and_images() {
    let golden = Golden::open();
    let replies = golden.replies("mme", 4, "");
    let half = golden.n / 2;
    let dir = tempfile::tempdir().unwrap();
    let (mut questions, mut answered) = (Vec::new(), Vec::new());
    for (task, start) in [("existence", 0), ("count", half)] {
        let line = |i: usize| {
            let truth = if i.is_multiple_of(3) { "No" } else { "Yes" };
            format!("{}.jpg\tQ{i}?\t{truth}\n", i / 2)
        };
        let lines: String = (start..start + half).map(line).collect();
        questions.push(file(dir.path(), &format!("{task}.txt"), &lines));
        let replies = &replies[start..start + half];
        answered.push(answers(dir.path(), &format!("{task}.jsonl"), replies));
    }
    let files = Files {
        questions,
        ..Files::default()
    };
    let scored = scored(Benchmark::Mme, &files, &answered);
    for task in ["existence", "count"] {
        for name in ["accuracy", "accuracy_plus", "score"] {
            let found = scored.figures[name].groups[task].value.unwrap();
            let expected = golden.numbers["mme"][task][name].as_f64().unwrap();
            assert!(
                (found - expected).abs() < 1e-9,
                "{task} {name}: {found}, expected {expected}"
            );
        }
    }
}

#[test]
fn what_does_not_fit_is_named_with_what_to_give() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |benchmark: Benchmark, files: Files| {
        let answers = answers(dir.path(), "a.jsonl", &["Yes".to_owned()]);
        score(benchmark, &files, &[answers], None, 0)
            .unwrap_err()
            .to_string()
    };
    let text = |name: &str, text: &str| file(dir.path(), name, text);
    let queries = text("q.json", r#"[{"id":1,"image":"a.jpg","query":"Q"}]"#);
    let told = text(
        "t.json",
        r#"[{"id":1,"type":"generative","truth":["tree"]}]"#,
    );
    let mut files = Files {
        questions: vec![queries],
        ..Files::default()
    };
    assert!(refused(Benchmark::Amber, files.clone()).contains("--context annotations.json"));
    files.context = Some(text(
        "u.json",
        r#"[{"id":2,"type":"relation","truth":"no"}]"#,
    ));
    assert!(refused(Benchmark::Amber, files.clone()).contains("query 1 has no annotation"));
    files.context = Some(told);
    assert!(refused(Benchmark::Amber, files.clone()).contains("--references relation.json"));
    files.references = Some(text("r.json", r#"{"ship":[]}"#));
    let message = refused(Benchmark::Amber, files);
    assert!(
        message.contains("annotation 1 has the word \"tree\""),
        "{message}"
    );
    let odd = Files {
        questions: vec![text("count.txt", "a.jpg\tQ?\tYes\n")],
        ..Files::default()
    };
    let message = refused(Benchmark::Mme, odd);
    assert!(message.contains("a.jpg has 1 questions"), "{message}");
}

/// As many images as there are replies, each with one to three kinds of objects.
fn object_hal_bench(golden: &Golden, folder: &Path) -> Files {
    let kinds = &golden.synonyms;
    let (mut images, mut boxes, mut said, mut questions) = (vec![], vec![], vec![], String::new());
    for i in 0..golden.n {
        images.push(json!({"id": i, "file_name": format!("{i}.jpg")}));
        said.push(json!({"id": i, "image_id": i, "caption": "Nothing."}));
        questions += &(json!({"image_id": i, "question": "Describe it."}).to_string() + "\n");
        for step in &[1, 3, 4][..=i % 3] {
            let kind = (i * step + i / 7) % kinds.len();
            boxes.push(json!({"id": boxes.len(), "image_id": i, "category_id": kind, "bbox": [0, 0, 1, 1]}));
        }
    }
    let named = kinds.iter().enumerate();
    let categories: Vec<Value> = named
        .map(|(id, words)| json!({"id": id, "name": words[0]}))
        .collect();
    let lines: Vec<String> = kinds.iter().map(|words| words.join(", ")).collect();
    let instances = json!({"images": images, "categories": categories, "annotations": boxes});
    let captions = json!({"images": images, "annotations": said});
    Files {
        questions: vec![file(folder, "obj_halbench.jsonl", &questions)],
        references: Some(file(folder, "instances.json", &instances.to_string())),
        context: Some(file(folder, "captions.json", &captions.to_string())),
        synonyms: Some(file(folder, "synonyms.txt", &lines.join("\n"))),
        ..Files::default()
    }
}

#[test]
fn object_hal_bench_counts_words_and_extracted_objects() {
    let golden = Golden::open();
    let dir = tempfile::tempdir().unwrap();
    let files = object_hal_bench(&golden, dir.path());
    let replies = golden.replies("objects", 6, " ");
    let told = answers(dir.path(), "answers.jsonl", &replies);
    let closed = scored(Benchmark::ObjectHalBenchClosed, &files, &[told]);
    golden.holds("object_hal_bench_closed", "", |name| value(&closed, name));

    let lists = golden.replies("objects", 5, "|").into_iter().map(|text| {
        let objects: Vec<&str> = text.split('|').collect();
        format!("They are {}.", json!(objects))
    });
    let lists: Vec<String> = lists.collect();
    let long = vec!["A description of more than three words.".to_owned(); golden.n];
    let told = answers(dir.path(), "long.jsonl", &long);
    let judged = recited(Benchmark::ObjectHalBench, &files, &[told], &lists);
    golden.holds("object_hal_bench", "", |name| value(&judged, name));
}

#[test]
fn chair_counts_kinds_once_by_the_same_words() {
    let golden = Golden::open();
    let dir = tempfile::tempdir().unwrap();
    let of_boxes = object_hal_bench(&golden, dir.path());
    let files = Files {
        questions: of_boxes.references.into_iter().collect(),
        synonyms: of_boxes.synonyms,
        ..Files::default()
    };
    let replies = golden.replies("objects", 6, " ").into_iter().enumerate();
    let said: Vec<Value> = replies
        .map(|(i, text)| json!({"image_id": i, "caption": text}))
        .collect();
    let told = file(dir.path(), "said.json", &Value::from(said).to_string());
    let scored = scored(Benchmark::Chair, &files, &[told]);
    golden.holds("chair", "", |name| value(&scored, name));
}
