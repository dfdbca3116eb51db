//! The same comparisons in every format that there is: each trains the reward model of candor's own log, to the byte.

use std::fs;
use std::path::Path;

use candor_data::FactBook;
use candor_data::formats::captions;
use serde_json::{Value, json};

use crate::tiny::{prepared, recipe, refusal, run};

const QUESTION: &str = "What is there?";

/// The images, by the SHA-256 that `sha256sum` prints: the names that they have where they come out of a file.
const IMAGES: [(&str, &[u8]); 3] = [
    (
        "9853e99cb7e9817f7ee8b6fb9ade7c8e023d2520647034a098f7f85ed81e9cb0.png",
        include_bytes!("../../../data/tests/golden/images/one_pixel.png"),
    ),
    (
        "2186888d2f1e86d67343898179c01862420ed3e5440aac81cd0010c8d1a54579.png",
        include_bytes!("../../../data/tests/golden/images/one_row.png"),
    ),
    (
        "64fe77edf01fcc4a7789c8a55b312e14d9dfa1cf34a7fcc0628be8fa649e629a.png",
        include_bytes!("../../../data/tests/golden/images/two_by_three.png"),
    ),
];

/// Image, preferred answer, and the other one: the rows of the parquet files beside this one, which
/// `parity/preference_parquet.py` wrote.
const COMPARED: [(usize, &str, &str); 4] = [
    (0, "There is a red wall.", "There is a red dog."),
    (1, "There is a green wall.", "There is a green dog."),
    (0, "There is a wall and a cat.", "There is a dog and a cat."),
    (2, "There is a blue wall.", "There is a blue dog."),
];

/// A row in some format, from its index, its image and its answers.
type Written = fn(usize, &str, &str, &str) -> Value;

fn lines(row: Written) -> Vec<u8> {
    let rows = COMPARED.iter().enumerate();
    let rows = rows.map(|(i, (image, chosen, rejected))| {
        format!("{}\n", row(i, IMAGES[*image].0, chosen, rejected))
    });
    rows.collect::<String>().into_bytes()
}

fn list(row: Written) -> Vec<u8> {
    let rows = String::from_utf8(lines(row)).unwrap();
    format!("[{}]", rows.trim_end().replace('\n', ",\n")).into_bytes()
}

fn log(i: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    json!({"id": format!("row-{i}"), "image": image, "conversations": [{"from": "human", "value": "<image>\nWhat is there?"}],
        "outputs": [chosen, rejected], "fewer_hallucinations": "first"})
}

/// The sides of every other row are changed.
fn llava(i: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    let (first, second, preference) = if i.is_multiple_of(2) {
        (chosen, rejected, 1)
    } else {
        (rejected, chosen, 2)
    };
    json!({"id": format!("row-{i}"), "image": image,
        "conversations": [{"from": "human", "value": "<image>\nWhat is there?"}, {"from": "gpt", "value": "A room."}],
        "output_1": {"from": "gpt", "value": first}, "output_2": {"from": "gpt", "value": second},
        "preference": preference, "hallucination": i < 2})
}

fn trl(_: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    json!({"images": [image], "prompt": [{"role": "user", "content": QUESTION}],
        "chosen": [{"role": "assistant", "content": chosen}], "rejected": [{"role": "assistant", "content": rejected}]})
}

/// As `candor annotate export --format trl` writes it.
fn exported(i: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    let answer =
        |text: &str| json!([{"role": "assistant", "content": [{"type": "text", "text": text}]}]);
    let question = json!([{"type": "image"}, {"type": "text", "text": QUESTION}]);
    json!({"id": format!("row-{i}"), "prompt": [{"role": "user", "content": question}], "chosen": answer(chosen),
        "rejected": answer(rejected), "images": [image]})
}

fn rlaif_v(i: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    json!({"ds_name": "RLAIF-V", "image": image, "question": QUESTION, "chosen": chosen, "rejected": rejected, "idx": i})
}

