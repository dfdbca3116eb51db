//! A small valid text of every format, and what its damages must be answered with.

mod messages;
mod pairs;

use std::cell::Cell;
use std::path::Path;

use candor_data::DataError;
use candor_data::formats::{
    a_okvqa, amber, answer_sets, answers, candidates, captions, coco, flickr30k, hallusion_bench,
    llava, llava_bench, mmbench, mme, mmhal, own_set, pope, ppo_prompts, preference,
    preference_log, ratings, scores, trl, vqa_v2,
};

/// Reads a file and forgets what was in it.
pub type Read = fn(&Path) -> Result<(), DataError>;

/// A format: a valid text of it, and what damaged texts of it must be answered with.
pub struct Case {
    pub name: &'static str,
    pub read: Read,
    pub valid: &'static str,
    /// What to replace in the valid text, by what, and what the message must contain.
    pub damages: &'static [(&'static str, &'static str, &'static [&'static str])],
}

macro_rules! reader {
    ($path:path) => {
        |path| $path(path).map(drop)
    };
}

pub const AMBER_Q: &str = r#"[
{"id":1,"image":"AMBER_1.jpg","query":"Describe this image."},
{"id":1005,"image":"AMBER_1.jpg","query":"Is there a ship?","extra":1}
]"#;
pub const AMBER_A: &str = r#"[
{"id":1,"type":"generative","truth":["ship","sea"],"hallu":["sun"]},
{"id":1005,"type":"discriminative-hallucination","truth":"yes","extra":1}
]"#;
pub const AMBER_W: &str = r#"{"sky":[],"grass":["ground"]}"#;
pub const HALLUSION: &str = r#"[
{"category":"VD","subcategory":"illusion","visual_input":"1","set_id":"0","figure_id":"0","question_id":"0","question":"Same size?","gt_answer_details":"x","gt_answer":"1"},
{"category":"VS","subcategory":"chart","visual_input":0,"set_id":2,"figure_id":0,"question_id":1,"question":"More?","gt_answer":0}
]"#;
pub const MME: &str = "a.jpg\tIs there a dog? Please answer yes or no.\tYes\na.jpg\tIs there a cat? Please answer yes or no.\tNo\tNo\n";
pub const LLAVA: &str = r#"[
{"id":"a","image":"a.jpg","conversations":[{"from":"human","value":"<image>\nQ"},{"from":"gpt","value":"A"}]},
{"id":"b","image":"b.jpg","conversations":[{"from":"human","value":"<image>\nQ"},{"from":"gpt","value":"B"}],"extra":1}
]"#;
pub const PPO: &str = r#"[
{"id":"a","image":"a.jpg","conversations":[{"from":"human","value":"Q"}],"caption_type":2,"length_bonus":1.5},
{"id":"b","image":"b.jpg","conversations":[{"from":"human","value":"Q"}],"caption_type":7}
]"#;
pub const PREFERENCE: &str = r#"[
{"id":"a","image":"a.jpg","conversations":[[{"from":"human","value":"Q"},{"from":"gpt","value":"A"}]],"output_1":{"from":"llava","value":"1"},"output_2":{"value":"2"},"preference":1,"hallucination":true},
{"id":"b","image":"b.jpg","conversations":[{"from":"human","value":"Q"},{"from":"gpt","value":"A"}],"output_1":{"value":"one"},"output_2":{"value":"two"},"preference":2,"hallucination":false}
]"#;
pub const SETS: &str = r#"{"id":"a","image":"a.jpg","conversations":[{"from":"human","value":"<image>\nQ"}],"original_answer":"A","outputs":["1","2","3"],"extra":1}
{"id":"b","conversations":[{"from":"human","value":"Q"}],"outputs":["1","2","3","4","5","6","7","8"]}"#;
pub const RATINGS: &str = r#"{"id":"a","image":"a.jpg","question":"Q","answer":"A","ratings":[{"annotator":"x","rating":6,"unix_secs":1}]}
{"id":"b","question":"Q","answer":"","ratings":[],"decided":2}"#;
pub const LOG: &str = r#"{"id":"a","image":"a.jpg","conversations":[{"from":"human","value":"Q"}],"outputs":["1","2"],"fewer_hallucinations":"first"}
{"id":"b","image":"b.jpg","conversations":[{"from":"human","value":"Q"}],"outputs":["1","2"],"fewer_hallucinations":"tie","more_helpful":"second","record":{"annotator":"x","unix_secs":1,"seed":2,"shown_left":"first"}}"#;
pub const CANDIDATES: &str = r#"{"id":"a","image":"a.jpg","conversations":[{"from":"human","value":"<image>\nQ"}],"original_answer":"A","outputs":["1","2"],"sampling":{"model":"m","model_fingerprint":"f","seed":0,"temperature":0.7,"top_p":1.0,"max_new_tokens":9,"batch_rows":4,"chunk":8,"index":0,"finished":[true,false],"n_tokens":[1,9]},"extra":1}
{"id":"b","conversations":[{"from":"human","value":"Q"},{"from":"gpt","value":"A"},{"from":"human","value":"R"}],"outputs":["x",""],"sampling":{"model":"m","model_fingerprint":"f","adapter":"l","adapter_fingerprint":"g","seed":0,"temperature":1.0,"top_p":0.5,"max_new_tokens":9,"batch_rows":4,"chunk":8,"index":7,"finished":[true,true],"n_tokens":[1,0]}}"#;
pub const TRL: &str = r#"{"id":"a","images":["a.jpg"],"prompt":[{"role":"user","content":[{"type":"image"},{"type":"text","text":"Q"}]}],"chosen":"x","rejected":[{"role":"assistant","content":"y"}]}
{"id":2,"prompt":"Q","chosen":"x","rejected":"y","extra":1}"#;
pub const SCORES: &str = r#"{"id":"a","scores":[1.25,-0.5]}
{"id":7,"scores":[0,1],"extra":1}"#;
pub const CAPTIONS: &str = r#"{"a.jpg":["a cat"],"aok_a.jpg":["cats purr"],"b.jpg":["a dog"]}"#;
pub const VQA_Q: &str = r#"{"info":{},"questions":[
{"image_id":1,"question":"Q?","question_id":10},
{"image_id":"b.jpg","question":"R?","question_id":11}
]}"#;
pub const VQA_A: &str = r#"{"annotations":[
{"question_id":10,"image_id":1,"question_type":"is","answer_type":"yes/no","answers":[{"answer":"yes","answer_confidence":"yes","answer_id":1}]},
{"question_id":11,"image_id":1,"question_type":"is","answer_type":"yes/no","answers":[{"answer":"no","answer_id":1}]}
]}"#;
pub const AOK: &str = r#"[
{"split":"val","image_id":1,"question_id":"x","question":"Q?","choices":["a","b","c","d"],"correct_choice_idx":3,"direct_answers":["a"],"difficult_direct_answer":false,"rationales":["r"]},
{"split":"val","image_id":1,"question_id":"y","question":"R?","choices":["a","b","c","d"],"correct_choice_idx":0,"direct_answers":["a"],"difficult_direct_answer":false,"rationales":["r"]}
]"#;
pub const FLICKR: &str = "a.jpg#0\tA cat .\na.jpg#1\tOne cat .\nb#c.jpg#0\tA dog .\n";
pub const COCO_C: &str = r#"{"images":[{"id":1,"file_name":"a.jpg"},{"id":2,"file_name":"b.jpg"}],
"annotations":[{"image_id":1,"id":7,"caption":"A cat"},{"image_id":2,"id":8,"caption":"A dog"}]}"#;
pub const COCO_I: &str = r#"{"images":[{"id":1,"file_name":"a.jpg","width":4,"height":4}],"categories":[{"id":5,"name":"cat"}],
"annotations":[{"id":7,"image_id":1,"category_id":5,"bbox":[0,1,2.5,3],"segmentation":[[1,2]]},{"id":8,"image_id":1,"category_id":5,"bbox":[0,1,2,3],"attributes":["red"]}]}"#;
pub const POPE: &str = "{\"question_id\":1,\"image\":\"a.jpg\",\"text\":\"Is there a cat?\",\"label\":\"yes\"}\r\n\r\n{\"question_id\":2,\"image\":\"a.jpg\",\"text\":\"Is there a dog?\",\"label\":\"no\"}\r\n";
pub const MMHAL: &str = r#"[
{"question_type":"attribute","question_topic":"indoor","image_id":"x","image_src":"http","image_content":["Cat"],"question":"Q?","gt_answer":"A","model_answer":""},
{"question_type":"adversarial","question_topic":"indoor","image_id":"y","image_src":"http","image_content":["Dog"],"question":"R?","gt_answer":"B","model_answer":""}
]"#;
pub const ANSWERS: &str = r#"{"question_id":0,"text":"A","prompt":"Q?"}
{"question":"R?","answer":"B"}"#;
pub const MMBENCH: &str = "index\tquestion\tA\tB\tanswer\timage\textra\n\
    1\tWhat?\tcup\tdish\tA\t/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8U\tx\n\
    1000001\t\"What\nis it?\"\tdish\tcup\tB\t1\tx\n";
