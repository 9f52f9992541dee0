"""The training loop of one worker, and the state it is resumed from."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.errors import InputError
from starter_model.config import WorkerSettings
from starter_model.shared import Barrier, Weights, adamw, average_gradients, slices
from starter_model.state import append_line, read_tensors, write_tensors

CLIP = 1.0  # gradient norm
LONGEST_STEP = 20.0  # seconds; anything longer was a pause (SIGSTOP) and is not counted as work


class Task(Protocol):
    """What is trained: a model, the loss of a few samples, and what is measured on the averaged weights."""

    name: str
    views: int
    rate: float
    keep: float

    @property
    def model(self) -> nn.Module:
        """The module whose parameters are trained."""
        ...

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """The mean loss over this worker's share of a batch, and how many views that was."""
        ...

    def check(self) -> dict[str, float]:
        """Held-out measures of the model as it stands."""
        ...


@dataclass
class Clock:
    """How far a run is: optimiser steps, views and seconds of work; kept with the weights."""

    step: int = 0
    views: int = 0
    seconds: float = 0.0

    def rate(self, task: Task) -> float:
        """Learning rate: 200 steps of warm-up, then half a cosine to nothing."""
        along = min(1.0, self.views / task.views)
        return task.rate * min(1.0, (self.step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * along))


