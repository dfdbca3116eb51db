"""Writes crates/annotate/tests/imports/trl.parquet: two rows as the Hugging Face hub has them, with a picture inside.

    python -m venv venv && venv/bin/pip install pyarrow==26.0.1
    venv/bin/python parity/preference_parquet.py
"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).parents[1]
PICTURE = (ROOT / "crates/data/tests/golden/images/one_pixel.png").read_bytes()
PART = pa.struct([("type", pa.string()), ("text", pa.string())])
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(PART))]))
SCHEMA = pa.schema([
    ("prompt", MESSAGES),
    ("chosen", MESSAGES),
    ("rejected", MESSAGES),
    ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
    ("score", pa.float64()),
])


def said(role, *parts):
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