fn rlhf_v(i: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    let text = json!({"question": QUESTION, "chosen": chosen, "rejected": rejected});
    json!({"ds_name": "RLHF-V", "text": text.to_string(), "idx": i, "image_path": image})
}

/// What both answers begin with stands apart.
fn sentinel(_: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    let rest = |answer: &str| answer.strip_prefix("There is ").unwrap().to_owned();
    json!({"question": QUESTION, "context": "There is", "y_win": rest(chosen), "y_lose": rest(rejected), "image_path": image})
}

/// The sides of every other row are changed.
fn vl_reward_bench(i: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    let (answers, ranks) = if i.is_multiple_of(2) {
        ([chosen, rejected], [0, 1])
    } else {
        ([rejected, chosen], [1, 0])
    };
    json!({"id": format!("row-{i}"), "image_path": image, "query": QUESTION, "response": answers, "human_ranking": ranks})
}

/// The sides of every other row are changed.
fn multimodal_reward_bench(i: usize, image: &str, chosen: &str, rejected: &str) -> Value {
    let (first, second, better) = if i.is_multiple_of(2) {
        (chosen, rejected, "Output1")
    } else {
        (rejected, chosen, "Output2")
    };
    json!({"ID": format!("row-{i}"), "Image": image, "Text": QUESTION, "Output1": first, "Output2": second, "Better": better,
        "Category": "vqa"})
}

/// What a run left that tells which comparisons it learned from, in which order, and what it measured.
fn left(run: &Path) -> Vec<Vec<u8>> {
    let files = ["metrics.jsonl", "held_out.jsonl", "reward_head.safetensors"];
    files.map(|file| fs::read(run.join(file)).unwrap()).into()
}

#[test]
fn every_format_trains_what_the_log_trains() {
    let folder = prepared();
    let path = folder.path();
    let mut book = FactBook::new();
    fs::create_dir(path.join("shown")).unwrap();
    for (name, bytes) in IMAGES {
        fs::write(path.join("shown").join(name), bytes).unwrap();
        book.entry(name).captions = vec!["a red wall".to_owned(), "a cat".to_owned()];
    }
    captions::write(&path.join("facts.json"), &book).unwrap();
    let cases: [(&str, &str, Vec<u8>); 13] = [
        ("log", "preference_log", lines(log)),
        ("llava", "llava", list(llava)),
        ("trl", "trl", lines(trl)),
        ("trl_list", "trl", list(trl)),
        ("exported", "trl", lines(exported)),
        ("rlaif_v", "trl", list(rlaif_v)),
        ("rlhf_v", "trl", list(rlhf_v)),
        ("sentinel", "trl", list(sentinel)),
        ("vl", "vl_reward_bench", lines(vl_reward_bench)),
        (
            "multimodal",
            "multimodal_reward_bench",
            list(multimodal_reward_bench),
        ),
        ("trl_parquet", "trl", include_bytes!("trl.parquet").into()),
        (
            "rlhf_v_parquet",
            "trl",
            include_bytes!("rlhf_v.parquet").into(),
        ),
        (
            "rlaif_v_parquet",
            "trl",
            include_bytes!("rlaif_v.parquet").into(),
        ),
    ];
    let mut expected = None;
    for (name, format, content) in cases {
        // The name of the file says nothing of its format, or something wrong.
        let file = ["rows.txt", "rows.jsonl"][usize::from(name == "llava")];
        fs::create_dir(path.join(name)).unwrap();
        fs::write(path.join(name).join(file), content).unwrap();
        let images = if name.ends_with("parquet") {
            name
        } else {
            "shown"
        };
        let small = ["n_validation=1", "n_held_out=1", "batch=2", "micro_batch=2"];
        let small = small.map(|set| format!("data.{set}"));
        let told = format!("data.preferences=[\"{name}/{file}\"]");
        let named =
            format!("data.preferences=[{{ path = \"{name}/{file}\", format = \"{format}\" }}]");
        for (out, preferences) in [
            (format!("{name}/told"), told),
            (format!("{name}/named"), named),
        ] {
            let images = format!("data.images={images:?}");
            let mut sets: Vec<&str> = small.iter().map(String::as_str).collect();
            sets.extend(["run.steps=2", "evaluation.every=1", &images, &preferences]);
            run(path, &out, &sets).unwrap_or_else(|error| panic!("{out}: {error}"));
            let left = left(&path.join(&out));
            let expected = expected.get_or_insert_with(|| left.clone());
            assert!(left == *expected, "{out} learned something else");
        }
        if name.ends_with("parquet") {
            for (image, bytes) in IMAGES {
                assert_eq!(
                    fs::read(path.join(name).join(image)).unwrap(),
                    bytes,
                    "{name}"
                );
            }
        }
    }
    // All four rows were there, and two of them show one image.
    let result = candor_testing::files::json(&path.join("log/told/result.json"));
    let n = |field: &str| result[field].as_u64().unwrap();
    assert_eq!(n("n_train") + n("n_validation") + n("n_pairs"), 4);
}

