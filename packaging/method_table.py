"""The tables of what was measured: takes in results of `sfumato bench edits` and writes them for people.

python packaging/method_table.py [OUT ...]   rows of these results replace older ones of the same pairings
python packaging/method_table.py --settings OUT   these are of the default pairing under other settings

`packaging/measured/README.md` and the README's table are written from the rows in `method_rows`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from math import inf, isinf, isnan, nan
from pathlib import Path
from statistics import multimode

from method_rows import (
    ALL,
    BASELINES,
    MADE,
    MEASURED,
    ROOT,
    SETTINGS,
    Measured,
    Table,
    kinds,
    merged,
    read_table,
    taken,
    write_table,
)

from sfumato.benchmark.pairings import HEADLINE
from sfumato.benchmark.report import Column, markdown_table
from sfumato.benchmark.table import EXACT

PAGE, README = MEASURED / "README.md", ROOT / "README.md"
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


def whole_table(rows: Iterable[Measured]) -> str:
    """What is shown of rows over all types: those of most cases first, and of these the best."""
    listed = sorted(rows, key=lambda row: (-row.count, -row.figures["attributes_right"]))
    return _table("pairing", {f"`{row.pairing}`": row for row in listed}, SHOWN)


def _table(what: str, rows: Mapping[str, Measured], columns: Sequence[Column]) -> str:
    """Rows by what they are shown as, which is under `what`."""
    body = [[name, *(column.shown(row.shown) for column in columns)] for name, row in rows.items()]
    return markdown_table([what, *(column.heading for column in columns)], body)


def usual_counts(rows: Iterable[Measured]) -> dict[str, float]:
    """Over how many cases most rows of each editor are: only these can be compared."""
    counts: dict[str, list[float]] = {}
    for row in rows:
        counts.setdefault(row.editor, []).append(row.count)
    return {editor: max(multimode(each)) for editor, each in counts.items()}


def by_inversion(rows: Table, *columns: Column) -> str:
    """Figures of editors (across) after inversions (down); in bold the first column's best of an editor.

    Only rows over as many cases are compared, as many as most of its rows are over; others say theirs.
    """
    whole = {row.pairing: row for row in rows if row.is_whole and row.inverter}
    counts = usual_counts(whole.values())

    def best(name: Callable[[Measured], str]) -> dict[str, float]:
        """The first column's best under each name, the highest first and equals by name."""
        found = dict.fromkeys((name(row) for row in whole.values()), -inf)
        for row in whole.values():
            if row.count == counts[row.editor]:
                found[name(row)] = max(found[name(row)], _low(row, columns[0]))
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    inverters, editors = best(lambda row: row.inverter), best(lambda row: row.editor)

    def cell(row: Measured | None) -> str:
        if row is None:
            return ""
        text = " · ".join(column.shown(row.figures) for column in columns)
        if row.count != counts[row.editor]:
            return f"{text} ({row.count:.0f})"
        return f"**{text}**" if _low(row, columns[0]) == editors[row.editor] else text

    body = [
        [f"`{inverter}`", *(cell(whole.get(f"{inverter}+{editor}")) for editor in editors)]
        for inverter in inverters
    ]
    return markdown_table(["inversion", *(f"`{name}`" for name in editors)], body)


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
    """The headline, and of every other editor the pairing that comes nearest to the true edit.

    Of those that can be compared, as `usual_counts` says.
    """
    whole = [row for row in rows if row.is_whole]
    shown = [row for row in whole if row.pairing in HEADLINE]
    others = sorted({row.editor for row in whole} - {row.editor for row in shown})
    counts = usual_counts(whole)
    same = [[row for row in whole if row.editor == each and row.count == counts[each]] for each in others]
    return shown + [max(rows, key=lambda row: row.figures["gain"]) for rows in same]


def settings_table(rows: Table) -> str:
    """The default pairing under other settings, in the order they were asked for; not what they cost in time.

    Other work ran on the machine meanwhile.
    """
    columns = [column for column in SHOWN if column.name != "seconds"]
    return _table("setting", {row.pairing: row for row in rows if row.is_whole}, columns)


def page(rows: Table, changed: Table) -> str:
    """Everything, as Markdown; `changed` is the default pairing under other settings."""
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
        f"## Every pairing measured\n\n{whole_table(whole)}",
        "To compare with: the picture itself, through the autoencoder and back, the true edit. Where "
        "everything changes, as in three cases, nothing can be left untouched.",
        whole_table(base),
        f"## Inversion by editor\n\n{SHOWN[1].heading} · {SHOWN[6].heading}. What has a number of cases "
        "behind it is over more or fewer than the editor's others, and not compared with them.\n\n"
        + by_inversion(rows, SHOWN[1], SHOWN[6]),
        "## The default pairing under other settings\n\nOne at a time, over six cases of each type; "
        f"one case is 1.7 points. `settings.csv` has the figures by type.\n\n{settings_table(changed)}",
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
    match sys.argv[1:]:
        case ["--settings", of_settings, *outs]:
            found = taken(Path(of_settings))
            write_table([row for row in found if row.pairing not in BASELINES], SETTINGS)
        case outs:
            pass
    rows = read_table()
    for out in outs:
        rows = merged(rows, list(taken(Path(out))))
    write_table(rows)
    rows = read_table()  # what equals what else depends on how many digits are kept
    PAGE.write_text(page(rows, read_table(SETTINGS)), encoding="utf-8")
    table = whole_table(best_of_each(rows))
    README.write_text(put(README.read_text("utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
