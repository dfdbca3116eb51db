"""A peer that waits for work: each line on stdin is a stage and a number of steps, each line on stdout what they took.

Usage: run.py FOLDER plain|cached

plain   as LLaVA-RLHF and TRL do it: pixels through the whole model in every pass, masks, rows as they come.
cached  what a patient engineer would do: image features kept, passes of one length, no masks, logits where they are
        needed, fused AdamW.
"""

import json
import pathlib
import sys
import time

import torch

from inputs import World
from ppo import Ppo
from stages import Reward, Sample, Sft

STAGES = {"sft": Sft, "reward": Reward, "sample": Sample, "ppo": Ppo}


def main() -> None:
    world, cached = World(pathlib.Path(sys.argv[1])), sys.argv[2] == "cached"
    torch.manual_seed(0)
    ready, done = {}, dict.fromkeys(STAGES, 0)
    for line in sys.stdin:
        stage, steps = line.split()
        if stage not in ready:
            ready[stage] = STAGES[stage](world, cached)
            ready[stage].step(0)
        wall, processor, tokens = time.perf_counter(), time.process_time(), 0
        for _ in range(int(steps)):
            done[stage] += 1
            tokens += ready[stage].step(done[stage])
        spent = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor, "tokens": tokens}
        print(json.dumps(spent), flush=True)


if __name__ == "__main__":
    main()
