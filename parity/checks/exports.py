"""Open what `candor export` writes with transformers and PEFT, any warning being an error, and compare.

    parity/run exports          with target/release/candor, or the program that CANDOR names

- Models: no key missing, unexpected or of another shape; every weight bit for bit that of the source; the
  same ids and logits from a picture and a conversation, through the exported tokenizer, chat template and
  processor.
- Adapters: PEFT reads them without a word, and computes to the last bit what it computes with the original.
- Merged models: PEFT's own `merge_and_unload` beside candor's; where embedding or output layer are changed,
  the logits of the adapter beside its base.
- The original dialect, for which transformers has no class: its tower as a CLIP, its decoder as a LLaMA.
"""

import json
import logging
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoProcessor,
    CLIPImageProcessor,
    CLIPVisionModel,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
)

from fixtures.adapters import CASE, FOLDERS, base
from fixtures.checkpoints import randomise
from fixtures.dialects import EVERY_WORD, FOLDER, PICTURE, SAID, SYSTEM, parts
from fixtures.embeddings import NOT_ENSURED, OPTIONS
from fixtures.golden import DATA, MODEL, REPOSITORY

CANDOR = os.environ.get("CANDOR", str(REPOSITORY / "target/release/candor"))
# As in the Rust tests: transformers' own rounding is up to 3e-5.
ABSOLUTE = 1e-4
# Deprecations inside of transformers and torch, and packages that are not installed: no file decides these.
NOT_ABOUT_FILES = ("is_gradient_checkpointing", "`torch.jit", "requires torchvision")


class Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.words.append(record.getMessage())


@contextmanager
def nothing_is_said(what: str) -> Iterator[None]:
    """Fail if anything is warned of or logged as a warning."""
    heard = Heard()
    loggers = [logging.getLogger(name) for name in ("transformers", "peft", "huggingface_hub")]
    for logger in loggers:
        logger.addHandler(heard)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        for logger in loggers:
            logger.removeHandler(heard)
    said = heard.words + [str(warning.message) for warning in caught]
    said = [words for words in said if not any(known in words for known in NOT_ABOUT_FILES)]
    assert not said, f"{what}: {said}"


