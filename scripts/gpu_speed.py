"""The half of gpu-check that takes time: fine-tuning of an adapter, sampling, scores and updates of PPO by candor and, on the same
checkpoint and device, by plain PyTorch, transformers and PEFT (bench/torch_peer).

The model has random weights, so its answers are noise that goes on to the limit of their length: the work is a real model's, the
scores and losses mean nothing. On the CPU it is the demo's small model, which tests this script.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PEER = REPOSITORY / "bench/torch_peer/run.py"
PEERS = ("plain", "cached")
# A peer is not begun with less left, nor kept for longer than it takes to say what it has.
LEAST_SECS = 45
# A Python that has not imported the libraries by then hangs.
IMPORT_SECS = 120
PHASES = ("rollout", "score", "reference", "values", "update")
SOURCES = (
    '[{ name = "descriptions", format = "llava", path = "sft/descriptions.json", weight = 0.6 },'
    ' { name = "conversations", format = "llava", path = "sft/conversations.json", weight = 0.4 }]'
)
EPOCHS = 2
ADAPTER = "lora of rank 16 on all layers of the decoder"

# A decoder of 1.2 thousand million weights and a tower of 0.3, as LLaVA's are built; words are the micro-world's few hundred.
LARGE = {
    "model": {
        "model.vision.image_size": 224,
        "model.vision.patch_size": 14,
        "model.vision.width": 1024,
        "model.vision.mlp_width": 4096,
        "model.vision.layers": 24,
        "model.vision.heads": 16,
        "model.text.width": 2048,
        "model.text.mlp_width": 5504,
        "model.text.layers": 24,
        "model.text.heads": 16,
        "model.text.kv_heads": 16,
    },
    "world": ["--train", 400, "--preference", 250, "--rl", 900, "--eval", 150],
    "precision": "bf16",
    # Of a run of candor. The first warms up, the last one's kernels are counted, which slows it; those between are measured.
    "steps": 5,
    # Three chunks of 64, as many as a peer samples in a step.
    "prompts": 192,
    # All positions: random weights answer up to the limit, and an image takes 256.
    "judged_tokens": 1024,
    "rollouts": {"batch.rollout_batch": 128, "batch.mini_batch": 64, "batch.micro_batch": 16, "sampling.max_new_tokens": 96},
    # The demo's are for a model of a thousandth of this; what is learned does not matter, but numbers that are none would end a run.
    "rates": {"ground": 1e-5, "policy-init": 1e-4, "reward": 1e-4, "ppo": 1e-5},
}
# What the CPU does in seconds; the model is the recipe's.
SMALL = {
    "model": {},
    "world": ["--train", 96, "--preference", 200, "--rl", 220, "--eval", 150],
    "precision": "f32",
    "steps": 3,
    "prompts": 180,
    "judged_tokens": 800,
    # So many tokens that some response ends, without which a run of PPO stops: a fresh model writes an end once in several hundred.
    "rollouts": {"batch.rollout_batch": 64, "batch.mini_batch": 32, "batch.micro_batch": 16, "sampling.max_new_tokens": 48},
    "rates": {"policy-init": 3e-3},
}


class Speed:
    """One measurement. `check` runs candor: `scripts/gpu-check` has it."""

    def __init__(self, check):
        self.check, self.out = check, check.out / "speed"
        self.on_gpu = check.device != "cpu"
        self.size = LARGE if self.on_gpu else SMALL
        self.rows, self.notes, self.rate = {}, [], None

    def stage(self, name, command, recipe, values, count=None):
        """Runs a stage of candor into a folder; `count` names the step whose kernels are counted."""
        values = {"run.out": self.out / name, "data.root": self.out / "world", "run.checkpoint_every": 100_000, **values}
        if command == "sample":
            del values["run.checkpoint_every"]
        if name in self.size["rates"]:
            values["optimizer.learning_rate"] = self.size["rates"][name]
        sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        own = {"CANDOR_COUNT_STEP": str(count)} if count else {}
        return self.check.run(command, self.check.recipe_of(recipe), *sets, "--device", self.check.device, environment=own)

    def candor(self):
        """A model of random weights, and each stage from it."""
        base, precision = self.out / "ground/model", {"model.base_precision": self.size["precision"]}
        steps = self.size["steps"]
        self.check.run("world", "write", "--out", self.out / "world", *self.size["world"])
        fresh = {"run.steps": 1, "data.batch_images": 8, "data.n_held_out": 8}
        self.stage("ground", "ground", "0-ground.toml", {**fresh, **self.size["model"]})
        model = {"model.base": base, **precision}
        tuned = {**model, "run.steps": steps, "data.sources": SOURCES, "data.epoch_rows": 16 * steps, "data.max_tokens": 800}
        self.stage("policy-init", "sft", "4-policy-init.toml", tuned, count=steps)
        self.tuning(lines(self.out / "policy-init/timings.jsonl"))
        sampled = {**model, "run.chunk": self.size["prompts"] // 3, "prompts.count": self.size["prompts"]}
        if not self.on_gpu:
            sampled["sampling.max_new_tokens"] = 24
        self.stage("candidates", "sample", "2-sample.toml", sampled)
        self.row("sampling", "candor", lines(self.out / "candidates/timings.jsonl")[-1])
        given = ("--world", self.out / "world", "--candidates", self.out / "candidates/candidates.jsonl")
        self.check.run("world", "annotate", *given, "--out", self.out / "preferences/preferences.json")
        few = {"data.n_validation": 8, "data.n_held_out": 16, "data.n_train": 48, "data.max_tokens": self.size["judged_tokens"]}
        self.stage("reward", "reward", "3-reward.toml", {**model, **few, "data.root": self.out, "run.steps": 2})
        rollouts = {
            **model,
            **self.size["rollouts"],
            "model.policy_init": self.out / "policy-init/adapter",
            "model.reward": self.out / "reward",
            "run.steps": steps,
            "run.samples_per_step": 16,
            "run.snapshot_every": 100_000,
            "guard.max_kl": 1e6,
            "score.normalise": "none",
        }
        self.stage("ppo", "rl", "5-ppo.toml", rollouts, count=steps)
        self.reinforcing(lines(self.out / "ppo/timings.jsonl"), lines(self.out / "ppo/metrics.jsonl"))

    def tuning(self, timings):
        measured, counted = timings[1:-1], timings[-1]
        tokens = statistics.median(step["tokens_per_sec"] for step in measured)
        said = {"secs": statistics.median(step["secs"] for step in measured), "tokens_per_sec": tokens}
        said |= peak_and_counts(self.counts(counted), measured)
        # A frozen base: forward, and backward to what goes into each layer.
        self.row("sft", "candor", {**said, "operations_per_sec": 4 * self.n_weights() * tokens})

    def reinforcing(self, timings, metrics):
        measured, counted = timings[1:-1], timings[-1]
        of_measured = metrics[1:-1]
        peaks = [step.get("phase_device_peak_bytes", {}) for step in measured]
        for phase in PHASES:
            secs = statistics.median(step["phase_secs"][phase] for step in measured)
            said = {"secs": secs, **self.counts(counted).get(phase, {})}
            if peak := max((of_step.get(phase, 0) for of_step in peaks), default=0):
                said["peak_bytes"] = peak
            per_sec = [line["n_response_tokens"] / step["phase_secs"][phase] for line, step in zip(of_measured, measured)]
            said["tokens_per_sec"] = statistics.median(per_sec)
            if phase == "update":
                said["operations_per_sec"] = self.learned(of_measured) / secs
            self.row(phase, "candor", said)
        whole = {"secs": statistics.median(step["secs"] for step in measured)}
        whole |= peak_and_counts(self.counts(counted), measured)
        whole["tokens_per_sec"] = statistics.median(step["tokens_per_sec"] for step in measured)
        self.row("ppo", "candor", whole)

    def counts(self, counted):
        """Of each phase; none where libtorch's profiler could not count, which the run has said."""
        note = "kernels were not counted: libtorch's profiler did not start"
        if "phase_counts" not in counted and note not in self.notes:
            self.notes.append(note)
        return counted.get("phase_counts", {})

    def learned(self, metrics):
        """Operations of an update's products, policy and critic, without what the words of the questions take: at least these."""
        image = self.patches()
        read = statistics.median(line["n_response_tokens"] + image * line["n_rollouts"] for line in metrics)
        return 2 * EPOCHS * 4 * self.n_weights() * read

    def config(self):
        return json.loads((self.out / "ground/model/config.json").read_text())

    def patches(self):
        seen = self.config()["vision_config"]
        return (seen["image_size"] // seen["patch_size"]) ** 2

    def n_weights(self):
        """Of the products in the decoder's blocks."""
        text = self.config()["text_config"]
        width, mlp = text["hidden_size"], text["intermediate_size"]
        keys = width * text["num_key_value_heads"] // text["num_attention_heads"]
        return text["num_hidden_layers"] * (2 * width * width + 2 * width * keys + 3 * width * mlp)

    def row(self, what, who, said):
        kept = ("secs", "tokens_per_sec", "peak_bytes", "kernels", "copies", "waits", "operations_per_sec")
        self.rows.setdefault(what, {})[who] = {key: said[key] for key in kept if key in said and said[key] is not None}

    def peers(self, python):
        """What the peers take for the same, each in the time that is left; what is missing is said."""
        if not (self.out / "ground/model/config.json").exists():
            self.notes.append("nothing beside it: candor made no model")
            return
        if lacks := lacking(python, self.check.left()):
            self.notes.append(f"nothing beside it: {lacks}")
            return
        self.check.run("export", self.out / "ground/model", "--out", self.out / "exported")
        sizes = self.size["rollouts"]
        settings = {
            "device": self.check.device,
            "dtype": "bfloat16" if self.size["precision"] == "bf16" else "float32",
            "tune": "lora",
            "rollouts": sizes["batch.rollout_batch"],
            "mini_batch": sizes["batch.mini_batch"],
            "micro_batch": sizes["batch.micro_batch"],
            "new_tokens": sizes["sampling.max_new_tokens"],
            "learning_rate": self.size["rates"].get("ppo", 1e-3),
        }
        (self.out / "peer.json").write_text(json.dumps(settings) + "\n")
        # What matters most first, for a peer may run out of time.
        asked = ("products", "sft 3", "sft count", "ppo 1", "ppo count", "sample 1")
        if not all((self.out / name).exists() for name in ("policy-init/adapter", "reward/reward_head.safetensors")):
            # Nothing else starts from what candor trained.
            asked = tuple(what for what in asked if not what.startswith("ppo"))
        for name in PEERS:
            left = self.check.left()
            if left is not None and left < LEAST_SECS:
                self.notes.append(f"{name}: left out, no time was left")
                continue
            self.peer(python, name, asked, left)

    def peer(self, python, name, asked, left):
        """What a peer said before it ended, failed or ran out of time."""
        said, errors, stopped = self.out / f"{name}.jsonl", self.out / f"{name}.log", False
        with said.open("w") as out, errors.open("w") as log:
            process = subprocess.Popen([python, PEER, self.out, name], stdin=subprocess.PIPE, stdout=out, stderr=log, text=True)
            try:
                process.communicate("\n".join(asked) + "\n", timeout=None if left is None else left - 5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                stopped = True
                self.notes.append(f"{name}: stopped when the time was up")
        if process.returncode != 0 and not stopped:
            self.notes.append(f"{name} ended with {process.returncode}: {last_line(errors.read_text())} ({errors})")
        found = answers(said.read_text())
        for what in asked:
            if what in found:
                self.of_peer(name, what, found[what])

    def of_peer(self, name, what, said):
        if what == "products":
            self.rate = max(self.rate or 0.0, said["operations_per_sec"])
            return
        stage, steps = what.split()
        if steps == "count":
            total = {}
            for phase, counts in said["counts"].items():
                for kind, n in counts.items():
                    total[kind] = total.get(kind, 0) + n
                if phase in self.rows:
                    self.rows[phase].setdefault(name, {}).update(counts)
            self.rows.setdefault(stage, {}).setdefault(name, {}).update(total)
            return
        steps = int(steps)
        secs, tokens = said["wall"] / steps, said["tokens"] / steps
        # A step of sampling is 64 prompts here, and as many as a chunk there.
        row = {"secs": secs, "tokens_per_sec": tokens / secs, "peak_bytes": said["peak_bytes"]}
        if stage == "sft":
            row["operations_per_sec"] = 4 * self.n_weights() * tokens / secs
        self.row({"sample": "sampling"}.get(stage, stage), name, row)
        if stage == "ppo":
            for phase, of_phase in said["phases"].items():
                self.row(phase, name, {"secs": of_phase / steps, "tokens_per_sec": tokens / (of_phase / steps)})

    def report(self):
        """Everything, with the share of the device's best rate that was measured."""
        for of_all in self.rows.values():
            for said in of_all.values():
                if self.rate and "operations_per_sec" in said:
                    said["share_of_products"] = said["operations_per_sec"] / self.rate
        made = (self.out / "ground/model/config.json").exists()
        sizes = {"decoder_weights": self.n_weights(), "image_tokens": self.patches()} if made else {}
        return {
            "model": {**sizes, "precision": self.size["precision"], "trains": ADAPTER},
            "operations_per_sec_of_products": self.rate,
            "rows": self.rows,
            "notes": self.notes,
        }

    def print(self):
        names = ("candor", *PEERS)
        print(f"\n{'':<10}" + "".join(f"{f'{name}: s':>12}{'tokens/s':>10}" for name in names) + f"{'kernels':>10}{'waits':>8}{'GB':>7}{'of best':>9}")
        for what, of_all in self.rows.items():
            cells = "".join(cell(of_all.get(name, {}), "secs", 12, ".3f") + cell(of_all.get(name, {}), "tokens_per_sec", 10, ".0f") for name in names)
            own = of_all.get("candor", {})
            giga = {"peak": own["peak_bytes"] / 1e9} if "peak_bytes" in own else {}
            last = cell(own, "kernels", 10, "d") + cell(own, "waits", 8, "d") + cell(giga, "peak", 7, ".1f") + cell(own, "share_of_products", 9, ".0%")
            print(f"{what:<10}{cells}{last}")
        for note in self.notes:
            print(f"note: {note}")


def cell(said, key, width, form):
    return f"{said[key]:>{width}{form}}" if key in said else f"{'-':>{width}}"


def peak_and_counts(counts, measured):
    """The largest peak of the measured steps' phases, and what all phases of the counted one asked for together."""
    said = {}
    for of_phase in counts.values():
        for kind, n in of_phase.items():
            said[kind] = said.get(kind, 0) + n
    peaks = [bytes_ for step in measured for bytes_ in step.get("phase_device_peak_bytes", {}).values()]
    if peaks:
        said["peak_bytes"] = max(peaks)
    return said


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def answers(text):
    """A peer's, by what it was asked. Other lines are a library's words, or the beginning of an answer that did not come to its end."""
    found = {}
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and "asked" in said:
            found[said["asked"]] = said
    return found


def last_line(errors):
    return (errors.strip().splitlines()[-1:] or ["no reason given"])[0]


def lacking(python, left=None):
    """Why a Python cannot run the peers, where `left` seconds are left; none where it can."""
    words = [python, "-c", "import torch, transformers, peft, PIL, safetensors"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, timeout=IMPORT_SECS if left is None else min(left, IMPORT_SECS))
    except OSError as error:
        return f"{python} does not start ({error})"
    except subprocess.TimeoutExpired:
        return f"{python} did not import torch, transformers, peft, PIL and safetensors in time"
    if found.returncode == 0:
        return None
    return f"{python} has no torch, transformers, peft, PIL and safetensors ({last_line(found.stderr)})"


def python_of_peers(asked):
    """The Python that is asked for, else the repository's own where it was made, else the one that runs."""
    own = REPOSITORY / "parity/.venv/bin/python"
    return asked or (str(own) if own.exists() else sys.executable)
