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

    @classmethod
    def prepare(cls, task: TurboTask, prompts: tuple[str, ...], folder: Path, base: str) -> Taught:
        """Made once for a starter, its guidance and the prompts; then read from the folder."""
        recipe = {"base": base, "guidance": task.guidance, "prompts": prompts, "levels": MANY}
        file = folder / f"{recipe_name('taught', recipe)}.safetensors"
        if file.exists():
            kept = read_tensors(file)[0]
            return cls(kept["noise"], prompts, kept["results"])
        shape = (len(prompts), *task.shape)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(7))
        parts = [
            walked(task, some.to(task.device), task.tokens(list(said)), MANY).cpu()
            for some, said in zip(noise.split(8), batches(prompts, 8), strict=True)
        ]
        results = torch.cat(parts)
        write_tensors(file, {"noise": noise, "results": results})
        return cls(noise, prompts, results)

    def distances(self, task: TurboTask) -> dict[str, float]:
        """Mean squared distance to the teacher's arrival in all its steps.

        Of the student, of the teacher in as few, and in twice as many, which is what the student is shown.
        """
        noise, tokens = self.noise.to(task.device), task.tokens(list(self.prompts))
        results, few = self.results.to(task.device), len(task.way) - 1
        arrived = {
            "student": jumped(task, noise, tokens),
            "teacher": walked(task, noise, tokens, few),
            "shown": walked(task, noise, tokens, 2 * few),
        }
        return {name: round(float((each - results).square().mean()), 5) for name, each in arrived.items()}


def batches(prompts: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    """The prompts, so many at a time."""
    return [prompts[start : start + size] for start in range(0, len(prompts), size)]
