"""Where the guided teacher arrives from fixed noises: what the few-step sibling's progress is measured by.

The distance to real pictures would say little: a blurred mean is nearer to them than any picture is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from starter_model.encoded import recipe_name
from starter_model.state import read_tensors, write_tensors
from starter_model.turbo import TurboTask, levels

MANY = 40
"""Steps after which the teacher is taken to have arrived."""


@torch.no_grad()
def walked(task: TurboTask, latents: Tensor, tokens: Tensor, count: int) -> Tensor:
    """From noise (n, C, h, w) down in so many guided DDIM steps of the teacher."""
    for here, there in pairwise(levels(count)):
        latents = task.taught(latents, here, there, tokens)
    return latents


@torch.no_grad()
def jumped(task: TurboTask, latents: Tensor, tokens: Tensor) -> Tensor:
    """From the same noise in the student's own steps."""
    for here, there in pairwise(task.way):
        latents = task.jump(latents, here, there, tokens)
    return latents


@dataclass(frozen=True, eq=False)
class Taught:
    """Noises (n, C, h, w), the prompts to paint from them, and where the teacher arrives in all its steps."""

    noise: Tensor
    prompts: tuple[str, ...]
    results: Tensor
    fewer: dict[str, float]
    """How far from there it arrives in as few steps as the student, and in twice as many, which is what the
    student is shown: mean squared distances."""

    @classmethod
    def prepare(cls, task: TurboTask, prompts: tuple[str, ...], folder: Path, base: str) -> Taught:
        """Made once for a starter, its guidance and the prompts; then read from the folder."""
        recipe = {"base": base, "guidance": task.guidance, "prompts": prompts, "levels": MANY}
        file = folder / f"{recipe_name('taught', recipe)}.safetensors"
        shape = (len(prompts), *task.shape)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(7))
        if file.exists():
            results = read_tensors(file)[0]["results"]
        else:
            results = arrivals(task, noise, prompts, MANY)
            write_tensors(file, {"results": results})
        few = len(task.way) - 1
        fewer = {
            name: distance(arrivals(task, noise, prompts, steps), results)
            for name, steps in (("teacher", few), ("shown", 2 * few))
        }
        return cls(noise, prompts, results, fewer)

    def distances(self, task: TurboTask) -> dict[str, float]:
        """Mean squared distance of the student's arrival to the teacher's, beside those of `fewer`."""
        found = jumped(task, self.noise.to(task.device), task.tokens(list(self.prompts)))
        return {"student": distance(found.cpu(), self.results), **self.fewer}


def distance(found: Tensor, wanted: Tensor) -> float:
    """The mean squared one."""
    return round(float((found - wanted).square().mean()), 5)


def arrivals(task: TurboTask, noise: Tensor, prompts: tuple[str, ...], count: int) -> Tensor:
    """Where the teacher's walk in so many steps ends, from noise (n, C, h, w) on the processor to there."""
    pairs = [
        (some.to(task.device), task.tokens(list(said)))
        for some, said in zip(noise.split(8), batches(prompts, 8), strict=True)
    ]
    return torch.cat([walked(task, some, tokens, count).cpu() for some, tokens in pairs])


def batches(prompts: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    """The prompts, so many at a time."""
    return [prompts[start : start + size] for start in range(0, len(prompts), size)]
