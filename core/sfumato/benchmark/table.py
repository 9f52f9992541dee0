"""Means over cases: one row per pairing, and per edit type within it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan

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
    found = [
        (row, [(case, result) for case, result in scored if not result.failure], scored)
        for row, scored in rows
    ]
    inversions = _inversions([(row.pairing, made) for row, made, _ in found if row.is_edit])
    table = []
    for row, made, scored in found:
        spent = inversions.get(_inverts(row.pairing), {}) if row.is_edit else {}
        kinds = sorted({case.kind for case, _ in made})
        table.append(
            Line(
                row.name,
                len(made),
                _means([result for _, result in made], spent),
                {kind: _means([r for case, r in made if case.kind == kind], spent) for kind in kinds},
                len(scored) - len(made),
                row.refusal,
                row.lacking,
            )
        )
    return table


def mean(values: Iterable[float]) -> float:
    """The mean of what is not NaN; NaN if nothing is left. Infinite PSNR counts as `EQUAL` dB."""
    there = [min(value, EQUAL) if value == float("inf") else value for value in values if not isnan(value)]
    return sum(there) / len(there) if there else nan


def _means(results: Sequence[Result], spent: Mapping[str, float]) -> dict[str, float]:
    found = {column: mean(result.scores.get(column, nan) for result in results) for column in COLUMNS}
    own = [costs_of(result) for result in results]
    found |= {column: mean(each[column] for each in own) for column in COSTS}
    # An inversion that another pairing made cost nothing here; what it costs was seen elsewhere.
    return {column: spent.get(column, nan) if isnan(value) else value for column, value in found.items()}


def costs_of(result: Result) -> dict[str, float]:
    """The `COSTS` of one edit; NaN for an inversion it found."""
    found: dict[str, float] = dict.fromkeys(COSTS, nan)
    for phase in ("edit",) if result.reused else ("inversion", "edit"):
        if phase in result.costs:
            found[f"{phase}_rows"] = float(result.costs[phase].rows)
            found[f"{phase}_seconds"] = result.seconds.get(phase, nan)
    return found


def _inverts(pairing: Pairing) -> str:
    return (
        f"{pairing.recipe.inverter} {sorted(pairing.recipe.inverter_values.items())} {pairing.recipe.steps}"
    )


def _inversions(rows: Iterable[tuple[Pairing, Scored]]) -> dict[str, dict[str, float]]:
    """What each way to invert cost where it was run, by what makes it."""
    seen: dict[str, list[Result]] = {}
    for pairing, scored in rows:
        seen.setdefault(_inverts(pairing), []).extend(result for _, result in scored if not result.reused)
    columns = [column for column in COSTS if column.startswith("inversion")]
    return {
        name: {column: mean(costs_of(result)[column] for result in results) for column in columns}
        for name, results in seen.items()
    }
