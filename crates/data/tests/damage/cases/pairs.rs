//! Pairs of answers, rated answers and questions of benchmarks of hallucination: texts of their formats, and what damages of
//! them must be answered with.

use candor_data::formats::{object_hal_bench, reward_bench, trl};

use super::Case;

const UNPAIRED: &str = r#"{"id":"a","images":["a.jpg"],"prompt":[{"role":"user","content":[{"type":"image"},{"type":"text","text":"Q"}]}],"completion":[{"role":"assistant","content":"x"}],"label":true}
{"id":2,"prompt":"Q","completion":"y","label":false,"extra":1}"#;
const OBJECT_HAL: &str = r#"{"image_id":391895,"question":"Describe it.","image":"/9j/","org_idx":3}
{"image_id":"7","question":"What is there?"}"#;
const VL_REWARD: &str = r#"{"id":"RLAIF-V-14","image_path":"images/a.jpg","query":"Q","response":["x","y"],"human_ranking":[0,1],"models":["m","n"],"judge":"human"}
{"id":"mathverse_2","image_path":"b.jpg","query":"<image>\nR","response":["x","z"],"human_ranking":[1,0],"extra":1}"#;
const MM_REWARD: &str = r#"[
{"ID":"nocaps_1","Text":"Q","Image":"images/a.jpg","Output1":"x","Output2":"y","Better":"Output2","Category":"safety"},
{"ID":"vqa_2","Text":"R","Image":"b.jpg","Output1":"x","Output2":"z","Better":"Output1","extra":1}
]"#;

pub const UNPAIRED_CASE: Case = Case {
    name: "trl_unpaired.jsonl",
    read: |path| trl::unpaired::read(path, &mut |_| unreachable!("no image is inside")).map(drop),
    valid: UNPAIRED,
    damages: &[
        (
            r#""prompt":"Q","completion""#,
            r#""completion""#,
            &["line 2", "`prompt`", "missing", "correct or remove"],
        ),
        (
            r#""completion":"y","#,
            "",
            &["line 2", "`completion`", "missing"],
        ),
        (r#","label":false"#, "", &["line 2", "`label`", "missing"]),
        (
            r#""label":true"#,
            r#""label":1"#,
            &["line 1", "`label`", "integer `1`", "a boolean"],
        ),
        (
            r#""completion":"y""#,
            r#""completion":"<image>""#,
            &["line 2", "`completion`", "<image> in an answer"],
        ),
        (
            r#""role":"assistant""#,
            r#""role":"user""#,
            &["line 1", "`completion`", "no single assistant message"],
        ),
        (
            r#""images":["a.jpg"],"#,
            "",
            &["line 1", "`prompt`", "found 1 <image> and no image"],
        ),
    ],
};

pub const OBJECT_HAL_CASE: Case = Case {
    name: "object_hal_bench.jsonl",
    read: |path| object_hal_bench::read(path).map(drop),
    valid: OBJECT_HAL,
    damages: &[
        (
            r#""image_id":"7""#,
            r#""image_id":"x.jpg""#,
            &["line 2", "`image_id`", "x.jpg", "correct or remove"],
        ),
        (
            r#""image_id":"7""#,
            r#""image_id":391895"#,
            &["line 2", "`image_id`", "391895", "line 1"],
        ),
        (
            r#""What is there?""#,
            r#""""#,
            &["line 2", "`question`", "nothing but blanks"],
        ),
        (
            r#""question":"What is there?""#,
            r#""q":1"#,
            &["line 2", "`question`", "missing field"],
        ),
    ],
};

pub const VL_REWARD_CASE: Case = Case {
    name: "vl_reward_bench.jsonl",
    read: |path| {
        reward_bench::vl::read(path, &mut |_| unreachable!("no image is inside")).map(drop)
    },
    valid: VL_REWARD,
    damages: &[
        (
            r#"["x","z"]"#,
            r#"["x"]"#,
            &[
                "line 2",
                "`response`",
                "found 1 answers, expected two",
                "correct or remove",
            ],
        ),
        (
            "[1,0]",
            "[1]",
            &["line 2", "`human_ranking`", "found 1 ranks, expected two"],
        ),
        (
            r#""image_path":"b.jpg","#,
            "",
            &["line 2", "`image`", "missing"],
        ),
        (
            r"<image>\nR",
            "<image> <image>",
            &["line 2", "`query`", "found 2 <image> and an image"],
        ),
        (
            r#"["x","z"]"#,
            r#"["x","<image>"]"#,
            &["line 2", "`response[1]`", "<image> in an answer"],
        ),
        (
            r#""query":"Q""#,
            r#""query":" ""#,
            &["line 1", "`query`", "nothing but blanks"],
        ),
    ],
};

pub const MM_REWARD_CASE: Case = Case {
    name: "multimodal_reward_bench.json",
    read: |path| reward_bench::multimodal::read(path).map(drop),
    valid: MM_REWARD,
    damages: &[
        (
            r#""Better":"Output1""#,
            r#""Better":"A""#,
            &["row 1", "`Better`", "found \"A\"", "correct or remove"],
        ),
        (
            r#""Text":"R","#,
            "",
            &["row 1", "`Text`", "0_download_data.py"],
        ),
        (
            r#""Output2":"z","#,
            "",
            &["row 1", "`Output2`", "missing field"],
        ),
        (
            r#""Image":"b.jpg""#,
            r#""Image":"""#,
            &["row 1", "`Image`", "empty name"],
        ),
    ],
};
