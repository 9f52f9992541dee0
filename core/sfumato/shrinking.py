"""What to try when a job did not fit into memory: the same, smaller, and what to say about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sfumato.errors import MemoryShortage
from sfumato.events import ModelInfo
from sfumato.failure import CLOSE_OTHERS, KEPT
from sfumato.method import Job

_FEWEST_MULTIPLES = 4
"""Smallest side of a picture, in multiples of what the model needs."""


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A smaller job, and how it is smaller."""

    job: Job
    asked: str
    made: str

    @property
    def note(self) -> str:
        """What to tell the person when it worked."""
        return f"There was not enough memory for {self.asked}, so this was made {self.made}."

    def shortage(self) -> MemoryShortage:
        """What to tell the person when it did not."""
        return MemoryShortage(
            f"There is not enough memory for this edit: it was tried {self.made}, too.",
            kept=KEPT,
            advice=CLOSE_OTHERS,
        )


def shrunk(job: Job, model: ModelInfo) -> Shrunk | None:
    """The same at one candidate or, if it has no more, at half the size; None if it cannot be smaller."""
    recipe = job.recipe
    if recipe.candidates > 1:
        single = recipe.model_copy(update={"candidates": 1})
        return Shrunk(replace(job, recipe=single), f"{recipe.candidates} candidates", "with 1 candidate")
    width, height = recipe.size or (model.size, model.size)
    half = tuple(side // 2 // model.multiple * model.multiple for side in (width, height))
    if min(half) < _FEWEST_MULTIPLES * model.multiple:
        return None
    smaller = recipe.model_copy(update={"size": half}) if recipe.size is not None else recipe
    return Shrunk(
        replace(job, recipe=smaller, scale=0.5), f"about {width} x {height} pixels", "at half that size"
    )