#[test]
fn what_is_no_comparison_is_refused_with_the_formats_that_there_are() {
    let folder = prepared();
    let path = folder.path();
    let refused = |content: &str| {
        fs::write(path.join("rows.jsonl"), content).unwrap();
        refusal(path, "refused", &["data.preferences=[\"rows.jsonl\"]"])
    };
    let said = refused(r#"[{"id": 1, "conversations": []}]"#);
    for part in [
        "rows.jsonl",
        "its first row has `conversations`, `id`",
        "candidates (`outputs` and `sampling`)",
        "llava (`output_1` and `output_2`)",
        "trl (`chosen` and `rejected`, or `y_win` and `y_lose`, or `ds_name` and `text`)",
        "preference_log (`outputs` and `fewer_hallucinations`)",
        "name its format",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let said = refused(r#"{"chosen": "a", "rejected": "b", "output_1": "a", "output_2": "b"}"#);
    assert!(said.contains("fits llava and trl"), "{said}");
    let pair = r#"[{"id": "p-0", "conversations": [{"from": "human", "value": "Q"}], "output_1": "a", "output_2": "b"}]"#;
    let said = refused(pair);
    assert!(
        said.contains("rows.jsonl: row 0: nobody has said which of the two answers is better"),
        "{said}"
    );
    assert!(!path.join("refused/resolved.toml").exists());
}

#[test]
fn a_file_of_comparisons_is_named_by_a_string_or_a_table() {
    let folder = prepared();
    let path = folder.path();
    let mistakes = |preferences: &str| {
        let set = format!("data.preferences={preferences}");
        recipe(path, "out", &[&set]).unwrap_err().to_string()
    };
    let said = mistakes(r#"[{ path = "a", fromat = "trl" }, { format = "candidates" }, ""]"#);
    let expected =
        "data.preferences: the list is empty, or a string in it (name at least one file)";
    assert!(
        said.contains(expected) && said.contains("1 mistake"),
        "{said}"
    );
    let said = mistakes(r#"["a", { path = "a", fromat = "trl" }, { format = "candidates" }]"#);
    for part in [
        "data.preferences[1].fromat: unknown key (did you mean `format`?)",
        "data.preferences[2].path: missing",
        "data.preferences[2].format: the string \"candidates\" is not \"llava\" or \"trl\" or \"preference_log\" or \"vl_reward_bench\" or \"multimodal_reward_bench\"",
        "3 mistakes",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(mistakes("[3]").contains("not a list of strings or tables"));
    let both = recipe(
        path,
        "out",
        &[r#"data.preferences=["a.json", { path = "b" }]"#],
    )
    .unwrap();
    let files = [path.join("a.json"), path.join("b")];
    assert_eq!(both.judgements.paths(), files.iter().collect::<Vec<_>>());
}
