"""Where the guided teacher arrives from fixed noises: what the few-step sibling's progress is measured by.

The distance to real pictures would say little: a blurred mean is nearer to them than any picture is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from starter_model.encoded import recipe_name
from starter_model.state import read_tensors, write_tensors
from starter_model.turbo import GAP, LEVELS, TurboTask

FEW = (4, 8)
"""Steps of which the distance is told."""


def few_levels(count: int) -> list[int]:
    """The levels (t) of so many steps from noise, LCMScheduler's own choice among all."""
    every = [step * GAP - 1 for step in range(LEVELS, 0, -1)]
    return [every[int(place)] for place in np.linspace(0, LEVELS, count, endpoint=False)]


@torch.no_grad()
def walked(task: TurboTask, latents: Tensor, tokens: Tensor, count: int) -> Tensor:
    """From noise (n, C, h, w) down in so many guided DDIM steps of the teacher."""
    for t, below in pairwise([*few_levels(count), -1]):
        steps = (torch.full((len(latents),), step, device=latents.device) for step in (t, below))
        latents = task.taught(latents, *steps, tokens)
    return latents


@torch.no_grad()
def jumped(task: TurboTask, latents: Tensor, tokens: Tensor, count: int) -> Tensor:
    """From the same noise in so many steps of the student."""
    for t, below in pairwise([*few_levels(count), -1]):
        here, there = (torch.full((len(latents),), step, device=latents.device) for step in (t, below))
        latents = task.jump(latents, here, there, tokens)
    return latents


@dataclass(frozen=True, eq=False)
class Taught:
    """Noises (n, C, h, w), the prompts to paint from them, and where the teacher arrives in all its steps."""

    noise: Tensor
    prompts: tuple[str, ...]
    results: Tensor

    @classmethod
    def prepare(cls, task: TurboTask, prompts: tuple[str, ...], folder: Path, base: str) -> Taught:
        """Made once for a starter, its guidance and the prompts; then read from the folder."""
        recipe = {"base": base, "guidance": task.guidance, "prompts": prompts, "levels": LEVELS}
        file = folder / f"{recipe_name('taught', recipe)}.safetensors"
        if file.exists():
            kept = read_tensors(file)[0]
            return cls(kept["noise"], prompts, kept["results"])
        shape = (len(prompts), *task.encoded.latents.shape[1:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(7))
        parts = [
            walked(task, some.to(task.device), task.tokens(list(said)), LEVELS).cpu()
            for some, said in zip(noise.split(8), batches(prompts, 8), strict=True)
        ]
        results = torch.cat(parts)
        write_tensors(file, {"noise": noise, "results": results})
        return cls(noise, prompts, results)

    def distances(self, task: TurboTask) -> dict[str, float]:
        """Mean squared distance of the student in few steps to the teacher's arrival, and of the teacher."""
        noise, tokens = self.noise.to(task.device), task.tokens(list(self.prompts))
        results = self.results.to(task.device)
        found: dict[str, float] = {}
        for count in FEW:
            for name, way in (("student", jumped), ("teacher", walked)):
                arrived = way(task, noise, tokens, count)
                found[f"{name}_in_{count}"] = round(float((arrived - results).square().mean()), 5)
        return found


def batches(prompts: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    """The prompts, so many at a time."""
    return [prompts[start : start + size] for start in range(0, len(prompts), size)]
