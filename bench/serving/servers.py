"""Models to serve and the servers that are measured: candor, and a plain one of transformers."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

from serving.asking import Failed

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILT = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/candor"
CANDOR = pathlib.Path(os.environ.get("CANDOR") or BUILT).resolve()
PYTHON = ROOT / "parity/.venv/bin/python"
PEER = ROOT / "bench/torch_peer/serve.py"
# What models are called, and how many answers a server writes together.
NAME = "bench"
BATCH_ROWS = 32

# What the demo's recipe of a fresh model says otherwise. The second has 94 million weights, of a decoder of 12 blocks for the most part.
SIZES = {
    "demo": {},
    "100m": {
        "model.vision.width": 384,
        "model.vision.mlp_width": 1536,
        "model.vision.heads": 6,
        "model.text.width": 768,
        "model.text.mlp_width": 2048,
        "model.text.layers": 12,
        "model.text.heads": 12,
        "model.text.kv_heads": 12,
    },
}


def candor(*words) -> None:
    done = subprocess.run([CANDOR, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"candor {' '.join(map(str, words))} ended with {done.returncode}:\n{done.stderr[-2000:]}")


@dataclasses.dataclass
class Bench:
    """A folder with a model, the same as transformers reads it, and pictures; what is there is not made again."""

    out: pathlib.Path
    model: pathlib.Path

    @classmethod
    def set_up(cls, parent: pathlib.Path, size: str, model: pathlib.Path | None) -> "Bench":
        out = (parent / (size if model is None else name_of(model))).resolve()
        out.mkdir(parents=True, exist_ok=True)
        world = out / "world"
        few = ["--train", 40, "--preference", 0, "--rl", 0, "--eval", 150]
        made(out, "world", lambda: candor("world", "write", "--out", world, *few))
        if model is None:
            model = out / "ground/model"
            # Two steps: what it says is of no interest, and its decoder is random.
            few = {"data.n_held_out": 8, "data.batch_images": 16}
            sets = {"run.steps": 2, "run.out": out / "ground", "data.root": world, **few, **SIZES[size]}
            words = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
            made(out, "ground", lambda: candor("ground", "recipes/demo/0-ground.toml", *words, "--device", "cpu"))
        return cls(out, model)

    def pictures(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.out / "world/images").rglob("*.png"))[:32]]

    def exported(self) -> pathlib.Path:
        """The model in the form of transformers."""
        made(self.out, "exported", lambda: candor("export", self.model, "--out", self.out / "exported"))
        return self.out / "exported"


def name_of(model: pathlib.Path) -> str:
    """What the folder of a model that is there is called: by its path and its files, so that another model has another one."""
    about = [str(model)]
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        stat = path.stat()
        about.append(f"{path.relative_to(model)} {stat.st_size} {stat.st_mtime_ns}")
    return "model-" + hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]


def made(out: pathlib.Path, name: str, make) -> None:
    """Makes a part, unless it was finished before."""
    done = out / "done" / name
    if not done.exists():
        print(f"bench: setting up {name}", file=sys.stderr)
        shutil.rmtree(out / name, ignore_errors=True)
        make()
        done.parent.mkdir(exist_ok=True)
        done.touch()


@contextlib.contextmanager
def serving(command: list):
    """A server that says where it listens in a line of JSON, and what is wrong on our stderr; its process and its port."""
    server = subprocess.Popen([str(word) for word in command], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        line = server.stdout.readline()
        if not line:
            raise Failed(f"{' '.join(map(str, command))} did not start")
        yield server, int(json.loads(line)["url"].rsplit(":", 1)[1])
    finally:
        server.terminate()
        server.wait()


def of_candor(bench: Bench, *more):
    limits = ["--max-waiting", 512, "--connections-per-address", 512, "--batch-rows", BATCH_ROWS]
    # As the other holds its weights.
    limits += ["--precision", "f32", "--device", "cpu"]
    return serving([CANDOR, "serve", bench.model, "--name", NAME, "--listen", "127.0.0.1:0", "--json", *limits, *more])


def of_transformers(bench: Bench):
    return serving([PYTHON, PEER, bench.exported(), BATCH_ROWS])
