"""What the peer's stages share: the world's rows, images and texts, and the model that candor exported.

Nothing here is candor's code: transformers reads the exported folder, PEFT the adapters, Pillow the images.
"""

import json
import os
import pathlib
import sys

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")

import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, AutoTokenizer, LlavaForConditionalGeneration

from clock import Clock

PAD, EOS, PLACEHOLDER = 0, 2, 3
# What a folder's peer.json may say otherwise: the demo's recipes on the CPU.
SETTINGS = {
    "device": "cpu",
    "dtype": "float32",
    # What is fine-tuned: decoder and projector, or an adapter on all layers of the decoder's blocks.
    "tune": "all_but_tower",
    "rollouts": 128,
    "mini_batch": 64,
    "micro_batch": 16,
    "new_tokens": 96,
    # Of PPO, and of an adapter that is fine-tuned.
    "learning_rate": 1e-3,
}
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)[:, None, None]
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)[:, None, None]


class World:
    """The folder that bench/peer has set up."""

    def __init__(self, work: pathlib.Path):
        self.work = work
        own = work / "peer.json"
        self.settings = SETTINGS | (json.loads(own.read_text()) if own.exists() else {})
        self.dtype = getattr(torch, self.settings["dtype"])
        self.clock = Clock(self.settings["device"])
        seen = AutoConfig.from_pretrained(work / "exported").vision_config
        self.side, self.patches = seen.image_size, (seen.image_size // seen.patch_size) ** 2
        self.tokenizer = AutoTokenizer.from_pretrained(work / "exported")
        ids = self.tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<image>"])
        if ids != [PAD, EOS, PLACEHOLDER]:
            sys.exit(f"the exported tokenizer has other special tokens than the bench: {ids}")
        self.facts = self.rows("world/facts/image_to_caption.json")

    def rows(self, path: str):
        return json.loads((self.work / path).read_text())

    def lines(self, path: str) -> list[dict]:
        return [json.loads(line) for line in (self.work / path).read_text().splitlines()]

    def model(self) -> LlavaForConditionalGeneration:
        """The exported model with SDPA attention, frozen."""
        folder = self.work / "exported"
        # Read on the CPU, whatever the device of new tensors is: with another one transformers wants accelerate.
        with torch.device("cpu"):
            model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=self.dtype, attn_implementation="sdpa")
        return model.to(self.settings["device"]).eval().requires_grad_(False)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids, with a placeholder for each patch of an image."""
        ids = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [[i for token in row for i in [token] * (self.patches if token == PLACEHOLDER else 1)] for row in ids]

    def facts_of(self, image: str, caption_type: int = 1) -> list[str]:
        """Questions with options have facts of their own."""
        return self.facts[f"aok_{image}"] if 2 <= caption_type <= 5 else self.facts[image]

    def judged(self, question: str, answer: str, facts: list[str]) -> tuple[list[int], int]:
        """The reward model's tokens, and how many at their end are the answer's, which are scored."""
        shown = "\n".join(f"- {fact.strip()}" for fact in facts)
        before = render([question, answer, f"Facts:\n{shown}\nIs the statement true?"])
        ids, whole = self.encode([before, f"{before} {answer}"])
        return whole, max(1, len(whole) - len(ids))


def render(turns: list[str]) -> str:
    """The template of the demo's models; turns of the user and of the model alternate."""
    text = "<s>"
    for at, said in enumerate(turns):
        text += f"USER: {said.strip()} " if at % 2 == 0 else f"ASSISTANT: {said.strip()}</s>"
    return text + "ASSISTANT:" if len(turns) % 2 == 1 else text


class Images:
    """Pixels of all images that are asked about; the tower's features or what the projector makes of them, if kept."""

    def __init__(self, world: World, names: list[str]):
        self.at = {name: at for at, name in enumerate(dict.fromkeys(names))}
        folder = world.work / "world/images"
        pixels = torch.stack([self.read(folder / name, world.side) for name in self.at])
        self.pixels = pixels.to(world.settings["device"], world.dtype)

    @staticmethod
    def read(path: pathlib.Path, side: int) -> torch.Tensor:
        image = Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        return torch.from_numpy((np.asarray(image, np.float32).transpose(2, 0, 1) / 255 - MEAN) / STD).float()

    def of(self, names: list[str], kept: torch.Tensor | None = None) -> torch.Tensor:
        return (self.pixels if kept is None else kept)[[self.at[name] for name in names]]

    @torch.no_grad()
    def features(self, model) -> torch.Tensor:
        """What the tower says: can be kept while the tower is frozen."""
        tower, layer = model.model.vision_tower, model.config.vision_feature_layer
        parts = self.pixels.split(256)
        return torch.cat([tower(part, output_hidden_states=True).hidden_states[layer][:, 1:] for part in parts])

    @torch.no_grad()
    def projected(self, model) -> torch.Tensor:
        """What stands in place of the placeholders: can be kept while the projector is frozen too."""
        return model.model.multi_modal_projector(self.features(model))


def embed(model, ids: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
    """Embeddings with an image's rows in place of its placeholders."""
    hole = ids == PLACEHOLDER
    words = model.get_input_embeddings()(ids.masked_fill(hole, PAD))
    return words.masked_scatter(hole.unsqueeze(-1), projected)


def right(rows: list[list[int]], fill: int = PAD) -> torch.Tensor:
    """Rows padded at their ends."""
    longest = max(map(len, rows))
    return torch.tensor([row + [fill] * (longest - len(row)) for row in rows])


def left(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded at their beginnings, and the mask of what is real."""
    longest = max(map(len, rows))
    ids = [[PAD] * (longest - len(row)) + row for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


def real(rows: list[list]) -> torch.Tensor:
    """The mask of rows padded at their ends."""
    return right([[1] * len(row) for row in rows], 0)