def export(*arguments: object) -> str:
    """Run `candor export` and return what it prints."""
    words = [CANDOR, "export", *map(str, arguments)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def opened(folder: Path, what: str) -> LlavaForConditionalGeneration:
    """Open a model, in float32."""
    with nothing_is_said(what):
        model, report = LlavaForConditionalGeneration.from_pretrained(
            folder, output_loading_info=True, dtype=torch.float32
        )
        GenerationConfig.from_pretrained(folder)
    assert not any(report.values()), f"{what}: {report}"
    return model.eval()


def say(what: str, difference: float) -> None:
    """Print one line of the table."""
    print(f"parity: export {what} max_abs={difference:.1e}")


def conversation(what: str, folder: Path, system: bool) -> dict[str, torch.Tensor]:
    """Return the model's inputs for the conversation of the golden files."""
    with nothing_is_said(what):
        processor = AutoProcessor.from_pretrained(folder, backend="pil")
    roles = ["user", "assistant"]
    messages = [{"role": roles[i % 2], "content": parts(words)} for i, words in enumerate(SAID)]
    if system:
        messages.insert(0, {"role": "system", "content": parts(SYSTEM)})
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    bos = processor.tokenizer.bos_token
    text = text if text.startswith(bos) else bos + text
    image = Image.open(DATA / "images" / PICTURE).convert("RGB")
    return processor(images=image, text=text, add_special_tokens=False, return_tensors="pt")


def check_model(case: str, out: Path) -> None:
    """Open an exported model and compare it with the golden file of its source."""
    export(FOLDER / case, "--out", out)
    model = opened(out, case)
    golden = load_file(FOLDER / f"{case}.safetensors")
    original = case.startswith("original")
    inputs = conversation(case, out, system=original)
    assert torch.equal(inputs["input_ids"], golden["input_ids"]), f"{case}: ids"
    with torch.no_grad():
        logits = model(**inputs).logits
    words = inputs["input_ids"][0] != model.config.image_token_id
    found = logits[0, words][::EVERY_WORD]
    expected = golden["logits"]
    difference = (found[:, : expected.shape[1]] - expected).abs().max().item()
    say(f"{case} ids identical; logits", difference)
    assert difference <= ABSOLUTE
    if original:
        return
    source = LlavaForConditionalGeneration.from_pretrained(FOLDER / case, dtype=torch.float32)
    for (name, weight), (_, exported) in zip(
        source.state_dict().items(), model.state_dict().items(), strict=True
    ):
        assert torch.equal(weight, exported), f"{case}: {name}"
    stored = {tensor.dtype for file in out.glob("*.safetensors") for tensor in load_file(file).values()}
    said = json.loads((out / "config.json").read_text())
    assert [str(kind).removeprefix("torch.") for kind in stored] == [
        said.get("dtype", said.get("torch_dtype"))
    ]
    say(f"{case} {len(source.state_dict())} weights bit-equal", 0.0)


def check_adapter(name: str, out: Path) -> None:
    """Open an exported adapter with PEFT and compare with the original."""
    folder = next(folder for folder in FOLDERS if folder.name == name)
    source = MODEL / "adapters" / name
    checkpoint_format = "llava" if folder.llama else "hf"
    export(MODEL / CASE.name, "--adapter", source, "--format", checkpoint_format, "--out", out)
    golden = load_file(source / "expected.safetensors")
    expected = golden.pop("logits")
    with nothing_is_said(f"adapter {name}"):
        model = PeftModel.from_pretrained(base(folder), out).eval()
    with torch.no_grad():
        difference = (model(**golden).logits - expected).abs().max().item()
    say(f"adapter {name} logits", difference)
    # 0 on the processor that the golden logits were made on; PEFT itself is 1.5e-5 from them on another.
    assert difference <= ABSOLUTE, name


def check_merged(out: Path) -> None:
    """Merge an adapter into a model and compare with PEFT's merging of the same."""
    case = "hf_published_336"
    model = LlavaForConditionalGeneration.from_pretrained(FOLDER / case, dtype=torch.float32)
    config = LoraConfig(r=2, lora_alpha=4, target_modules=r".*language_model.*\.(q_proj|down_proj)")
    wrapped = get_peft_model(model, config)
    halves = {n.replace(".", "/"): w for n, w in wrapped.named_parameters() if w.requires_grad}
    randomise(torch.nn.ParameterDict(halves), "merged")
    with warnings.catch_warnings(action="ignore"):
        wrapped.save_pretrained(out / "adapter")
    printed = export(
        FOLDER / case, "--adapter", out / "adapter", "--merge", "--dtype", "f32", "--out", out / "model"
    )
    # The adapter alone names its base, too.
    export(out / "adapter", "--merge", "--base", FOLDER / case, "--dtype", "f32", "--out", out / "again")
    expected = wrapped.merge_and_unload().state_dict()
    for folder in ("model", "again"):
        merged = opened(out / folder, "merged").state_dict()
        assert merged.keys() == expected.keys()
        difference = max((merged[n] - expected[n]).abs().max().item() for n in expected)
        say(f"merged weights ({folder})", difference)
        assert difference <= 1e-6
    print(printed.strip().splitlines()[-1])


def tied_or_not(tied: bool, out: Path) -> Path:
    """Write a model with a tokenizer that has one matrix for embedding and output layer, or two."""
    case = FOLDER / "hf_published_336"
    model = LlavaForConditionalGeneration.from_pretrained(case, dtype=torch.float32)
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = tied
    if tied:
        model.lm_head.weight = model.get_input_embeddings().weight
    shutil.copytree(case, out, ignore=shutil.ignore_patterns("*.safetensors*", "config.json"))
    model.save_pretrained(out)
    return out


def check_words(out: Path) -> None:
    """Merge adapters of embedding and output layer, and compare with the same beside their base."""
    ids = torch.arange(3, 40)[None]
    for tied in (False, True):
        source = tied_or_not(tied, out / f"base-{tied}")
        worst = 0.0
        for what, options in OPTIONS.items():
            for ensure in (False, True)[: 1 if what in NOT_ENSURED else 2]:
                name = f"{what}-{tied}-{ensure}"
                model = LlavaForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
                config = LoraConfig(r=2, lora_alpha=3, ensure_weight_tying=ensure, **deepcopy(options))
                with warnings.catch_warnings(action="ignore"):
                    wrapped = get_peft_model(model, config).eval()
                    trained = {n: w for n, w in wrapped.named_parameters() if w.requires_grad}
                    trained = {n.replace(".", "/"): w for n, w in trained.items()}
                    randomise(torch.nn.ParameterDict(trained), "words", what)
                    wrapped.save_pretrained(out / name)
                arguments = ("--adapter", out / name, "--merge", "--dtype", "f32", "--out")
                export(source, *arguments, out / f"{name}-merged")
                merged = opened(out / f"{name}-merged", name)
                with torch.no_grad():
                    difference = (merged(ids).logits - wrapped(ids).logits).abs().max().item()
                worst = max(worst, difference)
                assert difference <= ABSOLUTE, f"{name}: {difference}"
        say(f"merged embeddings and output layers ({'tied' if tied else 'untied'})", worst)


def check_original(out: Path) -> None:
    """Open the parts of an exported original LLaVA for which transformers has classes."""
    case = "hf_published_336"
    export(FOLDER / case, "--format", "llava", "--out", out)
    with nothing_is_said("tower"):
        tower, report = CLIPVisionModel.from_pretrained(out / "vision_tower", output_loading_info=True)
        CLIPImageProcessor.from_pretrained(out / "vision_tower")
    assert not any(report.values()), report
    fields = json.loads((out / "config.json").read_text())
    decoder, report = LlamaForCausalLM.from_pretrained(
        out, config=LlamaConfig.from_dict({**fields, "model_type": "llama"}), output_loading_info=True
    )
    projector = {f"model.mm_projector.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")}
    assert set(report.pop("unexpected_keys")) == projector
    assert not any(report.values()), report
    source = LlavaForConditionalGeneration.from_pretrained(FOLDER / case, dtype=torch.float16)
    pairs = [
        (source.model.vision_tower, tower),
        (source.model.language_model, decoder.model),
        (source.lm_head, decoder.lm_head),
    ]
    for whole, part in pairs:
        for (name, weight), (_, exported) in zip(
            whole.state_dict().items(), part.state_dict().items(), strict=True
        ):
            assert torch.equal(weight.half(), exported.half()), name
    say("the original dialect's tower and decoder bit-equal", 0.0)


def main() -> None:
    """Check everything."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for case in ("hf_published_336", "hf_current_224", "original_mlp_336"):
            check_model(case, folder / case)
        for name in ("patterns", "earlier", "llama", "blocks"):
            check_adapter(name, folder / name)
        check_merged(folder / "merged")
        check_words(folder / "words")
        check_original(folder / "original")


if __name__ == "__main__":
    main()
