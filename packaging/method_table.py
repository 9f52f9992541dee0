"""The tables of what was measured: takes in results of `sfumato bench edits` and writes them for people.

python packaging/method_table.py [OUT ...]   rows of these results replace older ones of the same pairings

`packaging/measured/table.csv` keeps every figure by pairing and edit type, so that a benchmark can be run in
pieces, on different days; `packaging/measured/README.md` and the README's table are written from it.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf, isinf, isnan, nan
from pathlib import Path
from typing import Any

from sfumato.benchmark.pairings import HEADLINE, IDENTITY, TRUTH, VAE
from sfumato.benchmark.publish import CASES, RECIPES
from sfumato.benchmark.report import Column, markdown_table
from sfumato.benchmark.results import Results
from sfumato.benchmark.scoring import COLUMNS
from sfumato.benchmark.table import COSTS, EXACT, mean

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "packaging" / "measured"
TABLE, PAGE, README = MEASURED / "table.csv", MEASURED / "README.md", ROOT / "README.md"
ALL = "all"
"""The type of a row over all edit types."""
FINISHED = tuple(name for name in COLUMNS if "clip" not in name and "structure" not in name)
DECODED = tuple(f"decoded_{name}" for name in FINISHED)
FIGURES = ("cases", "failed", EXACT, *FINISHED, *DECODED, *COSTS)
MADE = ("model", "weights", "steps", "guidance", "threads", "processor")
"""What a row was made with; of the weights of all its networks the first eight digits of a hash."""
BASELINES = (IDENTITY, VAE, TRUTH)
DIGITS = 6
"""Significant ones that are kept."""
SHOWN = (
    Column("cases", "cases", digits=0),
    Column("right %", "attributes_right", 1e2, 1),
    Column("gain", "gain"),
    Column("dB to the truth", "psnr_truth_inside", digits=1),
    Column("background dB", "psnr_unedit_part", digits=1),
    Column("untouched", EXACT, digits=0),
    Column("decoded dB", "decoded_psnr_unedit_part", digits=1),
    Column("decoded SSIM ×10²", "decoded_ssim_unedit_part", 1e2, 1),
    Column("rows", "rows", digits=0),
    Column("seconds", "seconds", digits=1),
)
BEGIN, END = "<!-- measured: packaging/method_table.py -->", "<!-- /measured -->"


@dataclass(frozen=True)
class Measured:
    """The means of a pairing over the cases of an edit type."""

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
    def count(self) -> float:
        return self.figures["cases"]

    @property
    def shown(self) -> Mapping[str, float]:
        """What tables show: costs summed over inversion and edit."""
        units = ("rows", "seconds")
        sums = {unit: sum(self.figures[name] for name in COSTS if name.endswith(unit)) for unit in units}
        return {**self.figures, **sums}


Table = list[Measured]


def read_table() -> Table:
    """What was kept so far."""
    if not TABLE.exists():
        return []
    with TABLE.open(newline="", encoding="utf-8") as file:
        return [
            Measured(
                row["pairing"],
                row["type"],
                {name: _number(row[name]) for name in FIGURES},
                {name: row[name] for name in MADE},
            )
            for row in csv.DictReader(file)
        ]


def write_table(rows: Table) -> None:
    """Keep it."""
    MEASURED.mkdir(exist_ok=True)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
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
        told = {**recipes.get(pairing, {}), **own}
        yield _means(pairing, ALL, rows, told)
        for number, kind in kinds().items():
            if some := [row for row in rows if row["type"] == number]:
                yield _means(pairing, kind, some, told)


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
        counted | {name: mean(_number(row[name]) for row in made) for name in names},
        {**{name: str(told.get(name, "")) for name in MADE}, "processor": ", ".join(processors)},
    )


def merged(old: Table, new: Table) -> Table:
    """Old rows, those of pairings measured anew on as many cases or more replaced; the headline first."""
    counts = {row.pairing: row.count for row in old if row.kind == ALL}
    better = {row.pairing for row in new if row.kind == ALL and row.count >= counts.get(row.pairing, 0)}
    kept = [row for row in old if row.pairing not in better] + [row for row in new if row.pairing in better]
    order = {name: place for place, name in enumerate((*BASELINES, *HEADLINE))}
    return sorted(kept, key=lambda row: (order.get(row.pairing, len(order)), row.pairing))


def whole_table(rows: Iterable[Measured]) -> str:
    """What is shown of rows over all types: those of most cases first, and of these the best."""
    listed = sorted(rows, key=lambda row: (-row.count, -row.figures["attributes_right"]))
    head = ["pairing", *(column.heading for column in SHOWN)]
    return markdown_table(
        head, [[f"`{row.pairing}`", *(c.shown(row.shown) for c in SHOWN)] for row in listed]
    )


def by_type(rows: Table, column: Column) -> str:
    """A figure by pairing and edit type, a table for each number of cases; the best of a type in bold."""
    whole = sorted((row for row in rows if row.is_whole), key=lambda row: (-row.count, -_low(row, column)))
    return "\n\n".join(
        f"Over {count:.0f} cases:\n\n{_by_type(rows, [row.pairing for row in same], column)}"
        for count, same in groupby(whole, key=lambda row: row.count)
    )


def _by_type(rows: Table, names: Sequence[str], column: Column) -> str:
    found = {(row.pairing, row.kind): row for row in rows}
    body = [[f"`{name}`"] for name in names]
    for kind in kinds().values():
        cells = [found.get((name, kind)) for name in names]
        best = max((_low(row, column) for row in cells if row), default=nan) if len(names) > 1 else nan
        for line, row in zip(body, cells, strict=True):
            text = column.shown(row.figures) if row else ""
            line.append(f"**{text}**" if row and _low(row, column) == best else text)
    return markdown_table(["pairing", *kinds().values()], body)


def _low(row: Measured, column: Column) -> float:
    value = row.figures[column.name]
    return -inf if isnan(value) or isinf(value) else value


def best_of_each(rows: Table) -> Table:
    """The headline, and of every other editor the pairing that comes nearest to the true edit."""
    whole = [row for row in rows if row.is_whole]
    shown = [row for row in whole if row.pairing in HEADLINE]
    others = sorted({row.editor for row in whole} - {row.editor for row in shown})
    same = [[row for row in whole if row.editor == editor] for editor in others]
    return shown + [max(rows, key=lambda row: row.figures["gain"]) for rows in same]


def page(rows: Table) -> str:
    """Everything, as Markdown."""
    whole = [row for row in rows if row.is_whole]
    base = [row for row in rows if row.kind == ALL and row.pairing in BASELINES]
    made = {name: " and ".join(sorted({row.made[name] for row in whole})) for name in MADE}
    failed = sum(row.figures["failed"] for row in whole)
    return "\n\n".join([
        "# What was measured",
        "By `packaging/method_table.py` from runs of `sfumato bench edits` on the built-in models "
        f"({made['model']}, weights {made['weights']}): {made['steps']} steps, "
        f"guidance {made['guidance']}, threads a process: {made['threads']}, on {made['processor']}. "
        f"Failed: {failed:.0f}. What the columns are: "
        "[the benchmark](../../core/sfumato/benchmark/README.md); `decoded` ones are of what the model "
        "decodes, as published figures are. `table.csv` has every figure by edit type. Structure "
        "distance and CLIP score are left out: their networks would have to be downloaded.",
        f"## Every pairing\n\n{whole_table(whole)}",
        "To compare with: the picture itself, through the autoencoder and back, the true edit.",
        whole_table(base),
        *(f"## {column.heading}, by edit type\n\n{by_type(rows, column)}" for column in SHOWN[1:3]),
    ]) + "\n"  # fmt: skip


def put(text: str, table: str) -> str:
    """A README with the table between its two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README} lacks {BEGIN} or {END}.")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def main() -> None:
    """Take in the folders named, then write the tables."""
    rows = read_table()
    for out in sys.argv[1:]:
        rows = merged(rows, list(taken(Path(out))))
    write_table(rows)
    PAGE.write_text(page(rows), encoding="utf-8")
    table = whole_table(best_of_each(rows))
    README.write_text(put(README.read_text("utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