pub const OWN: &str = r#"{"id":"a","image":"a.jpg","question":"Q?","answer":"yes","rule":"yes-no","extra":1}
{"id":"b","image":"a.jpg","question":"R?","answer":"B","options":["x","y"],"rule":"letter","category":"k"}"#;
pub const BENCH_Q: &str = r#"{"question_id":0,"image":"a.jpg","text":"Q?","category":"conv"}
{"question_id":1,"image":"a.jpg","text":"R?","category":"detail"}"#;
pub const BENCH_C: &str = r#"{"id":"a","image":"a.jpg","captions":["A cat"],"instances":[{"category":"cat","bbox":[0.1,0.2,0.3,0.4]}]}
{"id":"b","image":"b.jpg","captions":[],"instances":[]}"#;
pub const BENCH_A: &str = r#"{"question_id":0,"text":"A","metadata":{}}
{"question_id":1,"text":"B","category":"conv"}"#;
pub const RULES: &str = r#"{"conv":{"role":"Assistant","prompt":"Judge"},"detail":{"role":"Assistant","prompt":"Judge well"}}"#;

pub const CASES: &[Case] = &[
    Case {
        name: "llava.json",
        read: |path| {
            llava::each_of_any(
                path,
                &mut |_| unreachable!("no image is inside"),
                &Cell::new(0.0),
                |_, _| Ok(()),
            )
        },
        valid: LLAVA,
        damages: &[
            (
                r#""value":"B""#,
                r#""value":7"#,
                &[
                    "row 1 (line 3)",
                    "`conversations[1].value`",
                    "integer `7`",
                    "correct or remove",
                ],
            ),
            (
                r#""from":"gpt","value":"B""#,
                r#""from":"bot","value":"B""#,
                &["row 1", "`conversations[1].from`", "bot"],
            ),
            (
                r#""from":"gpt","value":"A""#,
                r#""from":"human","value":"A""#,
                &["row 0", "`conversations[1].from`", "alternation"],
            ),
            (r#""id":"b","#, "", &["row 1", "`id`", "missing field"]),
            (r#""b.jpg""#, r#""""#, &["row 1", "`image`", "empty"]),
        ],
    },
    Case {
        name: "ppo.json",
        read: |path| {
            ppo_prompts::read_set(path, &mut |_| unreachable!("no image is inside")).map(drop)
        },
        valid: PPO,
        damages: &[
            (
                r#""caption_type":7"#,
                r#""caption_type":8"#,
                &["row 1", "`caption_type`", "found 8", "docs/formats.md"],
            ),
            (
                "1.5",
                "\"long\"",
                &["row 0", "`length_bonus`", "string \"long\""],
            ),
            (
                r#"[{"from":"human","value":"Q"}],"caption_type":7"#,
                "[]",
                &["row 1", "`conversations`", "no turns"],
            ),
        ],
    },
    Case {
        name: "preference.json",
        read: reader!(preference::read),
        valid: PREFERENCE,
        damages: &[
            (
                r#""preference":2"#,
                r#""preference":3"#,
                &["row 1", "`preference`", "1 or 2"],
            ),
            (
                r#""output_2":{"value":"two"},"#,
                "",
                &["row 1", "`output_2`", "missing"],
            ),
            (
                r#""hallucination":false"#,
                r#""hallucination":"no""#,
                &["row 1", "`hallucination`", "boolean"],
            ),
            (
                r#""preference":2,"#,
                "",
                &["row 1", "`preference`", "missing"],
            ),
            (
                r#","hallucination":false"#,
                "",
                &["row 1", "`hallucination`", "missing"],
            ),
            (
                r#""preference":2,"hallucination":false"#,
                r#""extra":2"#,
                &["row 1", "`preference`", "missing"],
            ),
            (
                r#""output_2":{"value":"two"}"#,
                r#""output_2":{"text":"two"}"#,
                &["row 1", "`output_2`", "a text or a turn with `value`"],
            ),
            (
                r#"[[{"from":"human","value":"Q"},{"from":"gpt","value":"A"}]]"#,
                "[[],[]]",
                &["row 0", "`conversations`", "several nested"],
            ),
        ],
    },
    Case {
        name: "log.jsonl",
        read: reader!(preference_log::read),
        valid: LOG,
        damages: &[
            (
                r#""id":"b""#,
                r#""id":"a""#,
                &[
                    "line 2",
                    "`id`",
                    "duplicate id a",
                    "line 1",
                    "an id of its own",
                ],
            ),
            (
                r#""more_helpful":"second","#,
                "",
                &["line 2", "`more_helpful`", "after a tie"],
            ),
            (
                r#""shown_left":"first""#,
                r#""shown_left":"top""#,
                &["line 2", "`record.shown_left`", "top"],
            ),
            (
                r#"["1","2"],"fewer_hallucinations":"first""#,
                r#"["1"],"fewer_hallucinations":"first""#,
                &["line 1", "`outputs`"],
            ),
        ],
    },
    Case {
        name: "candidates.jsonl",
        read: reader!(candidates::read),
        valid: CANDIDATES,
        damages: &[
            (
                r#""id":"b""#,
                r#""id":"a""#,
                &["line 2", "`id`", "duplicate id a", "an id of its own"],
            ),
            (
                r#","outputs":["x",""]"#,
                "",
                &["line 2", "`outputs`", "missing"],
            ),
            (r#"["1","2"]"#, r#"["1","2","3"]"#, &["line 1", "`outputs`"]),
            (
                r#",{"from":"human","value":"R"}"#,
                "",
                &["line 2", "`conversations`", "last turn of gpt"],
            ),
            (
                r#""model_fingerprint":"f","adapter""#,
                r#""adapter""#,
                &["line 2", "`sampling.model_fingerprint`", "missing"],
            ),
            (
                "0.7",
                "-0.7",
                &["line 1", "`sampling.temperature`", "found -0.7"],
            ),
            (
                r#""top_p":0.5"#,
                r#""top_p":1.5"#,
                &["line 2", "`sampling.top_p`", "found 1.5"],
            ),
            (
                "[true,false]",
                "[1,0]",
                &["line 1", "`sampling.finished[0]`", "boolean"],
            ),
            (
                "[1,9]",
                "[1,10]",
                &["line 1", "`sampling.n_tokens[1]`", "found 10 tokens"],
            ),
            (r#""a.jpg""#, r#""""#, &["line 1", "`image`", "empty"]),
        ],
    },
    Case {
        name: "image_to_caption.json",
        read: reader!(captions::read),
        valid: CAPTIONS,
        damages: &[
            (
                r#""b.jpg""#,
                r#""a.jpg""#,
                &["row \"a.jpg\"", "duplicate id a.jpg", "merge"],
            ),
            (
                r#"["a dog"]"#,
                r#""a dog""#,
                &["row \"b.jpg\"", "string \"a dog\"", "correct or remove"],
            ),
            (
                r#"["a dog"]"#,
                r#"["a dog", 4]"#,
                &["row \"b.jpg\"", "`[1]`", "integer `4`"],
            ),
            (r#"["a dog"]"#, "[]", &["row \"b.jpg\"", "no captions"]),
            (
                r#""b.jpg""#,
                r#""aok_""#,
                &["row \"aok_\"", "without a file name"],
            ),
        ],
    },
    Case {
        name: "vqa_questions.json",
        read: reader!(vqa_v2::read_questions),
        valid: VQA_Q,
        damages: &[
            (
                r#""question_id":11"#,
                r#""question_id":10"#,
                &[
                    "questions row 1",
                    "`question_id`",
                    "duplicate id 10",
                    "questions row 0",
                ],
            ),
            (
                r#""question_id":11"#,
                r#""question_id":-1"#,
                &["questions row 1 (line 3)", "`question_id`", "-1"],
            ),
            (
                r#""image_id":1"#,
                r#""image_id":null"#,
                &["questions row 0", "`image_id`", "null"],
            ),
            (r#""questions""#, r#""rows""#, &["`questions`", "missing"]),
        ],
    },
    Case {
        name: "vqa_annotations.json",
        read: reader!(vqa_v2::read_annotations),
        valid: VQA_A,
        damages: &[
            (
                r#""question_id":11"#,
                r#""question_id":10"#,
                &["annotations row 1", "`question_id`", "duplicate id 10"],
            ),
            (
                r#"{"answer":"no","answer_id":1}"#,
                r#"{"answer":"no"}"#,
                &["annotations row 1", "`answers[0].answer_id`", "missing"],
            ),
            (
                r#"[{"answer":"no","answer_id":1}]"#,
                "[]",
                &["annotations row 1", "`answers`", "no answer"],
            ),
        ],
    },
    Case {
        name: "own.jsonl",
        read: reader!(own_set::read),
        valid: OWN,
        damages: &[
            (
                r#""id":"b""#,
                r#""id":"a""#,
                &["line 2", "`id`", "duplicate id a", "line 1"],
            ),
            (
                r#""question":"R?""#,
                r#""question":" ""#,
                &["line 2", "`question`", "empty", "docs/formats.md"],
            ),
            (
                r#""rule":"letter""#,
                r#""rule":"lettre""#,
                &["line 2", "`rule`", "lettre", "yes-no"],
            ),
            (
                r#""answer":"yes""#,
                r#""answer":"yep""#,
                &["line 1", "`answer`", "\"yep\"", "yes or no"],
            ),
            (r#""answer":"yes","#, "", &["line 1", "`answer`", "missing"]),
            (
                r#""answer":"B""#,
                r#""answer":"C""#,
                &["line 2", "`answer`", "\"C\"", "A to B"],
            ),
            (
                r#"["x","y"]"#,
                r#"["x"]"#,
                &["line 2", "`options`", "found 1"],
            ),
            (
                r#""rule":"yes-no""#,
                r#""rule":"exact","options":["x"]"#,
                &["line 1", "`options`", "no letter"],
            ),
        ],
    },
    Case {
        name: "aokvqa.json",
        read: reader!(a_okvqa::read),
        valid: AOK,
        damages: &[
            (
                r#""question_id":"y""#,
                r#""question_id":"x""#,
                &["row 1", "`question_id`", "duplicate id x", "row 0"],
            ),
            (
                r#""correct_choice_idx":3"#,
                r#""correct_choice_idx":4"#,
                &["row 0", "`correct_choice_idx`", "found 4"],
            ),
            (
                r#"["a","b","c","d"]"#,
                r#"["a","b","c"]"#,
                &["row 0", "`choices`", "length 3"],
            ),
        ],
    },
    Case {
        name: "captions.token",
        read: reader!(flickr30k::read),
        valid: FLICKR,
        damages: &[
            (
                "a.jpg#1\t",
                "a.jpg#0\t",
                &["line 2", "`image`", "duplicate id a.jpg#0", "line 1"],
            ),
            (
                "a.jpg#1\t",
                "a.jpg#1 ",
                &["line 2", "`caption`", "no tab", "docs/formats.md"],
            ),
            ("a.jpg#1\t", "a.jpg\t", &["line 2", "`image`", "file#n"]),
            ("a.jpg#1\t", "a.jpg#one\t", &["line 2", "`index`", "one"]),
            (
                "One cat .",
                " ",
                &["line 2", "`caption`", "one line of text"],
            ),
        ],
    },
    Case {
        name: "coco_captions.json",
        read: reader!(coco::read_captions),
        valid: COCO_C,
        damages: &[
            (
                r#""id":8"#,
                r#""id":7"#,
                &["annotations row 1", "`id`", "duplicate id 7"],
            ),
            (
                r#"{"id":2"#,
                r#"{"id":1"#,
                &["images row 1", "`id`", "duplicate id 1"],
            ),
            (
                r#""image_id":2"#,
                r#""image_id":3"#,
                &[
                    "annotations row 1",
                    "`image_id`",
                    "found 3, no id in `images`",
                ],
            ),
            (
                r#""caption":"A dog""#,
                r#""caption":["A dog"]"#,
                &["annotations row 1 (line 2)", "`caption`", "sequence"],
            ),
        ],
    },
    Case {
        name: "instances.json",
        read: reader!(coco::read_instances),
        valid: COCO_I,
        damages: &[
            (
                r#""id":8"#,
                r#""id":7"#,
                &["annotations row 1", "`id`", "duplicate id 7"],
            ),
            (
                r#""category_id":5,"bbox":[0,1,2,3]"#,
                r#""category_id":6,"bbox":[0,1,2,3]"#,
                &["annotations row 1", "`category_id`", "found 6"],
            ),
            (
                "[0,1,2,3]",
                "[0,1,2]",
                &["annotations row 1", "`bbox`", "length 3"],
            ),
            (
                "[0,1,2,3]",
                "[0,1,-2,3]",
                &["annotations row 1", "`bbox`", "-2.0"],
            ),
            (
                r#"["red"]"#,
                r#""red""#,
                &["annotations row 1", "`attributes`", "string"],
            ),
            (
                r#"[{"id":5,"name":"cat"}]"#,
                "[]",
                &["`categories`", "empty"],
            ),
        ],
    },
    Case {
        name: "amber_queries.json",
        read: reader!(amber::read_queries),
        valid: AMBER_Q,
        damages: &[
            ("1005", "1", &["row 1", "`id`", "duplicate id 1"]),
            (
                "\"image\":\"AMBER_1.jpg\",",
                "",
                &["row 0", "`image`", "missing"],
            ),
        ],
    },
    Case {
        name: "amber_annotations.json",
        read: reader!(amber::read_annotations),
        valid: AMBER_A,
        damages: &[
            ("1005", "1", &["row 1", "`id`", "duplicate id 1"]),
            (
                "\"generative\"",
                "\"written\"",
                &["row 0", "`type`", "written"],
            ),
            (
                "\"yes\"",
                "\"maybe\"",
                &["row 1", "`truth`", "`yes` or `no`"],
            ),
            (
                "[\"ship\",\"sea\"]",
                "\"no\"",
                &["row 0", "`truth`", "a list of words"],
            ),
        ],
    },
    Case {
        name: "relation.json",
        read: reader!(amber::read_words),
        valid: AMBER_W,
        damages: &[
            ("\"grass\"", "\"sky\"", &["duplicate id sky"]),
            (
                "[\"ground\"]",
                "\"ground\"",
                &["row \"grass\"", "a sequence"],
            ),
        ],
    },
    Case {
        name: "HallusionBench.json",
        read: reader!(hallusion_bench::read),
        valid: HALLUSION,
        damages: &[
            (
                "\"gt_answer\":0",
                "\"gt_answer\":2",
                &["row 1", "`gt_answer`", "\"2\""],
            ),
            ("\"VD\"", "\"XX\"", &["row 0", "`category`", "XX"]),
            (
                "\"visual_input\":0",
                "\"visual_input\":9",
                &["row 1", "`visual_input`"],
            ),
        ],
    },
    Case {
        name: "existence.txt",
        read: reader!(mme::read),
        valid: MME,
        damages: &[
            ("\tYes", "\tPerhaps", &["line 1", "`answer`", "Perhaps"]),
            ("\tNo\tNo", "", &["line 2", "`answer`", "missing"]),
        ],
    },
    Case {
        name: "pope.jsonl",
        read: reader!(pope::read),
        valid: POPE,
        damages: &[
            (
                "\"question_id\":2",
                "\"question_id\":1",
                &["line 3", "`question_id`", "duplicate id 1", "line 1"],
            ),
            (
                "\"label\":\"no\"",
                "\"label\":\"maybe\"",
                &["line 3", "`label`", "maybe", "`yes`"],
            ),
            (
                "\"image\":\"a.jpg\",\"text\":\"Is there a dog?\"",
                "\"text\":\"\"",
                &["line 3", "`image`", "missing"],
            ),
        ],
    },
    Case {
        name: "mmhal.json",
        read: reader!(mmhal::read),
        valid: MMHAL,
        damages: &[
            (
                r#"["Dog"]"#,
                r#""Dog""#,
                &["row 1 (line 3)", "`image_content`", "sequence"],
            ),
            (
                r#""question":"R?""#,
                r#""question":" ""#,
                &["row 1", "`question`", "empty question"],
            ),
        ],
    },
    Case {
        name: "questions.jsonl",
        read: reader!(llava_bench::read_questions),
        valid: BENCH_Q,
        damages: &[
            (
                r#""question_id":1"#,
                r#""question_id":0"#,
                &["line 2", "`question_id`", "duplicate id 0"],
            ),
            (
                "detail",
                "details",
                &["line 2", "`category`", "details", "`complex`"],
            ),
        ],
    },
    Case {
        name: "context.jsonl",
        read: reader!(llava_bench::read_contexts),
        valid: BENCH_C,
        damages: &[
            (
                r#""id":"b""#,
                r#""id":"a""#,
                &["line 2", "`id`", "duplicate id a"],
            ),
            (
                "[0.1,0.2,0.3,0.4]",
                "[0.1]",
                &["line 1", "`instances[0].bbox`", "length 1"],
            ),
        ],
    },
    Case {
        name: "answers.jsonl",
        read: reader!(llava_bench::read_answers),
        valid: BENCH_A,
        damages: &[
            (
                r#""question_id":1"#,
                r#""question_id":0"#,
                &["line 2", "`question_id`", "duplicate id 0"],
            ),
            (r#""text":"B","#, "", &["line 2", "`text`", "missing"]),
        ],
    },
    Case {
        name: "rule.json",
        read: reader!(llava_bench::read_rules),
        valid: RULES,
        damages: &[
            (
                r#""detail""#,
                r#""conv""#,
                &["row \"conv\"", "duplicate id conv", "one rule"],
            ),
            (
                r#""prompt":"Judge well""#,
                r#""prompt":0"#,
                &["row \"detail\"", "`prompt`", "integer `0`"],
            ),
        ],
    },
    Case {
        name: "model_answers.jsonl",
        read: reader!(answers::read),
        valid: ANSWERS,
        damages: &[
            (
                r#""answer":"B""#,
                r#""reply":"B""#,
                &["line 2", "`text`", "missing", "`model_answer`"],
            ),
            (
                r#""prompt":"Q?""#,
                r#""answer":"Q?""#,
                &["line 1", "`answer`", "beside `text`"],
            ),
            (
                r#""text":"A""#,
                r#""text":1"#,
                &["line 1", "`text`", "integer `1`"],
            ),
        ],
    },
    Case {
        name: "mmbench.tsv",
        read: reader!(mmbench::read),
        valid: MMBENCH,
        damages: &[
            ("\tA\tB", "\tA\tC", &["line 1", "`B`", "no such column"]),
            (
                "1000001",
                "1",
                &["line 3", "`index`", "duplicate id 1", "line 2"],
            ),
            ("1000001", "one", &["line 3", "`index`", "\"one\""]),
            (
                "\tdish\tA",
                "\t\tA",
                &["line 2", "`A`", "fewer than two options"],
            ),
            (
                "\tB\t1\t",
                "\tC\t1\t",
                &["line 3", "`answer`", "\"C\"", "no option"],
            ),
            ("\tB\t1\t", "\tB\t7\t", &["line 3", "`image`", "found 7"]),
            (
                "\tB\t1\t",
                "\tB\tnan\t",
                &["line 3", "`image`", "found nothing"],
            ),
            (
                "\tB\t1\tx",
                "\tB\t1",
                &["line 3", "found 6 fields, the header has 7"],
            ),
        ],
    },
    pairs::UNPAIRED_CASE,
    messages::MESSAGES_CASE,
    Case {
        name: "trl.jsonl",
        read: |path| trl::read(path, &mut |_| unreachable!("no image is inside")).map(drop),
        valid: TRL,
        damages: &[
            (
                r#""chosen":"x","rejected":"y","extra""#,
                r#""rejected":"y","extra""#,
                &["line 2", "`chosen`", "missing", "correct or remove"],
            ),
            (
                r#""chosen":"x","rejected":"y""#,
                r#""chosen":3,"rejected":"y""#,
                &["line 2", "`chosen`", "a text or a list of messages"],
            ),
            (
                r#"["a.jpg"]"#,
                r#"["a.jpg","b.jpg"]"#,
                &["line 1", "`prompt`", "found 1 <image> and 2 images"],
            ),
            (
                r#""images":["a.jpg"],"#,
                "",
                &["line 1", "`prompt`", "found 1 <image> and no image"],
            ),
            (
                r#""prompt":"Q""#,
                r#""prompt":"<image> <image>","image":"b.jpg""#,
                &["line 2", "`prompt`", "found 2 <image>"],
            ),
            (
                r#""chosen":"x","rejected":"y""#,
                r#""chosen":"<image>","rejected":"y""#,
                &["line 2", "`chosen`", "<image> in an answer"],
            ),
            (
                r#""role":"user""#,
                r#""role":"tool""#,
                &["line 1", "`prompt`", "\"tool\""],
            ),
            (
                r#"{"type":"image"}"#,
                r#"{"type":"video"}"#,
                &["line 1", "`content`", "\"video\""],
            ),
            (
                r#"["a.jpg"]"#,
                r#"["data:image/png;base64,AAAA"]"#,
                &["line 1", "`images`", "data: URL"],
            ),
            (
                r#""rejected":"y","extra""#,
                r#""rejected":[{"role":"user","content":"R"},{"role":"assistant","content":"y"}],"extra""#,
                &["line 2", "`rejected`", "no single assistant message"],
            ),
        ],
    },
    pairs::OBJECT_HAL_CASE,
    pairs::VL_REWARD_CASE,
    pairs::MM_REWARD_CASE,
    Case {
        name: "ratings.jsonl",
        read: reader!(ratings::read),
        valid: RATINGS,
        damages: &[
            (
                r#""rating":6"#,
                r#""rating":7"#,
                &["line 1", "`ratings`", "found 7, expected 0 to 6"],
            ),
            (
                r#","decided":2"#,
                "",
                &["line 2", "`ratings`", "found none"],
            ),
            (r#""id":"b""#, r#""id":"a""#, &["line 2", "duplicate id a"]),
        ],
    },
    Case {
        name: "answer-sets.jsonl",
        read: reader!(answer_sets::read),
        valid: SETS,
        damages: &[
            (
                r#"["1","2","3"]"#,
                r#"["1","2"]"#,
                &["line 1", "`outputs`", "found 2 answers, expected 3 to 8"],
            ),
            (
                r#""8"]"#,
                r#""8","9"]"#,
                &["line 2", "`outputs`", "found 9 answers"],
            ),
            (r#""id":"b""#, r#""id":"a""#, &["line 2", "duplicate id a"]),
            (
                r#"{"from":"human","value":"Q"}"#,
                r#"{"from":"human","value":"Q"},{"from":"gpt","value":"A"}"#,
                &["line 2", "`conversations`", "last turn of gpt"],
            ),
        ],
    },
    Case {
        name: "scores.jsonl",
        read: reader!(scores::read),
        valid: SCORES,
        damages: &[
            (
                "[0,1]",
                "[0]",
                &["line 2", "`scores`", "length", "correct or remove"],
            ),
            (r#""id":7,"#, "", &["line 2", "`id`", "missing field"]),
        ],
    },
];
