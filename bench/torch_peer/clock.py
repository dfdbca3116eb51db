"""Seconds of the phases of a step and, when asked for, what they ask of a GPU: the peer's side of candor's timings.jsonl."""

import contextlib
import time

import torch
from torch.profiler import ProfilerActivity, profile

WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize")


class Clock:
    """Of one device."""

    def __init__(self, device: str):
        place = torch.device(device)
        self.on_gpu = place.type == "cuda"
        if self.on_gpu:
            # What is said of memory and waited for below is of the device that is set.
            torch.cuda.set_device(place.index or 0)
            torch.cuda.init()
        self.start()

    def start(self, counts: bool = False) -> None:
        """Begins anew; counting makes a step slower."""
        self.counts, self.secs, self.counted = counts, {}, {}
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    @contextlib.contextmanager
    def phase(self, name: str):
        """A GPU is waited for at both ends, so that a phase has its own work and no other."""
        self.wait()
        activities = [ProfilerActivity.CUDA if self.on_gpu else ProfilerActivity.CPU]
        with profile(activities=activities) if self.counts else contextlib.nullcontext() as found:
            started = time.perf_counter()
            yield
            self.wait()
            self.secs[name] = self.secs.get(name, 0.0) + time.perf_counter() - started
        if found is not None:
            self.counted[name] = self.of(found.profiler.kineto_results.events())

    def of(self, events) -> dict:
        """Kernels, copies and waits; on a CPU operations, those that others are made of too."""
        counts = {"kernels": 0, "copies": 0, "waits": 0}
        for event in events:
            name = event.name()
            if not self.on_gpu:
                counts["kernels"] += name.startswith("aten::")
            elif event.device_type() == torch.autograd.DeviceType.CUDA:
                counts["copies" if name.startswith("Memcpy") else "kernels"] += 1
            elif name in WAITS:
                counts["waits"] += 1
        return counts

    def peak_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self.on_gpu else None
