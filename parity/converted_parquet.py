"""Open what `candor data convert` writes as parquet with Hugging Face's `datasets`, and the other way round.

It needs target/release/candor, or the program that CANDOR names, and a Python with datasets 4.4 and pillow:

    python -m venv /tmp/datasets && /tmp/datasets/bin/pip install datasets==4.4.1 pillow==12.0.0
    /tmp/datasets/bin/python parity/converted_parquet.py

- The columns are the features that TRL's trainers want: messages as lists of objects, pictures as `Image`.
- Texts are equal, and pictures are decoded to the pixels of the files that were put in.
- A file that `datasets` writes of these rows is read by candor as the same rows.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from datasets import Dataset, Image, List, Value, load_dataset
from PIL import Image as Picture

REPOSITORY = Path(__file__).resolve().parents[1]
CANDOR = os.environ.get("CANDOR", str(REPOSITORY / "target/release/candor"))
PICTURES = REPOSITORY / "crates/data/tests/golden/images"
NAMES = ("rgb_square.png", "two_by_three.png")


def text(words: str) -> dict:
    """Return a part of a message."""
    return {"type": "text", "text": words}


def said(role: str, *parts: dict) -> list:
    """Return a list of one message."""
    return [{"role": role, "content": [{"type": part["type"], "text": part.get("text")} for part in parts]}]


PICTURE = {"type": "image"}
ROWS = [
    {
        "id": "1",
        "prompt": said("user", PICTURE, PICTURE, text("What is there?")),
        "chosen": said("assistant", text("A wall.")),
        "rejected": said("assistant", text("A dog, “so to say”.")),
        "images": list(NAMES),
    },
    {
        "id": "2",
        "prompt": said("user", text("Who?")),
        "chosen": said("assistant", text("Me.")),
        "rejected": said("assistant", text("You.")),
        "images": [],
    },
]


def without_nulls(value: object) -> object:
    """Leave out what is null, as lines of JSON do."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def convert(folder: Path, source: str, target: str, *more: str) -> None:
    """Run candor."""
    formats = ["--from", "trl", "--to", "trl", "--strict"]
    command = [CANDOR, "data", "convert", source, "--out", target, *formats, *more]
    subprocess.run(command, cwd=folder, check=True)


def opened(folder: Path, name: str) -> Dataset:
    """Open a parquet file."""
    cache = str(folder / "cache")
    return load_dataset("parquet", data_files=str(folder / name), split="train", cache_dir=cache)


def main() -> None:
    """Compare."""
    part = {"type": Value("string"), "text": Value("string")}
    messages = List({"role": Value("string"), "content": List(part)})
    wanted = {"id": Value("string"), "prompt": messages, "chosen": messages, "rejected": messages}
    wanted |= {"images": List(Image()), "rejected_score": Value("float64")}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        lines = [json.dumps(without_nulls(row)) for row in ROWS]
        (folder / "rows.jsonl").write_text("\n".join(lines))
        convert(folder, "rows.jsonl", "rows.parquet", "--embed", "--images", str(PICTURES))
        rows = opened(folder, "rows.parquet")
        assert dict(rows.features) == wanted, rows.features
        for row, expected in zip(rows, ROWS, strict=True):
            for field in ("id", "prompt", "chosen", "rejected"):
                assert row[field] == expected[field], (row[field], expected[field])
            pictures = row["images"] or []
            assert len(pictures) == len(expected["images"])
            for picture, name in zip(pictures, expected["images"], strict=True):
                with Picture.open(PICTURES / name) as file:
                    assert picture.size == file.size and picture.tobytes() == file.tobytes(), name
        # The other way: what `datasets` writes is the same to candor.
        rows.to_parquet(str(folder / "theirs.parquet"))
        for name in ("rows", "theirs"):
            convert(folder, f"{name}.parquet", f"{name}-again.jsonl", "--images", str(folder / "taken"))
        ours, theirs = ((folder / f"{name}-again.jsonl").read_text() for name in ("rows", "theirs"))
        assert ours == theirs, (ours, theirs)
        # Without the pictures inside, their names are the paths.
        convert(folder, "rows.jsonl", "names.parquet")
        names = opened(folder, "names.parquet").cast_column("images", List(Image(decode=False)))
        paths = [[image["path"] for image in row["images"] or []] for row in names]
        assert paths == [row["images"] for row in ROWS], paths
    print("datasets opens what candor writes, and candor what datasets writes")


if __name__ == "__main__":
    main()