class Run:
    """One stage's training in one folder."""

    def __init__(
        self, task: Task, folder: Path, workers: WorkerSettings, *, seed: int, device: str = "cpu"
    ) -> None:
        self.task, self.folder, self.settings, self.seed = task, folder, workers, seed
        self.device = torch.device(device)
        self.count = workers.count if device == "cpu" else 1
        self.file = folder / "state.safetensors"
        task.model.to(self.device)
        self.weights = Weights(task.model, self.device)
        self.clock = Clock()
        self.resumed = self.restore()
        self.gradients = [torch.zeros_like(self.weights.flat) for _ in range(self.count)]
        self.mean = torch.zeros_like(self.weights.flat)
        self.norms, self.losses = torch.zeros(self.count), torch.zeros(self.count)
        self.progress = torch.zeros(3, dtype=torch.float64)  # the clock, where all processes see it
        self.record(self.clock)
        self.stop = torch.zeros(1, dtype=torch.int64)  # set by the parent: 1 = save and end
        self.more = torch.ones(1, dtype=torch.int64)  # set by worker 0: whether there is another step
        if self.device.type == "cpu":
            for tensor in (*self.gradients, self.mean, self.norms, self.losses):
                tensor.share_memory_()
            for tensor in (self.progress, self.stop, self.more):
                tensor.share_memory_()

    def restore(self) -> bool:
        """Take up the saved state, if there is one that fits the model."""
        if not self.file.exists():
            return False
        tensors, meta = read_tensors(self.file)
        if tensors["flat"].numel() != self.weights.flat.numel():
            raise InputError(
                f"The state in {self.file.parent} belongs to a model of another shape.",
                advice="Give another --state, or the configuration it was made with.",
            )
        for name, tensor in self.weights.tensors().items():
            tensor.copy_(tensors[name])
        self.clock = Clock(int(meta["step"]), int(meta["views"]), float(meta["seconds"]))
        return True

    def save(self) -> None:
        """Write weights, average, optimiser and clock, but never broken numbers over a good state."""
        if not bool(torch.isfinite(self.weights.flat).all()):
            return
        clock = self.recorded()
        meta = {"step": str(clock.step), "views": str(clock.views), "seconds": f"{clock.seconds:.1f}"}
        write_tensors(self.file, {name: t.detach().cpu() for name, t in self.weights.tensors().items()}, meta)

    def record(self, clock: Clock) -> None:
        """Let all processes see the clock."""
        self.progress.copy_(torch.tensor([clock.step, clock.views, clock.seconds], dtype=torch.float64))

    def recorded(self) -> Clock:
        """The clock all processes see."""
        step, views, seconds = self.progress.tolist()
        return Clock(int(step), int(views), seconds)

    def use(self, flat: Tensor) -> None:
        """Let this process's model see other values of its parameters."""
        views = self.weights.views(flat)
        for name, parameter in self.task.model.named_parameters():
            if name in views:
                parameter.data = views[name]

    def check(self) -> dict[str, float]:
        """The task's measures with the averaged weights, appended to log.jsonl."""
        self.use(self.weights.average)
        try:
            with torch.no_grad():
                found = self.task.check()
        finally:
            self.use(self.weights.flat)
        clock = self.recorded()
        row = {"step": clock.step, "views": clock.views, "minutes": round(clock.seconds / 60, 1), **found}
        append_line(self.folder / "log.jsonl", json.dumps(row))
        print(json.dumps(row), flush=True)
        return found

    def work(self, worker: int, barrier: Barrier, deadline: float) -> None:
        """One worker's life; in worker 0 also saving, checking and the word to end."""
        torch.set_num_threads(1)
        self.weights.attach_gradient(self.task.model, self.gradients[worker])
        part = slices(self.weights.flat.numel(), self.count)[worker]
        clock = self.recorded()
        saved = spoke = time.monotonic()
        first, seconds = clock.views, clock.seconds
        while int(self.more):
            started = time.monotonic()
            seen = self.step(worker, barrier, part, clock)
            clock.step, clock.views = clock.step + 1, clock.views + seen * self.count
            now = time.monotonic()
            clock.seconds += min(now - started, LONGEST_STEP)
            done = clock.views >= self.task.views or now > deadline or bool(self.stop)
            if worker == 0:
                self.record(clock)
                self.more[0] = 0 if done else 1
            barrier.wait(worker)
            if worker:
                continue
            # The others already compute, but change no weight before this one arrives at the next barrier.
            every = self.settings.check_views
            if clock.views // every > (clock.views - seen * self.count) // every:
                self.check()
            if done or now - saved > self.settings.save_seconds:
                self.save()
                saved = now
            if done or now - spoke > 30:
                self.say(clock, (clock.views - first) / max(clock.seconds - seconds, 1e-3))
                spoke = now

    def step(self, worker: int, barrier: Barrier, part: slice, clock: Clock) -> int:
        """Gradient, mean over workers, clipping, AdamW on this worker's slice; returns the views it used."""
        self.gradients[worker].zero_()
        rng = np.random.default_rng([self.seed, clock.step, worker])
        torch.manual_seed(int(rng.integers(2**31)))
        loss, seen = self.task.loss(rng, worker, min(1.0, clock.views / self.task.views))
        loss.backward()
        self.losses[worker] = loss.detach()
        barrier.wait(worker)
        average_gradients(self.gradients, part, self.mean)
        self.norms[worker] = self.mean[part].square().sum()
        barrier.wait(worker)
        norm = float(self.norms.sum().sqrt())
        if math.isfinite(norm):  # a step that overflowed is left out by all alike
            self.mean[part] *= min(1.0, CLIP / (norm + 1e-6))
            keep = min(self.task.keep, (clock.step + 1) / (clock.step + 10))
            adamw(self.weights, self.mean, part, step=clock.step + 1, rate=clock.rate(self.task), keep=keep)
        return seen

    def say(self, clock: Clock, pace: float) -> None:
        """One line of progress with an estimate."""
        left = max(0, self.task.views - clock.views) / max(pace, 1e-6) / 60
        print(
            f"{self.task.name}: {clock.views:,} of {self.task.views:,} views, {pace:.1f} a second, "
            f"loss {float(self.losses.mean()):.4f}, about {left:.0f} min left",
            flush=True,
        )


def warm_start(run: Run, files: dict[str, Path], note: Path) -> int:
    """Fill a run without state from committed float16 weights; the views they had, 0 where none fit.

    The clock goes on with their views and minutes; saved at once, so that finished weights can be measured.

    `files` maps a prefix of parameter names to a weights file, `note` is the training.json beside them.
    """
    if run.resumed or not note.exists() or not all(file.exists() for file in files.values()):
        return 0
    tensors = {
        prefix + name: t for prefix, file in files.items() for name, t in read_tensors(file)[0].items()
    }
    views = run.weights.views(run.weights.flat)
    if any(name not in tensors or tensors[name].shape != view.shape for name, view in views.items()):
        return 0
    for name, view in views.items():
        view.copy_(tensors[name])
    run.weights.average.copy_(run.weights.flat)
    told = json.loads(note.read_text())
    minutes = told.get(run.task.name, told).get("minutes", 0)  # a whole model's note tells of each stage
    run.clock = Clock(views=int(told["views"]), seconds=60 * float(minutes))
    run.record(run.clock)
    run.save()
    return run.clock.views
