"""Write preferences as the Hugging Face hub has them, with pictures inside.

Two rows in the form of TRL's data sets go to crates/annotate/tests/imports/trl.parquet, and to
crates/reward/tests/runs, in the forms of TRL, RLHF-V and RLAIF-V, the rows that formats.rs there has in every
other format. Two rows of VL-RewardBench go to crates/data/tests/vl_reward_bench.parquet.

    python -m venv venv && venv/bin/pip install pyarrow==26.0.1
    venv/bin/python parity/preference_parquet.py
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = ROOT / "crates/data/tests/golden/images"
PICTURE = (IMAGES / "one_pixel.png").read_bytes()
PART = pa.struct([("type", pa.string()), ("text", pa.string())])
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(PART))]))
SCHEMA = pa.schema(
    [
        ("prompt", MESSAGES),
        ("chosen", MESSAGES),
        ("rejected", MESSAGES),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("score", pa.float64()),
    ]
)


def said(role, *parts):
    """Return one turn of a conversation in the form of TRL."""
    return [{"role": role, "content": [{"type": kind, "text": text} for kind, text in parts]}]


ROWS = [
    {
        "prompt": said("user", ("image", None), ("text", "What is it?")),
        "chosen": said("assistant", ("text", "A cup.")),
        "rejected": said("assistant", ("text", "A dog.")),
        "images": [{"bytes": PICTURE, "path": "../../evil.png"}],
        "score": 0.5,
    },
    {
        "prompt": said("user", ("text", "Say <b>hello</b>.")),
        "chosen": said("assistant", ("text", "Hello.")),
        "rejected": said("assistant", ("text", "Bye.")),
        "images": [],
        "score": 1.5,
    },
]

OUT = ROOT / "crates/annotate/tests/imports/trl.parquet"
pq.write_table(pa.Table.from_pylist(ROWS, schema=SCHEMA), OUT, compression="snappy")

QUESTION = "What is there?"
COMPARED = [
    ("one_pixel.png", "There is a red wall.", "There is a red dog."),
    ("one_row.png", "There is a green wall.", "There is a green dog."),
    ("one_pixel.png", "There is a wall and a cat.", "There is a dog and a cat."),
    ("two_by_three.png", "There is a blue wall.", "There is a blue dog."),
]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
RUNS = ROOT / "crates/reward/tests/runs"


def inside(name):
    """Return a picture as the hub has it inside a table."""
    return {"bytes": (IMAGES / name).read_bytes(), "path": name}


def write(name, rows, columns):
    """Write a table."""
    table = pa.Table.from_pylist(rows, schema=pa.schema(columns))
    pq.write_table(table, RUNS / name, compression="snappy")


write(
    "trl.parquet",
    [
        {
            "prompt": said("user", ("image", None), ("text", QUESTION)),
            "chosen": said("assistant", ("text", chosen)),
            "rejected": said("assistant", ("text", rejected)),
            "images": [inside(name)],
        }
        for name, chosen, rejected in COMPARED
    ],
    [("prompt", MESSAGES), ("chosen", MESSAGES), ("rejected", MESSAGES), ("images", pa.list_(IMAGE))],
)
write(
    "rlhf_v.parquet",
    [
        {
            "ds_name": "RLHF-V",
            "image": inside(name),
            "text": json.dumps({"question": QUESTION, "chosen": chosen, "rejected": rejected}),
            "origin_dataset": "LCS-558K",
            "origin_split": "{}",
            "idx": i,
            "image_path": f"images/{name}",
        }
        for i, (name, chosen, rejected) in enumerate(COMPARED)
    ],
    [
        ("ds_name", pa.string()),
        ("image", IMAGE),
        ("text", pa.string()),
        ("origin_dataset", pa.string()),
        ("origin_split", pa.string()),
        ("idx", pa.int32()),
        ("image_path", pa.string()),
    ],
)
write(
    "rlaif_v.parquet",
    [
        {
            "ds_name": "RLAIF-V",
            "image": inside(name),
            "question": QUESTION,
            "chosen": chosen,
            "rejected": rejected,
            "origin_dataset": "LCS-558K",
            "origin_split": "{}",
            "idx": str(i),
            "image_path": f"images/{name}",
        }
        for i, (name, chosen, rejected) in enumerate(COMPARED)
    ],
    [
        ("ds_name", pa.string()),
        ("image", IMAGE),
        ("question", pa.string()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("origin_dataset", pa.string()),
        ("origin_split", pa.string()),
        ("idx", pa.string()),
        ("image_path", pa.string()),
    ],
)

# VL-RewardBench as the hub has it: two rows that show one picture.
RANKED = [
    {
        "id": number,
        "query": QUESTION,
        "response": ["A cup.", "A dog."],
        "image": inside("one_pixel.png"),
        "human_ranking": ranks,
        "models": ["gpt", "qwen"],
        "judge": "human",
        "rationale": None,
        "query_source": "COCO",
        "ground_truth": "",
    }
    for number, ranks in [("RLAIF-V-14", [0, 1]), ("wildvision-battle-3", [1, 0])]
]
TEXTS = pa.list_(pa.string())
RANKED_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("query", pa.string()),
        ("response", TEXTS),
        ("image", IMAGE),
        ("human_ranking", pa.list_(pa.int64())),
        ("models", TEXTS),
        ("judge", pa.string()),
        ("rationale", pa.string()),
        ("query_source", pa.string()),
        ("ground_truth", pa.string()),
    ]
)
pq.write_table(
    pa.Table.from_pylist(RANKED, schema=RANKED_SCHEMA),
    ROOT / "crates/data/tests/vl_reward_bench.parquet",
    compression="snappy",
)
