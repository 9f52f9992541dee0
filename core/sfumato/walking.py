"""Going through the generators that do the work, step by step, without gradients, and closing them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

from sfumato.method import Progress
from sfumato.pace import Advance, Phase

P = TypeVar("P")
R = TypeVar("R")
Steps = Generator[Progress, None, R]
Phases = tuple[tuple[Phase, int], ...]
"""What is to come, and how many steps each is thought to take."""


class Walk(Generic[P, R]):
    """Go through a generator in a `for` loop; what it returns is `result` afterwards."""

    result: R

    def __init__(self, steps: Generator[P, None, R]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[P]:
        self.result = yield from self._steps


def finished(steps: Generator[P, None, R]) -> R:
    """Go through `steps` without looking, close them, and return what they return."""
    walk = Walk(steps)
    try:
        for _ in walk:
            pass
        return walk.result
    finally:
        steps.close()


def stepped(steps: Generator[Advance, None, R]) -> Generator[Advance, None, R]:
    """Run each step with gradients off, and close `steps` whatever happens.

    Gradients are off inside the steps only: what runs between them is none of our business.
    """
    import torch

    try:
        while True:
            with torch.no_grad():
                try:
                    progress = next(steps)
                except StopIteration as end:
                    return end.value
            yield progress
    finally:
        with torch.no_grad():
            steps.close()


def through(
    steps: Steps[R], plan: Phases, box: tuple[int, int, int, int] | None = None
) -> Generator[Advance, None, R]:
    """Run `steps` as the first phase of `plan`, saying with each what is still ahead."""
    walk = Walk(steps)
    try:
        for now in walk:
            yield Advance(
                now.step, now.total, now.stage, now.preview, phase=plan[0][0], ahead=plan[1:], box=box
            )
    finally:
        steps.close()
    return walk.result
