"""Means over cases: one row per pairing, and per edit type within it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isnan, nan

from sfumato.benchmark.cases import Case
from sfumato.benchmark.pairings import Pairing
from sfumato.benchmark.plan import Row
from sfumato.benchmark.results import Result
from sfumato.benchmark.scoring import COLUMNS

EQUAL = 100.0
"""dB that equal pictures count as in means of PSNR, which is infinite for them."""
COSTS = ("inversion_rows", "edit_rows", "inversion_seconds", "edit_seconds")
"""Rows forward and backward, and seconds, of a case; inversions another pairing made count as its own."""

Scored = Sequence[tuple[Case, Result]]


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    name: str
    cases: int
    """Over how many the means are."""
    means: Mapping[str, float]
    """Of `COLUMNS` and `COSTS`; NaN where no case has a figure."""
    kinds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same by edit type."""
    failed: int = 0
    refusal: str = ""
    lacking: str = ""


def lines(rows: Iterable[tuple[Row, Scored]]) -> list[Line]:
    """The table of rows with their results."""
    found = [(row, list(scored)) for row, scored in rows]
    inversions = _inversions(found)
    return [_line(row, scored, inversions) for row, scored in found]


def _line(row: Row, scored: Scored, inversions: Mapping[tuple[str, str], Result]) -> Line:
    figures: dict[str, list[Mapping[str, float]]] = {}
    for case, result in scored:
        if not result.failure:
            spent = costs_of(result, inversions.get((_inverts(row.pairing), case.id)))
            figures.setdefault(case.kind, []).append({**result.scores, **spent})
    whole = [each for kind in figures.values() for each in kind]
    return Line(
        row.name,
        len(whole),
        _means(whole),
        {kind: _means(each) for kind, each in sorted(figures.items())},
        len(scored) - len(whole),
        row.refusal,
        row.lacking,
    )


def _means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: mean(each.get(name, nan) for each in figures) for name in (*COLUMNS, *COSTS)}


def mean(values: Iterable[float]) -> float:
    """The mean of what is not NaN; NaN if nothing is left. Infinite PSNR counts as `EQUAL` dB."""
    there = [EQUAL if value == inf else value for value in values if not isnan(value)]
    return sum(there) / len(there) if there else nan


def costs_of(result: Result, inversion: Result | None = None) -> dict[str, float]:
    """The `COSTS` of one edit. `inversion` = who made the inversion, if it found one; NaN if nobody knows."""
    found: dict[str, float] = dict.fromkeys(COSTS, nan)
    for phase in ("inversion", "edit"):
        who = inversion if result.reused and phase == "inversion" else result
        if who is not None and phase in who.costs:
            found[f"{phase}_rows"] = float(who.costs[phase].rows)
            found[f"{phase}_seconds"] = who.seconds.get(phase, nan)
    return found


def _inverts(pairing: Pairing) -> str:
    return (
        f"{pairing.recipe.inverter} {sorted(pairing.recipe.inverter_values.items())} {pairing.recipe.steps}"
    )


def _inversions(rows: Iterable[tuple[Row, Scored]]) -> dict[tuple[str, str], Result]:
    """For a way to invert and a case, the edit that had it made."""
    return {
        (_inverts(row.pairing), case.id): result
        for row, scored in rows
        for case, result in scored
        if row.is_edit and not result.failure and not result.reused
    }
