"""Means over cases: one row per pairing, and per edit type within it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, isnan, nan

from sfumato.benchmark.cases import Case
from sfumato.benchmark.plan import Row
from sfumato.benchmark.results import Result
from sfumato.benchmark.scoring import COLUMNS

EXACT = "exact"
"""How many cases kept every pixel outside the mask, so that their PSNR is infinite."""
COSTS = ("inversion_rows", "edit_rows", "inversion_seconds", "edit_seconds")
"""Rows forward and backward, and seconds, of a case; inversions another pairing made count as its own."""

Scored = Sequence[tuple[Case, Result]]
Figures = Mapping[str, float]
"""Means of `COLUMNS` and `COSTS`, and the number `EXACT`; NaN where no case has a figure, infinite where all
that have one are infinite."""


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    name: str
    cases: int
    """Over how many the means are."""
    finished: Figures
    """Of the finished pictures."""
    decoded: Figures = field(default_factory=dict)
    """Of what the model decoded."""
    as_decoded: bool = False
    """Which of them people are shown."""
    kinds: Mapping[str, Figures] = field(default_factory=dict)
    """What people are shown, by edit type."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Why edits failed, and how many did for that reason."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """What edits had to say, and how many said it."""
    noted: int = 0
    """How many edits had anything to say."""
    refusal: str = ""
    lacking: str = ""

    @property
    def means(self) -> Figures:
        """What people are shown."""
        return self.decoded if self.as_decoded else self.finished

    @property
    def failed(self) -> int:
        """How many edits failed."""
        return sum(self.failures.values())


def lines(rows: Iterable[tuple[Row, Scored]], inversions: Mapping[str, Result]) -> list[Line]:
    """The table of rows with their results. `inversions` = who made each, by what it is kept under."""
    return [_line(row, scored, inversions) for row, scored in rows]


def _line(row: Row, scored: Scored, inversions: Mapping[str, Result]) -> Line:
    made = [(case, result) for case, result in scored if not result.failure]
    costs = {case.id: costs_of(result, inversions) for case, result in made}

    def means(decoded: bool, kind: str | None = None) -> Figures:
        return _means([
            {**result.scores_as(decoded=decoded), **costs[case.id]}
            for case, result in made
            if kind in (None, case.kind)
        ])  # fmt: skip

    shown, kinds = row.pairing.decoded, sorted({case.kind for case, _ in made})
    return Line(
        row.name,
        len(made),
        means(False),
        means(True),
        shown,
        {kind: means(shown, kind) for kind in kinds},
        failures=Counter(result.failure for _, result in scored if result.failure),
        notes=Counter(note for _, result in made for note in result.notes),
        noted=sum(bool(result.notes) for _, result in made),
        refusal=row.refusal,
        lacking=row.lacking,
    )


def _means(figures: Sequence[Figures]) -> dict[str, float]:
    kept = [value for each in figures if not isnan(value := each.get("psnr_unedit_part", nan))]
    exact = float(kept.count(inf)) if kept else nan
    return {name: mean(each.get(name, nan) for each in figures) for name in (*COLUMNS, *COSTS)} | {
        EXACT: exact
    }


def mean(values: Iterable[float]) -> float:
    """The mean of what is finite; infinite if all there is is, NaN if nothing is left."""
    there = [value for value in values if not isnan(value)]
    finite = [value for value in there if isfinite(value)]
    if finite:
        return sum(finite) / len(finite)
    return inf if there else nan


def costs_of(result: Result, inversions: Mapping[str, Result]) -> dict[str, float]:
    """The `COSTS` of one edit, an inversion it found counted in full; NaN if nobody knows who made it."""
    found: dict[str, float] = dict.fromkeys(COSTS, nan)
    for phase in ("inversion", "edit"):
        who = inversions.get(result.inversion) if result.reused and phase == "inversion" else result
        if who is not None and phase in who.costs:
            found[f"{phase}_rows"] = float(who.costs[phase].rows)
            found[f"{phase}_seconds"] = who.seconds.get(phase, nan)
        elif who is None and result.inversion_seconds is not None:
            found["inversion_seconds"] = result.inversion_seconds
    return found


def seconds_of(result: Result, inversions: Mapping[str, Result]) -> float:
    """What one edit takes, an inversion it found counted in full as far as it is known."""
    costs = costs_of(result, inversions)
    return sum(each for name in COSTS if "seconds" in name and not isnan(each := costs[name]))
