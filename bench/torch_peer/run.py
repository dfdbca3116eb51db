"""A peer that waits for work: each line on stdin is a stage and a number of steps, each line on stdout what they took.

Usage: run.py FOLDER plain|cached

What was asked stands in the answer as `asked`.

plain   as LLaVA-RLHF and TRL do it: pixels through the whole model in every pass, masks, rows as they come.
cached  what a patient engineer would do: image features kept, passes of one length, no masks, logits where they are
        needed, fused AdamW.

`STAGE count` does one more step and says what its phases ask of the device, and `STAGE operations` how many operations its
products have; `products` says how many operations a second its
products of large matrices reach in the numbers of the model.
"""

import gc
import json
import pathlib
import sys
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from inputs import World
from ppo import Ppo
from stages import Reward, Sample, Sft

STAGES = {"sft": Sft, "reward": Reward, "sample": Sample, "ppo": Ppo}


def products(world: World, size: int = 8192, n: int = 20) -> float:
    """Operations a second of the best of some products of square matrices."""
    size, n = (size, n) if world.clock.on_gpu else (1024, 3)
    left, right = (torch.randn(size, size).to(world.dtype) for _ in range(2))
    best = float("inf")
    for _ in range(n):
        world.clock.wait()
        started = time.perf_counter()
        left @ right
        world.clock.wait()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def main() -> None:
    world, cached = World(pathlib.Path(sys.argv[1])), sys.argv[2] == "cached"
    torch.set_default_device(world.settings["device"])
    torch.manual_seed(0)
    ready, done = {}, dict.fromkeys(STAGES, 0)
    for line in sys.stdin:
        if line.strip() == "products":
            print(json.dumps({"asked": "products", "operations_per_sec": products(world)}), flush=True)
            continue
        stage, steps = line.split()
        if stage not in ready:
            if world.clock.on_gpu:
                # A device has room for the models of one stage.
                ready.clear()
                gc.collect()
                torch.cuda.empty_cache()
            ready[stage] = STAGES[stage](world, cached)
            ready[stage].step(0)
        if steps == "operations":
            done[stage] += 1
            with FlopCounterMode(display=False) as counter:
                ready[stage].step(done[stage])
            print(json.dumps({"asked": line.strip(), "operations": counter.get_total_flops()}), flush=True)
            continue
        world.clock.start(counts=steps == "count")
        wall, processor, tokens = time.perf_counter(), time.process_time(), 0
        for _ in range(1 if steps == "count" else int(steps)):
            done[stage] += 1
            tokens += ready[stage].step(done[stage])
        world.clock.wait()
        spent = {"asked": line.strip(), "wall": time.perf_counter() - wall, "processor": time.process_time() - processor, "tokens": tokens}
        clock = world.clock
        spent |= {"phases": clock.secs, "counts": clock.counted, "peak_bytes": clock.peak_bytes()}
        print(json.dumps(spent), flush=True)


if __name__ == "__main__":
    main()
