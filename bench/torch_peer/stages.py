"""The peer's supervised fine-tuning, reward model and sampling, with the settings of the demo's recipes."""

import random

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model

from inputs import EOS, Images, World, embed, left, real, render, right

BATCH = 16
ALL_LAYERS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
SAMPLED_ROWS, SAMPLES, TEMPERATURE, NEW_TOKENS = 128, 2, 0.7, 128


def adamw(parameters: list, learning_rate: float, cached: bool) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0, fused=cached or None)


class Sft:
    """Decoder and projector, or an adapter on the decoder, on conversations, 16 a step."""

    def __init__(self, world: World, cached: bool):
        rows = world.rows("world/sft/descriptions.json") + world.rows("world/sft/conversations.json")
        random.Random(0).shuffle(rows)
        self.cached, self.model = cached, world.model()
        self.rows = [self.prepared(world, row) for row in rows[:1600]]
        self.images = Images(world, [name for name, _, _ in self.rows])
        self.features = self.images.features(self.model) if cached else None
        self.clock = world.clock
        if world.settings["tune"] == "lora":
            # Its layers take the places of the model's own.
            get_peft_model(self.model, LoraConfig(r=16, lora_alpha=32.0, target_modules=ALL_LAYERS))
            self.parameters = [p for p in self.model.parameters() if p.requires_grad]
            self.optimizer = adamw(self.parameters, world.settings["learning_rate"], cached)
            return
        parts = [self.model.model.language_model, self.model.model.multi_modal_projector, self.model.lm_head]
        self.parameters = list(dict.fromkeys(p for part in parts for p in part.parameters()))
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.optimizer = adamw(self.parameters, 2e-3, cached)

    @staticmethod
    def prepared(world: World, row: dict) -> tuple[str, list[int], list[int]]:
        """Image, tokens, and labels: an answer's tokens with its end, -100 elsewhere."""
        turns = [turn["value"] for turn in row["conversations"]]
        starts = [render(turns[: at + 1]) for at in range(0, len(turns), 2)]
        ends = [render(turns[: at + 2]) for at in range(0, len(turns), 2)]
        *prefixes, ids = world.encode([*starts, *ends, ends[-1]])
        labels = [-100] * len(ids)
        half = len(starts)
        for start, end in zip(prefixes[:half], prefixes[half:]):
            labels[len(start) : len(end)] = ids[len(start) : len(end)]
        return row["image"], ids, labels

    def step(self, at: int) -> int:
        with self.clock.phase("step"):
            return self.learn(at)

    def learn(self, at: int) -> int:
        first = at * BATCH % (len(self.rows) - BATCH)
        names, ids, labels = zip(*self.rows[first : first + BATCH])
        padded, targets = right(ids), right(labels, -100)
        self.optimizer.zero_grad()
        if self.cached:
            projected = self.model.model.multi_modal_projector(self.images.of(names, self.features))
            embedded = embed(self.model, padded, projected)
            hidden = self.model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
            trained = targets[:, 1:] != -100
            loss = F.cross_entropy(self.model.lm_head(hidden[:, :-1][trained]).float(), targets[:, 1:][trained])
        else:
            given = {"input_ids": padded, "attention_mask": real(ids), "pixel_values": self.images.of(names)}
            loss = self.model(**given, labels=targets, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return sum(map(len, ids))


class Reward:
    """A small adapter and a scalar head on comparisons, 16 a step, each answer behind the facts."""

    def __init__(self, world: World, cached: bool):
        self.cached, base = cached, world.model()
        self.pairs = []
        for row in world.rows("preferences/preferences.json"):
            question = row["conversations"][0]["value"]
            answers = [row["output_1"]["value"], row["output_2"]["value"]]
            chosen = answers if row["preference"] == 1 else answers[::-1]
            facts = world.facts_of(row["image"])
            self.pairs.append((row["image"], [world.judged(question, answer, facts) for answer in chosen]))
        self.images = Images(world, [name for name, _ in self.pairs])
        self.projected = self.images.projected(base) if cached else None
        lora = LoraConfig(r=4, lora_alpha=8.0, target_modules=r".*language_model.*\.(q_proj|v_proj)")
        self.base, self.model = base, get_peft_model(base, lora)
        self.head = torch.nn.Linear(base.config.text_config.hidden_size, 1)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad] + list(self.head.parameters())
        self.optimizer = adamw(self.parameters, 2e-3, cached)

    def step(self, at: int) -> int:
        first = at * BATCH % (len(self.pairs) - BATCH)
        pairs = self.pairs[first : first + BATCH]
        names = [name for name, _ in pairs for _ in range(2)]
        judged = [answer for _, answers in pairs for answer in answers]
        ids = [tokens for tokens, _ in judged]
        self.optimizer.zero_grad()
        if self.cached:
            embedded = embed(self.base, right(ids), self.images.of(names, self.projected))
            hidden = self.base.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        else:
            given = {"attention_mask": real(ids), "pixel_values": self.images.of(names)}
            hidden = self.base.model(input_ids=right(ids), use_cache=False, **given).last_hidden_state
        ends = torch.tensor([[len(row)] for row in ids])
        starts = ends - torch.tensor([[n] for _, n in judged])
        place = torch.arange(hidden.shape[1])
        read = ((place >= starts) & (place < ends)).unsqueeze(-1)
        scores = self.head((hidden * read).sum(1).float()).view(-1, 2)
        loss = -F.logsigmoid(scores[:, 0] - scores[:, 1]).mean() + 1e-3 * scores.mean() ** 2
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return sum(map(len, ids))


class Sample:
    """Two answers to each of 64 prompts a step, by `generate`."""

    def __init__(self, world: World, cached: bool):
        self.cached, self.model = cached, world.model()
        rows = world.rows("world/preference/prompts.json")
        self.queries = world.encode([render([turn["value"] for turn in row["conversations"][:-1]]) for row in rows])
        self.names = [row["image"] for row in rows]
        self.images = Images(world, self.names)
        self.projected = self.images.projected(self.model) if cached else None

    @torch.inference_mode()
    def step(self, at: int) -> int:
        n = SAMPLED_ROWS // SAMPLES
        first = at * n % (len(self.queries) - n)
        ids, mask = left(self.queries[first : first + n])
        names = self.names[first : first + n]
        if self.cached:
            given = {"inputs_embeds": embed(self.model, ids, self.images.of(names, self.projected))}
        else:
            given = {"input_ids": ids, "pixel_values": self.images.of(names)}
        drawn = {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0, "top_p": 1.0}
        found = self.model.generate(**given, attention_mask=mask, num_return_sequences=SAMPLES, max_new_tokens=NEW_TOKENS, **drawn)
        new = found if self.cached else found[:, ids.shape[1] :]
        ended = (new == EOS).int()
        return int(torch.where(ended.any(1), ended.argmax(1) + 1, new.shape[1]).sum())
