"""Rows of what was measured: taken from results of `sfumato bench edits`, kept and merged.

`packaging/measured/table.csv` has every figure by pairing and edit type, so that a benchmark can be run in
pieces, on different days.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from pathlib import Path
from statistics import median
from typing import Any

from sfumato.benchmark.pairings import HEADLINE, IDENTITY, TRUTH, VAE
from sfumato.benchmark.publish import CASES, RECIPES
from sfumato.benchmark.results import Results
from sfumato.benchmark.scoring import COLUMNS
from sfumato.benchmark.table import COSTS, EXACT, mean

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "packaging" / "measured"
TABLE = MEASURED / "table.csv"
SETTINGS = MEASURED / "settings.csv"
"""Of the default pairing, under other settings than it begins with."""
ALL = "all"
"""The type of a row over all edit types."""
FINISHED = tuple(name for name in COLUMNS if "clip" not in name and "structure" not in name)
DECODED = tuple(f"decoded_{name}" for name in FINISHED)
SECONDS = tuple(name for name in COSTS if name.endswith("seconds"))
FIGURES = ("cases", "failed", EXACT, *FINISHED, *DECODED, *COSTS)
MADE = ("model", "weights", "steps", "guidance", "settings", "threads", "processor")
"""What a row was made with; of the weights of all its networks the first eight digits of a hash, and the
settings that are not the editor's own defaults."""
BASELINES = (IDENTITY, VAE, TRUTH)
DIGITS = 6
"""Significant ones that are kept."""


@dataclass(frozen=True)
class Measured:
    """The means of a pairing over the cases of an edit type; of seconds the medians."""

    pairing: str
    kind: str
    figures: Mapping[str, float]
    made: Mapping[str, str]

    @property
    def is_whole(self) -> bool:
        """It is of a pairing, over all types."""
        return self.kind == ALL and self.pairing not in BASELINES

    @property
    def editor(self) -> str:
        return self.pairing.rpartition("+")[2]

    @property
    def inverter(self) -> str:
        """Empty for an editor alone."""
        return self.pairing.rpartition("+")[0]

    @property
    def count(self) -> float:
        return self.figures["cases"]

    @property
    def shown(self) -> Mapping[str, float]:
        """What tables show: costs summed over inversion and edit."""
        units = ("rows", "seconds")
        sums = {unit: sum(self.figures[name] for name in COSTS if name.endswith(unit)) for unit in units}
        return {**self.figures, **sums}


Table = list[Measured]


def read_table(path: Path | None = None) -> Table:
    """What was kept so far, in `TABLE` or elsewhere."""
    path = path or TABLE
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Measured(
                row["pairing"],
                row["type"],
                {name: _number(row[name]) for name in FIGURES},
                {name: row[name] for name in MADE},
            )
            for row in csv.DictReader(file)
        ]


def write_table(rows: Table, path: Path | None = None) -> None:
    """Keep it, in `TABLE` or elsewhere."""
    MEASURED.mkdir(exist_ok=True)
    with (path or TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pairing", "type", *FIGURES, *MADE])
        for row in rows:
            figures = [_text(row.figures[name]) for name in FIGURES]
            writer.writerow([row.pairing, row.kind, *figures, *(row.made[name] for name in MADE)])


def _number(text: str) -> float:
    return float(text) if text else nan


def _text(value: float) -> str:
    return "" if isnan(value) else f"{value:.{DIGITS}g}"


def taken(out: Path) -> Iterator[Measured]:
    """The means of a folder of results, by pairing and edit type."""
    recipes = {entry["name"]: entry for entry in json.loads((out / RECIPES).read_text("utf-8"))}
    depends = {each.pairing: each.depends for each in Results(out) if "threads" in each.depends}
    with (out / CASES).open(newline="", encoding="utf-8") as file:
        every = list(csv.DictReader(file))
    for pairing in dict.fromkeys(row["pairing"] for row in every):
        rows = [row for row in every if row["pairing"] == pairing]
        on = depends.get(pairing, {})
        own = {"threads": on.get("threads", ""), "weights": on.get("weights", "")[:8]}
        recipe = recipes.get(pairing, {})
        told = {**recipe, **own, "settings": settings(recipe.get("editor_values", {}))}
        yield _means(pairing, ALL, rows, told)
        for number, kind in kinds().items():
            if some := [row for row in rows if row["type"] == number]:
                yield _means(pairing, kind, some, told)


def settings(values: Mapping[str, Any]) -> str:
    """An editor's values in one line: "begin=0.2 threshold=0.3"."""
    return " ".join(f"{name}={value}" for name, value in sorted(values.items()))


def kinds() -> dict[str, str]:
    """Names of the edit types."""
    path = ROOT / "resources" / "sfumato_resources" / "edit_cases" / "edit_types.json"
    return json.loads(path.read_text("utf-8"))


def _means(pairing: str, kind: str, rows: Sequence[Mapping[str, str]], told: Mapping[str, Any]) -> Measured:
    made = [row for row in rows if not row["failure"]]
    names = (*FINISHED, *DECODED, *COSTS)
    exact = sum(_number(row["psnr_unedit_part"]) == inf for row in made)
    counted = {"cases": float(len(made)), "failed": float(len(rows) - len(made)), EXACT: float(exact)}
    processors = dict.fromkeys(row["processor"] for row in made if row["processor"])
    return Measured(
        pairing,
        kind,
        counted | {name: _typical(name, [_number(row[name]) for row in made]) for name in names},
        {**{name: str(told.get(name, "")) for name in MADE}, "processor": ", ".join(processors)},
    )


def _typical(name: str, values: Sequence[float]) -> float:
    """The mean; of seconds the median, for whatever else the machine does makes some of them longer."""
    there = [value for value in values if not isnan(value)]
    return median(there) if name in SECONDS and there else mean(values)


def merged(old: Table, new: Table) -> Table:
    """Old rows, those of pairings measured anew on as many cases or more replaced; the headline first."""
    counts = {row.pairing: row.count for row in old if row.kind == ALL}
    better = {row.pairing for row in new if row.kind == ALL and row.count >= counts.get(row.pairing, 0)}
    kept = [row for row in old if row.pairing not in better] + [row for row in new if row.pairing in better]
    order = {name: place for place, name in enumerate((*BASELINES, *HEADLINE))}
    return sorted(kept, key=lambda row: (order.get(row.pairing, len(order)), row.pairing))
