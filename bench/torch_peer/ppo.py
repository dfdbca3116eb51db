"""The peer's PPO step: the demo's recipe in PyTorch, transformers and PEFT.

Two frozen bases with two adapters each: the policy and its reference, the critic and the reward model. A step samples responses,
128 if the folder's peer.json says nothing else, scores them behind the facts, and learns from them twice in mini-batches.
"""

import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors.torch import load_file

from inputs import EOS, Images, World, embed, left, real, render, right
from stages import adamw

EPOCHS, PASS_ROWS = 2, 32
KL, CLIP, VALUE_CLIP, VALUE_COEF, NO_END, LENGTH = 0.25, 0.2, 0.2, 0.1, 8.0, 10.0 / 896.0


class Side:
    """A base with an adapter that learns and a frozen one."""

    def __init__(self, world: World, folder: str, images: Images, cached: bool):
        self.base, self.images, self.cached = world.model(), images, cached
        self.projected = images.projected(self.base) if cached else None
        self.model = PeftModel.from_pretrained(self.base, world.work / folder, adapter_name="learns", is_trainable=True)
        self.model.load_adapter(world.work / folder, adapter_name="frozen")
        self.parameters = [p for name, p in self.model.named_parameters() if ".learns." in name]

    def use(self, adapter: str) -> None:
        self.model.base_model.set_adapter(adapter, inference_mode=adapter == "frozen")

    def hidden(self, rows: list[dict], ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        names = [row["image"] for row in rows]
        if self.cached:
            # Padded at the ends alone, where causal attention never looks.
            embedded = embed(self.base, ids, self.images.of(names, self.projected))
            return self.base.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        position = (mask.cumsum(1) - 1).clamp(min=0)
        given = {"attention_mask": mask, "position_ids": position, "pixel_values": self.images.of(names)}
        return self.base.model(input_ids=ids, use_cache=False, **given).last_hidden_state

    def before_responses(self, rows: list[dict]) -> torch.Tensor:
        """Hidden states that say each token of the responses: `[rows, longest response, width]`."""
        responses = [row["response"] for row in rows]
        n = max(map(len, responses))
        if not self.cached:
            queries, mask = left([row["query"] for row in rows])
            ids = torch.cat([queries, right(responses)], 1)
            return self.hidden(rows, ids, torch.cat([mask, real(responses)], 1))[:, -n - 1 : -1]
        hidden = self.hidden(rows, right([row["query"] + row["response"] for row in rows]), None)
        place = torch.tensor([[len(row["query"]) - 1] for row in rows]) + torch.arange(n)
        place = place.clamp(max=hidden.shape[1] - 1).unsqueeze(-1)
        return hidden.gather(1, place.expand(-1, -1, hidden.shape[2]))


class Ppo:
    def __init__(self, world: World, cached: bool):
        self.world, self.cached, self.of_recipe = world, cached, world.settings
        self.rows = world.rows("world/rl/prompts.json")
        images = Images(world, [row["image"] for row in self.rows])
        self.policy = Side(world, "policy-init/adapter", images, cached)
        self.judge = Side(world, "reward/adapter", images, cached)
        width = self.policy.base.config.text_config.hidden_size
        self.reward_head, self.value_head = torch.nn.Linear(width, 1), torch.nn.Linear(width, 1)
        head = load_file(world.work / "reward/reward_head.safetensors")
        self.reward_head.load_state_dict({name: head[f"head.{name}"] for name in ("weight", "bias")})
        self.reward_head.requires_grad_(False)
        self.parameters = [*self.policy.parameters, *self.judge.parameters, *self.value_head.parameters()]
        self.optimizer = adamw(self.parameters, self.of_recipe["learning_rate"], cached)

    def step(self, at: int) -> int:
        n, clock = self.of_recipe["rollouts"], self.world.clock
        first = at * n % (len(self.rows) - n)
        rows = [dict(row) for row in self.rows[first : first + n]]
        with clock.phase("rollout"):
            self.roll_out(rows)
        with torch.no_grad():
            with clock.phase("score"):
                self.judge.use("frozen")
                scores = self.passes(rows, self.scores, lambda row: len(row["judged"]))
            with clock.phase("reference"):
                self.policy.use("frozen")
                reference = self.passes(rows, self.logprobs, whole)
            with clock.phase("values"):
                self.judge.use("learns")
                values = self.passes(rows, self.values, whole)
        with clock.phase("update"):
            self.update(rows, self.experience(rows, scores, reference, values))
        return sum(len(row["response"]) for row in rows)

    @torch.no_grad()
    def roll_out(self, rows: list[dict]) -> None:
        self.policy.use("learns")
        questions = [row["conversations"][0]["value"] for row in rows]
        for row, query in zip(rows, self.world.encode([render([question]) for question in questions])):
            row["query"] = query
        ids, mask = left([row["query"] for row in rows])
        names = [row["image"] for row in rows]
        if self.cached:
            kept = self.policy.images.of(names, self.policy.projected)
            given = {"inputs_embeds": embed(self.policy.base, ids, kept)}
        else:
            given = {"input_ids": ids, "pixel_values": self.policy.images.of(names)}
        drawn = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": self.of_recipe["new_tokens"]}
        found = self.policy.model.generate(**given, attention_mask=mask, **drawn, return_dict_in_generate=True, output_logits=True)
        new = found.sequences[:, -len(found.logits) :]
        said = torch.stack(found.logits, 1).float().log_softmax(-1).gather(-1, new.unsqueeze(-1)).squeeze(-1)
        for row, question, tokens, logprobs in zip(rows, questions, new.tolist(), said):
            n = tokens.index(EOS) + 1 if EOS in tokens else len(tokens)
            answer = self.world.tokenizer.decode(tokens[:n], skip_special_tokens=True).strip()
            facts = self.world.facts_of(row["image"], row["caption_type"])
            row |= {"response": tokens[:n], "old": logprobs[:n], "ended": tokens[n - 1] == EOS}
            row["judged"], row["read"] = self.world.judged(question, answer, facts)

    def passes(self, rows: list[dict], of, length) -> torch.Tensor:
        """Some rows at a time, those of one length together where a patient engineer would; in the order of the rows."""
        order = sorted(range(len(rows)), key=lambda at: length(rows[at])) if self.cached else range(len(rows))
        order = torch.tensor(list(order))
        parts = [of([rows[at] for at in some.tolist()]) for some in order.split(PASS_ROWS)]
        longest = max(part.shape[1] for part in parts)
        found = torch.cat([F.pad(part, (0, longest - part.shape[1])) for part in parts])
        return found[order.argsort()]

    def scores(self, rows: list[dict]) -> torch.Tensor:
        judged = [row["judged"] for row in rows]
        hidden = self.judge.hidden(rows, right(judged), real(judged))
        ends = torch.tensor([[len(row["judged"])] for row in rows])
        starts = ends - torch.tensor([[row["read"]] for row in rows])
        place = torch.arange(hidden.shape[1])
        return self.reward_head((hidden * ((place >= starts) & (place < ends)).unsqueeze(-1)).sum(1).float())

    def logprobs(self, rows: list[dict]) -> torch.Tensor:
        return said(self.policy.base.lm_head(self.policy.before_responses(rows)), rows)[0]

    def values(self, rows: list[dict]) -> torch.Tensor:
        return self.value_head(self.judge.before_responses(rows).float()).squeeze(-1)

    def experience(self, rows: list[dict], scores: torch.Tensor, reference: torch.Tensor, values: torch.Tensor) -> dict:
        mask = real([row["response"] for row in rows]).bool()
        old = torch.nn.utils.rnn.pad_sequence([row["old"] for row in rows], batch_first=True)
        rewards = (-KL * (old - reference)).masked_fill(~mask, 0)
        lengths = mask.sum(1)
        penalty = torch.tensor([NO_END * (not row["ended"]) + LENGTH * len(row["response"]) for row in rows])
        rewards[torch.arange(len(rows)), lengths - 1] += scores.squeeze(1) - penalty
        values = values.masked_fill(~mask, 0)
        # Gamma and lambda are 1: what is still to come, less what was expected.
        returns = rewards.flip(1).cumsum(1).flip(1).masked_fill(~mask, 0)
        advantages = returns - values
        real_ones = advantages[mask]
        advantages = ((advantages - real_ones.mean()) / (real_ones.std(correction=0) + 1e-8)).masked_fill(~mask, 0)
        return {"mask": mask, "old": old, "advantages": advantages, "values": values, "returns": returns}

    def update(self, rows: list[dict], experience: dict) -> None:
        self.policy.use("learns")
        self.judge.use("learns")
        for _ in range(EPOCHS):
            for mini in torch.randperm(len(rows)).split(self.of_recipe["mini_batch"]):
                order = mini.tolist()
                if self.cached:
                    order.sort(key=lambda at: whole(rows[at]))
                n_tokens = sum(len(rows[at]["response"]) for at in order)
                self.optimizer.zero_grad()
                micro = self.of_recipe["micro_batch"]
                for start in range(0, len(order), micro):
                    some = order[start : start + micro]
                    self.learn([rows[at] for at in some], experience, some, n_tokens)
                torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
                self.optimizer.step()

    def learn(self, rows: list[dict], experience: dict, at: list[int], n_tokens: int) -> None:
        n = max(len(row["response"]) for row in rows)
        mask, old, advantages, before, returns = (experience[name][at, :n] for name in ("mask", "old", "advantages", "values", "returns"))
        logits = self.policy.base.lm_head(self.policy.before_responses(rows))
        logprobs, distribution = said(logits, rows)
        entropy = -(distribution.detach().exp() * distribution.detach()).sum(-1)[mask].sum()
        assert entropy.isfinite()
        ratio = (logprobs - old).masked_fill(~mask, 0).exp()
        worse = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - CLIP, 1 + CLIP))
        (worse[mask].sum() / n_tokens).backward()
        values = self.values(rows)
        near = before + (values - before).clamp(-VALUE_CLIP, VALUE_CLIP)
        squares = torch.maximum((values - returns) ** 2, (near - returns) ** 2)
        (0.5 * VALUE_COEF * squares[mask].sum() / n_tokens).backward()


def said(logits: torch.Tensor, rows: list[dict]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the responses' tokens, and of all tokens."""
    distribution = logits.float().log_softmax(-1)
    responses = right([row["response"] for row in rows])
    return distribution.gather(-1, responses.unsqueeze(-1)).squeeze(-1), distribution


def whole(row: dict) -> int:
    return len(row["query"]) + len(row["response"])
