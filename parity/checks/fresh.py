"""Open models that the demo has made of nothing with transformers, and compare what they say.

    parity/run fresh DEMO [DEMO ...]    folders of `candor demo`, with any --family

The fine-tuned model of each is exported. transformers opens that without a word and with no key missing or
left over, renders a question about a picture of the micro-world by its chat template, and answers greedily:
the tokens are those of `candor chat`, and so are their log-probabilities.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from checks.exports import ABSOLUTE, CANDOR, export, nothing_is_said, say

QUESTION = "Describe the image in detail."
N_NEW_TOKENS = 32


def asked_of_candor(model: Path, picture: Path) -> dict:
    """Return what `candor chat` says: token ids and their log-probabilities."""
    words = [CANDOR, "chat", str(model), "--image", str(picture), "--prompt", QUESTION]
    words += ["--json", "--device", "cpu", "--max-new-tokens", str(N_NEW_TOKENS)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def asked_of_transformers(model: Path, picture: Path) -> tuple[list[int], torch.Tensor]:
    """Return what transformers says of the same."""
    with nothing_is_said(str(model)):
        opened, report = AutoModelForImageTextToText.from_pretrained(
            model, output_loading_info=True, dtype=torch.float32
        )
        processor = AutoProcessor.from_pretrained(model, backend="pil")
    assert not any(report.values()), f"{model}: {report}"
    parts = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    messages = [{"role": "user", "content": parts}]
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    image = Image.open(picture).convert("RGB")
    inputs = processor(images=image, text=text, add_special_tokens=False, return_tensors="pt")
    n_read = inputs["input_ids"].shape[1]
    made = opened.eval().generate(
        **inputs,
        max_new_tokens=N_NEW_TOKENS,
        do_sample=False,
        eos_token_id=processor.tokenizer.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = made.sequences[0, n_read:].tolist()
    logprobs = torch.stack(made.logits)[:, 0].log_softmax(-1)
    return ids, logprobs[torch.arange(len(ids)), ids]


def check(demo: Path, out: Path) -> None:
    """Compare the fine-tuned model of one demo."""
    export(demo / "sft" / "model", "--out", out)
    pictures = sorted((demo / "world" / "images").glob("*.png"))
    worst = 0.0
    for picture in pictures[:: max(1, len(pictures) // 8)][:8]:
        ours = asked_of_candor(out, picture)
        ids, logprobs = asked_of_transformers(out, picture)
        assert ours["ids"] == ids, f"{demo}, {picture.name}: {ours['ids']} and {ids}"
        difference = (torch.tensor(ours["logprobs"]) - logprobs).abs().max().item()
        assert difference <= ABSOLUTE, f"{demo}, {picture.name}: {difference}"
        worst = max(worst, difference)
    say(f"{demo} ids of 8 answers identical; log-probabilities", worst)


def main() -> None:
    """Check every demo that is named."""
    demos = [Path(name) for name in sys.argv[1:]]
    assert demos, "name the folders of demos: parity/run fresh runs/qwen3-vl"
    with tempfile.TemporaryDirectory() as scratch:
        for at, demo in enumerate(demos):
            check(demo.resolve(), Path(scratch) / str(at))


if __name__ == "__main__":
    main()
