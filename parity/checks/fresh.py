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
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from checks.exports import ABSOLUTE, CANDOR, export, nothing_is_said, say

QUESTION = "Describe the image in detail."
N_NEW_TOKENS = 32
PAD = "<|image_pad|>"


def asked_of_candor(model: Path, picture: Path) -> dict:
    """Return what `candor chat` says: token ids and their log-probabilities."""
    words = [CANDOR, "chat", str(model), "--image", str(picture), "--prompt", QUESTION]
    words += ["--json", "--device", "cpu", "--max-new-tokens", str(N_NEW_TOKENS)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def inputs_of(
    model: Path, config: PretrainedConfig, image: Image.Image
) -> tuple[dict, PreTrainedTokenizerBase]:
    """Return a question about a picture as a model reads it, and the tokenizer.

    The processors of Qwen-VL need torchvision, for videos: their image processor and their tokenizer do not.
    """
    parts = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    asked = {
        "conversation": [{"role": "user", "content": parts}],
        "tokenize": False,
        "add_generation_prompt": True,
    }
    with nothing_is_said(str(model)):
        if not config.model_type.startswith("qwen"):
            processor = AutoProcessor.from_pretrained(model, backend="pil")
            text = processor.apply_chat_template(**asked)
            read = processor(images=image, text=text, add_special_tokens=False, return_tensors="pt")
            return dict(read), processor.tokenizer
        tokenizer = AutoTokenizer.from_pretrained(model)
        seen = AutoImageProcessor.from_pretrained(model, backend="pil")(images=image, return_tensors="pt")
    n_tokens = int(seen["image_grid_thw"].prod()) // config.vision_config.spatial_merge_size**2
    text = tokenizer.apply_chat_template(**asked).replace(PAD, PAD * n_tokens)
    read = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    kinds = (read["input_ids"] == config.image_token_id).int()
    return {**read, **seen, "mm_token_type_ids": kinds}, tokenizer


def asked_of_transformers(model: Path, picture: Path) -> tuple[list[int], torch.Tensor]:
    """Return what transformers says of the same."""
    with nothing_is_said(str(model)):
        opened, report = AutoModelForImageTextToText.from_pretrained(
            model, output_loading_info=True, dtype=torch.float32
        )
    assert not any(report.values()), f"{model}: {report}"
    inputs, tokenizer = inputs_of(model, opened.config, Image.open(picture).convert("RGB"))
    n_read = inputs["input_ids"].shape[1]
    made = opened.eval().generate(
        **inputs,
        max_new_tokens=N_NEW_TOKENS,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
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
