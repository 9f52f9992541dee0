"""One folder of cases and one of results, for as many runs as a test likes, and an editor that is none."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.benchmark.folder import read_cases
from sfumato.benchmark.judge import Reading
from sfumato.benchmark.pairings import named
from sfumato.benchmark.plan import Choice, baselines, planned
from sfumato.benchmark.results import Results
from sfumato.benchmark.scoring import Scorer
from sfumato.benchmark.session import Session, Step
from sfumato.benchmark.table import Line, lines
from sfumato.diffusion.inversion import Inversion
from sfumato.errors import MethodError
from sfumato.method import Edit, Editor, EditRequest, Need, Progress, Recipe
from sfumato.params import Params

BASE = Recipe(steps=2)
Make = Callable[..., Any]


class Fake(Editor[Params]):
    """Returns the picture as it is; fails for a prompt on request."""

    name = "fake"
    title = "Fake"
    summary = "A test."
    needs = frozenset({Need.IMAGE})
    inversion = "none"
    fails = False
    version = 1

    def edit(
        self, request: EditRequest[Params], inversion: Inversion | None, model: Any
    ) -> Generator[Progress, None, Edit]:
        yield Progress(1, 1, "Faking")
        if self.fails:
            raise MethodError("The fake fell over.")
        assert request.x0 is not None
        return Edit(latents=request.x0)


@dataclass
class Reader:
    """Sees a dog in every picture, and counts them."""

    name: str = "fake reader"
    seen: int = 0

    def read(self, pixels: np.ndarray) -> list[Reading]:
        self.seen += len(pixels)
        return [Reading(("dog", None), (None, None), "green")] * len(pixels)


@dataclass
class Bench:
    """One folder of cases and one of results, and as many sessions as one likes."""

    folder: Path
    out: Path
    make_workshop: Make
    names: tuple[str, ...] = ("fake",)
    choice: Choice = field(default_factory=Choice)
    editors: tuple[Any, ...] = field(default_factory=lambda: (Fake(),))

    def session(self, scorer: Scorer | None = None, base: Recipe = BASE) -> Session:
        workshop = self.make_workshop(*self.editors)
        pairings = [named(name, base, workshop.registry) for name in self.names]
        rows = planned(pairings, read_cases(self.folder).cases, self.choice, workshop)
        every = [*baselines(rows, base), *rows]
        return Session(every, scorer or Scorer(), Results(self.out), workshop)


def table(session: Session) -> dict[str, Line]:
    found = [(row, session.of(row)) for row in session.rows]
    return {line.name: line for line in lines(found, session.results.inversions())}


def failures(steps: list[Step]) -> list[str]:
    return [step.result.failure for step in steps if step.result.failure]
