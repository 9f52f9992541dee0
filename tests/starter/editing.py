"""The benchmark's own cases and rows, run on the shipped model, for tests.

`sfumato bench edits -o OUT --pairing direct+p2p --cases 10` prints the same figures, and draws the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sfumato.benchmark.cases import Case, Picture, png_pixels
from sfumato.benchmark.folder import read_cases
from sfumato.benchmark.pairings import named
from sfumato.benchmark.plan import Choice, Row, planned
from sfumato.benchmark.results import Result, Results
from sfumato.benchmark.scoring import Scorer
from sfumato.benchmark.session import Session
from sfumato.cli.options import settled
from sfumato.method import Recipe
from sfumato.workshop import Workshop

SET = "world"


@dataclass(frozen=True)
class World:
    """The shipped cases, a workshop with the shipped model, and a folder for what is made."""

    workshop: Workshop
    out: Path

    @cached_property
    def cases(self) -> dict[str, Case]:
        """By id, without what they expect a judge to see: the tests measure against the true pictures."""
        found = read_cases(self.workshop.registry.cases[SET].folder).cases
        return {case.id: replace(case, expected=()) for case in found}

    def row(self, pairing: str, case: Case, steps: int) -> Row:
        """A pairing on one case, or the reason why it cannot be run."""
        found = named(pairing, Recipe(steps=steps), self.workshop.registry)
        found = replace(found, recipe=settled(found.recipe, self.workshop.registry))
        (row,) = planned([found], [case], Choice(1), self.workshop)
        return row

    def edited(self, pairing: str, case: Case, steps: int) -> Result:
        """The edit, made once for all who ask; it has to come to something."""
        row = self.row(pairing, case, steps)
        assert not row.refusal
        session = Session([row], Scorer(), Results(self.out), self.workshop)
        (step,) = session.run()
        assert not step.result.failure, step.result.failure
        return step.result

    def picture(self, result: Result) -> Picture:
        """The finished picture (H, W, 3) uint8."""
        return png_pixels((self.out / result.picture).read_bytes())
